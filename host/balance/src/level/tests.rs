//! Histories of signals, chosen and random.

use std::time::Duration;

use proptest::{collection::vec, prelude::*};

use super::{AtomicLevel, Cause, Ladder, Level, Settings, Signals, Transition};
use crate::moment::Moment;

/// Time between two looks.
const STEP: Duration = Duration::from_millis(250);

const CALM: Signals = Signals {
    latency: Duration::ZERO,
    memory: 0.0,
    policy_queue: 0.0,
    loads: 0.0,
    origins_fail: false,
};

fn at(step: usize) -> Moment {
    Moment::after_start(STEP * u32::try_from(step).expect("few"))
}

/// Every change that a history brings, with the number of its look, from some look on.
fn changes(ladder: &mut Ladder, from: usize, history: &[Signals]) -> Vec<(usize, Transition)> {
    let look = |(step, signals)| Some((from + step, ladder.look(signals, at(from + step))?));
    history.iter().enumerate().filter_map(look).collect()
}

/// What each signal says alone when it is as bad as can be.
fn worst_of(cause: Cause) -> Signals {
    match cause {
        Cause::Latency => Signals {
            latency: Duration::MAX,
            ..CALM
        },
        Cause::Memory => Signals { memory: 2.0, ..CALM },
        Cause::PolicyQueue => Signals {
            policy_queue: 1.0,
            ..CALM
        },
        Cause::Loads => Signals { loads: 1.0, ..CALM },
        Cause::Origins => Signals {
            origins_fail: true,
            ..CALM
        },
        Cause::Pinned => CALM,
    }
}

#[test]
fn each_signal_leads_as_far_as_it_may_and_no_further() {
    for (cause, furthest) in [
        (Cause::Latency, Level::Emergency),
        (Cause::Memory, Level::Emergency),
        (Cause::PolicyQueue, Level::CoreOnly),
        (Cause::Loads, Level::Reduced),
        (Cause::Origins, Level::Reduced),
    ] {
        let mut ladder = Ladder::new(Settings::default(), at(0));
        let changed = changes(&mut ladder, 0, &[worst_of(cause); 400]);
        let expected = Transition {
            from: Level::Full,
            to: furthest,
            cause,
        };
        assert_eq!(
            changed,
            [(4, expected)],
            "confirmed within a second, at once as far as it goes"
        );
        assert_eq!((ladder.cause(), ladder.since()), (Some(cause), at(4)));
    }
}

#[test]
fn a_moment_is_no_reason() {
    let mut ladder = Ladder::new(Settings::default(), at(0));
    let bad = worst_of(Cause::Memory);
    // Four looks span three quarters of a second; and each cause must have lasted by itself.
    let by_turns = [bad, worst_of(Cause::Latency)].repeat(20);
    let with_breaks = [bad, bad, bad, bad, CALM].repeat(20);
    assert_eq!(changes(&mut ladder, 0, &[by_turns, with_breaks].concat()), []);
}

#[test]
fn the_way_back_is_step_by_step_and_each_step_takes_its_time() {
    let mut ladder = Ladder::new(Settings::default(), at(0));
    changes(&mut ladder, 0, &[worst_of(Cause::Memory); 5]);
    assert_eq!(ladder.level(), Level::Emergency);
    let changed = changes(&mut ladder, 5, &[CALM; 200]);
    let steps: Vec<_> = changed.iter().map(|(step, change)| (*step, change.to)).collect();
    assert_eq!(steps, [(45, Level::CoreOnly), (85, Level::Reduced), (125, Level::Full)]);
    assert!(changed.iter().all(|(_, change)| change.cause == Cause::Memory));
    assert_eq!(ladder.cause(), None);
}

#[test]
fn what_keeps_a_level_is_its_cause_also_when_another_had_brought_it() {
    let mut ladder = Ladder::new(Settings::default(), at(0));
    changes(&mut ladder, 0, &[worst_of(Cause::Loads); 10]);
    changes(&mut ladder, 10, &[worst_of(Cause::Origins); 100]);
    assert_eq!((ladder.level(), ladder.cause()), (Level::Reduced, Some(Cause::Origins)));
    let back = changes(&mut ladder, 110, &[CALM; 50]);
    assert_eq!(back.len(), 1);
    assert_eq!(back[0].1.cause, Cause::Origins);
}

#[test]
fn a_signal_around_a_threshold_changes_the_level_once() {
    let mut ladder = Ladder::new(Settings::default(), at(0));
    let around = [0.99, 0.81, 0.96, 0.79, 0.95, 0.9].map(|memory| Signals { memory, ..CALM });
    changes(&mut ladder, 0, &[Signals { memory: 0.96, ..CALM }; 5]);
    assert_eq!(ladder.level(), Level::CoreOnly);
    assert_eq!(changes(&mut ladder, 5, &around.repeat(100)), []);
}

#[test]
fn an_operator_has_the_last_word() {
    let pinned = |level| Settings {
        pinned: Some(level),
        ..Settings::default()
    };
    let worst = |worst| Settings {
        worst,
        ..Settings::default()
    };
    for level in Level::ALL {
        let mut ladder = Ladder::new(pinned(level), at(0));
        assert_eq!(changes(&mut ladder, 0, &[worst_of(Cause::Memory); 50]), []);
        assert_eq!(changes(&mut ladder, 50, &[CALM; 100]), []);
        assert_eq!((ladder.level(), ladder.cause()), (level, Some(Cause::Pinned)));
        let mut ladder = Ladder::new(worst(level), at(0));
        changes(&mut ladder, 0, &[worst_of(Cause::Memory); 50]);
        assert_eq!(ladder.level(), level);
        changes(&mut ladder, 50, &[CALM; 200]);
        assert_eq!(ladder.level(), Level::Full);
    }
}

