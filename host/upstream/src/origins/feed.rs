//! The feed of one of several origins: who breaks off is left.

use std::{future::Future, sync::Arc, time::Duration};

use wayside_balance::{
    breaker,
    fleet::{
        OriginIndex,
        attempt::{Ended, Kind},
    },
};

use super::{Origins, Shared};
use crate::{
    client::{self, OriginClient, OriginError},
    protocol::{Epoch, FeedEvent},
};

/// How long opening a feed may take before another origin is tried.
const OPEN_MAX: Duration = Duration::from_secs(3);

/// The change feed of one origin.
pub struct Feed {
    shared: Arc<Shared>,
    origin: OriginIndex,
    feed: client::Feed,
}

impl Origins {
    pub(super) async fn follow<Opened>(&self, open: impl FnOnce(OriginClient) -> Opened) -> Result<Feed, OriginError>
    where
        Opened: Future<Output = Result<client::Feed, OriginError>>,
    {
        let attempt = self.0.with(|state, now| {
            let attempt = state.fleet.follow(state.left, now, &mut state.random);
            state.left = Some(attempt.origin());
            attempt
        });
        let origin = attempt.origin();
        let opened = tokio::time::timeout(OPEN_MAX, open(self.0.clients[origin.0].clone())).await;
        let opened = opened.unwrap_or(Err(OriginError::TimedOut(OPEN_MAX)));
        let ended = match &opened {
            // That a feed was opened says little of an origin that looks well: it may break off at once, again and again.
            Ok(_) if attempt.kind() == Kind::Ordinary => Ended::Abandoned,
            Ok(_) => Ended::Answered,
            Err(error) if error.is_answer() => Ended::Answered,
            Err(_) => Ended::Failed,
        };
        self.0.with(|state, now| {
            state.followed = opened.is_ok().then_some(origin);
            state.fleet.finish(&attempt, ended, now, &mut state.random);
        });
        let feed = opened?;
        Ok(Feed {
            shared: Arc::clone(&self.0),
            origin,
            feed,
        })
    }
}

impl Feed {
    /// The URL of the origin whose feed it is.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.shared.url(self.origin)
    }

    /// As [`client::Feed::epoch`].
    #[must_use]
    pub const fn epoch(&self) -> Option<Epoch> {
        self.feed.epoch()
    }

    /// As [`client::Feed::next`].
    ///
    /// # Errors
    /// [`OriginError`] as there; that is then held against the origin. [`OriginError::Failing`] as soon as it fails other
    /// requests, which shows that it hangs long before its silence does.
    pub async fn next(&mut self) -> Result<Option<FeedEvent>, OriginError> {
        let next = tokio::select! {
            next = self.feed.next() => next,
            () = self.shared.fails(self.origin) => return Err(OriginError::Failing),
        };
        if next.is_err() {
            self.blame();
        }
        next
    }

    /// Holds it against the origin that what it tells cannot be used.
    pub fn blame(&self) {
        self.shared
            .with(|state, now| state.fleet.blame(self.origin, now, &mut state.random));
    }
}

impl Shared {
    /// Resolves when `origin` fails and another does not.
    async fn fails(&self, origin: OriginIndex) {
        loop {
            // Before the look, so that no change falls between.
            let changed = self.changed.notified();
            let is_failing = {
                let state = self.state();
                let is_open = state.fleet.origin(origin, self.now()).state != breaker::State::Closed;
                is_open && !state.fleet.is_in_panic()
            };
            if is_failing {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.shared.with(|state, _| state.followed = None);
    }
}
