//! The sessions of a node: from which target each plays, and which it left.
//!
//! In: what sessions do, instants. Out: for each session what a choice and a report need of it, and how many there are on
//! each target. It must not know how players are asked.
//!
//! Identifiers are given to whoever asks, so that of one home only so many sessions count: others are remembered, for who
//! plays must not be sent to and fro, but do not fill targets that somebody wants to see full.
//!
//! A session has ended when it is silent for longer than its player may be: players ask once in a TTL of their asset's, and
//! one that missed it, or was late, plays on.
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

/// What a session is believed to fetch at most, in kbit/s.
pub const FETCHED_KBIT_S_MAX: u16 = 40_000;

/// Most sessions of one home that are remembered.
pub const HOME_SESSIONS_MAX: u32 = 10_000;

/// How many of its TTLs a session may be silent.
const SILENT_TTLS: u32 = 3;

/// A session, and what is known of what it plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Player {
    /// Who.
    pub speaker: Speaker,
    /// How long its player may wait before it asks again where to go on.
    pub ttl: Duration,
    /// What its stream takes at most, in kbit/s, where that is known.
    pub needed_kbit_s: Option<u64>,
}

/// How much a session fetches, in kbit/s: [`FETCHED_KBIT_S_MAX`] at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetches {
    /// The bitrate that its player reports.
    Reported(u16),
    /// At most this, by what is known of the stream and of how fast it comes.
    Estimated(u16),
}

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
    fetches: Option<Fetches>,
    // Times since the start: less than what moments take.
    left_at_ms: u64,
    seen_at_s: u32,
    silence_s_max: u16,
}

impl Fetches {
    /// That a player reports this bitrate.
    #[must_use]
    pub fn reported(kbit_s: u64) -> Self {
        Self::Reported(bounded(kbit_s))
    }

    /// That it is this at most.
    #[must_use]
    pub fn estimated(kbit_s: u64) -> Self {
        Self::Estimated(bounded(kbit_s))
    }

    const fn kbit_s(self) -> u16 {
        match self {
            Self::Reported(kbit_s) | Self::Estimated(kbit_s) => kbit_s,
        }
    }

    /// What is known where this was `known` and that is `told` now: a bitrate that was reported is no estimate's to change,
    /// and where nothing is told a stream is taken to be fetched in its best rendition.
    fn learn(known: Option<Self>, told: Option<Self>, player: &Player) -> Option<Self> {
        match (known, told) {
            (Some(Self::Reported(_)), Some(Self::Estimated(_)) | None) => known,
            (_, Some(_)) => told,
            (Some(_), None) => known,
            (None, None) => player.needed_kbit_s.map(Self::estimated),
        }
    }
}

