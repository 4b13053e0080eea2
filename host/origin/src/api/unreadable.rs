//! What serde says of a body or a query it cannot read, as a problem in the words of the API.
//!
//! serde names Rust's types; whoever wrote the request knows JSON's. A message of an unknown shape is passed on as it is.

use std::borrow::Cow;

use axum::http::StatusCode;
use serde_path_to_error::{Error, Path};
use wayside_decide::invalid::quote;

use super::problem::Problem;

/// How much of a request's own text a problem repeats, in characters.
const REPEATED_CHARS_MAX: usize = 80;

/// A body that is no JSON, or holds a value that stands where it should not.
pub(super) fn body(error: &Error<serde_json::Error>) -> Problem {
    let inner = error.inner();
    if !inner.is_data() {
        return syntax(inner);
    }
    let text = inner.to_string();
    // The path says better where it is.
    let place = format!(" at line {} column {}", inner.line(), inner.column());
    let (field, found, expected) = explain(error.path(), text.strip_suffix(&place).unwrap_or(&text));
    Problem::wrong(field, found, expected)
}

/// Text that is no JSON.
pub(super) fn syntax(error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let what = text.strip_suffix(&place).unwrap_or(&text);
    let (line, column) = (error.line(), error.column());
    let detail = format!("line {line}, column {column}: the body is no JSON: {what}");
    Problem::unreadable(StatusCode::BAD_REQUEST, detail)
}

/// A query with a wrong parameter. serde does not say what stood there; `pairs` do.
pub(super) fn query(error: &Error<serde_urlencoded::de::Error>, pairs: &[(Cow<'_, str>, Cow<'_, str>)]) -> Problem {
    let message = error.inner().to_string();
    let (field, found, expected) = explain(error.path(), &message);
    let is_number = message.contains("invalid digit") || message.contains("empty string");
    let is_large = message.contains("number too large");
    let value = pairs.iter().find(|(name, _)| *name == field).map(|(_, value)| value);
    match value.filter(|_| is_number || is_large) {
        Some(value) if is_large => Problem::wrong(field, quote(value), "a smaller number".into()),
        Some(value) => Problem::wrong(field, quote(value), "a whole number that is not negative".into()),
        None => Problem::wrong(field, found, expected),
    }
}

/// Field, found, expected. What is split off is always at the end that the request's own text is not.
fn explain(path: &Path, message: &str) -> (String, String, String) {
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let (name, known) = rest.rsplit_once(", expected ").unwrap_or((rest, "no other field"));
        return (below(path, name), "a field that is not known".into(), known.to_owned());
    }
    if let Some(name) = message.strip_prefix("missing field ") {
        return (below(path, name), "nothing".into(), "a value".into());
    }
    if let Some(name) = message.strip_prefix("duplicate field ") {
        return (below(path, name), "it twice".into(), "it once".into());
    }
    let of_value = ["invalid type: ", "invalid value: "];
    if let Some(rest) = of_value.iter().find_map(|start| message.strip_prefix(start)) {
        let (found, expected) = rest.rsplit_once(", expected ").unwrap_or((rest, "another type"));
        return (here(path), json_value(found), json_type(expected));
    }
    (here(path), shortened(message), "another value".into())
}

fn here(path: &Path) -> String {
    match path.to_string() {
        root if root == "." => "body".to_owned(),
        path => shortened(&path),
    }
}

fn below(path: &Path, name: &str) -> String {
    let name = name.trim_matches('`');
    match path.to_string() {
        root if root == "." => shortened(name),
        path if path == name || path.ends_with(&format!(".{name}")) => shortened(&path),
        path => shortened(&format!("{path}.{name}")),
    }
}

/// A value that serde describes, in words of JSON.
fn json_value(text: &str) -> String {
    if let Some(inside) = text
        .strip_prefix("string \"")
        .and_then(|inside| inside.strip_suffix('"'))
    {
        // serde has escaped it already.
        let start: String = inside.chars().take(REPEATED_CHARS_MAX).collect();
        let rest = inside.chars().count().saturating_sub(REPEATED_CHARS_MAX);
        return match rest {
            0 => format!("\"{start}\""),
            rest => format!("\"{start}\" and {rest} more characters"),
        };
    }
    let number = ["integer ", "floating point "]
        .iter()
        .find_map(|kind| text.strip_prefix(kind));
    match text {
        "sequence" => "a list".into(),
        "map" => "an object".into(),
        "unit value" => "null".into(),
        _ if let Some(number) = number => format!("the number {number}"),
        _ => shortened(text.strip_prefix("boolean ").unwrap_or(text)),
    }
}

