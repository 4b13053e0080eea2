//! How many extra requests there may be: a share of the real ones, and a few a second for those who have few.
//!
//! As Finagle and Envoy have it: retries that are a fixed share of the load cannot become the load. Counted over a window
//! that slides, in slots.

use std::time::Duration;

use crate::moment::Moment;

/// Slots of the window.
const SLOTS: usize = 10;
/// How long a slot is. The window is as long as all of them.
const SLOT: Duration = Duration::from_secs(1);

/// How many extra requests there may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// For each request, this many extra ones.
    pub share: f64,
    /// And this many a second, without any requests.
    pub per_second: f64,
}

/// Retries: a fifth of the requests and ten a second.
pub const RETRIES: Settings = Settings {
    share: 0.2,
    per_second: 10.0,
};
/// Hedges: a twentieth of the requests.
pub const HEDGES: Settings = Settings {
    share: 0.05,
    per_second: 0.0,
};

/// A budget of extra requests.
#[derive(Debug, Clone)]
pub struct Budget {
    settings: Settings,
    slots: [Slot; SLOTS],
    /// The number of the latest slot since the start.
    latest: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    requests: u32,
    extras: u32,
}

impl Budget {
    /// A budget that has spent nothing.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            slots: [Slot::default(); SLOTS],
            latest: 0,
        }
    }

    /// Counts a real request.
    pub fn count_request(&mut self, now: Moment) {
        let slot = self.slot(now);
        slot.requests = slot.requests.saturating_add(1);
    }

    /// Whether there may be an extra request at `now`, without spending it.
    pub fn has(&mut self, now: Moment) -> bool {
        self.slot(now);
        let (mut requests, mut extras) = (0.0, 0.0);
        for slot in &self.slots {
            requests += f64::from(slot.requests);
            extras += f64::from(slot.extras);
        }
        let window_s = SLOT.as_secs_f64() * SLOTS as f64;
        self.settings
            .share
            .mul_add(requests, self.settings.per_second * window_s)
            >= extras + 1.0
    }

    /// Spends an extra request; false when there is none to spend.
    pub fn spend(&mut self, now: Moment) -> bool {
        let has = self.has(now);
        if has {
            self.slot(now).extras += 1;
        }
        has
    }

    /// The slot of `now`, when all before the window are emptied. An earlier instant counts as the latest.
    fn slot(&mut self, now: Moment) -> &mut Slot {
        let number = now.since(Moment::default()).as_secs() / SLOT.as_secs();
        let passed = number.saturating_sub(self.latest).min(SLOTS as u64);
        for _ in 0..passed {
            self.latest += 1;
            self.slots[(self.latest % SLOTS as u64) as usize] = Slot::default();
        }
        // After a pause longer than the window all slots are empty, and any of them will do.
        if number > self.latest {
            self.latest = number;
        }
        &mut self.slots[(self.latest % SLOTS as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{prop_assert, proptest};

    use super::{Budget, HEDGES, RETRIES};
    use crate::moment::Moment;

    fn at(ms: u64) -> Moment {
        Moment::after_start(Duration::from_millis(ms))
    }

    #[test]
    fn who_asks_much_may_repeat_a_fifth_and_who_asks_little_ten_a_second() {
        let mut budget = Budget::new(RETRIES);
        assert_eq!(
            (0..1_000).filter(|_| budget.spend(at(0))).count(),
            100,
            "ten a second of a window of ten"
        );
        for _ in 0..1_000 {
            budget.count_request(at(500));
        }
        assert_eq!((0..1_000).filter(|_| budget.spend(at(900))).count(), 200);
        assert_eq!(
            (0..1_000).filter(|_| budget.spend(at(25_000))).count(),
            100,
            "what is long ago is forgotten"
        );
    }

    #[test]
    fn nobody_hedges_who_asks_nothing() {
        let mut budget = Budget::new(HEDGES);
        assert!(!budget.spend(at(0)));
        for request in 0..20 {
            assert!(!budget.has(at(request)));
            budget.count_request(at(request));
        }
        assert!(budget.spend(at(20)) && !budget.spend(at(20)));
    }

    proptest! {
        #[test]
        fn retries_never_pass_their_share(steps in proptest::collection::vec((0_u64..900, 0_u32..40, 0_u32..40), 1..200)) {
            let mut budget = Budget::new(RETRIES);
            let (mut now_ms, mut requests, mut retries) = (0, 0, 0);
            for (pause_ms, asked, failed) in steps {
                now_ms += pause_ms;
                for _ in 0..asked {
                    budget.count_request(at(now_ms));
                }
                requests += asked;
                retries += (0..failed).filter(|_| budget.spend(at(now_ms))).count();
                // A window of reserve, and what every second since has brought.
                let reserve = 10.0 * (10.0 + now_ms as f64 / 1_000.0);
                prop_assert!(retries as f64 <= 0.2 * f64::from(requests) + reserve);
            }
        }
    }
}
