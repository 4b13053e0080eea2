//! Origins in regions: whom to ask first, whom next, and what answers and failures change.
//!
//! Each origin has a breaker and a latency, each region a share of the traffic; there is one budget of retries, one of
//! hedges and one panic. Regions are taken in order of preference, those of equal preference in order of latency; within
//! a region the cheaper of two origins at random. While most of every region looks bad, the cheapest of all is asked.

use std::time::Duration;

use self::{
    attempt::{Attempt, Ended, Kind, Read, Transition},
    settings::{NoOrigins, RegionSpec, Settings},
    view::Counts,
};
use crate::{
    breaker::{self, Breaker},
    budget::Budget,
    failback::Share,
    hedge::Hedge,
    latency::PeakEwma,
    moment::Moment,
    panic::{Panic, is_mostly_bad},
    random::Random,
};

pub mod attempt;
mod route;
pub mod settings;
pub mod view;

/// How much lower the latency of a region must be for it to go before another of the same preference, as a share.
const QUICKER: f64 = 0.8;

/// An origin: its place in the list of all, region after region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OriginIndex(pub usize);

/// A region: its place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RegionIndex(pub usize);

/// Origins in regions.
#[derive(Debug, Clone)]
pub struct Fleet {
    settings: Settings,
    origins: Vec<Origin>,
    regions: Vec<Region>,
    /// Regions in the order in which they are asked.
    order: Vec<RegionIndex>,
    retries: Budget,
    hedge: Hedge,
    panic: Panic,
    counts: Counts,
    transitions: Vec<Transition>,
}

#[derive(Debug, Clone)]
struct Origin {
    region: RegionIndex,
    breaker: Breaker,
    latency: PeakEwma,
    open: u32,
}

#[derive(Debug, Clone)]
struct Region {
    preference: u32,
    origins: std::ops::Range<usize>,
    share: Share,
    /// Seconds; none before the first answer.
    latency_s: Option<f64>,
    asked_at: Moment,
}

impl Fleet {
    /// A fleet in which everything looks well.
    ///
    /// # Errors
    /// [`NoOrigins`] when there is no region, or one without an origin.
    pub fn new(specs: &[RegionSpec], settings: Settings, now: Moment) -> Result<Self, NoOrigins> {
        let empty = specs.iter().position(|spec| spec.origins == 0);
        if let Some(region) = empty.or_else(|| specs.is_empty().then_some(0)) {
            return Err(NoOrigins { region });
        }
        let (mut origins, mut regions) = (Vec::new(), Vec::new());
        for (index, spec) in specs.iter().enumerate() {
            let first = origins.len();
            let origin = Origin {
                region: RegionIndex(index),
                breaker: Breaker::new(settings.breaker),
                latency: PeakEwma::new(settings.latency_expected, settings.latency_decay, now),
                open: 0,
            };
            origins.extend(std::iter::repeat_n(origin, spec.origins));
            regions.push(Region {
                preference: spec.preference,
                origins: first..origins.len(),
                share: Share::new(settings.step),
                latency_s: None,
                asked_at: now,
            });
        }
        let mut order: Vec<RegionIndex> = (0..regions.len()).map(RegionIndex).collect();
        order.sort_by_key(|region| regions[region.0].preference);
        Ok(Self {
            settings,
            origins,
            regions,
            order,
            retries: Budget::new(settings.retries),
            hedge: Hedge::default(),
            panic: Panic::default(),
            counts: Counts::default(),
            transitions: Vec::new(),
        })
    }

    /// Whom to ask with a new request. There is always somebody.
    pub fn first(&mut self, read: Read, now: Moment, random: &mut Random) -> Attempt {
        self.retries.count_request(now);
        self.counts.requests += 1;
        self.update(now);
        if read == Read::Small {
            self.hedge.count_request(now);
            if let Some(origin) = self.due_probe(now) {
                return self.begin(origin, read, now);
            }
        }
        let check = if read == Read::Small {
            self.due_check(now, random)
        } else {
            None
        };
        let origin = check.unwrap_or_else(|| self.route(now, random));
        self.begin(origin, read, now)
    }

    /// Whom to ask when those of `tried` failed; none when nobody else looks well, or there were retries enough.
    pub fn retry(&mut self, read: Read, tried: &[OriginIndex], now: Moment, random: &mut Random) -> Option<Attempt> {
        self.update(now);
        let origin = self.another(tried, now, random)?;
        if !self.retries.spend(now) {
            self.counts.retries_refused += 1;
            return None;
        }
        self.counts.retries += 1;
        Some(self.begin(origin, read, now))
    }

    /// How long to wait for an answer to a small read before another origin is asked, too; none when nobody should be.
    pub fn hedge_wait(&mut self, now: Moment) -> Option<Duration> {
        let is_any_open = self.origins.iter().any(|origin| !origin.is_well());
        let may = self.settings.has_hedges && self.origins.len() > 1;
        if may { self.hedge.wait(is_any_open, now) } else { None }
    }

    /// Whom to ask beside `tried`, from whom no answer has come for [`Self::hedge_wait`].
    pub fn hedge(&mut self, tried: &[OriginIndex], now: Moment, random: &mut Random) -> Option<Attempt> {
        self.hedge_wait(now)?;
        let origin = self.another(tried, now, random)?;
        // Of both budgets: all extra requests together stay within that of retries.
        if !self.retries.has(now) || !self.hedge.spend(now) || !self.retries.spend(now) {
            return None;
        }
        self.counts.hedges += 1;
        Some(self.begin(origin, Read::Small, now))
    }

