//! The world around a fleet: requests that arrive, origins that answer, or do not, and a clock that nobody waits for.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use wayside_balance::{
    breaker,
    budget::{self, RETRIES},
    fleet::{
        Fleet, OriginIndex,
        attempt::{Attempt, Ended, Read},
        settings::{RegionSpec, Settings},
    },
    moment::Moment,
    random::Random,
};

use crate::observer::{Observer, Seen};

mod scripted;

/// How long things go wrong.
const TROUBLE: Duration = Duration::from_secs(40);
/// How long it may take after that until everything is as it was.
const HEALING_MAX: Duration = Duration::from_secs(120);
/// How long an origin may take to answer.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(1);
/// Between two requests, on average.
const PAUSE: Duration = Duration::from_millis(50);
/// Between two mishaps, on average.
const MISHAP_PAUSE: Duration = Duration::from_secs(3);

/// How an origin is, in truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Condition {
    Well,
    Slow,
    Hung,
    Dead,
    /// Fails every other time or so.
    Flaky,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Mishap,
    Becomes {
        origin: usize,
        condition: Condition,
    },
    Arrival,
    Ended {
        request: usize,
        attempt: usize,
        is_answered: bool,
    },
    HedgeDue {
        request: usize,
    },
}

#[derive(Debug)]
struct Request {
    arrived: Moment,
    attempts: Vec<Option<Attempt>>,
    tried: Vec<OriginIndex>,
    is_answered: bool,
}

