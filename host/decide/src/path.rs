//! Link paths in one normal form, so that a published link and a request for it meet.

use std::{borrow::Cow, fmt};

use crate::{invalid::Invalid, limits::PATH_BYTES_MAX};

/// The exact path of a link, normalised after RFC 3986 §6.2.2: percent escapes in upper case, none where the
/// character needs none, characters outside ASCII escaped as UTF-8. Case and a trailing slash count.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkPath(Box<str>);

impl LinkPath {
    /// Reads a path as a person writes it: `/hello`, `/Größe`, `/a%20b`.
    ///
    /// # Errors
    /// [`Invalid`] when it does not start with exactly one slash, holds a query, a fragment, white space, a control
    /// character or a broken escape, is reserved (`/.wayside/`), or is too long.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let refuse = |expected: &str| Err(Invalid::text("path", text, expected));
        if text.len() > PATH_BYTES_MAX {
            return refuse(&format!("at most {PATH_BYTES_MAX} bytes"));
        }
        if !text.starts_with('/') {
            return refuse("a path that starts with `/`");
        }
        if !is_single_slashed(text) {
            return refuse("a path that starts with one slash and no backslash");
        }
        if text.contains(['?', '#', '\\']) || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return refuse("a path without query, fragment, backslash, white space or control characters");
        }
        if is_reserved(text) {
            return refuse("a path outside `/.wayside/`, which is reserved");
        }
        if !escapes_are_whole(text) {
            return refuse("`%` only before two hexadecimal digits");
        }
        let normal = normalise(text);
        // What is kept is read again: its escapes count.
        if normal.len() > PATH_BYTES_MAX {
            return refuse(&format!(
                "at most {PATH_BYTES_MAX} bytes, three for each that is escaped"
            ));
        }
        Ok(Self(normal.into()))
    }

    /// The path in its normal form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LinkPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Whether a request path starts with exactly one slash. `//host` and `/\host` read as an authority in some
/// browsers, so such a path is refused before it can reach a `Location`.
#[must_use]
pub fn is_single_slashed(path: &str) -> bool {
    let mut bytes = path.bytes();
    bytes.next() == Some(b'/') && !matches!(bytes.next(), Some(b'/' | b'\\'))
}

/// Whether a path belongs to Wayside itself.
#[must_use]
pub fn is_reserved(path: &str) -> bool {
    path == "/.wayside" || path.starts_with("/.wayside/")
}

/// Brings the path of a request into the normal form of [`LinkPath`], so that one path has one form however a visitor
/// writes it. Borrows when it is in it already; a broken escape is left as it is and so meets no link.
#[must_use]
pub fn normalise(path: &str) -> Cow<'_, str> {
    if !path.is_ascii() {
        return Cow::Owned(normalise(&escape_non_ascii(path)).into_owned());
    }
    let Some(first) = path.find('%') else {
        return Cow::Borrowed(path);
    };
    let mut normal = String::with_capacity(path.len());
    normal.push_str(&path[..first]);
    let mut rest = &path[first..];
    while let Some(at) = rest.find('%') {
        normal.push_str(&rest[..at]);
        match escaped_byte(&rest[at..]) {
            Some(byte) if is_unreserved(byte) => normal.push(char::from(byte)),
            Some(byte) => push_escape(&mut normal, byte),
            None => {
                normal.push('%');
                rest = &rest[at + 1..];
                continue;
            }
        }
        rest = &rest[at + 3..];
    }
    normal.push_str(rest);
    Cow::Owned(normal)
}

fn escape_non_ascii(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii() {
            escaped.push(char::from(byte))
        } else {
            push_escape(&mut escaped, byte)
        }
    }
    Cow::Owned(escaped)
}

fn escapes_are_whole(text: &str) -> bool {
    text.match_indices('%')
        .all(|(at, _)| escaped_byte(&text[at..]).is_some())
}

/// The byte that the escape at the start of `text` (`%4A…`) stands for.
fn escaped_byte(text: &str) -> Option<u8> {
    let digits = text.as_bytes().get(1..3)?;
    let value = |digit: u8| char::from(digit).to_digit(16);
    u8::try_from(value(digits[0])? * 16 + value(digits[1])?).ok()
}

fn push_escape(text: &mut String, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    text.push('%');
    text.push(char::from(HEX[usize::from(byte >> 4)]));
    text.push(char::from(HEX[usize::from(byte & 15)]));
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::{LinkPath, normalise};

    #[test]
    fn paths_are_normalised_or_refused() {
        for (text, expected) in [
            ("/hello", Some("/hello")),
            ("/", Some("/")),
            ("/%7ejoe/%41", Some("/~joe/A")),
            ("/a%2fb", Some("/a%2Fb")),
            ("/Größe", Some("/Gr%C3%B6%C3%9Fe")),
            ("hello", None),
            ("", None),
            ("//evil.example", None),
            ("/\\evil.example", None),
            ("/a?b", None),
            ("/a b", None),
            ("/a\r\nb", None),
            ("/a%2", None),
            ("/a%zz", None),
            ("/.wayside/steer", None),
        ] {
            assert_eq!(
                LinkPath::parse(text).ok().as_ref().map(LinkPath::as_str),
                expected,
                "{text:?}"
            );
        }
        assert!(LinkPath::parse(&format!("/{}", "x".repeat(2048))).is_err());
    }

    #[test]
    fn a_request_meets_the_link_it_means() {
        assert_eq!(
            normalise("/Gr%c3%b6%C3%9Fe"),
            LinkPath::parse("/Größe").expect("path").as_str()
        );
        assert_eq!(normalise("/Größe"), LinkPath::parse("/Größe").expect("path").as_str());
        assert_eq!(normalise("/a%zz%4"), "/a%zz%4");
        assert_eq!(normalise("/plain"), "/plain");
    }
}
