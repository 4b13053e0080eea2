//! How a value that is written as text is read: one visitor for all of them, so that all errors read alike.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserializer,
    de::{Error, Unexpected, Visitor},
};

/// Reads a string and turns it into a value by `read`; `expected` says which texts have one.
pub(crate) fn parsed<'de, D, T>(
    deserializer: D,
    expected: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
{
    deserializer.deserialize_str(Text {
        expected,
        read,
        value: PhantomData,
    })
}

struct Text<R, T> {
    expected: &'static str,
    read: R,
    value: PhantomData<T>,
}

impl<R: Fn(&str) -> Option<T>, T> Visitor<'_> for Text<R, T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.read)(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}
