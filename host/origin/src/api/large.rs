//! The reads of nodes that cost the record most: the directory, and parts of all links. After a failover every node asks at
//! once; a few are under way nevertheless, so that links and feeds keep their connections to the record.
//!
//! In: positions that nodes know. Out: the directory, read once for all who ask meanwhile and told as the same bytes, and
//! turns at parts, of which who would wait long gets none. This file must not know who asks.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::http::HeaderValue;
use bytes::Bytes;
use tokio::sync::{Mutex, Semaphore};
use wayside_decide::digest::Digest;
use wayside_upstream::protocol::{Cursor, EdgeDirectory, Position};

use super::problem::Problem;
use crate::store::{Store, StoreError};

/// One in so many of the record's readers reads parts.
const READERS_PER_PART: u32 = 4;
/// How long a node may wait for its turn. One that comes again later costs less than one that waits.
const TURN_WAIT: Duration = Duration::from_secs(1);

/// What is under way, and the directory that was read last.
pub(crate) struct Large {
    store: Arc<dyn Store>,
    parts: Semaphore,
    turn_wait: Duration,
    /// How many directories were begun to be read.
    begun: AtomicU64,
    /// Held while reading: who waits for it finds what was read.
    directory: Mutex<Last>,
}

/// The directory as of a position, as it is sent.
pub(crate) struct Whole {
    /// Names its content, and the record; the same at each origin of the record.
    pub(crate) tag: HeaderValue,
    /// JSON.
    pub(crate) body: Bytes,
    position: Option<Position>,
}

/// The newest of each, with the number of its reading.
#[derive(Default)]
struct Last {
    read: Option<(u64, Arc<Whole>)>,
    failed: Option<(u64, Failed)>,
}

struct Failed {
    /// What was asked for.
    known: Option<Position>,
    problem: Problem,
}

impl Large {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        let parts = (store.readers() / READERS_PER_PART).max(1);
        Self {
            store,
            parts: Semaphore::new(usize::try_from(parts).unwrap_or(1)),
            turn_wait: TURN_WAIT,
            begun: AtomicU64::new(0),
            directory: Mutex::default(),
        }
    }

    /// The directory as of `known` or later; without that, as of now or later.
    pub(crate) async fn directory(&self, known: Option<Position>) -> Result<Arc<Whole>, Problem> {
        let arrived = self.begun.load(Ordering::SeqCst);
        let mut last = self.directory.lock().await;
        if let Some(found) = last.for_whoever(known, arrived) {
            return found;
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let read = self.store.directory(known.into()).await.map_err(Problem::from);
        let read = read.and_then(|directory| Whole::of(directory).map_err(|error| Problem::internal(&error)));
        match read {
            Ok(whole) => {
                let whole = Arc::new(whole);
                last.read = Some((number, Arc::clone(&whole)));
                Ok(whole)
            }
            Err(problem) => {
                let failed = Failed {
                    known,
                    problem: problem.clone(),
                };
                last.failed = Some((number, failed));
                Err(problem)
            }
        }
    }

    /// Does `read`, which reads a part, when it is its turn.
    pub(crate) async fn part<T>(&self, read: impl Future<Output = Result<T, StoreError>>) -> Result<T, Problem> {
        let turn = tokio::time::timeout(self.turn_wait, self.parts.acquire()).await;
        // The semaphore is never closed.
        let _turn = turn.map_err(|_| Problem::crowded())?;
        Ok(read.await?)
    }
}

impl Last {
    /// What was read for others, and does for somebody who knows `known` and came when `arrived` had been begun.
    fn for_whoever(&self, known: Option<Position>, arrived: u64) -> Option<Result<Arc<Whole>, Problem>> {
        if let Some((number, whole)) = &self.read
            && known.map_or(*number > arrived, |known| whole.has(known))
        {
            return Some(Ok(Arc::clone(whole)));
        }
        let (number, failed) = self.failed.as_ref()?;
        (*number > arrived && failed.holds_for(known)).then(|| Err(failed.problem.clone()))
    }
}

impl Failed {
    /// Whether somebody who knows `known` would fare no better: who asks for less may be answered by a replica.
    fn holds_for(&self, known: Option<Position>) -> bool {
        let is_as_much = match (self.known, known) {
            (Some(less), Some(known)) => less.epoch == known.epoch && less.cursor <= known.cursor,
            (None, None) => true,
            _ => false,
        };
        is_as_much && self.problem.is_failure()
    }
}

