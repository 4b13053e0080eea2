//! How loaded targets are: what nodes count, and what operators say, for as long as it counts.
//!
//! In: reports of nodes and operators, and those that other origins of the record heard. Out: what is known of each target,
//! without what the asking node itself counts. Soft state: nothing of it is in the record, and a report counts no longer
//! than three times the interval at which nodes tell. The instant is an argument. It must not know who asks, nor how
//! origins share.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use wayside_decide::{limits::STREAM_TARGETS_MAX, name::Name};
use wayside_upstream::protocol::streams::{LOADS_INTERVAL_S, LOADS_TARGETS_MAX};

/// How long a node's report counts.
pub(crate) const REPORT_TTL: Duration = Duration::from_secs(3 * LOADS_INTERVAL_S);
/// Longest time for which an operator's word may count.
pub(crate) const WORD_TTL_MAX: Duration = Duration::from_secs(86_400);
/// How many targets all reports together may name, of 24 bytes each.
const COUNTS_MAX: usize = 1_000_000;
/// How many nodes may report.
const REPORTERS_MAX: usize = 10_000;
/// How many words of operators may be held of one tenant's targets: a word outlives its target.
const WORDS_MAX: usize = 4 * STREAM_TARGETS_MAX;

/// A target: its tenant and its name.
pub(crate) type Target = (Name, Name);

/// Sessions on a target, and what they fetch in kbit/s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Count {
    pub(crate) sessions: u64,
    pub(crate) kbit_s: u64,
}

/// What was heard from somebody.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Heard {
    /// A node's counts.
    Counts(Vec<(Target, Count)>),
    /// How loaded an operator says that a target is; none when he says so no more.
    Word(Target, Option<f64>),
}

/// There is no room for what was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// All that counts now.
#[derive(Default)]
pub(crate) struct Loads {
    reports: HashMap<Box<str>, Report>,
    words: HashMap<Arc<Target>, Word>,
    /// What all reports say together.
    totals: HashMap<Arc<Target>, Total>,
    /// How many targets all reports name.
    counts: usize,
}

struct Report {
    told: Instant,
    counts: Vec<(Arc<Target>, Count)>,
    is_shared: bool,
}

struct Word {
    told: Instant,
    ttl: Duration,
    load: Option<f64>,
    is_shared: bool,
}

#[derive(Default)]
struct Total {
    count: Count,
    /// How many reports name it.
    reports: u32,
}

/// What is known of a target.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Known {
    pub(crate) count: Count,
    pub(crate) load: Option<f64>,
}

/// Something to share with other origins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shared {
    /// Who said it; of an operator's word, of what.
    pub(crate) key: Key,
    pub(crate) heard: Heard,
    pub(crate) age: Duration,
    pub(crate) ttl: Duration,
}

/// Of what something shared is the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// Of what this node counts.
    Node(Box<str>),
    /// Of what operators say of this target.
    Target(Target),
}

impl Loads {
    /// What a node counts now, in place of what it counted before.
    pub(crate) fn tell(&mut self, node: &str, counts: Vec<(Target, Count)>, now: Instant) -> Result<(), Full> {
        self.forget_old(now);
        self.report(node, counts, now, false)
    }

    /// What an operator says of a target for a while.
    pub(crate) fn say(&mut self, target: Target, load: f64, ttl: Duration, now: Instant) -> Result<(), Full> {
        self.forget_old(now);
        let word = Word {
            told: now,
            ttl,
            load: Some(load),
            is_shared: false,
        };
        self.hold(target, word)
    }

    /// That an operator says no more of a target what he said.
    pub(crate) fn unsay(&mut self, target: &Target, now: Instant) {
        self.forget_old(now);
        if let Some(word) = self.words.get_mut(target) {
            *word = Word {
                told: now,
                // Others are to hear it for as long as they might believe what he said.
                ttl: WORD_TTL_MAX,
                load: None,
                is_shared: false,
            };
        }
    }

