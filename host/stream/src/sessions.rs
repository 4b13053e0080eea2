//! The sessions of a node: from which target each plays, and which it left.
//!
//! In: what sessions do, instants. Out: for each session what a choice and a report need of it, and how many there are on
//! each target. It must not know how players are asked.
//!
//! Identifiers are given to whoever asks, so that of one home only so many sessions count: others are remembered, for who
//! plays must not be sent to and fro, but do not fill targets that somebody wants to see full.
//!
//! A session is known by 64 bits of its identifier. It takes 41 bytes in a table whose size is a power of two, and its home
//! 17 in another: 7.6 MB for a hundred thousand. Sessions are split over [`PARTS`] tables, so that who looks at all of them
//! can let others in between two, and none grows by much at once.

use std::{collections::HashMap, time::Duration};

use foldhash::fast::RandomState;
use wayside_balance::moment::Moment;

use crate::{
    quality::{Playing, Speaker},
    select::set::{TARGETS_MAX, TargetIndex},
};

/// Most sessions: of more nobody remembers from where they play.
pub const SESSIONS_MAX: usize = 250_000;

/// Tables over which sessions are split: of all that there may be, 4,000 are in one.
pub const PARTS: usize = 64;

/// Most sessions of one home that are remembered.
pub const HOME_SESSIONS_MAX: u32 = 10_000;

/// What was learnt of a session that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It is new.
    New,
    /// It plays from where it did.
    Stayed,
    /// It was moved.
    Moved {
        /// Away from this target.
        from: TargetIndex,
    },
    /// There are too many: it is not remembered.
    NoRoom,
}

/// The sessions that play.
#[derive(Debug, Clone)]
pub struct Sessions {
    /// By the lowest bits of a session's number.
    parts: Box<[Table<Session>]>,
    /// How many are in all of them.
    count: usize,
    homes: Table<Home>,
    silence_max: Duration,
    /// Most sessions of one home that count.
    home_counted_max: u32,
    counts: [Count; TARGETS_MAX],
}

type Table<T> = HashMap<u64, T, RandomState>;

/// What plays from a target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Sessions.
    pub sessions: u32,
    /// What they fetch, in kbit/s.
    pub kbit_s: u64,
}

/// How many sessions a home has.
#[derive(Debug, Clone, Copy, Default)]
struct Home {
    remembered: u32,
    counted: u32,
}

#[derive(Debug, Clone, Copy)]
struct Session {
    home: u64,
    target: TargetIndex,
    left: Option<TargetIndex>,
    counts: bool,
    kbit_s: u32,
    // Milliseconds since the start: half of what a moment takes.
    left_at_ms: u64,
    seen_at_ms: u64,
}

impl Sessions {
    /// No session. One that is silent for `silence_max` has ended; of one home `home_counted_max` count.
    #[must_use]
    pub fn new(silence_max: Duration, home_counted_max: u32) -> Self {
        Self {
            parts: vec![Table::default(); PARTS].into(),
            count: 0,
            homes: Table::default(),
            silence_max,
            home_counted_max,
            counts: [Count::default(); TARGETS_MAX],
        }
    }

    /// Learns that a session plays from `target`, and how much it fetches from there, when that is known.
    pub fn see(&mut self, speaker: Speaker, target: TargetIndex, kbit_s: Option<u32>, now: Moment) -> Seen {
        let seen_at_ms = milliseconds(now);
        let Some(known) = self.parts[part_of(speaker.session)].get_mut(&speaker.session) else {
            return self.begin(speaker, target, kbit_s, seen_at_ms);
        };
        let before = *known;
        known.seen_at_ms = seen_at_ms;
        known.kbit_s = kbit_s.unwrap_or(known.kbit_s);
        if before.target != target {
            known.left = Some(before.target);
            known.left_at_ms = seen_at_ms;
            known.target = target;
        }
        let after = *known;
        self.counts[before.target.place()].remove(&before);
        self.counts[target.place()].add(&after);
        if before.target == target {
            Seen::Stayed
        } else {
            Seen::Moved { from: before.target }
        }
    }

    fn begin(&mut self, speaker: Speaker, target: TargetIndex, kbit_s: Option<u32>, seen_at_ms: u64) -> Seen {
        let is_full = self.count >= SESSIONS_MAX;
        let known = self.homes.get(&speaker.home).copied().unwrap_or_default();
        if is_full || known.remembered >= HOME_SESSIONS_MAX {
            return Seen::NoRoom;
        }
        let counts = known.counted < self.home_counted_max;
        let home = Home {
            remembered: known.remembered + 1,
            counted: known.counted + u32::from(counts),
        };
        let begun = Session {
            home: speaker.home,
            target,
            left: None,
            counts,
            kbit_s: kbit_s.unwrap_or_default(),
            left_at_ms: 0,
            seen_at_ms,
        };
        self.homes.insert(speaker.home, home);
        self.parts[part_of(speaker.session)].insert(speaker.session, begun);
        self.count += 1;
        self.counts[target.place()].add(&begun);
        Seen::New
    }