    /// Whom to follow: who looks well, and another than `left` when there is one.
    pub fn follow(&mut self, left: Option<OriginIndex>, now: Moment, random: &mut Random) -> Attempt {
        self.update(now);
        let another = left.and_then(|left| self.another(&[left], now, random));
        let origin = another.unwrap_or_else(|| self.route(now, random));
        self.begin(origin, Read::Large, now)
    }

    /// Learns how a request ended.
    pub fn finish(&mut self, attempt: &Attempt, ended: Ended, now: Moment, random: &mut Random) {
        let took = now.since(attempt.began);
        let origin = &mut self.origins[attempt.origin.0];
        let region = &mut self.regions[origin.region.0];
        origin.open = origin.open.saturating_sub(1);
        let from = origin.breaker.state();
        match ended {
            Ended::Answered => {
                origin.breaker.succeed(attempt.permit, now);
                if attempt.read == Read::Small {
                    origin.latency.observe(took, now);
                    region.observe(took);
                    self.hedge.measure(took, now);
                }
            }
            Ended::Failed => {
                origin.breaker.fail(attempt.permit, now, random);
                origin.latency.observe(took.max(self.settings.latency_of_failure), now);
            }
            Ended::Abandoned => origin.breaker.abandon(attempt.permit, now),
        }
        if attempt.permit.is_ordinary() && ended != Ended::Abandoned {
            region.share.count_ended(attempt.epoch, ended == Ended::Answered);
        }
        self.note_breaker(attempt.origin, from, now);
        self.update(now);
    }

    /// Learns that an origin that was followed broke off or fell silent: a failure like any other.
    pub fn blame(&mut self, blamed: OriginIndex, now: Moment, random: &mut Random) {
        let origin = &mut self.origins[blamed.0];
        let from = origin.breaker.state();
        let permit = origin.breaker.force();
        origin.breaker.fail(permit, now, random);
        origin.latency.observe(self.settings.latency_of_failure, now);
        self.note_breaker(blamed, from, now);
        self.update(now);
    }

    /// What changed since this was asked last, in order.
    #[must_use]
    pub fn take_transitions(&mut self) -> Vec<Transition> {
        std::mem::take(&mut self.transitions)
    }

    /// Sends a request to `origin`, whatever its breaker says.
    fn begin(&mut self, index: OriginIndex, read: Read, now: Moment) -> Attempt {
        let origin = &mut self.origins[index.0];
        let from = origin.breaker.state();
        let (kind, permit) = if let Some(permit) = origin.breaker.admit() {
            (Kind::Ordinary, permit)
        } else if let Some(permit) = origin.breaker.probe(now) {
            (Kind::Probe, permit)
        } else {
            (Kind::Panic, origin.breaker.force())
        };
        origin.open += 1;
        let region = &mut self.regions[origin.region.0];
        region.asked_at = now;
        match kind {
            Kind::Ordinary => region.share.count_asked(),
            Kind::Probe => self.counts.probes += 1,
            Kind::Panic => self.counts.panics += 1,
        }
        let epoch = region.share.epoch();
        self.note_breaker(index, from, now);
        Attempt {
            origin: index,
            kind,
            read,
            permit,
            epoch,
            began: now,
        }
    }

    /// Brings shares, order and panic up to date with breakers and the clock.
    fn update(&mut self, now: Moment) {
        let has_choice = self.regions.len() > 1;
        for (index, region) in self.regions.iter_mut().enumerate().filter(|_| has_choice) {
            let (bad, all) = bad_of(&self.origins[region.origins.clone()]);
            if let Some(change) = region.share.update(is_mostly_bad(bad, all), now) {
                let region = RegionIndex(index);
                self.transitions.push(Transition::Share { region, change });
            }
        }
        let bad = self
            .regions
            .iter()
            .map(|region| bad_of(&self.origins[region.origins.clone()]));
        if self.panic.update(bad) {
            let is_on = self.panic.is_on();
            self.transitions.push(Transition::Panic { is_on });
        }
        for place in 1..self.order.len() {
            let [before, after] = [place - 1, place].map(|place| &self.regions[self.order[place].0]);
            if after.goes_before(before) {
                self.order.swap(place - 1, place);
            }
        }
    }

    fn note_breaker(&mut self, index: OriginIndex, from: breaker::State, now: Moment) {
        let breaker = &self.origins[index.0].breaker;
        let to = breaker.state();
        if from != to {
            let wait = breaker.opens_in(now);
            self.transitions.push(Transition::Breaker {
                origin: index,
                from,
                to,
                wait,
            });
        }
    }
}

fn bad_of(origins: &[Origin]) -> (usize, usize) {
    let bad = origins.iter().filter(|origin| !origin.is_well());
    (bad.count(), origins.len())
}

impl Origin {
    fn is_well(&self) -> bool {
        self.breaker.state() == breaker::State::Closed
    }
}

impl Region {
    /// Learns how long an origin of the region took. No peaks: it is the region that is judged, not one request.
    fn observe(&mut self, took: Duration) {
        let took_s = took.as_secs_f64();
        self.latency_s = Some(
            self.latency_s
                .map_or(took_s, |known_s| known_s + (took_s - known_s) / 16.0),
        );
    }

    /// Whether the region is of the same preference and clearly quicker, so that small differences turn nothing round.
    fn goes_before(&self, other: &Self) -> bool {
        let latencies = self.latency_s.zip(other.latency_s);
        self.preference == other.preference && latencies.is_some_and(|(this_s, other_s)| this_s < QUICKER * other_s)
    }
}

#[cfg(test)]
mod tests;
