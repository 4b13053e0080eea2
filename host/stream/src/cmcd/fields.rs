//! Keys and values, as structured fields have them (RFC 9651 §3), and as version 1 has them without quite saying so.
//!
//! In: text. Out: keys with their values, as pieces of it. It must not know what keys mean.

use std::borrow::Cow;

use wayside_decide::invalid::quote;

use super::Refused;

/// Most keys of a report.
const KEYS_MAX: usize = 64;
/// Most items of a list.
const ITEMS_MAX: usize = 32;

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field<'a> {
    pub(super) key: &'a str,
    pub(super) value: Value<'a>,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    /// A key without a value.
    True,
    /// A number, a token or a boolean, as it stands there.
    Bare(&'a str),
    /// A string without its quotes and escapes.
    String(Cow<'a, str>),
    /// A list of such, without their parameters.
    List(Vec<Self>),
}

impl Value<'_> {
    /// Whole numbers from 0: of a list all that are. Broken ones are cut.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        let items = match self {
            Value::List(items) => items.as_slice(),
            other => std::slice::from_ref(other),
        };
        items.iter().filter_map(Value::number)
    }

    fn number(&self) -> Option<u64> {
        let Value::Bare(text) = self else { return None };
        if let Ok(number) = text.parse::<u64>() {
            return Some(number);
        }
        let number = text.parse::<f64>().ok()?;
        // The cast would cut what is too large or too small to a number that nobody meant.
        (0.0..=9e15).contains(&number).then_some(number as u64)
    }

    /// A string; none when it is longer than `bytes_max`.
    pub(super) fn string(&self, bytes_max: usize) -> Option<String> {
        let Value::String(text) = self else { return None };
        (text.len() <= bytes_max).then(|| text.clone().into_owned())
    }

    /// A token.
    pub(super) fn token(&self) -> Option<&str> {
        match self {
            Value::Bare(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is true, by any of its spellings.
    pub(super) fn is_true(&self) -> bool {
        matches!(self, Value::True | Value::Bare("?1" | "true"))
    }

    /// How many items: one when it is no list.
    pub(super) const fn count(&self) -> usize {
        match self {
            Value::List(items) => items.len(),
            _ => 1,
        }
    }
}

/// Reads all fields.
pub(super) fn fields(text: &str) -> Result<Vec<Field<'_>>, Refused> {
    let mut reader = Reader { text, at: 0 };
    let mut fields = Vec::new();
    reader.skip_space();
    while !reader.rest().is_empty() {
        if fields.len() == KEYS_MAX {
            let found = KEYS_MAX + 1;
            let unit = "keys or more";
            return Err(Refused::TooLong {
                found,
                unit,
                most: KEYS_MAX,
            });
        }
        let key = reader.run(|c| c.is_ascii_alphanumeric() || "-_.*".contains(c));
        if key.is_empty() {
            return Err(reader.refuse("a key"));
        }
        let value = if reader.take('=') { reader.value()? } else { Value::True };
        reader.parameters()?;
        fields.push(Field { key, value });
        reader.skip_space();
        if reader.rest().is_empty() {
            break;
        }
        if !reader.take(',') {
            return Err(reader.refuse("a comma"));
        }
        reader.skip_space();
    }
    Ok(fields)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn refuse(&self, expected: &'static str) -> Refused {
        let rest = self.rest();
        let found = if rest.is_empty() {
            "the end".to_owned()
        } else {
            quote(rest)
        };
        let at = self.at;
        Refused::Malformed { at, found, expected }
    }

    fn take(&mut self, c: char) -> bool {
        let is_next = self.rest().starts_with(c);
        if is_next {
            self.at += c.len_utf8();
        }
        is_next
    }

    fn skip_space(&mut self) {
        self.run(|c| c == ' ' || c == '\t');
    }

    fn run(&mut self, is_of: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let run = &rest[..rest.find(|c| !is_of(c)).unwrap_or(rest.len())];
        self.at += run.len();
        run
    }

    fn value(&mut self) -> Result<Value<'a>, Refused> {
        if !self.take('(') {
            return self.item();
        }
        let mut items = Vec::new();
        loop {
            self.skip_space();
            if self.take(')') {
                return Ok(Value::List(items));
            }
            if items.len() == ITEMS_MAX {
                return Err(self.refuse("the end of a list of 32 items"));
            }
            items.push(self.item()?);
            self.parameters()?;
            if !self.rest().starts_with([' ', '\t', ')']) {
                return Err(self.refuse("a space, or the end of the list"));
            }
        }
    }

    fn item(&mut self) -> Result<Value<'a>, Refused> {
        if self.take('"') {
            return self.string().map(Value::String);
        }
        let bare = self.run(|c| c.is_ascii_graphic() && !"\",;()=".contains(c));
        if bare.is_empty() {
            Err(self.refuse("a value"))
        } else {
            Ok(Value::Bare(bare))
        }
    }

    /// What follows the opening quote. Text beyond ASCII is let through, for players send titles.
    fn string(&mut self) -> Result<Cow<'a, str>, Refused> {
        let start = self.at;
        let mut unescaped: Option<String> = None;
        while let Some(c) = self.rest().chars().next() {
            let before = self.at;
            self.at += c.len_utf8();
            match c {
                '"' => {
                    let whole = Cow::Borrowed(&self.text[start..before]);
                    return Ok(unescaped.map_or(whole, Cow::Owned));
                }
                '\\' => {
                    let text = unescaped.get_or_insert_with(|| self.text[start..before].to_owned());
                    let Some(escaped) = self.text[self.at..].chars().next().filter(|c| matches!(c, '"' | '\\')) else {
                        return Err(self.refuse("a quotation mark or a backslash after a backslash"));
                    };
                    text.push(escaped);
                    self.at += 1;
                }
                c if c.is_control() => {
                    self.at = before;
                    return Err(self.refuse("no control character"));
                }
                c => {
                    if let Some(text) = &mut unescaped {
                        text.push(c);
                    }
                }
            }
        }
        Err(self.refuse("a closing quotation mark"))
    }

    /// Parameters of an item or of a list, which nobody needs.
    fn parameters(&mut self) -> Result<(), Refused> {
        while self.take(';') {
            self.skip_space();
            let key = self.run(|c| c.is_ascii_alphanumeric() || "-_.*".contains(c));
            if key.is_empty() {
                return Err(self.refuse("a parameter"));
            }
            if self.take('=') {
                self.item()?;
            }
        }
        Ok(())
    }
}