    /// From where a session plays; none when it is not known.
    #[must_use]
    pub fn playing(&self, session: u64) -> Option<Playing> {
        let session = self.parts[part_of(session)].get(&session)?;
        let left_at = Moment::after_start(Duration::from_millis(session.left_at_ms));
        Some(Playing {
            target: session.target,
            left: session.left.map(|left| (left, left_at)),
        })
    }

    /// Forgets sessions that have ended, of one of the [`PARTS`]. It looks at all that are in it: for once in a few seconds.
    ///
    /// # Panics
    /// Without such a part.
    pub fn forget_silent_in(&mut self, part: usize, now: Moment) {
        let (now_ms, silence_ms) = (milliseconds(now), self.silence_max.as_millis() as u64);
        let (counts, homes, count) = (&mut self.counts, &mut self.homes, &mut self.count);
        self.parts[part].retain(|_, session| {
            let plays = now_ms.saturating_sub(session.seen_at_ms) < silence_ms;
            if !plays {
                counts[session.target.place()].remove(session);
                leave(homes, session);
                *count -= 1;
            }
            plays
        });
    }

    /// What plays from a target.
    #[must_use]
    pub const fn count(&self, target: TargetIndex) -> Count {
        self.counts[target.place()]
    }

    /// How many sessions there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Follows a change of the pool: targets are moved to the places that `place_of` gives; sessions of those that have
    /// none are forgotten.
    pub fn follow(&mut self, place_of: impl Fn(TargetIndex) -> Option<TargetIndex>) {
        self.counts = [Count::default(); TARGETS_MAX];
        let (counts, homes, count) = (&mut self.counts, &mut self.homes, &mut self.count);
        let mut follow = |_: &u64, session: &mut Session| {
            let Some(target) = place_of(session.target) else {
                leave(homes, session);
                *count -= 1;
                return false;
            };
            session.target = target;
            session.left = session.left.and_then(&place_of);
            counts[target.place()].add(session);
            true
        };
        self.parts.iter_mut().for_each(|part| part.retain(&mut follow));
    }
}

impl Count {
    fn add(&mut self, session: &Session) {
        if session.counts {
            self.sessions += 1;
            self.kbit_s += u64::from(session.kbit_s);
        }
    }

    fn remove(&mut self, session: &Session) {
        if session.counts {
            self.sessions = self.sessions.saturating_sub(1);
            self.kbit_s = self.kbit_s.saturating_sub(u64::from(session.kbit_s));
        }
    }
}

/// A session of a home has ended.
fn leave(homes: &mut Table<Home>, session: &Session) {
    if let Some(home) = homes.get_mut(&session.home) {
        home.remembered = home.remembered.saturating_sub(1);
        home.counted = home.counted.saturating_sub(u32::from(session.counts));
        if home.remembered == 0 {
            homes.remove(&session.home);
        }
    }
}

/// In which part a session is.
const fn part_of(session: u64) -> usize {
    (session % PARTS as u64) as usize
}