impl Whole {
    fn of(mut directory: EdgeDirectory) -> Result<Self, serde_json::Error> {
        // Its position changes with each link.
        let cursor: Cursor = std::mem::take(&mut directory.cursor);
        let content = Digest::of(&serde_json::to_vec(&directory)?);
        directory.cursor = cursor;
        let tag = HeaderValue::from_str(&format!("\"{content}\""));
        Ok(Self {
            tag: tag.unwrap_or(HeaderValue::from_static("")),
            body: serde_json::to_vec(&directory)?.into(),
            position: directory.epoch.map(|epoch| Position { epoch, cursor }),
        })
    }

    /// Whether it is no older than `known`, and of the same record.
    fn has(&self, known: Position) -> bool {
        self.position
            .is_some_and(|position| position.epoch == known.epoch && position.cursor >= known.cursor)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
        time::Duration,
    };

    use futures_util::future::join_all;
    use tokio::sync::Semaphore;
    use wayside_upstream::protocol::Position;

    use super::{Large, READERS_PER_PART};
    use crate::store::sqlite::SqliteStore;

    async fn large(folder: &tempfile::TempDir) -> Large {
        let store = SqliteStore::open(&folder.path().join("wayside.db")).await;
        Large::new(Arc::new(store.expect("a record")))
    }

    /// What a thousand get who ask at the same moment.
    async fn a_thousand(large: &Large, known: Option<Position>) -> Vec<bool> {
        let gate = large.directory.lock().await;
        let all = join_all((0..1_000).map(|_| large.directory(known)));
        let (all, ()) = tokio::join!(all, async { drop(gate) });
        all.iter().map(Result::is_ok).collect()
    }

    #[tokio::test]
    async fn a_thousand_who_ask_for_the_directory_at_once_cost_one_reading() {
        let folder = tempfile::tempdir().expect("a folder");
        let large = large(&folder).await;
        let begun = || large.begun.load(Ordering::SeqCst);
        let now = *large.store.head().borrow();
        assert_eq!((a_thousand(&large, Some(now)).await, begun()), (vec![true; 1_000], 1));
        assert_eq!((a_thousand(&large, Some(now)).await, begun()), (vec![true; 1_000], 1));
        // Who knows nothing is told nothing that was read before.
        assert_eq!((a_thousand(&large, None).await, begun()), (vec![true; 1_000], 2));
        let later = Position {
            cursor: now.cursor + 1,
            ..now
        };
        assert!(large.directory(Some(later)).await.is_err());
        assert_eq!(begun(), 3, "who knows more has the record asked");
    }

    #[tokio::test]
    async fn who_knows_less_is_answered_although_somebody_before_knows_more_than_the_record() {
        let folder = tempfile::tempdir().expect("a folder");
        let large = large(&folder).await;
        let now = *large.store.head().borrow();
        let later = Position {
            cursor: now.cursor + 1,
            ..now
        };
        let gate = large.directory.lock().await;
        let (more, less) = (large.directory(Some(later)), large.directory(Some(now)));
        let (more, less, ()) = tokio::join!(more, less, async { drop(gate) });
        assert!(more.is_err() && less.is_ok());
    }

    #[tokio::test]
    async fn a_record_that_cannot_be_read_is_tried_once_for_all_who_wait() {
        let folder = tempfile::tempdir().expect("a folder");
        let large = large(&folder).await;
        let now = *large.store.head().borrow();
        large.store.close().await;
        for known in [Some(now), None] {
            assert_eq!(a_thousand(&large, known).await, [false; 1_000]);
        }
        assert_eq!(large.begun.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_few_parts_are_read_at_once_and_who_would_wait_long_is_told_to_come_again() {
        const TOO_MANY: u32 = 20;
        let folder = tempfile::tempdir().expect("a folder");
        let mut large = large(&folder).await;
        large.turn_wait = Duration::from_millis(50);
        let turns = u32::try_from(large.parts.available_permits()).expect("a few");
        assert!(turns >= 1 && turns * READERS_PER_PART <= large.store.readers());
        let (begun, refused) = (AtomicU32::new(0), Semaphore::new(0));
        let ask = || async {
            let read = large.part(async {
                begun.fetch_add(1, Ordering::SeqCst);
                // Until all the others were told so.
                let _ = refused.acquire_many(TOO_MANY).await;
                Ok(())
            });
            let is_served = read.await.is_ok();
            refused.add_permits(usize::from(!is_served));
            is_served
        };
        let served = join_all((0..turns + TOO_MANY).map(|_| ask())).await;
        let served = served.into_iter().filter(|is_served| *is_served).count();
        assert_eq!((served, begun.load(Ordering::SeqCst)), (turns as usize, turns));
        assert!(ask().await, "and a turn is free again");
    }
}
