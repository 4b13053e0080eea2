//! Start tags and references, read as strictly as players' parsers of XML read them.
//!
//! In: what the parser of events takes for a tag, or for text. Out: its name and its attributes as pieces of it, or what
//! is wrong. The parser looks at neither, and a browser plays nothing of a manifest in which one is wrong.

use wayside_decide::invalid::quote;

/// Most attributes of one element.
const ATTRIBUTES_MAX: usize = 64;
/// How much of a name is told, in characters.
const NAME_CHARS_MAX: usize = 40;
/// White space of XML.
const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// An attribute.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attribute<'a> {
    pub(super) name: &'a str,
    /// What stands between its quotes.
    pub(super) value: &'a str,
    /// All of it, with the white space before it.
    pub(super) whole: &'a str,
}

/// What is wrong: what was found, and what was expected.
pub(super) type Fault = (String, &'static str);

/// The name in a start tag, and what follows it up to the tag's end.
pub(super) fn name_and_rest(tag: &str) -> (&str, &str) {
    let inside = tag.strip_prefix('<').unwrap_or(tag);
    let inside = inside.strip_suffix('>').unwrap_or(inside);
    let inside = inside.strip_suffix('/').unwrap_or(inside);
    let end = inside.find(SPACE).unwrap_or(inside.len());
    inside.split_at(end)
}

/// Reads the attributes of an element of this name into an empty list, which is used again for the next.
pub(super) fn read<'a>(name: &str, attributes: &'a str, into: &mut Vec<Attribute<'a>>) -> Result<(), Fault> {
    into.clear();
    if !is_name(name) {
        return Err((quote(name), "an element's name"));
    }
    let mut rest = attributes;
    while !rest.trim_start_matches(SPACE).is_empty() {
        let Some(attribute) = first(rest) else {
            return Err((quote(rest), "attributes, name=\"value\""));
        };
        let Attribute {
            name: own,
            value,
            whole,
        } = attribute;
        if into.iter().any(|other| other.name == own) {
            let found = format!("attribute {} of {} again", short(own), short(name));
            return Err((found, "each attribute once"));
        }
        if into.len() == ATTRIBUTES_MAX {
            return Err((format!("attributes of {} past 64", short(name)), "64 at most"));
        }
        if value.contains('<') {
            return Err((described(own, value, name), "no < in a value"));
        }
        check_references(value).map_err(|(_, expected)| (described(own, value, name), expected))?;
        into.push(attribute);
        rest = &rest[whole.len()..];
    }
    Ok(())
}

/// An attribute as messages name it.
pub(super) fn described(name: &str, value: &str, element: &str) -> String {
    format!("{}={} of {}", short(name), quote(value), short(element))
}

/// Names may be as long as the file.
fn short(name: &str) -> &str {
    let end = name
        .char_indices()
        .nth(NAME_CHARS_MAX)
        .map_or(name.len(), |(end, _)| end);
    &name[..end]
}

/// The first attribute of a list that has one.
fn first(text: &str) -> Option<Attribute<'_>> {
    let named = text.trim_start_matches(SPACE);
    if named.len() == text.len() {
        return None;
    }
    let (name, after) = named.split_once('=')?;
    let name = name.trim_end_matches(SPACE);
    let value = after.trim_start_matches(SPACE);
    let quotation = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (value, rest) = value.get(1..)?.split_once(quotation)?;
    let whole = &text[..text.len() - rest.len()];
    is_name(name).then_some(Attribute { name, value, whole })
}

/// Whether it may be a name, as far as it matters here: other characters than these are as rare as harmless.
fn is_name(text: &str) -> bool {
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':' || !c.is_ascii();
    let goes_on = |c: char| begins(c) || c.is_ascii_digit() || c == '-' || c == '.';
    text.starts_with(begins) && text.chars().all(goes_on)
}

/// Whether each `&` begins a character's number or one of XML's own entities: others would need a document type.
pub(super) fn check_references(text: &str) -> Result<(), Fault> {
    let mut rest = text;
    while let Some((_, from)) = rest.split_once('&') {
        let (reference, behind) = from.split_once(';').unwrap_or((from, ""));
        let is_ended = from.len() > reference.len();
        if !is_ended || !is_reference(reference) {
            return Err((quote(text), "no & but those of XML's own entities, as &amp;"));
        }
        rest = behind;
    }
    Ok(())
}

fn is_reference(name: &str) -> bool {
    let Some(number) = name.strip_prefix('#') else {
        return matches!(name, "amp" | "lt" | "gt" | "apos" | "quot");
    };
    let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |digits| (digits, 16));
    // A sign is read as a number, too.
    let code = digits
        .chars()
        .all(|c| c.is_digit(radix))
        .then(|| u32::from_str_radix(digits, radix).ok());
    code.flatten().and_then(char::from_u32).is_some_and(is_character)
}

/// Whether XML may have it.
pub(super) const fn is_character(c: char) -> bool {
    !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::{check_references, name_and_rest, read};

    fn attributes(tag: &str) -> Result<Vec<(&str, &str)>, String> {
        let (name, rest) = name_and_rest(tag);
        let mut read_ones = Vec::new();
        let outcome = read(name, rest, &mut read_ones);
        let pairs = read_ones.iter().map(|attribute| (attribute.name, attribute.value));
        let pairs = pairs.collect();
        outcome
            .map(|()| pairs)
            .map_err(|(found, expected)| format!("{found}: {expected}"))
    }

    #[test]
    fn attributes_are_read_with_their_white_space() {
        let read = attributes("<MPD  type = 'a\"b'\r\n\tx:y=\"&amp;&#x41;&#10;>\" />");
        assert_eq!(read, Ok(vec![("type", "a\"b"), ("x:y", "&amp;&#x41;&#10;>")]));
        assert_eq!(attributes("<MPD/>"), Ok(vec![]));
    }

    #[test]
    fn what_a_browser_refuses_is_refused() {
        let many: String = (0..65).map(|number| format!(" a{number}=''")).collect();
        for (tag, expected) in [
            (
                "<MPD a='1' b='2' a='3'>",
                "attribute a of MPD again: each attribute once",
            ),
            ("<MPD a=1>", "\" a=1\": attributes, name=\"value\""),
            ("<MPD a>", "\" a\": attributes, name=\"value\""),
            ("<MPD a='1'b='2'>", "\"b=\\'2\\'\": attributes, name=\"value\""),
            ("<MPD 1a='1'>", "\" 1a=\\'1\\'\": attributes, name=\"value\""),
            ("<M&D>", "\"M&D\": an element's name"),
            ("<MPD a='<'>", "a=\"<\" of MPD: no < in a value"),
            (
                "<MPD id='a&b'>",
                "id=\"a&b\" of MPD: no & but those of XML's own entities, as &amp;",
            ),
            (
                "<MPD id='&b;'>",
                "id=\"&b;\" of MPD: no & but those of XML's own entities, as &amp;",
            ),
            (&format!("<MPD{many}>"), "attributes of MPD past 64: 64 at most"),
        ] {
            assert_eq!(attributes(tag), Err(expected.to_owned()), "{tag}");
        }
    }

    #[test]
    fn numbers_of_characters_are_those_that_there_are() {
        for (text, is_good) in [
            ("&#65;&#x1F600;", true),
            ("&#0;", false),
            ("&#x1;", false),
            ("&#xD800;", false),
            ("&#+65;", false),
            ("&#;", false),
            ("&#99999999999;", false),
            ("&nbsp;", false),
            ("&", false),
            ("a & b", false),
        ] {
            assert_eq!(check_references(text).is_ok(), is_good, "{text}");
        }
    }
}
