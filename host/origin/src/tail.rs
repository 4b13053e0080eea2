//! The newest changes, read once and told to every feed.
//!
//! In: the record. Out: lines as nodes read them, kept in memory up to a bound and shared: a thousand feeds read changes
//! once, and one that keeps up costs no memory for what it is told. A feed that is further behind reads
//! the record itself. This file must not know who follows.

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::{sync::watch, task::AbortHandle};
use wayside_upstream::protocol::{Cursor, FeedEvent, Position};

use crate::store::{FeedPage, Store, StoreError};

/// Changes read at once.
pub(crate) const PAGE_CHANGES: u32 = 1_000;
/// How much is kept in memory, in bytes.
const KEPT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// While changes come one after another, feeds are woken no more often.
const WAKE_INTERVAL: Duration = Duration::from_millis(20);
/// How often the record is read when nothing is said to have changed: it shows whether it can be.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// How long it may be unreadable before nodes are better off with another origin.
const BLIND_AFTER: Duration = Duration::from_secs(10);

/// How far the changes in memory reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// All of a record up to here are known.
    To(Position),
    /// The record cannot be read: nobody knows what changes.
    Nowhere,
}

/// What there is for a feed that knows all up to a cursor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// These lines, which end at this change.
    Lines(Bytes, Cursor),
    /// Nothing yet.
    Nothing,
    /// More than is in memory.
    InRecord,
    /// Numbers that were told may be lost, and given to other changes: the record goes on from here, in this run.
    Lost(Position, Run),
}

/// Counts how often the newest changes did not follow those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Run(u64);

/// The newest changes.
pub(crate) struct Tail {
    recent: RwLock<Recent>,
    reach: watch::Sender<Reach>,
}

/// Keeps a tail up to date while it lives.
pub(crate) struct Following {
    tail: Arc<Tail>,
    task: AbortHandle,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Following {
    /// Begins to read the newest changes of `store`.
    pub(crate) fn start(store: Arc<dyn Store>) -> Self {
        let head = *store.head().borrow();
        let tail = Arc::new(Tail::new(head));
        let task = tokio::spawn(follow(Arc::clone(&tail), store, head)).abort_handle();
        Self { tail, task }
    }

    /// The newest changes.
    pub(crate) const fn tail(&self) -> &Arc<Tail> {
        &self.tail
    }
}

impl Tail {
    fn new(head: Position) -> Self {
        Self {
            recent: RwLock::default(),
            reach: watch::Sender::new(Reach::To(head)),
        }
    }

    /// How far the changes reach; changes when they do.
    pub(crate) fn reach(&self) -> watch::Receiver<Reach> {
        self.reach.subscribe()
    }

    /// Which run of changes it is in.
    pub(crate) fn run(&self) -> Run {
        self.recent.read().unwrap_or_else(PoisonError::into_inner).run
    }

    /// What comes after `cursor`, of the record that the tail is at, for a feed that was told those of `run`.
    pub(crate) fn after(&self, cursor: Cursor, run: Run) -> Next {
        let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner);
        let Reach::To(head) = *self.reach.borrow() else {
            return Next::Nothing;
        };
        if run != recent.run {
            return Next::Lost(head, recent.run);
        }
        if cursor >= head.cursor {
            return Next::Nothing;
        }
        let index = recent.parts.partition_point(|part| part.last <= cursor);
        match recent.parts.get(index) {
            Some(part) if part.after <= cursor => Next::Lines(part.lines_after(cursor), part.last),
            _ => Next::InRecord,
        }
    }

    /// Adds changes that follow those before.
    fn add(&self, part: Part, head: Position) {
        let mut recent = self.recent.write().unwrap_or_else(PoisonError::into_inner);
        recent.bytes += part.bytes();
        recent.parts.push_back(part);
        while recent.bytes > KEPT_BYTES_MAX
            && let Some(oldest) = recent.parts.pop_front()
        {
            recent.bytes -= oldest.bytes();
        }
        self.reach.send_replace(Reach::To(head));
    }

    /// Goes on from `head`, which does not follow what was before.
    fn begin_anew(&self, head: Position) {
        let mut recent = self.recent.write().unwrap_or_else(PoisonError::into_inner);
        *recent = Recent {
            run: Run(recent.run.0 + 1),
            ..Recent::default()
        };
        self.reach.send_replace(Reach::To(head));
    }
}

/// Parts in order, each beginning where the one before ended.
#[derive(Default)]
struct Recent {
    parts: VecDeque<Part>,
    bytes: usize,
    run: Run,
}

