//! Numbers what has been committed, so that nodes are told of it.
//!
//! Whoever commits a change has it numbered at once. What an origin left that ended between the two is found by a sweep, by
//! any origin. A transaction that takes long delays nobody: it gets its number when it has committed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::PgPool;
use tokio::sync::{Notify, watch};
use wayside_upstream::protocol::Position;

use super::{
    changes,
    heads::{Heads, is_ahead},
    primary::Reach,
    took_too_long,
};
use crate::store::StoreError;

/// How often is looked for what nobody numbered.
const SWEEP_INTERVAL: Duration = Duration::from_millis(200);
/// How many changes get numbers in one transaction.
const NUMBERED_AT_ONCE: u32 = 10_000;
/// How long whoever committed waits for the numbers.
const SETTLE_MAX: Duration = Duration::from_secs(1);
/// How many changes are kept for nodes that were away. A node that missed more reads everything anew.
const CHANGES_KEPT: u64 = 1_000_000;
/// For how long they are kept at most, in seconds.
const CHANGES_KEPT_S: u64 = 7 * 24 * 60 * 60;
/// How often older ones are thrown away.
const PRUNE_INTERVAL: Duration = Duration::from_secs(60);

/// Where commits ask for numbers.
#[derive(Default)]
pub(super) struct Sequencer {
    asked: AtomicU64,
    wake: Notify,
    /// Up to which asking all have their numbers.
    done: watch::Sender<u64>,
}

impl Sequencer {
    /// Has everything numbered that has been committed so far, and waits for it: not for ever, as it is only a matter of
    /// when.
    pub(super) async fn settle(&self) {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut done = self.done.subscribe();
        self.wake.notify_one();
        let settled = tokio::time::timeout(SETTLE_MAX, done.wait_for(|done| *done >= asked)).await;
        if settled.is_err() {
            tracing::debug!("a change is committed and not numbered yet");
        }
    }
}

/// Numbers for ever.
///
/// A turn that takes longer than `turn_max` is over: what was sent into a pulled cable is never answered.
pub(super) async fn run(
    sequencer: Arc<Sequencer>,
    pool: PgPool,
    heads: Arc<Heads>,
    reach: Arc<Reach>,
    turn_max: Duration,
) {
    let mut pruned = Instant::now();
    let mut is_failing = false;
    loop {
        let is_asked = tokio::time::timeout(SWEEP_INTERVAL, sequencer.wake.notified())
            .await
            .is_ok();
        // Read before numbering: who asks later may have committed too late for it.
        let asked = sequencer.asked.load(Ordering::SeqCst);
        let ended = tokio::time::timeout(turn_max, turn(&pool, &heads, is_asked, &mut pruned)).await;
        let ended = ended.unwrap_or_else(|_| Err(took_too_long()));
        reach.note(&ended, &pool).await;
        match ended {
            // Who waits may be among the rest.
            Ok(Outcome::Rest) => sequencer.wake.notify_one(),
            Ok(Outcome::Done) => {
                if is_failing {
                    tracing::info!("changes get numbers again");
                }
                is_failing = false;
                sequencer.done.send_replace(asked);
            }
            Err(error) => {
                if is_failing {
                    tracing::debug!(%error, "changes get no numbers");
                } else {
                    tracing::warn!(%error, "changes get no numbers until the database can be used");
                }
                is_failing = true;
                tokio::time::sleep(SWEEP_INTERVAL).await;
            }
        }
    }
}

/// Numbers all that has been committed so far, however much that is. The newest position then.
pub(super) async fn number_all(pool: &PgPool) -> Result<Position, StoreError> {
    loop {
        let numbered = changes::number(pool, NUMBERED_AT_ONCE, None).await?;
        if numbered.count < u64::from(NUMBERED_AT_ONCE) {
            return Ok(numbered.head);
        }
    }
}

/// Whether there is more to number.
enum Outcome {
    Rest,
    Done,
}

async fn turn(pool: &PgPool, heads: &Heads, is_asked: bool, pruned: &mut Instant) -> Result<Outcome, StoreError> {
    let told = heads.primary();
    let mut is_due = is_asked || changes::wait(pool).await?;
    if !is_due {
        // What another numbered, should its notice have been lost; or what is lost itself.
        let head = changes::head(pool).await?;
        is_due = told.is_some_and(|told| is_ahead(told, head));
        heads.tell(head);
    }
    if is_due {
        let numbered = changes::number(pool, NUMBERED_AT_ONCE, told).await?;
        heads.tell(numbered.head);
        if numbered.count >= u64::from(NUMBERED_AT_ONCE) {
            return Ok(Outcome::Rest);
        }
    }
    if pruned.elapsed() >= PRUNE_INTERVAL {
        *pruned = Instant::now();
        changes::prune(pool, CHANGES_KEPT, CHANGES_KEPT_S).await?;
    }
    Ok(Outcome::Done)
}
