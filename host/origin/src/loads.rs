//! How loaded targets are: what nodes count, and what operators say, for as long as it counts.
//!
//! In: reports of nodes and operators, and those that other origins of the record heard. Out: what is known of each target,
//! without what the asking node itself counts. Soft state: nothing of it is in the record, and a report counts no longer
//! than three times the interval at which nodes tell. The instant is an argument. It must not know who asks, nor how
//! origins share.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use wayside_decide::name::Name;
use wayside_upstream::protocol::streams::{LOADS_INTERVAL_S, LoadElsewhere};

/// How long a node's report counts.
pub(crate) const REPORT_TTL: Duration = Duration::from_secs(3 * LOADS_INTERVAL_S);
/// Longest time for which an operator's word may count.
pub(crate) const WORD_TTL_MAX: Duration = Duration::from_secs(86_400);
/// How many targets all reports together may name, of 24 bytes each.
const COUNTS_MAX: usize = 1_000_000;
/// How many nodes may report.
const REPORTERS_MAX: usize = 10_000;

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
    words: HashMap<Target, Word>,
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
    pub(crate) fn say(&mut self, target: Target, load: Option<f64>, ttl: Duration, now: Instant) {
        self.forget_old(now);
        let word = Word {
            told: now,
            // Others are to hear that it is no more for as long as they might believe it.
            ttl: if load.is_some() { ttl } else { WORD_TTL_MAX },
            load,
            is_shared: false,
        };
        self.words.insert(target, word);
    }

    /// What another origin heard. What is newer here stays.
    pub(crate) fn learn(&mut self, shared: Shared, now: Instant) {
        let Some(told) = now.checked_sub(shared.age).filter(|_| shared.age < shared.ttl) else {
            return;
        };
        match (shared.key, shared.heard) {
            (Key::Node(node), Heard::Counts(counts)) => {
                let is_older = self.reports.get(&node).is_some_and(|known| known.told >= told);
                if !is_older {
                    // Where there is no room, its own origin knows.
                    let _ = self.report(&node, counts, told, true);
                }
            }
            (Key::Target(_), Heard::Word(target, load)) => {
                let is_older = self.words.get(&target).is_some_and(|known| known.told >= told);
                if !is_older {
                    let word = Word {
                        told,
                        ttl: shared.ttl,
                        load,
                        is_shared: true,
                    };
                    self.words.insert(target, word);
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
            key: Key::Target(target.clone()),
            heard: Heard::Word(target.clone(), word.load),
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

    /// What is known of all targets, without what `node` counts.
    pub(crate) fn elsewhere(&mut self, node: &str, now: Instant) -> Vec<LoadElsewhere> {
        self.forget_old(now);
        let mut known: BTreeMap<&Target, Known> = BTreeMap::new();
        for (target, total) in &self.totals {
            known.entry(target).or_default().count = total.count;
        }
        let own = self.reports.get(node).map_or(&[][..], |report| &report.counts);
        for (target, own) in own {
            let count = &mut known.entry(target).or_default().count;
            *count = count.without(*own);
        }
        for (target, word) in &self.words {
            known.entry(target).or_default().load = word.load;
        }
        let known = known.into_iter().filter(|(_, known)| *known != Known::default());
        known
            .map(|((tenant, target), known)| LoadElsewhere {
                tenant: tenant.to_string(),
                target: target.to_string(),
                sessions: u32::try_from(known.count.sessions).unwrap_or(u32::MAX),
                kbit_s: known.count.kbit_s,
                load: known.load,
            })
            .collect()
    }

    /// What is known of one target.
    pub(crate) fn of(&mut self, target: &Target, now: Instant) -> Known {
        self.forget_old(now);
        Known {
            count: self.totals.get(target).map_or_else(Count::default, |total| total.count),
            load: self.words.get(target).and_then(|word| word.load),
        }
    }

    fn report(&mut self, node: &str, counts: Vec<(Target, Count)>, told: Instant, is_shared: bool) -> Result<(), Full> {
        let before = self.reports.remove(node);
        let is_new = before.is_none();
        if let Some(before) = before {
            self.take_off(&before);
        }
        if (is_new && self.reports.len() >= REPORTERS_MAX) || self.counts + counts.len() > COUNTS_MAX {
            return Err(Full);
        }
        self.counts += counts.len();
        let counts = counts
            .into_iter()
            .map(|(target, count)| (self.add(target, count), count));
        let report = Report {
            told,
            counts: counts.collect(),
            is_shared,
        };
        self.reports.insert(node.into(), report);
        Ok(())
    }

    /// Adds to a target's total, and gives the name that all share.
    fn add(&mut self, target: Target, count: Count) -> Arc<Target> {
        let known = self.totals.get_key_value(&target).map(|(known, _)| Arc::clone(known));
        let target = known.unwrap_or_else(|| Arc::new(target));
        let total = self.totals.entry(Arc::clone(&target)).or_default();
        total.count = total.count.with(count);
        total.reports += 1;
        target
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

    use super::{COUNTS_MAX, Count, Full, Heard, Key, Known, Loads, REPORT_TTL, Shared, Target, WORD_TTL_MAX};

    fn target(name: &str) -> Target {
        let parse = |text| Name::parse("name", text).expect("a name");
        (parse("acme"), parse(name))
    }

    fn count(sessions: u64, kbit_s: u64) -> Count {
        Count { sessions, kbit_s }
    }

    fn seen(loads: &mut Loads, node: &str, now: Instant) -> Vec<(String, u32, u64)> {
        let seen = loads.elsewhere(node, now).into_iter();
        seen.map(|load| (load.target, load.sessions, load.kbit_s)).collect()
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
        loads.say(a.clone(), Some(0.5), minute, now);
        assert_eq!(loads.elsewhere("one", now)[0].load, Some(0.5));
        assert_eq!(loads.of(&a, now + minute), Known::default());
        loads.say(a.clone(), Some(0.5), minute, now);
        loads.say(a, None, minute, now);
        assert_eq!(loads.elsewhere("one", now), []);
    }

    #[test]
    fn origins_that_share_know_the_same_and_believe_the_newest() {
        let (mut here, mut there, now) = (Loads::default(), Loads::default(), Instant::now());
        let (second, a) = (Duration::from_secs(1), target("a"));
        here.tell("one", vec![(a.clone(), count(5, 50))], now).expect("room");
        here.say(a.clone(), Some(0.5), second * 60, now);
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
        there.say(a.clone(), None, second, now + second);
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
    }
}
