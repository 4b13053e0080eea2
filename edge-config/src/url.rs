//! Where another Wayside process answers.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use url::{Host, Url};

use crate::text::parsed;

/// The URL of an HTTP service: scheme (`http` or `https`), host and port, nothing after them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ServiceUrl(String);

impl ServiceUrl {
    /// What [`Self::new`] reads, in words for an error.
    pub const EXPECTED: &str =
        "a URL such as `https://origin.example:7070`: `http` or `https`, with nothing after the port";

    /// The URL, when it is one of a service. Credentials are refused: a token travels in its own field.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let is_plain = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        is_plain.then(|| Self(url.as_str().trim_end_matches('/').to_owned()))
    }

    /// An origin with default settings on this machine.
    pub(crate) fn local() -> Self {
        Self("http://127.0.0.1:7070".to_owned())
    }

    /// The URL, without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether what is said there can be read on the way: plain HTTP to another machine.
    #[must_use]
    pub fn is_in_the_open(&self) -> bool {
        let Ok(url) = Url::parse(&self.0) else { return true };
        let is_here = match url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        url.scheme() == "http" && !is_here
    }
}

impl<'de> Deserialize<'de> for ServiceUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, Self::EXPECTED, Self::new)
    }
}

impl JsonSchema for ServiceUrl {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ServiceUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "uri", "examples": ["http://127.0.0.1:7070"] })
    }
}

/// The URL of a Redis server: scheme, host, port, and a database's number where it is another than 0. Clients here do not
/// speak TLS to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct RedisUrl(String);

impl RedisUrl {
    /// What [`Self::new`] reads, in words for an error.
    pub const EXPECTED: &str = "a URL such as `redis://10.0.0.5:6379`, without user and password";

    /// The URL, when it is one of a Redis server. Credentials are refused: they have keys of their own.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let database = url.path().trim_start_matches('/');
        let is_plain = url.scheme() == "redis"
            && url.host_str().is_some_and(|host| !host.is_empty())
            && url.username().is_empty()
            && url.password().is_none()
            && (database.is_empty() || database.parse::<u16>().is_ok())
            && url.query().is_none()
            && url.fragment().is_none();
        is_plain.then(|| Self(url.as_str().to_owned()))
    }

    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for RedisUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, Self::EXPECTED, Self::new)
    }
}

impl JsonSchema for RedisUrl {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RedisUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "uri", "examples": ["redis://127.0.0.1:6379"] })
    }
}

#[cfg(test)]
mod tests {
    use super::{RedisUrl, ServiceUrl};

    #[test]
    fn plain_http_to_another_machine_is_in_the_open() {
        for (text, expected) in [
            ("http://10.0.0.1:7070", true),
            ("http://origin.example", true),
            ("http://[2001:db8::1]", true),
            ("https://origin.example", false),
            ("http://127.0.0.1:7070", false),
            ("http://[::1]:7070", false),
            ("http://localhost:7070", false),
        ] {
            let url = ServiceUrl::new(text).expect(text);
            assert_eq!(url.is_in_the_open(), expected, "{text}");
        }
    }

    #[test]
    fn a_service_is_scheme_host_and_port() {
        let read = |text| ServiceUrl::new(text).map(|url| url.as_str().to_owned());
        assert_eq!(read("http://127.0.0.1:7070/").as_deref(), Some("http://127.0.0.1:7070"));
        assert_eq!(read("http://Origin.example").as_deref(), Some("http://origin.example"));
        assert_eq!(read("https://a.example:443").as_deref(), Some("https://a.example"));
        for bad in [
            "",
            "127.0.0.1:7070",
            "ftp://a.example",
            "http://",
            "http://u:p@a.example",
            "http://a.example/v1",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_redis_server_is_host_port_and_database() {
        for good in [
            "redis://127.0.0.1:6379",
            "redis://cache.example",
            "redis://[::1]:7000/3",
        ] {
            assert!(RedisUrl::new(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "127.0.0.1:6379",
            "rediss://a.example",
            "redis://",
            "redis://u:p@a.example",
            "redis://a.example/x",
            "redis://a.example/?a=b",
        ] {
            assert!(RedisUrl::new(bad).is_none(), "{bad}");
        }
    }
}
