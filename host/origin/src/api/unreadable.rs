//! What serde says of a body or a query it cannot read, as a problem in the words of the API.
//!
//! serde names Rust's types; whoever wrote the request knows JSON's. A message of an unknown shape is passed on as it is.

use std::fmt::Display;

use axum::http::StatusCode;
use serde_path_to_error::Path;

use super::problem::Problem;

/// A value that stands where it should not, within what is JSON or a query otherwise.
pub(super) fn field(path: &Path, error: &impl Display) -> Problem {
    let message = error.to_string();
    // serde_json adds where; the path says it better.
    let message = message.split(" at line ").next().unwrap_or_default();
    let (field, found, expected) = explain(path, message);
    Problem::wrong(field, found, expected)
}

/// Text that is no JSON.
pub(super) fn syntax(error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    let detail = format!(
        "line {}, column {}: expected JSON, found an error: {what}",
        error.line(),
        error.column()
    );
    Problem::unreadable(StatusCode::BAD_REQUEST, detail)
}

/// Field, found, expected.
fn explain(path: &Path, message: &str) -> (String, String, String) {
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let (name, known) = rest.split_once(", expected ").unwrap_or((rest, "no other field"));
        return (below(path, name), "a field that is not known".into(), known.to_owned());
    }
    if let Some(name) = message.strip_prefix("missing field ") {
        return (below(path, name), "nothing".into(), "a value".into());
    }
    if let Some(rest) = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))
    {
        let (found, expected) = rest.split_once(", expected ").unwrap_or((rest, "another type"));
        return (here(path), json_type(found), json_type(expected));
    }
    // A list is read as a struct by position, which nobody means.
    if message.starts_with("invalid length ") && message.contains("struct ") {
        return (here(path), "a list".into(), "an object".into());
    }
    if message.contains("invalid digit") || message.contains("empty string") || message.contains("number too ") {
        return (here(path), message.to_owned(), "a whole number".into());
    }
    (here(path), message.to_owned(), "another value".into())
}

fn here(path: &Path) -> String {
    match path.to_string() {
        root if root == "." => "body".to_owned(),
        path => path,
    }
}

fn below(path: &Path, name: &str) -> String {
    let name = name.trim_matches('`');
    match path.to_string() {
        root if root == "." => name.to_owned(),
        path if path == name || path.ends_with(&format!(".{name}")) => path,
        path => format!("{path}.{name}"),
    }
}

fn json_type(text: &str) -> String {
    let known = match text {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative",
        "i8" | "i16" | "i32" | "i64" => "a whole number",
        "sequence" | "a sequence" => "a list",
        "map" | "a map" => "an object",
        "unit value" => "null",
        _ if text.starts_with("struct ") => "an object",
        _ => {
            return text
                .replace("integer `", "the number `")
                .replace("boolean `", "the truth value `");
        }
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::explain;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read into")]
    struct Outer {
        items: Vec<Inner>,
        #[serde(default)]
        by_name: BTreeMap<String, u16>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read into")]
    struct Inner {
        status: u16,
    }

    #[test]
    fn each_wrong_value_is_named_by_its_place_and_in_words_of_json() {
        for (json, expected) in [
            (r#"{}"#, ("items", "nothing", "a value")),
            (
                r#"{"items": [], "more": 1}"#,
                ("more", "a field that is not known", "`items` or `by_name`"),
            ),
            (
                r#"{"items": [{"status": 1}, {}]}"#,
                ("items[1].status", "nothing", "a value"),
            ),
            (
                r#"{"items": [{"status": 1, "x": 2}]}"#,
                ("items[0].x", "a field that is not known", "`status`"),
            ),
            (
                r#"{"items": [{"status": "x"}]}"#,
                ("items[0].status", "string \"x\"", "a whole number that is not negative"),
            ),
            (
                r#"{"items": [{"status": -1}]}"#,
                (
                    "items[0].status",
                    "the number `-1`",
                    "a whole number that is not negative",
                ),
            ),
            (
                r#"{"items": [], "by_name": {"a": null}}"#,
                ("by_name.a", "null", "a whole number that is not negative"),
            ),
            (r#"{"items": 1}"#, ("items", "the number `1`", "a list")),
            (r#"[]"#, ("body", "a list", "an object")),
            (r#"3"#, ("body", "the number `3`", "an object")),
        ] {
            let mut reader = serde_json::Deserializer::from_str(json);
            let error = serde_path_to_error::deserialize::<_, Outer>(&mut reader).expect_err(json);
            let message = error.inner().to_string();
            let message = message.split(" at line ").next().expect("a message");
            let (field, found, wanted) = explain(error.path(), message);
            assert_eq!((field.as_str(), found.as_str(), wanted.as_str()), expected, "{json}");
        }
    }
}