impl Sessions {
    /// No session. One that is silent for `silence_max` has ended, or for three of its TTLs where those are longer; of one
    /// home `home_counted_max` count.
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
    pub fn see(&mut self, player: &Player, target: TargetIndex, fetches: Option<Fetches>, now: Moment) -> Seen {
        let speaker = player.speaker;
        let silence_s_max = self.silence_s_max(player);
        let Some(known) = self.parts[part_of(speaker.session)].get_mut(&speaker.session) else {
            return self.begin(player, target, fetches, now);
        };
        let before = *known;
        known.seen_at_s = seconds(now);
        known.silence_s_max = silence_s_max;
        known.fetches = Fetches::learn(known.fetches, fetches, player);
        if before.target != target {
            known.left = Some(before.target);
            known.left_at_ms = milliseconds(now);
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

    fn begin(&mut self, player: &Player, target: TargetIndex, fetches: Option<Fetches>, now: Moment) -> Seen {
        let speaker = player.speaker;
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
            fetches: Fetches::learn(None, fetches, player),
            left_at_ms: 0,
            seen_at_s: seconds(now),
            silence_s_max: self.silence_s_max(player),
        };
        self.homes.insert(speaker.home, home);
        self.parts[part_of(speaker.session)].insert(speaker.session, begun);
        self.count += 1;
        self.counts[target.place()].add(&begun);
        Seen::New
    }

    /// After how many seconds without a word a session has ended: 18 hours at most, more than anybody may set.
    fn silence_s_max(&self, player: &Player) -> u16 {
        let longer = self.silence_max.max(player.ttl.saturating_mul(SILENT_TTLS));
        u16::try_from(longer.as_secs()).unwrap_or(u16::MAX)
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
        let now_s = seconds(now);
        let (counts, homes, count) = (&mut self.counts, &mut self.homes, &mut self.count);
        self.parts[part].retain(|_, session| {
            let plays = now_s.saturating_sub(session.seen_at_s) < u32::from(session.silence_s_max);
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

impl Session {
    fn kbit_s(&self) -> u64 {
        self.fetches.map_or(0, |fetches| u64::from(fetches.kbit_s()))
    }
}

impl Count {
    fn add(&mut self, session: &Session) {
        if session.counts {
            self.sessions += 1;
            self.kbit_s += session.kbit_s();
        }
    }

    fn remove(&mut self, session: &Session) {
        if session.counts {
            self.sessions = self.sessions.saturating_sub(1);
            self.kbit_s = self.kbit_s.saturating_sub(session.kbit_s());
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

fn bounded(kbit_s: u64) -> u16 {
    u16::try_from(kbit_s).map_or(FETCHED_KBIT_S_MAX, |kbit_s| kbit_s.min(FETCHED_KBIT_S_MAX))
}

fn milliseconds(now: Moment) -> u64 {
    now.since(Moment::default()).as_millis() as u64
}

fn seconds(now: Moment) -> u32 {
    now.since(Moment::default()).as_secs() as u32
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::Duration};

    use proptest::prelude::{prop_assert_eq, proptest};
    use wayside_balance::moment::Moment;

    use super::{Count, FETCHED_KBIT_S_MAX, Fetches, HOME_SESSIONS_MAX, PARTS, Player, SESSIONS_MAX, Seen, Sessions};
    use crate::{
        quality::{Playing, Speaker},
        select::set::TargetIndex,
    };

    const SILENCE: Duration = Duration::from_secs(30);

    fn target(place: usize) -> TargetIndex {
        TargetIndex::new(place).expect("a place")
    }

    /// A session of a home, of whose stream nothing is known, and whose player asks often.
    const fn of_home(session: u64, home: u64) -> Player {
        Player {
            speaker: Speaker { session, home },
            ttl: Duration::from_secs(1),
            needed_kbit_s: None,
        }
    }

    /// A session that lives by itself.
    const fn alone(session: u64) -> Player {
        of_home(session, session)
    }

    const fn reported(kbit_s: u16) -> Option<Fetches> {
        Some(Fetches::Reported(kbit_s))
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
        assert_eq!(sessions.see(&alone(7), one, reported(500), at(0)), Seen::New);
        assert_eq!(sessions.see(&alone(7), one, None, at(10)), Seen::Stayed);
        assert_eq!(sessions.see(&alone(7), other, None, at(20)), Seen::Moved { from: one });
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
    fn a_session_ends_when_it_is_silent_for_three_of_its_ttls_or_as_long_as_any_may_be() {
        let mut sessions = Sessions::new(SILENCE, u32::MAX);
        let of_ttl = |session, ttl_s| Player {
            ttl: Duration::from_secs(ttl_s),
            ..alone(session)
        };
        let lasts = [(1, 5, 30), (2, 12, 36), (3, 300, 900), (4, 3_600, 10_800)];
        for (session, ttl_s, _) in lasts {
            sessions.see(&of_ttl(session, ttl_s), target(0), None, at(100));
        }
        for (session, ttl_s, last_s) in lasts {
            forget_silent(&mut sessions, at(100 + last_s - 1));
            assert!(sessions.playing(session).is_some(), "TTL {ttl_s} s: it may still ask");
            forget_silent(&mut sessions, at(100 + last_s));
            assert_eq!(sessions.playing(session), None, "TTL {ttl_s} s: it has ended");
        }
        // The asset's owner may change it while it plays.
        sessions.see(&of_ttl(5, 3_600), target(0), None, at(20_000));
        sessions.see(&of_ttl(5, 5), target(0), None, at(20_001));
        forget_silent(&mut sessions, at(20_031));
        assert!(sessions.is_empty());
    }

    #[test]
    fn a_session_counts_with_what_it_reports_or_else_with_what_it_takes_at_most() {
        let estimated = |kbit_s| Some(Fetches::estimated(kbit_s));
        for (needed_kbit_s, told, expected) in [
            (None, &[None][..], 0),
            (Some(1_500), &[None], 1_500),
            (Some(1_500), &[None, estimated(700)], 700),
            (Some(1_500), &[estimated(700), None], 700),
            (Some(1_500), &[estimated(700), reported(900), None], 900),
            (Some(1_500), &[reported(900), estimated(1_500)], 900),
            (Some(1_500), &[reported(900), reported(1_200)], 1_200),
            (
                None,
                &[Some(Fetches::reported(90_000_000))],
                u64::from(FETCHED_KBIT_S_MAX),
            ),
            (Some(90_000_000), &[None], u64::from(FETCHED_KBIT_S_MAX)),
        ] {
            let mut sessions = Sessions::new(SILENCE, u32::MAX);
            let player = Player {
                needed_kbit_s,
                ..alone(7)
            };
            for told in told {
                sessions.see(&player, target(0), *told, at(0));
            }
            assert_eq!(sessions.count(target(0)).kbit_s, expected, "{needed_kbit_s:?} {told:?}");
        }
        // What its stream takes was found out meanwhile.
        let mut sessions = Sessions::new(SILENCE, u32::MAX);
        sessions.see(&alone(7), target(0), None, at(0));
        let player = Player {
            needed_kbit_s: Some(1_500),
            ..alone(7)
        };
        assert_eq!(sessions.see(&player, target(0), None, at(1)), Seen::Stayed);
        assert_eq!(sessions.count(target(0)).kbit_s, 1_500);
    }

    #[test]
    fn sessions_follow_their_targets_when_the_pool_changes() {
        let mut sessions = Sessions::new(SILENCE, u32::MAX);
        for session in 0..10 {
            sessions.see(&alone(session), target((session % 2) as usize), reported(3), at(0));
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
            sessions.see(&alone(session), target(0), None, at(0));
        }
        assert_eq!(sessions.see(&alone(u64::MAX), target(0), None, at(0)), Seen::NoRoom);
        assert_eq!(sessions.see(&alone(1), target(0), None, at(0)), Seen::Stayed);
    }

    #[test]
    fn of_one_home_only_so_many_count_and_are_remembered() {
        let mut sessions = Sessions::new(SILENCE, 3);
        let at_home = |session| of_home(session, 1);
        for session in 0..10 {
            assert_eq!(
                sessions.see(&at_home(session), target(0), reported(5), at(0)),
                Seen::New
            );
        }
        sessions.see(&alone(100), target(0), reported(5), at(0));
        let count = |sessions: u32| Count {
            sessions,
            kbit_s: 5 * u64::from(sessions),
        };
        assert_eq!((sessions.len(), sessions.count(target(0))), (11, count(4)));
        for session in 0..10 {
            assert_eq!(
                sessions.see(&at_home(session), target(1), None, at(10)),
                Seen::Moved { from: target(0) }
            );
        }
        assert_eq!(
            (sessions.count(target(0)), sessions.count(target(1))),
            (count(1), count(3))
        );
        forget_silent(&mut sessions, at(30));
        assert_eq!(sessions.see(&at_home(10), target(1), reported(5), at(39)), Seen::New);
        assert_eq!(sessions.count(target(1)), count(3), "the home has its share already");
        forget_silent(&mut sessions, at(40));
        assert_eq!(sessions.see(&at_home(11), target(1), reported(5), at(40)), Seen::New);
        assert_eq!(
            (sessions.len(), sessions.count(target(1))),
            (2, count(1)),
            "and again when others have ended"
        );
        for session in 12..HOME_SESSIONS_MAX as u64 + 10 {
            sessions.see(&at_home(session), target(0), None, at(40));
        }
        assert_eq!(sessions.see(&at_home(1), target(0), None, at(40)), Seen::NoRoom);
        assert_eq!(sessions.see(&alone(2), target(0), None, at(40)), Seen::New);
    }

    #[test]
    fn a_session_takes_what_is_said() {
        assert_eq!(size_of::<(u64, super::Session)>(), 40, "and a byte of the table's own");
        assert_eq!(size_of::<(u64, super::Home)>(), 16);
    }

    proptest! {
        #[test]
        fn counts_are_the_sums_of_sessions(
            steps in proptest::collection::vec((0_u64..20, 0_usize..4, proptest::option::of(0..=FETCHED_KBIT_S_MAX), 0_u64..20), 0..200),
        ) {
            let mut sessions = Sessions::new(SILENCE, u32::MAX);
            let mut model: HashMap<u64, (usize, u64, u64)> = HashMap::new();
            let mut now_s = 0;
            for (session, place, kbit_s, pause_s) in steps {
                now_s += pause_s;
                let before = model.get(&session).map_or(0, |(_, kbit_s, _)| *kbit_s);
                model.insert(session, (place, kbit_s.map_or(before, u64::from), now_s));
                sessions.see(&alone(session), target(place), kbit_s.map(Fetches::Reported), at(now_s));
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
