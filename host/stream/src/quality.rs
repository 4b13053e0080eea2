//! How well targets serve, network by network, by what players report; and who is moved for it.
//!
//! In: reports of sessions that are known to be ours, instants. Out: for a session the targets to avoid. It must not know
//! how reports arrive, nor how a target is chosen.
//!
//! A session has one voice in an interval: the worst that it reported; sessions of one home have few together, for whoever
//! asks for many sessions must not be heard as many. The median of all voices is the interval's value, so that fewer than
//! half cannot steer the others; too few voices say nothing, and of many sessions more voices are needed. Values are smoothed; a target is bad below
//! one bound and good again above a higher one, and only while others serve the network better. Of a bad target's sessions
//! a bounded share is moved in each interval, and back as slowly. A few always stay, or nobody would know that it is good
//! again.
//!
//! A cell (target and network) has at most 64 voices of 32 bytes; there are at most 8,192 cells: 17 MB.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use foldhash::fast::RandomState;
use wayside_balance::{moment::Moment, random::Random};
use wayside_decide::stream::target::Country;

use crate::{
    cmcd::{ObjectType, Report, State as Playback},
    select::{
        set::{TargetIndex, TargetSet},
        target::Pool,
    },
};

/// Most cells.
pub const CELLS_MAX: usize = 8_192;
/// Most voices of a cell in an interval: of more, a sample by chance.
pub const VOICES_MAX: usize = 64;
/// Most voices of one home among those of a cell.
pub const HOME_VOICES_MAX: usize = 2;
/// The share of its sessions that a target keeps however bad it is.
const SHARE_MIN: f64 = 0.05;
/// How much better others must serve a network for a target to be bad there.
const MARGIN: f64 = 0.15;
/// How many times its bitrate a stream must come in for the best value.
const HEADROOM: f64 = 1.5;
/// Tells draws here from those of slow starts, which are by the same keys.
const DRAW: u64 = 0x0071_7561_6c69_7479;

/// A network in which targets serve alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Network {
    /// An autonomous system.
    System(u32),
    /// A country.
    Country(Country),
    /// All of which neither is known.
    Elsewhere,
}

/// What a network is by; a session is in one network of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum NetworkKind {
    System,
    Country,
    Elsewhere,
}

impl Network {
    const fn kind(self) -> NetworkKind {
        match self {
            Self::System(_) => NetworkKind::System,
            Self::Country(_) => NetworkKind::Country,
            Self::Elsewhere => NetworkKind::Elsewhere,
        }
    }
}

/// Who reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speaker {
    /// The session.
    pub session: u64,
    /// A number for where it is: that of all who may be one and the same.
    pub home: u64,
}

impl Speaker {
    /// A session that asks from an address.
    #[must_use]
    pub fn new(session: u64, address: IpAddr) -> Self {
        let home = home_of(address);
        Self { session, home }
    }
}

/// The home of an address: itself in IPv4, the 65,536 networks of a site in IPv6.
#[must_use]
pub fn home_of(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => u64::from(u32::from(address)),
        // Above what any IPv4 address gives.
        IpAddr::V6(address) => 1 << 63 | (u128::from(address) >> 80) as u64,
    }
}

/// What is meant by bad, and how fast sessions are moved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// How long reports are collected before they are looked at.
    pub interval: Duration,
    /// How many sessions make a value, at least.
    pub sessions_min: usize,
    /// Below this a target is bad.
    pub bad_below: f64,
    /// Above this it is good again.
    pub good_above: f64,
    /// The largest share of a target's sessions that is moved in an interval.
    pub shift_max: f64,
    /// After how long a value counts half.
    pub half_life: Duration,
    /// After how long without enough voices nothing is known any more.
    pub memory: Duration,
    /// How soon after a switch a stall is the fault of the target that was left.
    pub blame: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            sessions_min: 5,
            bad_below: 0.6,
            good_above: 0.8,
            shift_max: 0.1,
            half_life: Duration::from_secs(20),
            memory: Duration::from_secs(300),
            blame: Duration::from_secs(10),
        }
    }
}

/// Settings that cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{field} of the quality score: found {found}, expected {expected}")]
pub struct NoSettings {
    field: &'static str,
    found: String,
    expected: &'static str,
}

impl Settings {
    /// Whether they can be.
    ///
    /// # Errors
    /// [`NoSettings`] names the one that cannot.
    pub fn check(&self) -> Result<(), NoSettings> {
        let refuse = |field, found: String, expected| Err(NoSettings { field, found, expected });
        if self.interval.is_zero() {
            return refuse("interval", "0 s".to_owned(), "more than nothing");
        }
        if !(1..=VOICES_MAX).contains(&self.sessions_min) {
            return refuse("minimum of sessions", self.sessions_min.to_string(), "1 to 64");
        }
        let (bad, good) = (self.bad_below, self.good_above);
        if !(0.0 < bad && bad < good && good < 1.0) {
            let found = format!("bad below {bad} and good above {good}");
            return refuse("bounds", found, "bad below good, both between 0 and 1");
        }
        if !(self.shift_max > 0.0 && self.shift_max <= 1.0) {
            return refuse("shift", self.shift_max.to_string(), "above 0, up to 1");
        }
        Ok(())
    }

