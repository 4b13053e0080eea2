//! How late a listening thread comes to what is due.
//!
//! The thread's runtime is asked to wake a task ten times a second. How late that happens at least shows a delay that
//! stands: what one long request costs is over with the next beat.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// The time between two beats.
const BEAT: Duration = Duration::from_millis(100);
/// No beat since the last look.
const NONE: u64 = u64::MAX;

/// A thread's beats.
#[derive(Debug)]
pub(crate) struct Pulse {
    started: Instant,
    /// The least that a beat was late since the last look, in microseconds.
    least_us: AtomicU64,
    /// When the last beat was, in microseconds since the start.
    last_us: AtomicU64,
}

impl Pulse {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            started: now,
            least_us: AtomicU64::new(NONE),
            last_us: AtomicU64::new(0),
        }
    }

    /// A beat that was due.
    fn beat(&self, due: Instant, now: Instant) {
        self.last_us
            .store(micros(now.saturating_duration_since(self.started)), Ordering::Relaxed);
        self.least_us
            .fetch_min(micros(now.saturating_duration_since(due)), Ordering::Relaxed);
    }

    /// How late the beats since the last look were at least; where there was none, how late the next one is already.
    pub(super) fn late(&self, now: Instant) -> Duration {
        match self.least_us.swap(NONE, Ordering::Relaxed) {
            NONE => {
                let last = Duration::from_micros(self.last_us.load(Ordering::Relaxed));
                let since_start = now.saturating_duration_since(self.started);
                since_start.saturating_sub(last + BEAT)
            }
            least_us => Duration::from_micros(least_us),
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(NONE - 1)
}

/// Beats on the runtime it is called on. Ends never.
pub(crate) async fn beat(pulse: Arc<Pulse>) {
    loop {
        let due = Instant::now() + BEAT;
        tokio::time::sleep_until(due.into()).await;
        pulse.beat(due, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        time::{Duration, Instant},
    };

    use super::{BEAT, Pulse, beat};

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_least_late_beat_counts_and_each_once() {
        let start = Instant::now();
        let pulse = Pulse::new(start);
        for late in [700, 30, 90] {
            pulse.beat(start, start + late * MS);
        }
        assert_eq!(pulse.late(start + 200 * MS), 30 * MS);
        // The last one was at 90 ms, the next is due at 190.
        assert_eq!(pulse.late(start + 190 * MS), Duration::ZERO);
        assert_eq!(pulse.late(start + 1_190 * MS), 1_000 * MS);
    }

    /// A thread that is really held up, and then is not.
    #[test]
    fn a_thread_that_does_something_else_is_late_for_as_long() {
        let pulse = Arc::new(Pulse::new(Instant::now()));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            tokio::spawn(beat(Arc::clone(&pulse)));
            tokio::task::yield_now().await;
            let held_up = 5 * BEAT;
            std::thread::sleep(held_up);
            assert!(pulse.late(Instant::now()) >= held_up - 2 * BEAT, "no beat yet");
            // At least one beat that had to wait for nothing.
            while pulse.late(Instant::now()) >= BEAT {
                tokio::time::sleep(3 * BEAT).await;
            }
        });
    }
}
