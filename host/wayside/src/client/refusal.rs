//! What the API says when it refuses, in words for the person at the command line.

use std::fmt;

use reqwest::StatusCode;
use serde::Deserialize;

/// How much of an answer that is no problem is repeated, in characters.
const FOREIGN_CHARS_MAX: usize = 200;

/// A refusal.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    field: Option<String>,
    text: String,
}

/// An error as the API tells it (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    title: String,
    #[serde(default)]
    detail: String,
    field: Option<String>,
    found: Option<String>,
    expected: Option<String>,
}

impl Refusal {
    /// From an answer whose status is none of success.
    pub(super) fn read(status: StatusCode, body: &[u8]) -> Self {
        let problem = serde_json::from_slice::<Problem>(body).ok();
        let text = problem.as_ref().map_or_else(|| foreign(status, body), Problem::text);
        let field = problem.and_then(|problem| problem.field);
        Self { status, field, text }
    }

    /// The field that is wrong.
    pub(crate) fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// Whether the same may go well in a while.
    pub(crate) fn is_for_now(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    /// Whether the token does not reach so far.
    pub(super) fn is_forbidden(&self) -> bool {
        self.status == StatusCode::FORBIDDEN
    }

    /// Whether something stands in the way.
    pub(crate) fn is_conflict(&self) -> bool {
        self.status == StatusCode::CONFLICT
    }

    /// What can be done about it, where that is known.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        (self.status == StatusCode::UNAUTHORIZED).then_some(
            "hand a token in by WAYSIDE_TOKEN or WAYSIDE_TOKEN_FILE; `wayside dev` keeps one in .wayside/token, which \
             is found in the folder it was started in",
        )
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl std::error::Error for Refusal {}

impl Problem {
    fn text(&self) -> String {
        let mut text = self.title.clone();
        if !self.detail.is_empty() {
            text = format!("{text}: {}", self.detail);
        }
        let particulars = [
            ("field", &self.field),
            ("found", &self.found),
            ("expected", &self.expected),
        ];
        for (name, value) in particulars {
            // The detail often says it already.
            if let Some(value) = value.as_ref().filter(|value| !self.detail.contains(value.as_str())) {
                text = format!("{text}\n  {name}: {value}");
            }
        }
        text
    }
}

fn foreign(status: StatusCode, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line: String = text
        .trim()
        .chars()
        .take_while(|character| *character != '\n')
        .take(FOREIGN_CHARS_MAX)
        .collect();
    format!("the answer is {status}, and none the API would give: {line}")
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::Refusal;

    fn check(body: &str, expected: &str) {
        let refusal = Refusal::read(StatusCode::UNPROCESSABLE_ENTITY, body.as_bytes());
        assert_eq!(refusal.to_string(), expected);
    }

    #[test]
    fn a_problem_is_told_whole_and_nothing_twice() {
        check(
            r#"{"type":"invalid-field","title":"A field is invalid","status":422,"detail":"the status is none",
                "field":"status","found":"200","expected":"301"}"#,
            "A field is invalid: the status is none\n  found: 200\n  expected: 301",
        );
        check(
            r#"{"title":"A field is invalid","detail":"target: found \"x\", expected a URL","field":"links[3].target",
                "found":"\"x\"","expected":"a URL"}"#,
            "A field is invalid: target: found \"x\", expected a URL\n  field: links[3].target",
        );
        check(r#"{"title":"There is no such thing"}"#, "There is no such thing");
    }

    #[test]
    fn what_is_no_problem_is_repeated_in_part() {
        let expected = "the answer is 422 Unprocessable Entity, and none the API would give: <html>";
        check("<html>\n<body>", expected);
    }

    #[test]
    fn a_token_that_is_refused_comes_with_a_hint() {
        let refusal = Refusal::read(StatusCode::UNAUTHORIZED, br#"{"title":"A valid token is needed"}"#);
        assert!(refusal.hint().is_some_and(|hint| hint.contains("WAYSIDE_TOKEN")));
        assert!(Refusal::read(StatusCode::FORBIDDEN, b"").hint().is_none());
    }
}
