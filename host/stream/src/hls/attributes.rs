//! The attributes of a tag, §4.2.
//!
//! In: what follows a tag's colon. Out: names and values as pieces of it.

use wayside_decide::invalid::quote;

/// Most attributes of one tag.
const ATTRIBUTES_MAX: usize = 256;

/// An attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attribute<'a> {
    pub(super) name: &'a str,
    /// The value as it stands there, quotes included.
    pub(super) value: &'a str,
}

impl<'a> Attribute<'a> {
    /// The value between its quotes; none when it has none.
    pub(super) fn text(&self) -> Option<&'a str> {
        self.value.strip_prefix('"')?.strip_suffix('"')
    }
}

/// What is wrong with a list: what was found, and what was expected.
pub(super) type Fault = (String, &'static str);

/// Reads an attribute list.
pub(super) fn attributes(list: &str) -> Result<Vec<Attribute<'_>>, Fault> {
    let mut rest = list.trim_matches([' ', '\t']);
    let mut attributes: Vec<Attribute<'_>> = Vec::new();
    while !rest.is_empty() {
        let Some((name, after)) = rest.split_once('=') else {
            return Err((quote(rest), "an attribute, NAME=value"));
        };
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(is_of_name) {
            return Err((quote(name), "an attribute's name of letters, digits and hyphens"));
        }
        if attributes.iter().any(|other| other.name == name) {
            return Err((format!("attribute {name} again"), "each attribute once"));
        }
        if attributes.len() == ATTRIBUTES_MAX {
            return Err(("more than 256 attributes".to_owned(), "256 at most"));
        }
        let value = value(after)?;
        attributes.push(Attribute { name, value });
        rest = after[value.len()..].trim_start_matches([' ', '\t']);
        if rest.is_empty() {
            break;
        }
        let Some(next) = rest.strip_prefix(',') else {
            return Err((quote(rest), "a comma after a quoted value"));
        };
        rest = next.trim_start_matches([' ', '\t']);
    }
    Ok(attributes)
}

/// The value at the start of `text`.
fn value(text: &str) -> Result<&str, Fault> {
    let Some(inside) = text.strip_prefix('"') else {
        return Ok(text[..text.find(',').unwrap_or(text.len())].trim_end_matches([' ', '\t']));
    };
    match inside.find('"') {
        Some(closing) => Ok(&text[..closing + 2]),
        None => Err((quote(text), "a closing quotation mark")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::attributes;

    #[test]
    fn values_may_hold_commas_in_quotes() {
        let read = attributes(r#"A=1, B="x,y=z",C-D="", E=1920x1080 "#).expect("a list");
        let pairs: Vec<_> = read.iter().map(|attribute| (attribute.name, attribute.value)).collect();
        assert_eq!(
            pairs,
            [("A", "1"), ("B", r#""x,y=z""#), ("C-D", r#""""#), ("E", "1920x1080")]
        );
        assert_eq!((read[1].text(), read[0].text()), (Some("x,y=z"), None));
        assert_eq!(attributes("").expect("no attribute"), []);
        assert_eq!(attributes("A=1,").expect("a comma at the end").len(), 1);
    }

    #[test]
    fn what_is_no_list_is_told() {
        for (list, found, expected) in [
            ("A", "\"A\"", "an attribute, NAME=value"),
            ("=1", "\"\"", "an attribute's name of letters, digits and hyphens"),
            ("A B=1", "\"A B\"", "an attribute's name of letters, digits and hyphens"),
            (r#"A="x"#, r#""\"x""#, "a closing quotation mark"),
            (r#"A="x"y"#, "\"y\"", "a comma after a quoted value"),
            ("A=1,A=2", "attribute A again", "each attribute once"),
        ] {
            assert_eq!(attributes(list), Err((found.to_owned(), expected)), "{list}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in r#"[A-C="", x\t-]{0,40}"#) {
            if let Ok(read) = attributes(&text) {
                prop_assert!(read.iter().all(|attribute| text.contains(attribute.value)));
            }
        }
    }
}