/// A type that serde names, in words of JSON.
fn json_type(text: &str) -> String {
    let whole = |most: u64| format!("a whole number from 0 to {most}");
    match text {
        "u16" => whole(u16::MAX.into()),
        "u32" => whole(u32::MAX.into()),
        "u64" => whole(u64::MAX),
        "a sequence" => "a list".into(),
        "a map" => "an object".into(),
        "a boolean" => "`true` or `false`".into(),
        _ => text.to_owned(),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(REPEATED_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::{super::extract::Object, explain};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read into")]
    struct Outer {
        items: Vec<Object<Inner>>,
        #[serde(default)]
        by_name: BTreeMap<String, String>,
        #[serde(default)]
        is_on: bool,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read into")]
    struct Inner {
        status: u16,
    }

    #[track_caller]
    fn check(json: &str, expected: (&str, &str, &str)) {
        let mut reader = serde_json::Deserializer::from_str(json);
        let error = serde_path_to_error::deserialize::<_, Object<Outer>>(&mut reader).expect_err(json);
        let message = error.inner().to_string();
        let (message, _) = message.rsplit_once(" at line ").expect("a message");
        let (field, found, wanted) = explain(error.path(), message);
        assert_eq!((field.as_str(), found.as_str(), wanted.as_str()), expected, "{json}");
    }

    #[test]
    fn each_wrong_field_is_named_by_its_place() {
        let known = "one of `items`, `by_name`, `is_on`";
        let unknown = "a field that is not known";
        check("{}", ("items", "nothing", "a value"));
        check(r#"{"items": [], "more": 1}"#, ("more", unknown, known));
        check(
            r#"{"items": [], "a, expected b": 1}"#,
            ("a, expected b", unknown, known),
        );
        check(r#"{"items": [], "items": []}"#, ("items", "it twice", "it once"));
        check(
            r#"{"items": [{"status": 1}, {}]}"#,
            ("items[1].status", "nothing", "a value"),
        );
        check(
            r#"{"items": [{"status": 1, "x": 2}]}"#,
            ("items[0].x", unknown, "`status`"),
        );
        check(
            r#"{"items": [{"status": 1, "status": 2}]}"#,
            ("items[0].status", "it twice", "it once"),
        );
    }

    #[test]
    fn each_wrong_value_is_told_in_words_of_json() {
        for (status, found) in [
            (r#""x""#, r#""x""#),
            (r#""a, expected b""#, r#""a, expected b""#),
            (r#""a at line 3""#, r#""a at line 3""#),
            ("-1", "the number `-1`"),
            ("70000", "the number `70000`"),
            ("1.5", "the number `1.5`"),
            ("true", "`true`"),
            ("null", "null"),
            ("[]", "a list"),
            ("{}", "an object"),
        ] {
            check(
                &format!(r#"{{"items": [{{"status": {status}}}]}}"#),
                ("items[0].status", found, "a whole number from 0 to 65535"),
            );
        }
        check(
            r#"{"items": [], "by_name": {"a": 1}}"#,
            ("by_name.a", "the number `1`", "a string"),
        );
        check(
            r#"{"items": [], "is_on": "yes"}"#,
            ("is_on", r#""yes""#, "`true` or `false`"),
        );
        check(r#"{"items": 1}"#, ("items", "the number `1`", "a list"));
        check(r#"{"items": [], "by_name": []}"#, ("by_name", "a list", "an object"));
    }

    /// By itself serde reads a list as a struct, by position.
    #[test]
    fn a_list_is_no_object() {
        check("[[]]", ("body", "a list", "an object"));
        check(r#"{"items": [[301]]}"#, ("items[0]", "a list", "an object"));
        check("3", ("body", "the number `3`", "an object"));
    }

    #[test]
    fn no_more_is_repeated_than_can_be_read() {
        let long = "x".repeat(1000);
        let start = &long[..80];
        check(
            &format!(r#"{{"items": [{{"status": "{long}"}}]}}"#),
            (
                "items[0].status",
                &format!("\"{start}\" and 920 more characters"),
                "a whole number from 0 to 65535",
            ),
        );
        check(
            &format!(r#"{{"{long}": 1}}"#),
            (
                &format!("{start}…"),
                "a field that is not known",
                "one of `items`, `by_name`, `is_on`",
            ),
        );
    }
}