    /// What another origin heard, as it was when it was `asked` for: by the time of the answer it may be older than that
    /// says. What is newer here stays, and what nobody else has heard yet.
    pub(crate) fn learn(&mut self, shared: Shared, asked: Instant) {
        let Some(told) = asked.checked_sub(shared.age).filter(|_| shared.age < shared.ttl) else {
            return;
        };
        match (shared.key, shared.heard) {
            (Key::Node(node), Heard::Counts(counts)) => {
                let stays = |known: &Report| !known.is_shared || known.told >= told;
                if !self.reports.get(&node).is_some_and(stays) {
                    // Where there is no room, its own origin knows.
                    let _ = self.report(&node, counts, told, true);
                }
            }
            (Key::Target(_), Heard::Word(target, load)) => {
                let stays = |known: &Word| !known.is_shared || known.told >= told;
                if !self.words.get(&target).is_some_and(stays) {
                    let word = Word {
                        told,
                        ttl: shared.ttl,
                        load,
                        is_shared: true,
                    };
                    // Where there is no room, its own origin knows.
                    let _ = self.hold(target, word);
                }
            }
            _ => {}
        }
    }

    /// What was heard here and is not shared yet.
    pub(crate) fn unshared(&mut self, now: Instant) -> Vec<Shared> {
        self.forget_old(now);
        let reports = self.reports.iter().filter(|(_, report)| !report.is_shared);
        let reports = reports.map(|(node, report)| {
            let counts = report.counts.iter();
            Shared {
                key: Key::Node(node.clone()),
                heard: Heard::Counts(counts.map(|(target, count)| (Target::clone(target), *count)).collect()),
                age: now.saturating_duration_since(report.told),
                ttl: REPORT_TTL,
            }
        });
        let words = self.words.iter().filter(|(_, word)| !word.is_shared);
        let words = words.map(|(target, word)| Shared {
            key: Key::Target(Target::clone(target)),
            heard: Heard::Word(Target::clone(target), word.load),
            age: now.saturating_duration_since(word.told),
            ttl: word.ttl,
        });
        reports.chain(words).collect()
    }

    /// What was heard up to `then` is shared.
    pub(crate) fn mark_shared(&mut self, then: Instant) {
        let reports = self.reports.values_mut().filter(|report| report.told <= then);
        reports.for_each(|report| report.is_shared = true);
        let words = self.words.values_mut().filter(|word| word.told <= then);
        words.for_each(|word| word.is_shared = true);
    }

    /// What is known of all targets, without what `node` counts, in any order.
    pub(crate) fn elsewhere(&mut self, node: &str, now: Instant) -> Vec<(Arc<Target>, Known)> {
        self.forget_old(now);
        let mut own: HashMap<&Target, Count> = HashMap::new();
        for (target, count) in self.reports.get(node).map_or(&[][..], |report| &report.counts) {
            let own = own.entry(target).or_default();
            *own = own.with(*count);
        }
        let counted = self.totals.iter().map(|(target, total)| {
            let known = Known {
                count: total.count.without(own.get(&**target).copied().unwrap_or_default()),
                load: self.words.get(target).and_then(|word| word.load),
            };
            (target, known)
        });
        let said = self
            .words
            .iter()
            .filter(|(target, _)| !self.totals.contains_key(*target));
        let said = said.map(|(target, word)| {
            let known = Known {
                load: word.load,
                ..Known::default()
            };
            (target, known)
        });
        let known = counted.chain(said).filter(|(_, known)| *known != Known::default());
        let known = known.take(LOADS_TARGETS_MAX);
        known.map(|(target, known)| (Arc::clone(target), known)).collect()
    }

    /// What is known of one target.
    pub(crate) fn of(&mut self, target: &Target, now: Instant) -> Known {
        self.forget_old(now);
        Known {
            count: self.totals.get(target).map_or_else(Count::default, |total| total.count),
            load: self.words.get(target).and_then(|word| word.load),
        }
    }

    /// Holds a word, where there is room for its tenant's.
    fn hold(&mut self, target: Target, word: Word) -> Result<(), Full> {
        if let Some(held) = self.words.get_mut(&target) {
            *held = word;
            return Ok(());
        }
        if self.words.keys().filter(|held| held.0 == target.0).count() >= WORDS_MAX {
            return Err(Full);
        }
        let target = self.named(target);
        self.words.insert(target, word);
        Ok(())
    }

