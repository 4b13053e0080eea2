//! How a node shows its origins who it is, and whom it believes to be one.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use reqwest::header::HeaderValue;
use wayside_decide::invalid::Invalid;

use crate::{
    http::Roots,
    identity::{Identity, SCHEME},
};

/// What a node comes with. Cheap to clone: clones share everything.
#[derive(Clone, Debug)]
pub struct Access {
    credential: Credential,
    /// Whose certificates it believes.
    pub roots: Roots,
}

#[derive(Clone)]
enum Credential {
    /// An operator's token, as it is sent.
    Token(HeaderValue),
    /// The node's own key.
    Node(Arc<Asserting>),
}

struct Asserting {
    identity: Identity,
    /// How far the origin's clock is before ours, in seconds: learned when it does not believe ours.
    ahead_s: AtomicI64,
}

impl Access {
    /// By an operator's token.
    ///
    /// # Errors
    /// [`Invalid`] when it holds what no token can.
    pub fn by_token(token: &str, roots: Roots) -> Result<Self, Invalid> {
        let unfit = |_| {
            Invalid::other(
                "token",
                "characters that no token has",
                "the line that begins with `ws_`",
            )
        };
        let mut field = HeaderValue::from_str(&format!("Bearer {token}")).map_err(unfit)?;
        field.set_sensitive(true);
        Ok(Self {
            credential: Credential::Token(field),
            roots,
        })
    }

    /// By the node's own key.
    #[must_use]
    pub fn by_identity(identity: Identity, roots: Roots) -> Self {
        let asserting = Asserting {
            identity,
            ahead_s: AtomicI64::new(0),
        };
        Self {
            credential: Credential::Node(Arc::new(asserting)),
            roots,
        }
    }

    /// The `Authorization` of a request that is sent now; none when the clock cannot be written in one.
    #[must_use]
    pub fn authorization(&self) -> Option<HeaderValue> {
        match &self.credential {
            Credential::Token(field) => Some(field.clone()),
            Credential::Node(asserting) => {
                let now_s = own_clock_s().saturating_add_signed(asserting.ahead_s.load(Ordering::Relaxed));
                let text = format!("{SCHEME} {}", asserting.identity.assert_at(now_s));
                let mut field = HeaderValue::from_str(&text).ok()?;
                field.set_sensitive(true);
                Some(field)
            }
        }
    }

    /// Takes over the clock of an origin that refused an assertion, by the `Date` of its answer (RFC 9110 §6.6.1).
    /// Whether another attempt may go better.
    pub(crate) fn learn_clock(&self, date: Option<&HeaderValue>) -> bool {
        let Credential::Node(asserting) = &self.credential else {
            return false;
        };
        let told = date
            .and_then(|date| date.to_str().ok())
            .and_then(|date| httpdate::parse_http_date(date).ok())
            .and_then(|date| date.duration_since(UNIX_EPOCH).ok());
        let Some(told) = told else { return false };
        let ahead_s = told.as_secs().cast_signed().saturating_sub(own_clock_s().cast_signed());
        let before_s = asserting.ahead_s.swap(ahead_s, Ordering::Relaxed);
        // A second of difference is the way there and back.
        ahead_s.abs_diff(before_s) > 1
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(_) => formatter.write_str("Token(…)"),
            Self::Node(asserting) => asserting.identity.fmt(formatter),
        }
    }
}

fn own_clock_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
