//! Instants as people write and read them.
//!
//! In: RFC 3339 or seconds since 1970. Out: the seconds since 1970 UTC that the API speaks, and back.

use jiff::Timestamp;

/// Reads an instant: RFC 3339 with an offset, or seconds since 1970 UTC. The error says what was expected.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let expected = || format!("found `{text}`, expected RFC 3339 (2026-01-31T09:00:00Z) or seconds since 1970");
    let instant = match text.parse::<i64>() {
        Ok(seconds) => Timestamp::from_second(seconds).map_err(|_| expected())?,
        Err(_) => text.parse::<Timestamp>().map_err(|_| expected())?,
    };
    u64::try_from(instant.as_second()).map_err(|_| format!("found `{text}`, expected an instant in or after 1970"))
}

/// Shows an instant as RFC 3339 in UTC; one that no calendar holds stays a number.
pub(crate) fn show(seconds: u64) -> String {
    let instant = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok());
    instant.map_or_else(|| seconds.to_string(), |instant| instant.to_string())
}

#[cfg(test)]
mod tests {
    use super::{parse, show};

    #[test]
    fn both_ways_of_writing_an_instant_are_read() {
        for (text, seconds) in [
            ("0", 0),
            ("1767225600", 1_767_225_600),
            ("2026-01-01T00:00:00Z", 1_767_225_600),
            ("2026-01-01T02:00:00+02:00", 1_767_225_600),
            ("2026-01-01T00:00:00.9Z", 1_767_225_600),
        ] {
            assert_eq!(parse(text), Ok(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_instant_is_refused_with_what_was_expected() {
        for text in [
            "",
            "soon",
            "2026-01-01",
            "2026-13-01T00:00:00Z",
            "99999999999999999999",
            "9223372036854775807",
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains("RFC 3339"), "{error}");
        }
        for text in ["-1", "1969-12-31T23:59:59Z"] {
            let error = parse(text).expect_err(text);
            assert!(error.contains("1970"), "{error}");
        }
    }

    #[test]
    fn an_instant_is_shown_as_it_can_be_read_again() {
        assert_eq!(show(1_767_225_600), "2026-01-01T00:00:00Z");
        assert_eq!(parse(&show(1_767_225_600)), Ok(1_767_225_600));
        assert_eq!(show(u64::MAX), u64::MAX.to_string());
    }
}