    fn report(&mut self, node: &str, counts: Vec<(Target, Count)>, told: Instant, is_shared: bool) -> Result<(), Full> {
        let before = self.reports.remove(node);
        if let Some(before) = &before {
            self.take_off(before);
        }
        if !self.has_room(&counts) {
            // What the node told before is the best that is known of it, for as long as that counts.
            if let Some(before) = before {
                before
                    .counts
                    .iter()
                    .for_each(|(target, count)| self.add(target, *count));
                self.reports.insert(node.into(), before);
            }
            return Err(Full);
        }
        let added = counts.into_iter().map(|(target, count)| {
            let target = self.named(target);
            self.add(&target, count);
            (target, count)
        });
        let report = Report {
            told,
            counts: added.collect(),
            is_shared,
        };
        self.reports.insert(node.into(), report);
        Ok(())
    }

    /// Whether a report with these counts can be held beside those that are.
    fn has_room(&self, counts: &[(Target, Count)]) -> bool {
        let new = counts.iter().map(|(target, _)| target);
        let new: HashSet<&Target> = new.filter(|target| !self.totals.contains_key(*target)).collect();
        self.reports.len() < REPORTERS_MAX
            && self.counts + counts.len() <= COUNTS_MAX
            && self.totals.len() + new.len() <= LOADS_TARGETS_MAX
    }

    /// Adds what a report says of a target to its total.
    fn add(&mut self, target: &Arc<Target>, count: Count) {
        self.counts += 1;
        let total = self.totals.entry(Arc::clone(target)).or_default();
        total.count = total.count.with(count);
        total.reports += 1;
    }

    /// The name of a target that all share.
    fn named(&self, target: Target) -> Arc<Target> {
        let counted = self.totals.get_key_value(&target).map(|(known, _)| known);
        let said = || self.words.get_key_value(&target).map(|(known, _)| known);
        let known = counted.or_else(said).map(Arc::clone);
        known.unwrap_or_else(|| Arc::new(target))
    }

    fn take_off(&mut self, report: &Report) {
        self.counts -= report.counts.len();
        for (target, count) in &report.counts {
            let Some(total) = self.totals.get_mut(target) else {
                continue;
            };
            total.count = total.count.without(*count);
            total.reports -= 1;
            if total.reports == 0 {
                self.totals.remove(target);
            }
        }
    }

    fn forget_old(&mut self, now: Instant) {
        let is_old = |told: Instant, ttl: Duration| now.saturating_duration_since(told) >= ttl;
        let old = self.reports.extract_if(|_, report| is_old(report.told, REPORT_TTL));
        for (_, report) in old.collect::<Vec<_>>() {
            self.take_off(&report);
        }
        self.words.retain(|_, word| !is_old(word.told, word.ttl));
    }
}

impl Count {
    const fn with(self, other: Self) -> Self {
        Self {
            sessions: self.sessions.saturating_add(other.sessions),
            kbit_s: self.kbit_s.saturating_add(other.kbit_s),
        }
    }