#[test]
fn what_is_no_number_and_a_clock_that_goes_back_do_no_harm() {
    let mut ladder = Ladder::new(Settings::default(), at(0));
    let none = Signals {
        memory: f64::NAN,
        policy_queue: f64::NAN,
        loads: f64::NAN,
        ..CALM
    };
    assert_eq!(changes(&mut ladder, 0, &[none; 50]), []);
    changes(&mut ladder, 100, &[worst_of(Cause::Memory); 10]);
    assert_eq!(ladder.level(), Level::Emergency);
    assert_eq!(ladder.look(&CALM, at(0)), None);
    changes(&mut ladder, 1, &[CALM; 200]);
    assert_eq!(ladder.level(), Level::Full);
}

#[test]
fn every_level_is_read_as_it_was_set() {
    let level = AtomicLevel::default();
    assert_eq!(level.get(), Level::Full);
    for set in Level::ALL {
        level.set(set);
        assert_eq!(level.get(), set);
    }
}

fn signals() -> impl Strategy<Value = Signals> {
    (0_u64..3_000, 0.0..1.2_f64, 0.0..1.2_f64, 0.0..1.2_f64, any::<bool>()).prop_map(
        |(latency_ms, memory, policy_queue, loads, origins_fail)| Signals {
            latency: Duration::from_millis(latency_ms),
            memory,
            policy_queue,
            loads,
            origins_fail,
        },
    )
}

/// Signals that last for a few looks each: what changes with every look confirms nothing.
fn history() -> impl Strategy<Value = Vec<Signals>> {
    vec((signals(), 1_usize..60), 1..12).prop_map(|pieces| {
        let piece = |(signals, count): (Signals, usize)| std::iter::repeat_n(signals, count);
        pieces.into_iter().flat_map(piece).collect()
    })
}

/// The same, a little worse in some signals.
fn worse() -> impl Strategy<Value = (Vec<Signals>, Vec<Signals>)> {
    (history(), signals(), any::<[bool; 5]>()).prop_map(|(history, more, which)| {
        let add = |signals: &Signals| Signals {
            latency: signals.latency + more.latency * u32::from(which[0]),
            memory: signals.memory + more.memory * f64::from(u8::from(which[1])),
            policy_queue: signals.policy_queue + more.policy_queue * f64::from(u8::from(which[2])),
            loads: signals.loads + more.loads * f64::from(u8::from(which[3])),
            origins_fail: signals.origins_fail || which[4],
        };
        let worse = history.iter().map(add).collect();
        (history, worse)
    })
}

proptest! {
    /// At every look, whatever came before.
    #[test]
    fn worse_signals_never_lead_to_a_better_level((history, worse) in worse()) {
        let (mut one, mut other) = (Ladder::new(Settings::default(), at(0)), Ladder::new(Settings::default(), at(0)));
        for (step, (signals, worse)) in history.iter().zip(&worse).enumerate() {
            one.look(signals, at(step));
            other.look(worse, at(step));
            prop_assert!(one.level() <= other.level(), "look {step}: {:?} and {:?}", one.level(), other.level());
        }
    }

    #[test]
    fn down_is_one_step_at_a_time_and_never_before_its_time(history in history()) {
        let settings = Settings::default();
        let mut ladder = Ladder::new(settings, at(0));
        let mut last = at(0);
        for (step, change) in changes(&mut ladder, 0, &history) {
            if change.to < change.from {
                prop_assert_eq!(change.to as u8 + 1, change.from as u8);
                prop_assert!(at(step).since(last) >= settings.recover, "{:?} at look {}", change, step);
            }
            last = at(step);
        }
    }

    #[test]
    fn calm_always_ends_at_the_best_level(history in history()) {
        let settings = Settings::default();
        let mut ladder = Ladder::new(settings, at(0));
        changes(&mut ladder, 0, &history);
        let steps = ladder.level() as u32;
        let needed = settings.recover * steps;
        let looks = usize::try_from(needed.as_millis() / STEP.as_millis()).expect("few") + 1;
        changes(&mut ladder, history.len(), &vec![CALM; looks]);
        prop_assert_eq!(ladder.level(), Level::Full);
        prop_assert_eq!(ladder.cause(), None);
    }

    /// Held links need no origin: visitors notice nothing of theirs.
    #[test]
    fn origins_and_loads_alone_never_lead_past_reduced(history in history()) {
        let mut ladder = Ladder::new(Settings::default(), at(0));
        for (step, signals) in history.iter().enumerate() {
            ladder.look(&Signals { loads: signals.loads, origins_fail: signals.origins_fail, ..CALM }, at(step));
            prop_assert!(ladder.level() <= Level::Reduced);
        }
    }

    #[test]
    fn a_signal_between_two_looks_at_a_threshold_changes_the_level_twice_at_most(
        values in vec(0.8..1.2_f64, 1..400),
        threshold in 0_usize..3,
    ) {
        let settings = Settings::default();
        let mut ladder = Ladder::new(settings, at(0));
        let reached = settings.thresholds.memory[threshold];
        let history: Vec<_> = values.iter().map(|value| Signals { memory: reached * value, ..CALM }).collect();
        let down = changes(&mut ladder, 0, &history).into_iter().filter(|(_, change)| change.to < change.from);
        // It never was well under the threshold: it may be under that of the level above, which is another's.
        prop_assert!(down.into_iter().all(|(_, change)| change.to as usize > threshold));
    }
}
