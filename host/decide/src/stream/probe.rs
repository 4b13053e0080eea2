//! How a target is asked whether it serves.
//!
//! In: what an operator wrote. Out: what a node asks for, how often and how long. It must not know how nodes ask, nor what
//! becomes of a target that does not answer.

use std::fmt;

use super::base::BaseUrl;
use crate::{invalid::Invalid, limits::URL_BYTES_MAX, target::Target};

/// How a target is asked whether it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What is asked for.
    pub asks: Asks,
    /// How long between two, in milliseconds; nodes ask up to a fifth earlier or later.
    pub interval_ms: u32,
    /// How long an answer may take, in milliseconds.
    pub timeout_ms: u32,
    /// The status of a good answer; of a connection, that there is one is enough.
    pub status: u16,
    /// From when on an answer is so late that the target serves badly, in milliseconds.
    pub degraded_ms: Option<u32>,
}

/// What a target is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asks {
    /// This, below the target's first URL.
    Below(Box<str>),
    /// What stands at this URL: of a server that only takes streams, a page of its API or of its statistics.
    For(Target),
    /// A connection: whether anybody listens.
    Connection(Listener),
}

/// Where somebody listens for connections of TCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    host: Box<str>,
    port: u16,
}

impl Probe {
    /// What a probe that says nothing else is.
    pub const INTERVAL_MS: u32 = 2_000;
    /// What a probe that says nothing else waits.
    pub const TIMEOUT_MS: u32 = 1_000;

    /// Whether what is said of it goes together, for a target that serves from `base`.
    pub(super) fn check(&self, base: Option<&BaseUrl>) -> Result<(), Invalid> {
        match (&self.asks, base) {
            (Asks::Below(path), Some(base)) => drop(base.join(path)?),
            (Asks::Below(_), None) => {
                let expected = "a `url` of its own, or a target with a URL to serve from, below which to ask";
                return Err(Invalid::other("probe", "a target without `urls`", expected));
            }
            (Asks::For(_) | Asks::Connection(_), _) => {}
        }
        let within = |what, found: u32, least: u32, most: u32| {
            if (least..=most).contains(&found) {
                return Ok(());
            }
            Err(Invalid::other(
                what,
                format!("{found} ms"),
                format!("{least} to {most} ms"),
            ))
        };
        within("probe interval", self.interval_ms, 250, 300_000)?;
        within("probe timeout", self.timeout_ms, 10, 30_000)?;
        if let Some(degraded_ms) = self.degraded_ms {
            within("probe's limit of a good answer", degraded_ms, 1, self.timeout_ms)?;
        }
        if (200..=599).contains(&self.status) {
            return Ok(());
        }
        let expected = "a status from 200 to 599";
        Err(Invalid::other("probe status", self.status.to_string(), expected))
    }
}

impl Asks {
    /// Reads an absolute URL: `http` or `https` for what stands there, `tcp://HOST:PORT` for a connection.
    ///
    /// # Errors
    /// [`Invalid`] when it is none, names a user, or is longer than [`URL_BYTES_MAX`].
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let refuse = |expected: String| Invalid::text("probe url", text, expected);
        if text.len() > URL_BYTES_MAX {
            return Err(refuse(format!("at most {URL_BYTES_MAX} bytes")));
        }
        match text.strip_prefix("tcp://") {
            Some(listener) => Listener::parse(listener).map(Self::Connection).ok_or_else(|| {
                let expected = "`tcp://HOST:PORT`, and nothing behind it";
                refuse(expected.to_owned())
            }),
            None => Target::parse(text).map(Self::For).map_err(|invalid| {
                let expected = format!(
                    "{}; or `tcp://HOST:PORT`, for no more than a connection",
                    invalid.expected
                );
                refuse(expected)
            }),
        }
    }

    /// The URL, when it is one of its own.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        match self {
            Self::Below(_) => None,
            Self::For(url) => Some(url.to_string()),
            Self::Connection(listener) => Some(listener.to_string()),
        }
    }
}

impl Listener {
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port: u16 = port.parse().ok().filter(|port| *port > 0)?;
        // What a host is, and its normal form, is the same everywhere.
        let url = Target::parse(&format!("http://{host}/")).ok()?;
        let is_host_alone = url.authority() == url.host() && url.path_and_query() == "/";
        is_host_alone.then(|| Self {
            host: url.host().into(),
            port,
        })
    }

    /// The host, in normal form (IPv6 addresses in brackets).
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "tcp://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::Asks;

    #[test]
    fn a_probe_asks_for_what_its_url_says() {
        for (text, expected) in [
            (
                "https://in.example:9997/v3/paths/list?a=1",
                "https://in.example:9997/v3/paths/list?a=1",
            ),
            ("http://in.example", "http://in.example/"),
            ("tcp://In.example:1935", "tcp://in.example:1935"),
            ("tcp://in.example:80", "tcp://in.example:80"),
            ("tcp://[2001:DB8::1]:1935", "tcp://[2001:db8::1]:1935"),
            ("tcp://192.0.2.1:1935", "tcp://192.0.2.1:1935"),
        ] {
            let asks = Asks::parse(text).expect(text);
            assert_eq!(asks.url().as_deref(), Some(expected));
            assert_eq!(asks.url().map(|url| Asks::parse(&url)), Some(Ok(asks)));
        }
    }

    #[test]
    fn what_is_no_url_to_ask_for_is_refused() {
        for (text, expected) in [
            ("up", "an absolute"),
            ("rtmp://in.example/live", "`tcp://HOST:PORT`"),
            ("udp://in.example:9000", "`tcp://HOST:PORT`"),
            ("https://u:p@in.example/", "user"),
            ("tcp://in.example", "nothing behind it"),
            ("tcp://in.example:0", "nothing behind it"),
            ("tcp://in.example:65536", "nothing behind it"),
            ("tcp://in.example:1935/", "nothing behind it"),
            ("tcp://in.example:1935/live", "nothing behind it"),
            ("tcp://in.example/live:1935", "nothing behind it"),
            ("tcp://in.example:1935:1936", "nothing behind it"),
            ("tcp://u@in.example:1935", "nothing behind it"),
            ("tcp://2001:db8::1:1935", "nothing behind it"),
            ("tcp://:1935", "nothing behind it"),
        ] {
            let refused = Asks::parse(text).expect_err(text).to_string();
            assert!(
                refused.starts_with("probe url: found ") && refused.contains(expected),
                "{text}: {refused}"
            );
        }
    }
}
