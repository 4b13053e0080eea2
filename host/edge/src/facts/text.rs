//! The text of a request: lent by the request while it lasts, or copied to outlive it.

use std::sync::Arc;

use crate::visit::Visit;

/// The text of a request, as the visitor sent it or kept for longer.
pub(crate) trait RequestText: Send + Sync {
    fn method(&self) -> &str;
    fn host(&self) -> &str;
    /// The path in the normal form of links.
    fn key(&self) -> &str;
    fn query(&self) -> Option<&str>;
    /// The header fields, in the order they were sent.
    fn fields(&self) -> impl Iterator<Item = (&str, &[u8])>;
    /// Every value of a header field.
    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]>;
}

impl RequestText for &Visit<'_> {
    fn method(&self) -> &str {
        self.head.method
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn key(&self) -> &str {
        &self.key
    }

    fn query(&self) -> Option<&str> {
        self.head.query
    }

    fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.head.fields.0.iter().map(|field| (field.name, field.value))
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.head.fields.all(name)
    }
}

/// A request's text, copied.
pub(crate) struct OwnedText {
    method: Box<str>,
    host: Box<str>,
    key: Box<str>,
    query: Option<Box<str>>,
    fields: Box<[Field]>,
}

struct Field {
    name: Box<str>,
    value: Box<[u8]>,
}

impl OwnedText {
    /// A copy of all of it.
    pub(crate) fn of(text: &impl RequestText) -> Self {
        Self::with(text, text.query(), |_| true)
    }

    /// A copy with this query, and only those fields whose names are wanted.
    pub(crate) fn with(text: &impl RequestText, query: Option<&str>, is_wanted: impl Fn(&str) -> bool) -> Self {
        let wanted = text.fields().filter(|(name, _)| is_wanted(name));
        let fields = wanted.map(|(name, value)| Field {
            name: name.into(),
            value: value.into(),
        });
        Self {
            method: text.method().into(),
            host: text.host().into(),
            key: text.key().into(),
            query: query.map(Into::into),
            fields: fields.collect(),
        }
    }

    /// The memory it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let fields = self.fields.iter();
        let fields = fields.map(|field| size_of::<Field>() + field.name.len() + field.value.len());
        let line = self.method.len() + self.host.len() + self.key.len();
        size_of::<Self>() + line + self.query.as_ref().map_or(0, |query| query.len()) + fields.sum::<usize>()
    }
}

impl RequestText for OwnedText {
    fn method(&self) -> &str {
        &self.method
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn key(&self) -> &str {
        &self.key
    }

    fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|field| (&*field.name, &*field.value))
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let fields = self.fields.iter();
        let named = fields.filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| &*field.value)
    }
}

impl RequestText for Arc<OwnedText> {
    fn method(&self) -> &str {
        (**self).method()
    }

    fn host(&self) -> &str {
        (**self).host()
    }

    fn key(&self) -> &str {
        (**self).key()
    }

    fn query(&self) -> Option<&str> {
        (**self).query()
    }

    fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        (**self).fields()
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        (**self).values(name)
    }
}

/// Names and values of a request's cookies. RFC 6265 §5.4 sends one field; HTTP/2 may split it (RFC 9113 §8.2.3), which
/// joining the fields as a list would get wrong.
pub(crate) fn cookies_of(text: &impl RequestText) -> impl Iterator<Item = (&str, &str)> {
    let fields = text.values("cookie").filter_map(|value| str::from_utf8(value).ok());
    fields.flat_map(|field| field.split(';')).filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        Some((name, value.trim_matches('"')))
    })
}