/// Changes that became known together.
struct Part {
    after: Cursor,
    last: Cursor,
    lines: Bytes,
    /// Each change, and where its line begins.
    begins: Vec<(Cursor, usize)>,
}

impl Part {
    fn of(after: Cursor, events: &[FeedEvent]) -> Result<Self, serde_json::Error> {
        let mut begins = Vec::with_capacity(events.len());
        let mut text = Vec::new();
        for event in events {
            begins.push((event.seq, text.len()));
            write_line(&mut text, event)?;
        }
        Ok(Self {
            after,
            last: events.last().map_or(after, |event| event.seq),
            // No larger than what stands in it: what was set aside beyond is counted by nobody.
            lines: text.into_boxed_slice().into(),
            begins,
        })
    }

    /// What it takes in memory.
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.lines.len() + self.begins.capacity() * size_of::<(Cursor, usize)>()
    }

    fn lines_after(&self, cursor: Cursor) -> Bytes {
        let index = self.begins.partition_point(|(seq, _)| *seq <= cursor);
        let begin = self.begins.get(index).map_or(self.lines.len(), |(_, begin)| *begin);
        self.lines.slice(begin..)
    }
}

/// An event as a line of the feed.
pub(crate) fn write_line(text: &mut Vec<u8>, event: &FeedEvent) -> Result<(), serde_json::Error> {
    serde_json::to_writer(&mut *text, event)?;
    text.push(b'\n');
    Ok(())
}

/// Reads changes for ever.
async fn follow(tail: Arc<Tail>, store: Arc<dyn Store>, mut at: Position) {
    let mut head = store.head();
    let mut failing: Option<Instant> = None;
    loop {
        // Marked before the record is read: what is committed meanwhile wakes the wait below.
        head.mark_unchanged();
        match store.changes(Some(at.epoch), at.cursor, PAGE_CHANGES).await {
            Ok(page) => {
                let was_blind = *tail.reach.borrow() == Reach::Nowhere;
                if failing.take().is_some() {
                    tracing::info!("changes of the record are read again");
                }
                let is_new = take(&tail, page, &mut at);
                if is_new {
                    tokio::time::sleep(WAKE_INTERVAL).await;
                    continue;
                }
                if was_blind {
                    tail.reach.send_replace(Reach::To(at));
                }
            }
            Err(error) => {
                let since = *failing.get_or_insert_with(|| {
                    tracing::warn!(%error, "changes of the record cannot be read");
                    Instant::now()
                });
                let passes = matches!(error, StoreError::Unavailable(_));
                if !passes || since.elapsed() >= BLIND_AFTER {
                    tail.reach.send_if_modified(|reach| {
                        let is_news = *reach != Reach::Nowhere;
                        *reach = Reach::Nowhere;
                        is_news
                    });
                }
                tokio::time::sleep(WAKE_INTERVAL).await;
            }
        }
        // The sender lives as long as the store, which this holds.
        let _ = tokio::time::timeout(PROBE_INTERVAL, head.changed()).await;
    }
}