fn milliseconds(now: Moment) -> u64 {
    now.since(Moment::default()).as_millis() as u64
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::Duration};

    use proptest::prelude::{any, prop_assert_eq, proptest};
    use wayside_balance::moment::Moment;

    use super::{Count, HOME_SESSIONS_MAX, PARTS, SESSIONS_MAX, Seen, Sessions};
    use crate::{
        quality::{Playing, Speaker},
        select::set::TargetIndex,
    };

    const SILENCE: Duration = Duration::from_secs(30);

    fn target(place: usize) -> TargetIndex {
        TargetIndex::new(place).expect("a place")
    }

    /// A session that lives by itself.
    const fn alone(session: u64) -> Speaker {
        Speaker { session, home: session }
    }

    const fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    fn forget_silent(sessions: &mut Sessions, now: Moment) {
        (0..PARTS).for_each(|part| sessions.forget_silent_in(part, now));
    }

    #[test]
    fn a_session_is_new_stays_moves_and_ends() {
        let mut sessions = Sessions::new(SILENCE, u32::MAX);
        let (one, other) = (target(1), target(2));
        assert_eq!(sessions.see(alone(7), one, Some(500), at(0)), Seen::New);
        assert_eq!(sessions.see(alone(7), one, None, at(10)), Seen::Stayed);
        assert_eq!(sessions.see(alone(7), other, None, at(20)), Seen::Moved { from: one });
        let playing = Playing {
            target: other,
            left: Some((one, at(20))),
        };
        assert_eq!((sessions.playing(7), sessions.playing(8)), (Some(playing), None));
        assert_eq!(
            sessions.count(other),
            Count {
                sessions: 1,
                kbit_s: 500
            }
        );
        forget_silent(&mut sessions, at(49));
        assert_eq!(sessions.len(), 1);
        forget_silent(&mut sessions, at(50));
        assert!(sessions.is_empty() && sessions.count(other) == Count::default());
    }

    #[test]
    fn sessions_follow_their_targets_when_the_pool_changes() {
        let mut sessions = Sessions::new(SILENCE, u32::MAX);
        for session in 0..10 {
            sessions.see(alone(session), target((session % 2) as usize), Some(3), at(0));
        }
        sessions.follow(|of| (of == target(1)).then(|| target(5)));
        assert_eq!(
            (sessions.len(), sessions.count(target(5))),
            (
                5,
                Count {
                    sessions: 5,
                    kbit_s: 15
                }
            )
        );
        assert_eq!(sessions.count(target(1)), Count::default());
    }

    #[test]
    fn there_is_an_end_to_how_many_are_remembered() {
        let mut sessions = Sessions::new(SILENCE, u32::MAX);
        for session in 0..SESSIONS_MAX as u64 {
            sessions.see(alone(session), target(0), None, at(0));
        }
        assert_eq!(sessions.see(alone(u64::MAX), target(0), None, at(0)), Seen::NoRoom);
        assert_eq!(sessions.see(alone(1), target(0), None, at(0)), Seen::Stayed);
    }

    #[test]
    fn of_one_home_only_so_many_count_and_are_remembered() {
        let mut sessions = Sessions::new(SILENCE, 3);
        let at_home = |session| Speaker { session, home: 1 };
        for session in 0..10 {
            assert_eq!(sessions.see(at_home(session), target(0), Some(5), at(0)), Seen::New);
        }
        sessions.see(alone(100), target(0), Some(5), at(0));
        let count = |sessions: u32| Count {
            sessions,
            kbit_s: 5 * u64::from(sessions),
        };
        assert_eq!((sessions.len(), sessions.count(target(0))), (11, count(4)));
        for session in 0..10 {
            assert_eq!(
                sessions.see(at_home(session), target(1), None, at(10)),
                Seen::Moved { from: target(0) }
            );
        }
        assert_eq!(
            (sessions.count(target(0)), sessions.count(target(1))),
            (count(1), count(3))
        );
        forget_silent(&mut sessions, at(30));
        assert_eq!(sessions.see(at_home(10), target(1), Some(5), at(39)), Seen::New);
        assert_eq!(sessions.count(target(1)), count(3), "the home has its share already");
        forget_silent(&mut sessions, at(40));
        assert_eq!(sessions.see(at_home(11), target(1), Some(5), at(40)), Seen::New);
        assert_eq!(
            (sessions.len(), sessions.count(target(1))),
            (2, count(1)),
            "and again when others have ended"
        );
        for session in 12..HOME_SESSIONS_MAX as u64 + 10 {
            sessions.see(at_home(session), target(0), None, at(40));
        }
        assert_eq!(sessions.see(at_home(1), target(0), None, at(40)), Seen::NoRoom);
        assert_eq!(sessions.see(alone(2), target(0), None, at(40)), Seen::New);
    }

    #[test]
    fn a_session_takes_what_is_said() {
        assert_eq!(size_of::<(u64, super::Session)>(), 40, "and a byte of the table's own");
        assert_eq!(size_of::<(u64, super::Home)>(), 16);
    }

    proptest! {
        #[test]
        fn counts_are_the_sums_of_sessions(
            steps in proptest::collection::vec((0_u64..20, 0_usize..4, any::<Option<u16>>(), 0_u64..20), 0..200),
        ) {
            let mut sessions = Sessions::new(SILENCE, u32::MAX);
            let mut model: HashMap<u64, (usize, u64, u64)> = HashMap::new();
            let mut now_s = 0;
            for (session, place, kbit_s, pause_s) in steps {
                now_s += pause_s;
                let before = model.get(&session).map_or(0, |(_, kbit_s, _)| *kbit_s);
                model.insert(session, (place, kbit_s.map_or(before, u64::from), now_s));
                sessions.see(alone(session), target(place), kbit_s.map(u32::from), at(now_s));
                if pause_s > 10 {
                    forget_silent(&mut sessions, at(now_s));
                    model.retain(|_, (_, _, seen_s)| now_s - *seen_s < 30);
                }
                for place in 0..4 {
                    let of: Vec<_> = model.values().filter(|(on, ..)| *on == place).collect();
                    let expected = Count { sessions: of.len() as u32, kbit_s: of.iter().map(|(_, kbit_s, _)| kbit_s).sum() };
                    prop_assert_eq!(sessions.count(target(place)), expected);
                }
            }
        }
    }
}