    const fn without(self, other: Self) -> Self {
        Self {
            sessions: self.sessions.saturating_sub(other.sessions),
            kbit_s: self.kbit_s.saturating_sub(other.kbit_s),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use wayside_decide::name::Name;

    use super::{
        COUNTS_MAX, Count, Full, Heard, Key, Known, LOADS_TARGETS_MAX, Loads, REPORT_TTL, Shared, Target, WORD_TTL_MAX,
        WORDS_MAX,
    };

    fn target(name: &str) -> Target {
        let parse = |text| Name::parse("name", text).expect("a name");
        (parse("acme"), parse(name))
    }

    fn count(sessions: u64, kbit_s: u64) -> Count {
        Count { sessions, kbit_s }
    }

    /// What a node hears of targets, by name.
    fn heard(loads: &mut Loads, node: &str, now: Instant) -> Vec<(String, Known)> {
        let heard = loads.elsewhere(node, now).into_iter();
        let mut heard: Vec<_> = heard.map(|(target, known)| (target.1.to_string(), known)).collect();
        heard.sort_by(|(one, _), (other, _)| one.cmp(other));
        heard
    }

    fn seen(loads: &mut Loads, node: &str, now: Instant) -> Vec<(String, u64, u64)> {
        let heard = heard(loads, node, now).into_iter();
        heard
            .map(|(target, known)| (target, known.count.sessions, known.count.kbit_s))
            .collect()
    }

    #[test]
    fn a_node_hears_of_all_but_itself_and_of_nobody_for_long() {
        let (mut loads, now) = (Loads::default(), Instant::now());
        loads.tell("one", vec![(target("a"), count(5, 50))], now).expect("room");
        loads
            .tell(
                "two",
                vec![(target("a"), count(7, 70)), (target("b"), count(1, 0))],
                now,
            )
            .expect("room");
        assert_eq!(seen(&mut loads, "one", now), [("a".into(), 7, 70), ("b".into(), 1, 0)]);
        assert_eq!(seen(&mut loads, "two", now), [("a".into(), 5, 50)]);
        let later = now + REPORT_TTL / 2;
        loads
            .tell("one", vec![(target("a"), count(2, 20))], later)
            .expect("room");
        assert_eq!(loads.of(&target("a"), later).count, count(9, 90));
        let last = now + REPORT_TTL;
        assert_eq!(seen(&mut loads, "none", last), [("a".into(), 2, 20)]);
        assert_eq!(seen(&mut loads, "none", last + REPORT_TTL), []);
        assert_eq!((loads.counts, loads.totals.len()), (0, 0));
    }

    #[test]
    fn an_operators_word_counts_for_as_long_as_he_said() {
        let (mut loads, now) = (Loads::default(), Instant::now());
        let (a, minute) = (target("a"), Duration::from_secs(60));
        loads.say(a.clone(), 0.5, minute, now).expect("room");
        let said = Known {
            load: Some(0.5),
            ..Known::default()
        };
        assert_eq!(heard(&mut loads, "one", now), [("a".to_owned(), said)]);
        assert_eq!(loads.of(&a, now + minute), Known::default());
        loads.say(a.clone(), 0.5, minute, now).expect("room");
        loads.unsay(&a, now);
        assert_eq!(heard(&mut loads, "one", now), []);
        loads.unsay(&target("b"), now);
        assert_eq!(
            loads.unshared(now).len(),
            1,
            "where nothing was said there is nothing to take back"
        );
    }

    #[test]
    fn a_word_stays_when_an_older_one_is_read_back() {
        let (mut loads, now) = (Loads::default(), Instant::now());
        let (second, a) = (Duration::from_secs(1), target("a"));
        loads.say(a.clone(), 0.1, second * 60, now).expect("room");
        let shared = loads.unshared(now);
        loads.mark_shared(now);
        // Said while the record is slow to answer, whose clock says that it was told of the first one just now.
        loads.say(a.clone(), 0.2, second * 60, now + second).expect("room");
        let told = |age| Shared {
            age,
            ..shared[0].clone()
        };
        for (age, asked) in [(Duration::ZERO, now), (Duration::ZERO, now + second * 2)] {
            loads.learn(told(age), asked);
            assert_eq!(loads.of(&a, now + second * 2).load, Some(0.2));
        }
        let unshared = loads.unshared(now + second * 2);
        assert!(
            matches!(
                &*unshared,
                [Shared {
                    heard: Heard::Word(_, Some(0.2)),
                    ..
                }]
            ),
            "{unshared:?}"
        );
        // Others have heard it: what is newer is another's.
        loads.mark_shared(now + second * 2);
        loads.learn(told(Duration::ZERO), now + second * 3);
        assert_eq!(loads.of(&a, now + second * 3).load, Some(0.1));
    }

    #[test]
    fn the_words_of_a_tenant_are_bounded() {
        let (mut loads, now, minute) = (Loads::default(), Instant::now(), Duration::from_secs(60));
        for number in 0..WORDS_MAX {
            let said = loads.say(target(&format!("t{number}")), 1.0, minute, now);
            said.expect("room");
        }
        assert_eq!(loads.say(target("more"), 1.0, minute, now), Err(Full));
        loads.say(target("t0"), 0.5, minute, now).expect("in place of another");
        let other = (Name::parse("tenant", "beta").expect("a name"), target("more").1);
        loads.say(other, 1.0, minute, now).expect("room of its own");
        loads
            .say(target("more"), 1.0, minute, now + minute)
            .expect("room again");
    }

    #[test]
    fn origins_that_share_know_the_same_and_believe_the_newest() {
        let (mut here, mut there, now) = (Loads::default(), Loads::default(), Instant::now());
        let (second, a) = (Duration::from_secs(1), target("a"));
        here.tell("one", vec![(a.clone(), count(5, 50))], now).expect("room");
        here.say(a.clone(), 0.5, second * 60, now).expect("room");
        let shared = here.unshared(now + second);
        assert_eq!(shared.len(), 2);
        assert!(shared.iter().all(|shared| shared.age == second));
        here.tell("later", vec![], now + second).expect("room");
        here.mark_shared(now);
        let later = here.unshared(now + second);
        assert!(matches!(&*later, [Shared { key: Key::Node(node), .. }] if &**node == "later"));
        for shared in &shared {
            there.learn(shared.clone(), now + second);
        }
        let known = Known {
            count: count(5, 50),
            load: Some(0.5),
        };
        assert_eq!(there.of(&a, now + second), known);
        assert_eq!(there.unshared(now + second), [], "what another told is told already");
        // The node went over to the other origin: what the first one heard is the older.
        there
            .tell("one", vec![(a.clone(), count(3, 30))], now + second)
            .expect("room");
        for shared in &shared {
            there.learn(shared.clone(), now + second);
        }
        assert_eq!(there.of(&a, now + second).count, count(3, 30));
        // That an operator says so no more is heard, too.
        there.unsay(&a, now + second);
        let shared = there.unshared(now + second);
        assert!(
            shared
                .iter()
                .any(|shared| shared.ttl == WORD_TTL_MAX && shared.heard == Heard::Word(a.clone(), None))
        );
        for shared in shared {
            here.learn(shared, now + second);
        }
        assert_eq!(
            here.of(&a, now + second),
            Known {
                count: count(3, 30),
                load: None
            }
        );
        let old = here.of(&a, now + second + REPORT_TTL);
        assert_eq!(old, Known::default(), "as old as it was where it was told");
    }

    #[test]
    fn what_is_told_is_bounded_and_an_empty_report_ends_one() {
        let (mut loads, now) = (Loads::default(), Instant::now());
        let most = |at_once: usize| vec![(target("a"), count(1, 1)); at_once];
        loads.tell("one", most(COUNTS_MAX), now).expect("room");
        assert_eq!(loads.tell("two", most(1), now), Err(Full));
        loads.tell("one", vec![], now).expect("room");
        assert_eq!(seen(&mut loads, "two", now), []);
        loads.tell("two", most(3), now).expect("room again");
        assert_eq!(loads.of(&target("a"), now).count, count(3, 3));
        let different = (0..=LOADS_TARGETS_MAX).map(|number| (target(&format!("t{number}")), count(1, 1)));
        let different: Vec<_> = different.collect();
        assert_eq!(loads.tell("three", different[1..].to_vec(), now), Err(Full));
        assert_eq!(
            loads.tell("two", different.clone(), now),
            Err(Full),
            "nor in place of what it told"
        );
        assert_eq!(loads.of(&target("a"), now).count, count(3, 3), "which counts on");
        assert_eq!(seen(&mut loads, "two", now), [], "as its own");
        loads.tell("two", vec![], now).expect("room");
        loads
            .tell("three", different[1..].to_vec(), now)
            .expect("as many as are told of");
        assert_eq!(loads.elsewhere("none", now).len(), LOADS_TARGETS_MAX);
    }
}