/// Takes what was read. Whether it was anything.
fn take(tail: &Tail, page: FeedPage, at: &mut Position) -> bool {
    match page {
        FeedPage::Changes(_, events) => {
            let Some(last) = events.last() else { return false };
            let next = Position {
                cursor: last.seq,
                ..*at
            };
            match Part::of(at.cursor, &events) {
                Ok(part) => tail.add(part, next),
                // Feeds read it from the record, and say what is wrong.
                Err(_) => tail.begin_anew(next),
            }
            *at = next;
        }
        FeedPage::Resync(head) => {
            tail.begin_anew(head);
            *at = head;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use wayside_upstream::protocol::{Change, Epoch, FeedEvent, Position};

    use super::{KEPT_BYTES_MAX, Next, Part, Reach, Tail, take};
    use crate::store::FeedPage;

    const EPOCH: Epoch = Epoch(1);

    fn at(cursor: u64) -> Position {
        Position { epoch: EPOCH, cursor }
    }

    fn events(seqs: std::ops::RangeInclusive<u64>, path: &str) -> Vec<FeedEvent> {
        let link = |_| Change::Link {
            site_id: 1,
            path: path.to_owned(),
        };
        seqs.map(|seq| FeedEvent { seq, change: link(seq) }).collect()
    }

    fn seqs(next: &Next) -> Vec<u64> {
        let Next::Lines(lines, last) = next else {
            panic!("{next:?}");
        };
        let events = lines.split_inclusive(|byte| *byte == b'\n');
        let seqs: Vec<u64> = events
            .map(|line| serde_json::from_slice::<FeedEvent>(line).expect("an event").seq)
            .collect();
        assert_eq!(seqs.last(), Some(last));
        seqs
    }

    #[test]
    fn a_feed_gets_what_follows_its_cursor_from_memory_or_is_sent_to_the_record() {
        let tail = Tail::new(at(10));
        let mut end = at(10);
        assert_eq!(tail.after(10, tail.run()), Next::Nothing);
        assert_eq!(tail.after(9, tail.run()), Next::InRecord);
        assert!(!take(&tail, FeedPage::Changes(EPOCH, Vec::new()), &mut end));
        assert!(take(&tail, FeedPage::Changes(EPOCH, events(11..=13, "/a")), &mut end));
        assert!(take(&tail, FeedPage::Changes(EPOCH, events(14..=14, "/b")), &mut end));
        assert_eq!(seqs(&tail.after(10, tail.run())), [11, 12, 13]);
        assert_eq!(seqs(&tail.after(12, tail.run())), [13]);
        assert_eq!(seqs(&tail.after(13, tail.run())), [14]);
        assert_eq!(tail.after(14, tail.run()), Next::Nothing);
        assert_eq!(
            tail.after(20, tail.run()),
            Next::Nothing,
            "it was told by an origin that knows more"
        );
        assert_eq!(tail.after(3, tail.run()), Next::InRecord);
        let other = Position {
            epoch: Epoch(2),
            cursor: 5,
        };
        assert!(take(&tail, FeedPage::Resync(other), &mut end));
        assert_eq!((*tail.reach().borrow(), end), (Reach::To(other), other));
        assert_eq!(tail.after(4, tail.run()), Next::InRecord);
    }

    #[test]
    fn a_feed_that_was_told_numbers_that_are_lost_hears_of_it() {
        let tail = Tail::new(at(10));
        let mut end = at(10);
        let run = tail.run();
        assert!(take(&tail, FeedPage::Changes(EPOCH, events(11..=15, "/a")), &mut end));
        assert!(take(&tail, FeedPage::Resync(at(12)), &mut end));
        assert_eq!(tail.after(15, run), Next::Lost(at(12), tail.run()));
        // Also when as many have come since.
        assert!(take(&tail, FeedPage::Changes(EPOCH, events(13..=19, "/b")), &mut end));
        assert_eq!(tail.after(15, run), Next::Lost(at(19), tail.run()));
        assert_eq!(seqs(&tail.after(15, tail.run())), [16, 17, 18, 19]);
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_newest() {
        let tail = Tail::new(at(0));
        let mut end = at(0);
        let path = format!("/{}", "x".repeat(100_000));
        let count = 2 * KEPT_BYTES_MAX as u64 / 100_000;
        for seq in 1..=count {
            take(&tail, FeedPage::Changes(EPOCH, events(seq..=seq, &path)), &mut end);
        }
        let kept: usize = {
            let recent = tail.recent.read().expect("no panic");
            recent.parts.iter().map(|part| part.lines.len()).sum()
        };
        assert!(kept <= KEPT_BYTES_MAX && kept > KEPT_BYTES_MAX / 2, "{kept}");
        assert_eq!(tail.after(1, tail.run()), Next::InRecord);
        assert_eq!(seqs(&tail.after(count - 1, tail.run())), [count]);
    }

    #[test]
    fn short_changes_that_come_one_by_one_are_counted_with_what_holds_them() {
        let tail = Tail::new(at(0));
        let mut end = at(0);
        let page = || events(1..=1, "/a");
        let line = Part::of(0, &page()).expect("lines").lines.len();
        // Behind each line: where it begins, which change it is, and the part, of two more numbers and two pointers at least.
        let least = line + 6 * size_of::<usize>();
        let most = KEPT_BYTES_MAX / least;
        for seq in 1..=most as u64 + 10 {
            take(&tail, FeedPage::Changes(EPOCH, events(seq..=seq, "/a")), &mut end);
        }
        let recent = tail.recent.read().expect("no panic");
        assert!(recent.parts.len() <= most, "{} of {most}", recent.parts.len());
        assert_eq!(recent.bytes, recent.parts.iter().map(Part::bytes).sum::<usize>());
    }

    #[test]
    fn a_part_without_anything_newer_has_no_lines() {
        let part = Part::of(4, &events(5..=6, "/a")).expect("lines");
        assert!(part.lines_after(6).is_empty() && !part.lines_after(5).is_empty());
    }
}
