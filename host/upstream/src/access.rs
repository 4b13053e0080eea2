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

/// How far an origin's clock may be from ours, in seconds. What is signed for a time holds at that time, for whoever kept
/// it: nobody has a signature for a day in the future.
const CLOCK_OFF_MAX_S: i64 = 2 * 60 * 60;

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
    Node(Arc<Identity>),
    /// Nothing: origins refuse it, and the node serves what it holds.
    Nothing,
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
        Self {
            credential: Credential::Node(Arc::new(identity)),
            roots,
        }
    }

    /// By nothing at all: for a node that has lost its identity, and serves what it holds.
    #[must_use]
    pub const fn by_nothing(roots: Roots) -> Self {
        Self {
            credential: Credential::Nothing,
            roots,
        }
    }
}

/// How a node shows one origin who it is. Clones share what was learned of the origin's clock.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    credential: Credential,
    /// How far the origin's clock is before ours, in seconds: learned when it does not believe ours.
    ahead_s: Arc<AtomicI64>,
}

/// What a request shows, and which clock it went by.
pub(crate) struct Showing {
    pub(crate) authorization: Option<HeaderValue>,
    ahead_s: i64,
}

impl Shown {
    /// To an origin of whose clock nothing is known.
    pub(crate) fn by(access: &Access) -> Self {
        Self {
            credential: access.credential.clone(),
            ahead_s: Arc::default(),
        }
    }

    /// What a request shows that is sent now.
    pub(crate) fn now(&self) -> Showing {
        let ahead_s = self.ahead_s.load(Ordering::Relaxed);
        let authorization = match &self.credential {
            Credential::Token(field) => Some(field.clone()),
            Credential::Node(identity) => {
                let now_s = own_clock_s().saturating_add_signed(ahead_s);
                let field = HeaderValue::from_str(&format!("{SCHEME} {}", identity.assert_at(now_s)));
                field.ok().map(|mut field| {
                    field.set_sensitive(true);
                    field
                })
            }
            Credential::Nothing => None,
        };
        Showing { authorization, ahead_s }
    }

    /// Takes over the clock of an origin that refused `showing`, by the `Date` of its answer (RFC 9110 §6.6.1), unless it
    /// is too far from ours. Whether another attempt may go better.
    pub(crate) fn learn_clock(&self, showing: &Showing, date: Option<&HeaderValue>) -> bool {
        let told = date
            .and_then(|date| date.to_str().ok())
            .and_then(|date| httpdate::parse_http_date(date).ok())
            .and_then(|date| date.duration_since(UNIX_EPOCH).ok());
        let (Credential::Node(_), Some(told)) = (&self.credential, told) else {
            return false;
        };
        let ahead_s = told.as_secs().cast_signed().saturating_sub(own_clock_s().cast_signed());
        if ahead_s.abs() > CLOCK_OFF_MAX_S {
            return false;
        }
        self.ahead_s.store(ahead_s, Ordering::Relaxed);
        // A second of difference is the way there and back.
        ahead_s.abs_diff(showing.ahead_s) > 1
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(_) => formatter.write_str("Token(…)"),
            Self::Node(identity) => identity.fmt(formatter),
            Self::Nothing => formatter.write_str("Nothing"),
        }
    }
}

fn own_clock_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use reqwest::header::HeaderValue;

    use super::{Access, CLOCK_OFF_MAX_S, Shown};
    use crate::{
        http::Roots,
        identity::{Assertion, Identity, NodeId, NodeKey, SCHEME},
    };

    fn node() -> (Shown, crate::identity::PublicKey) {
        let key = NodeKey::generate().expect("randomness");
        let public = key.public();
        let identity = Identity::new(NodeId::of([1; 8]), key);
        (Shown::by(&Access::by_identity(identity, Roots::System)), public)
    }

    fn date_in(ahead_s: i64) -> HeaderValue {
        let off = Duration::from_secs(ahead_s.unsigned_abs());
        let date = if ahead_s < 0 {
            SystemTime::now() - off
        } else {
            SystemTime::now() + off
        };
        HeaderValue::from_str(&httpdate::fmt_http_date(date)).expect("a date")
    }

    fn is_believed(shown: &Shown, public: &crate::identity::PublicKey, ahead_s: i64) -> bool {
        let field = shown.now().authorization.expect("something to show");
        let text = field.to_str().expect("text").strip_prefix(SCHEME).expect("the scheme");
        let assertion = Assertion::parse(text.trim_start()).expect("an assertion");
        assertion
            .check(public, super::own_clock_s().saturating_add_signed(ahead_s))
            .is_ok()
    }

    #[test]
    fn an_origins_clock_is_taken_over_within_bounds_and_for_that_origin_alone() {
        let (shown, public) = node();
        let hour = 60 * 60;
        for ahead_s in [hour, -hour, CLOCK_OFF_MAX_S - 5] {
            let under_way = [shown.now(), shown.now()];
            // Each that was under way by the old clock is sent again, not the first alone.
            for showing in under_way {
                assert!(shown.learn_clock(&showing, Some(&date_in(ahead_s))), "{ahead_s}");
            }
            assert!(is_believed(&shown, &public, ahead_s), "{ahead_s}");
            assert!(
                !shown.learn_clock(&shown.now(), Some(&date_in(ahead_s))),
                "it goes by that clock"
            );
        }
        let before = shown.now();
        for wrong in [
            Some(date_in(CLOCK_OFF_MAX_S + 60)),
            Some(HeaderValue::from_static("soon")),
            None,
        ] {
            assert!(!shown.learn_clock(&before, wrong.as_ref()));
        }
        assert!(is_believed(&shown, &public, CLOCK_OFF_MAX_S - 5), "as before");
    }
}