    /// How many voices make a value of a target from which so many sessions play, when `spoke` spoke of it in all networks:
    /// as many as the square root of the sessions that the network has by its part of those who spoke. Few who complain
    /// must not stand for many who say nothing.
    fn voices_min(&self, sessions: u32, spoke: usize) -> usize {
        // With s sessions, n voices of the network and h altogether it has s·n/h sessions: n ≥ √(s·n/h) is n ≥ s/h.
        let of_many = (sessions as usize).div_ceil(spoke.max(1));
        of_many.clamp(self.sessions_min, VOICES_MAX)
    }
}

/// What one report says of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sample {
    /// Whether playback stood still.
    pub is_starved: bool,
    /// Whether a request failed, or the player gave up.
    pub is_failed: bool,
    /// Measured throughput in kbit/s.
    pub throughput_kbit_s: Option<u64>,
    /// What the stream needs, in kbit/s.
    pub bitrate_kbit_s: Option<u64>,
}

impl Sample {
    /// What a player's report says; none when that is nothing, as of a playlist that came well.
    #[must_use]
    pub fn of(report: &Report) -> Option<Self> {
        let status_failed = report.status.is_some_and(|status| status == 0 || status >= 400);
        let sample = Self {
            is_starved: report.is_starved || report.state == Some(Playback::Rebuffering),
            is_failed: status_failed || report.errors > 0 || report.state == Some(Playback::Fatal),
            throughput_kbit_s: report.throughput_kbit_s,
            bitrate_kbit_s: report.bitrate_kbit_s,
        };
        let is_of_media = report.object == Some(ObjectType::Media) || report.state == Some(Playback::Playing);
        (sample.is_starved || sample.is_failed || is_of_media).then_some(sample)
    }

    /// From 0, as bad as can be, to 1.
    fn value(&self) -> f64 {
        match (self.throughput_kbit_s, self.bitrate_kbit_s) {
            _ if self.is_failed || self.is_starved => 0.0,
            (Some(throughput), Some(bitrate)) if bitrate > 0 => {
                (throughput as f64 / (HEADROOM * bitrate as f64)).min(1.0)
            }
            _ => 1.0,
        }
    }
}

/// From where a session plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Playing {
    /// The target.
    pub target: TargetIndex,
    /// The target that it left for this one, and when.
    pub left: Option<(TargetIndex, Moment)>,
}

/// How well a target serves a network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// Nobody knows: too few report.
    Unknown,
    /// Well enough, with this value.
    Good(f64),
    /// Badly, with this value.
    Bad(f64),
}

/// What is known of all targets of a pool.
#[derive(Debug, Clone)]
pub struct Quality {
    settings: Settings,
    /// Samples are taken by this, which nobody outside knows.
    seed: u64,
    cells: HashMap<Of, Cell, RandomState>,
    /// Of each network which targets are known and which are left by some: what a choice reads.
    outline: HashMap<Network, Outline, RandomState>,
    looked_at: Moment,
}

/// Of which network and target something is known.
type Of = (Network, TargetIndex);

/// What was said in an interval, taken out to be worked out elsewhere: see [`Quality::heard`].
#[derive(Debug)]
pub struct Heard {
    /// Of each cell of which enough was said.
    voices: Vec<(Of, Vec<Voice>)>,
    passed: Duration,
}

/// What came of it.
#[derive(Debug)]
pub struct Medians {
    values: Vec<(Of, f64)>,
    passed: Duration,
}

#[derive(Debug, Clone, Copy, Default)]
struct Outline {
    known: TargetSet,
    left: TargetSet,
}

#[derive(Debug, Clone)]
struct Cell {
    voices: Vec<Voice>,
    score: Option<f64>,
    heard_at: Moment,
    is_bad: bool,
    /// The share of sessions that may be on the target.
    share: f64,
}

#[derive(Debug, Clone, Copy)]
struct Voice {
    speaker: Speaker,
    /// Those with the lowest numbers are kept.
    drawn: u64,
    worst: f64,
}

impl Quality {
    /// Knows nothing yet. `seed` is random, and told nobody.
    ///
    /// # Errors
    /// [`NoSettings`] when the settings cannot be.
    pub fn new(settings: Settings, seed: u64, now: Moment) -> Result<Self, NoSettings> {
        settings.check()?;
        Ok(Self {
            settings,
            seed,
            cells: HashMap::default(),
            outline: HashMap::default(),
            looked_at: now,
        })
    }