pub(crate) struct World {
    seed: u64,
    /// Of the world: what happens.
    fate: Random,
    /// Of the fleet: what it chooses.
    random: Random,
    fleet: Fleet,
    observer: Observer,
    conditions: Vec<Condition>,
    regions: Vec<usize>,
    now: Moment,
    /// By time, and in order of entry at the same time.
    events: std::collections::BinaryHeap<Reverse<(Moment, u64, Event)>>,
    entered: u64,
    requests: BTreeMap<usize, Request>,
    arrived: usize,
    pause: Duration,
    timeout: Duration,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut fate = Random::new(seed);
        let specs: Vec<RegionSpec> = (0..=fate.below(3))
            .map(|region| RegionSpec {
                // Now and then two regions of the same preference.
                preference: if fate.below(4) == 0 { 0 } else { region as u32 },
                origins: 1 + fate.below(3),
            })
            .collect();
        let settings = Settings {
            breaker: breaker::Settings {
                ejection_base: Duration::from_secs(1),
                ejection_max: Duration::from_secs(10),
                ejection_min: Duration::from_millis(100),
                ..breaker::Settings::default()
            },
            // Without its reserve every other time, so that the share alone holds.
            retries: if seed % 4 < 2 {
                RETRIES
            } else {
                budget::Settings {
                    per_second: 0.0,
                    ..RETRIES
                }
            },
            step: Duration::from_secs(1),
            check_interval: Duration::from_secs(3),
            ..Settings::default()
        };
        let mut world = Self::of(fate.bits(), &specs, settings);
        world.seed = seed;
        world.observer = Observer::new(seed, &specs, settings);
        world.enter(Duration::ZERO, Event::Arrival);
        world.enter(MISHAP_PAUSE, Event::Mishap);
        world
    }

    /// A world in which nothing happens yet.
    fn of(seed: u64, specs: &[RegionSpec], settings: Settings) -> Self {
        let mut fate = Random::new(seed);
        let fleet = Fleet::new(specs, settings, Moment::default()).expect("origins");
        Self {
            seed,
            random: Random::new(fate.bits()),
            fate,
            observer: Observer::new(seed, specs, settings),
            conditions: vec![Condition::Well; specs.iter().map(|spec| spec.origins).sum()],
            regions: specs.iter().map(|spec| spec.origins).collect(),
            fleet,
            now: Moment::default(),
            events: std::collections::BinaryHeap::new(),
            entered: 0,
            requests: BTreeMap::new(),
            arrived: 0,
            pause: PAUSE,
            timeout: TIMEOUT,
        }
    }

    /// Trouble, then healing until everything is as it was.
    pub(crate) fn run(mut self) -> Seen {
        let (trouble_ends, latest) = (Moment::default() + TROUBLE, Moment::default() + TROUBLE + HEALING_MAX);
        let mut is_healed = false;
        while let Some((at, event)) = self.next() {
            if !is_healed && at >= trouble_ends {
                is_healed = true;
                for origin in 0..self.conditions.len() {
                    self.set(origin, Condition::Well);
                }
            }
            if is_healed && at >= trouble_ends + TIMEOUT && self.observer.is_as_it_was(&self.fleet, at) {
                return self.observer.seen;
            }
            assert!(at < latest, "seed {}: not healed: {:?}", self.seed, self.fleet);
            self.now = at;
            if event != Event::Mishap || !is_healed {
                self.happen(event);
            }
        }
        unreachable!("requests arrive for ever");
    }

    fn next(&mut self) -> Option<(Moment, Event)> {
        self.events.pop().map(|Reverse((at, _, event))| (at, event))
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Mishap => self.mishap(),
            Event::Becomes { origin, condition } => self.set(origin, condition),
            Event::Arrival => self.arrive(),
            Event::Ended {
                request,
                attempt,
                is_answered,
            } => self.end(request, attempt, is_answered),
            Event::HedgeDue { request } => self.hedge(request),
        }
        self.observer.note(&mut self.fleet);
    }

    fn enter(&mut self, wait: Duration, event: Event) {
        self.entered += 1;
        self.events.push(Reverse((self.now + wait, self.entered, event)));
    }

    /// Something happens to an origin or to a whole region.
    fn mishap(&mut self) {
        let condition = [
            Condition::Well,
            Condition::Well,
            Condition::Slow,
            Condition::Hung,
            Condition::Dead,
            Condition::Dead,
            Condition::Flaky,
        ][self.fate.below(7)];
        let struck = self.fate.below(self.conditions.len());
        let range = if self.fate.below(2) == 0 {
            self.region_around(struck)
        } else {
            struck..struck + 1
        };
        for origin in range {
            self.set(origin, condition);
        }
        let wait = self.fate.up_to(MISHAP_PAUSE * 2);
        self.enter(wait, Event::Mishap);
    }

    fn set(&mut self, origin: usize, condition: Condition) {
        self.conditions[origin] = condition;
        self.observer.note_condition(origin, condition, self.now);
    }

    fn region_around(&self, origin: usize) -> std::ops::Range<usize> {
        let mut first = 0;
        for count in &self.regions {
            if origin < first + count {
                return first..first + count;
            }
            first += count;
        }
        unreachable!("every origin is in a region");
    }

    fn arrive(&mut self) {
        let request = self.arrived;
        self.arrived += 1;
        let new = Request {
            arrived: self.now,
            attempts: Vec::new(),
            tried: Vec::new(),
            is_answered: false,
        };
        self.requests.insert(request, new);
        self.observer.before(&self.fleet, self.now);
        let attempt = self.fleet.first(Read::Small, self.now, &mut self.random);
        self.observer.first(&self.fleet, &attempt);
        self.send(request, attempt);
        if let Some(wait) = self.fleet.hedge_wait(self.now) {
            self.enter(wait, Event::HedgeDue { request });
        }
        let wait = self.fate.up_to(self.pause * 2);
        self.enter(wait, Event::Arrival);
    }

    /// How it will end is decided when it is sent.
    fn send(&mut self, request: usize, attempt: Attempt) {
        let origin = attempt.origin();
        let quick = Duration::from_millis(2) + self.fate.up_to(Duration::from_millis(20));
        let (took, is_answered) = match self.conditions[origin.0] {
            Condition::Well => (quick, true),
            Condition::Slow => (quick * 20, true),
            Condition::Hung => (self.timeout, false),
            Condition::Dead => (Duration::from_micros(200), false),
            Condition::Flaky => (quick, self.fate.below(2) == 0),
        };
        let sent = self.requests.get_mut(&request).expect("under way");
        sent.tried.push(origin);
        sent.attempts.push(Some(attempt));
        let attempt = sent.attempts.len() - 1;
        self.enter(
            took,
            Event::Ended {
                request,
                attempt,
                is_answered,
            },
        );
    }

    fn end(&mut self, request: usize, attempt: usize, is_answered: bool) {
        let sent = self.requests.get_mut(&request).expect("under way");
        let ended = sent.attempts[attempt].take().expect("ends once");
        self.observer.waited(sent.arrived, sent.is_answered, self.now);
        sent.is_answered |= is_answered;
        let outcome = if is_answered { Ended::Answered } else { Ended::Failed };
        self.fleet.finish(&ended, outcome, self.now, &mut self.random);
        let sent = &self.requests[&request];
        let is_last = sent.attempts.iter().all(Option::is_none);
        if sent.is_answered || !is_last {
            if is_last {
                self.requests.remove(&request);
            }
            return;
        }
        let tried = sent.tried.clone();
        self.observer.before(&self.fleet, self.now);
        let retry = self.fleet.retry(Read::Small, &tried, self.now, &mut self.random);
        self.observer.retry(&self.fleet, &tried, retry.as_ref());
        match retry {
            Some(attempt) => self.send(request, attempt),
            None => {
                self.requests.remove(&request);
            }
        }
    }

    fn hedge(&mut self, request: usize) {
        // Answered, or failed: gone.
        let Some(sent) = self
            .requests
            .get(&request)
            .filter(|sent| !sent.is_answered && sent.tried.len() == 1)
        else {
            return;
        };
        let tried = sent.tried.clone();
        self.observer.before(&self.fleet, self.now);
        if let Some(attempt) = self.fleet.hedge(&tried, self.now, &mut self.random) {
            self.observer.hedge(&self.fleet, &tried, &attempt);
            self.send(request, attempt);
        }
    }
}
