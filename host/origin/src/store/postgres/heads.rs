//! How far the feed has come, as far as this origin knows: told by the primary, or by the replica that it reads.
//!
//! In: positions from the sequencer, from notices and from a replica. Out: one position that only grows within a record,
//! and never runs ahead of where the feed is read.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{PgPool, postgres::PgListener};
use tokio::sync::watch;
use wayside_upstream::protocol::{Epoch, Position};

/// Where numbered changes are announced: see number_changes.
const CHANNEL: &str = "wayside_changes";
/// How long to wait before listening again.
const LISTEN_AGAIN: Duration = Duration::from_millis(500);

/// The newest position.
pub(super) struct Heads {
    newest: watch::Sender<Position>,
    /// How far the primary had come, as it said itself.
    primary: Mutex<Option<Position>>,
    follows_replica: AtomicBool,
}

impl Heads {
    pub(super) fn new(head: Position, has_replica: bool) -> Self {
        Self {
            newest: watch::Sender::new(head),
            primary: Mutex::default(),
            follows_replica: AtomicBool::new(has_replica),
        }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Position> {
        self.newest.subscribe()
    }

    /// Whether the feed is read from the replica.
    pub(super) fn follows_replica(&self) -> bool {
        self.follows_replica.load(Ordering::Relaxed)
    }

    /// The primary is at `head`.
    pub(super) fn tell(&self, head: Position) {
        {
            let mut primary = self.primary.lock().unwrap_or_else(PoisonError::into_inner);
            if !primary.is_some_and(|known| is_ahead(known, head)) {
                *primary = Some(head);
            }
        }
        if !self.follows_replica() {
            self.advance(head);
        }
    }

    /// The furthest that the primary has said to have come, in the record that it said last.
    pub(super) fn primary(&self) -> Option<Position> {
        *self.primary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The replica is at `head`: it is followed as soon as it is no older than what was told.
    pub(super) fn tell_replica(&self, head: Position) {
        let newest = *self.newest.borrow();
        // A replica that has not heard of the newest record yet.
        let is_behind = head.epoch != newest.epoch && self.primary().is_some_and(|primary| primary.epoch != head.epoch);
        let has_caught_up = head.epoch != newest.epoch || head.cursor >= newest.cursor;
        if is_behind || !has_caught_up {
            return;
        }
        if !self.follows_replica.swap(true, Ordering::Relaxed) {
            tracing::info!("the replica is back; telling nodes what it knows");
        }
        self.advance(head);
    }

    /// The replica cannot be read.
    pub(super) fn lose_replica(&self, error: &dyn std::fmt::Display) {
        if self.follows_replica.swap(false, Ordering::Relaxed) {
            tracing::warn!(%error, "the replica cannot be read; telling nodes what the primary knows");
        }
    }

    fn advance(&self, head: Position) {
        self.newest.send_if_modified(|newest| {
            let is_newer = head.epoch != newest.epoch || head.cursor > newest.cursor;
            if is_newer {
                *newest = head;
            }
            is_newer
        });
    }
}

/// Whether one position of a record is beyond another of the same.
pub(super) fn is_ahead(one: Position, other: Position) -> bool {
    one.epoch == other.epoch && one.cursor > other.cursor
}

/// Listens for ever for what other origins numbered. Notices may be lost: the sequencer looks too.
pub(super) async fn listen(pool: PgPool, heads: Arc<Heads>) {
    loop {
        if let Err(error) = listen_once(&pool, &heads).await {
            tracing::debug!(%error, "notices of changes do not arrive");
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

async fn listen_once(pool: &PgPool, heads: &Heads) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        let notice = listener.recv().await?;
        if let Some(head) = position(notice.payload()) {
            heads.tell(head);
        }
    }
}

/// `EPOCH/SEQ`, both as Postgres writes a bigint.
fn position(payload: &str) -> Option<Position> {
    let (epoch, cursor) = payload.split_once('/')?;
    Some(Position {
        epoch: Epoch(epoch.parse::<i64>().ok()?.cast_unsigned()),
        cursor: cursor.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use wayside_upstream::protocol::{Epoch, Position};

    use super::{Heads, position};

    fn at(epoch: u64, cursor: u64) -> Position {
        Position {
            epoch: Epoch(epoch),
            cursor,
        }
    }

    #[test]
    fn a_notice_names_a_position() {
        assert_eq!(position("-1/7"), Some(at(u64::MAX, 7)));
        for bad in ["", "7", "x/7", "7/x", "7/-1"] {
            assert_eq!(position(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_feed_never_goes_back_within_a_record() {
        let heads = Heads::new(at(1, 5), false);
        let newest = heads.subscribe();
        heads.tell(at(1, 4));
        assert_eq!(*newest.borrow(), at(1, 5));
        heads.tell(at(1, 6));
        assert_eq!(*newest.borrow(), at(1, 6));
        heads.tell(at(2, 1));
        assert_eq!(*newest.borrow(), at(2, 1), "another record begins anywhere");
    }

    #[test]
    fn a_replica_is_followed_while_it_answers_and_no_older_than_what_was_told() {
        let heads = Heads::new(at(1, 5), true);
        let newest = heads.subscribe();
        heads.tell(at(1, 9));
        assert_eq!(*newest.borrow(), at(1, 5), "the replica has not heard of it");
        heads.tell_replica(at(1, 7));
        assert_eq!(*newest.borrow(), at(1, 7));
        heads.lose_replica(&"gone");
        heads.tell(at(1, 9));
        assert_eq!(*newest.borrow(), at(1, 9));
        heads.tell_replica(at(1, 8));
        assert!(!heads.follows_replica(), "it is behind");
        heads.tell_replica(at(1, 9));
        assert!(heads.follows_replica());
    }

    #[test]
    fn a_replica_of_an_older_record_is_not_followed_into_it() {
        let heads = Heads::new(at(1, 5), true);
        let newest = heads.subscribe();
        heads.tell(at(2, 100));
        heads.tell_replica(at(1, 6));
        heads.tell_replica(at(2, 90));
        assert_eq!(*newest.borrow(), at(2, 90));
        heads.tell_replica(at(1, 7));
        assert_eq!(*newest.borrow(), at(2, 90));
    }
}