    /// Learns what a session reports, which must be known to be ours, in each of its networks.
    pub fn report(&mut self, networks: &[Network], speaker: Speaker, playing: &Playing, sample: &Sample, now: Moment) {
        let left = playing.left.filter(|(_, at)| now.since(*at) < self.settings.blame);
        let Some((left, _)) = left.filter(|_| sample.is_starved) else {
            self.count(networks, speaker, playing.target, sample.value(), now);
            return;
        };
        // The buffer ran dry on what the other one delivered.
        self.count(networks, speaker, left, 0.0, now);
        if sample.is_failed {
            self.count(networks, speaker, playing.target, 0.0, now);
        }
    }

    fn count(&mut self, networks: &[Network], speaker: Speaker, target: TargetIndex, value: f64, now: Moment) {
        let drawn = Random::new(self.seed ^ speaker.session).bits();
        for network in networks {
            let has_room = self.cells.len() < CELLS_MAX;
            let cell = match self.cells.get_mut(&(*network, target)) {
                Some(cell) => cell,
                None if has_room => self.cells.entry((*network, target)).or_insert_with(|| Cell::new(now)),
                None => continue,
            };
            cell.hear(speaker, drawn, value);
        }
    }

    /// Takes out what was said, once in an interval; none before that has passed. `sessions` says how many play from a
    /// target: of what was said by too few nothing is left. To be followed by [`Quality::learn`]; what is between, which
    /// takes longest, keeps nobody who waits for this.
    pub fn heard(&mut self, now: Moment, sessions: impl Fn(TargetIndex) -> u32) -> Option<Heard> {
        let passed = now.since(self.looked_at);
        if passed < self.settings.interval {
            return None;
        }
        self.looked_at = now;
        // Samples of the next interval are others.
        self.seed = Random::new(self.seed).bits();
        // Of each target in all networks of a kind: a session has one voice in each kind.
        let mut spoke: HashMap<(NetworkKind, TargetIndex), usize> = HashMap::new();
        for ((network, target), cell) in &self.cells {
            *spoke.entry((network.kind(), *target)).or_default() += cell.voices.len();
        }
        let settings = &self.settings;
        let said = self.cells.iter_mut().filter_map(|((network, target), cell)| {
            let voices = std::mem::take(&mut cell.voices);
            let spoke = spoke.get(&(network.kind(), *target)).copied().unwrap_or_default();
            let is_enough = voices.len() >= settings.voices_min(sessions(*target), spoke);
            is_enough.then_some(((*network, *target), voices))
        });
        Some(Heard {
            voices: said.collect(),
            passed,
        })
    }

    /// Judges by what was said: the shares change here and nowhere else. The targets must be those of [`Quality::heard`].
    pub fn learn(&mut self, medians: &Medians, now: Moment) {
        let half_lives = medians.passed.as_secs_f64() / self.settings.half_life.as_secs_f64().max(f64::MIN_POSITIVE);
        let kept = 0.5_f64.powf(half_lives);
        for (of, median) in &medians.values {
            if let Some(cell) = self.cells.get_mut(of) {
                cell.learn(*median, kept, now);
            }
        }
        let memory = self.settings.memory;
        for cell in self.cells.values_mut() {
            cell.forget(memory, now);
        }
        let best = self.best_two();
        for ((network, target), cell) in &mut self.cells {
            let others = best.get(network).and_then(|best| best.of_others(*target));
            cell.judge(&self.settings, others);
        }
        self.cells.retain(|_, cell| cell.says_something());
        self.draw_outline();
    }

    fn draw_outline(&mut self) {
        self.outline.clear();
        for ((network, target), cell) in &self.cells {
            let outline = self.outline.entry(*network).or_default();
            outline.known.set(*target, cell.score.is_some());
            outline.left.set(*target, cell.share < 1.0);
        }
    }

    /// Follows a change of the pool: what is known goes with the targets' names.
    pub fn follow(&mut self, from: &Pool, to: &Pool) {
        let place_of = |target| to.find(from.target(target)?.name.as_str());
        let cells = std::mem::take(&mut self.cells);
        let moved = cells
            .into_iter()
            .filter_map(|((network, target), cell)| Some(((network, place_of(target)?), cell)));
        self.cells = moved.collect();
        self.draw_outline();
    }

    /// The targets that a session avoids, by the first of its networks that knows something of each. `key` is the
    /// session's: it avoids the same targets until their shares change, and those that it avoids at a high share also at
    /// every lower one.
    #[must_use]
    pub fn avoided(&self, networks: &[Network], key: u64) -> TargetSet {
        let (mut avoided, mut decided) = (TargetSet::EMPTY, TargetSet::EMPTY);
        for network in networks {
            let Some(outline) = self.outline.get(network) else {
                continue;
            };
            for target in outline.left.without(decided).iter() {
                let share = self.cells.get(&(*network, target)).map_or(1.0, |cell| cell.share);
                let drawn = Random::new(key ^ DRAW ^ target.place() as u64).share();
                avoided.set(target, drawn >= share);
            }
            decided = decided.or(outline.known).or(outline.left);
        }
        avoided
    }

