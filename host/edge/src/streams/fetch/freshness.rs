//! How long an answer counts as fresh, RFC 9111.
//!
//! In: header fields. Out: a time within bounds, for whoever changes a playlist wants it seen and whoever forgot the field
//! does not want to be asked for each player.

use std::time::Duration;

use reqwest::header::{AGE, CACHE_CONTROL, HeaderMap, HeaderName};

/// The shortest and the longest time.
const LEAST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(3_600);
/// When nothing is said.
const UNSAID: Duration = Duration::from_secs(10);

/// For how long what came with these fields is fresh.
pub(super) fn of(headers: &HeaderMap) -> Duration {
    let directives: Vec<(String, Option<u64>)> = texts(headers, CACHE_CONTROL)
        .flat_map(|text| text.split(','))
        .map(|directive| {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            let seconds = value.trim().trim_matches('"').parse().ok();
            (name.trim().to_ascii_lowercase(), seconds)
        })
        .collect();
    let find = |wanted: &str| directives.iter().find(|(name, _)| name == wanted);
    if find("no-store")
        .or_else(|| find("no-cache"))
        .or_else(|| find("private"))
        .is_some()
    {
        return LEAST;
    }
    // A node is a shared cache.
    let Some((_, seconds)) = find("s-maxage").or_else(|| find("max-age")) else {
        return UNSAID;
    };
    let age = texts(headers, AGE).next().and_then(|text| text.trim().parse().ok());
    let left = seconds.unwrap_or_default().saturating_sub(age.unwrap_or(0_u64));
    Duration::from_secs(left).clamp(LEAST, MOST)
}

fn texts(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

    use super::of;

    #[test]
    fn fields_say_how_long_within_bounds() {
        for (fields, expected) in [
            (&[][..], 10),
            (&[("cache-control", "public")], 10),
            (&[("cache-control", "public, max-age=60")], 60),
            (&[("cache-control", "MAX-AGE = \"60\"")], 60),
            (&[("cache-control", "max-age=60, s-maxage=5")], 5),
            (&[("cache-control", "max-age=60"), ("age", "50")], 10),
            (&[("cache-control", "max-age=60"), ("age", "90")], 1),
            (&[("cache-control", "public"), ("cache-control", "max-age=7")], 7),
            (&[("cache-control", "max-age=99999999")], 3_600),
            (&[("cache-control", "max-age=99999999999999999999999")], 1),
            (&[("cache-control", "max-age=-1")], 1),
            (&[("cache-control", "max-age=0")], 1),
            (&[("cache-control", "no-cache, max-age=60")], 1),
            (&[("cache-control", "no-store")], 1),
            (&[("cache-control", "private, max-age=60")], 1),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            assert_eq!(of(&headers).as_secs(), expected, "{fields:?}");
        }
    }
}