    /// How well a target serves a network, and the share of its sessions that it may have.
    #[must_use]
    pub fn verdict(&self, network: Network, target: TargetIndex) -> (Verdict, f64) {
        let Some(cell) = self.cells.get(&(network, target)) else {
            return (Verdict::Unknown, 1.0);
        };
        let verdict = match cell.score {
            None => Verdict::Unknown,
            Some(score) if cell.is_bad => Verdict::Bad(score),
            Some(score) => Verdict::Good(score),
        };
        (verdict, cell.share)
    }

    /// How many cells there are.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.cells.len()
    }

    fn best_two(&self) -> HashMap<Network, BestTwo, RandomState> {
        let mut best: HashMap<Network, BestTwo, RandomState> = HashMap::default();
        for ((network, target), cell) in &self.cells {
            if let Some(score) = cell.score {
                best.entry(*network).or_default().add(*target, score);
            }
        }
        best
    }
}

impl Heard {
    /// The value of each cell of which enough was said.
    #[must_use]
    pub fn medians(self) -> Medians {
        let values = self.voices.into_iter().map(|(of, voices)| {
            let mut worst: Vec<f64> = voices.iter().map(|voice| voice.worst).collect();
            worst.sort_unstable_by(f64::total_cmp);
            (of, f64::midpoint(worst[(worst.len() - 1) / 2], worst[worst.len() / 2]))
        });
        Medians {
            values: values.collect(),
            passed: self.passed,
        }
    }
}

/// The best and the second best of a network: for each target the best of the others.
#[derive(Debug, Clone, Copy, Default)]
struct BestTwo {
    first: Option<(TargetIndex, f64)>,
    second: Option<f64>,
}

impl BestTwo {
    fn add(&mut self, target: TargetIndex, score: f64) {
        match self.first {
            Some((_, best)) if score <= best => {
                self.second = Some(self.second.map_or(score, |second| second.max(score)))
            }
            first => {
                self.second = first.map(|(_, best)| best);
                self.first = Some((target, score));
            }
        }
    }

    fn of_others(&self, target: TargetIndex) -> Option<f64> {
        match self.first {
            Some((first, _)) if first == target => self.second,
            first => first.map(|(_, score)| score),
        }
    }
}

impl Cell {
    const fn new(now: Moment) -> Self {
        Self {
            voices: Vec::new(),
            score: None,
            heard_at: now,
            is_bad: false,
            share: 1.0,
        }
    }

    fn hear(&mut self, speaker: Speaker, drawn: u64, value: f64) {
        let mut at_home = 0;
        for voice in &mut self.voices {
            if voice.speaker.session == speaker.session {
                voice.worst = voice.worst.min(value);
                return;
            }
            at_home += usize::from(voice.speaker.home == speaker.home);
        }
        if at_home >= HOME_VOICES_MAX {
            return;
        }
        let worst = value;
        let voice = Voice { speaker, drawn, worst };
        if self.voices.len() < VOICES_MAX {
            self.voices.push(voice);
        } else if let Some(highest) = self.voices.iter_mut().max_by_key(|voice| voice.drawn)
            && drawn < highest.drawn
        {
            *highest = voice;
        }
    }

    /// Learns the value of an interval. Of what was known before so much is `kept`.
    fn learn(&mut self, median: f64, kept: f64, now: Moment) {
        let score = self
            .score
            .map_or(median, |score| score.mul_add(kept, median * (1.0 - kept)));
        self.score = Some(score);
        self.heard_at = now;
    }

    /// Forgets what is too old.
    fn forget(&mut self, memory: Duration, now: Moment) {
        if self.heard_at != now && now.since(self.heard_at) >= memory {
            self.score = None;
        }
    }

    /// Judges the target beside the best of the others, and moves its share by a step.
    fn judge(&mut self, settings: &Settings, others: Option<f64>) {
        self.is_bad = match self.score {
            None => false,
            Some(score) if self.is_bad => score <= settings.good_above && others.is_none_or(|others| others > score),
            Some(score) => score < settings.bad_below && others.is_none_or(|others| others >= score + MARGIN),
        };
        self.share = if self.is_bad {
            (self.share - settings.shift_max).max(SHARE_MIN)
        } else {
            (self.share + settings.shift_max).min(1.0)
        };
    }

    fn says_something(&self) -> bool {
        self.score.is_some() || self.share < 1.0 || !self.voices.is_empty()
    }
}

#[cfg(test)]
mod tests;
