//! A fleet of regions that die, hang, slow down and heal, in virtual time and from seeds: what a fleet of origins must
//! hold whatever happens.

#![allow(
    clippy::expect_used,
    reason = "a test says what it expects by failing, and these functions are no tests of their own"
)]

mod observer;
mod world;

use std::time::Duration;

use wayside_balance::fleet::settings::RegionSpec;
use world::{Condition, World};

const SEEDS: u64 = 10_000;
/// Tests that share the seeds, so that cores do, too.
const PARTS: u64 = 2;

fn run_part(part: u64) {
    for seed in (0..SEEDS).filter(|seed| seed % PARTS == part) {
        World::new(seed).run();
    }
}

#[test]
fn fleets_hold_what_they_promise_over_the_even_of_ten_thousand_seeds() {
    run_part(0);
}

#[test]
fn fleets_hold_what_they_promise_over_the_odd_of_ten_thousand_seeds() {
    run_part(1);
}

#[test]
fn a_seed_replays_the_same_outage() {
    for seed in 0..20 {
        assert_eq!(World::new(seed).run(), World::new(seed).run(), "seed {seed}");
    }
}

#[test]
fn the_seeds_show_what_they_are_meant_to_show() {
    let mut seen = observer::Seen::default();
    for seed in 0..100 {
        seen += World::new(seed).run();
    }
    let kinds = [
        seen.failed,
        seen.retries,
        seen.hedges,
        seen.probes,
        seen.panics,
        seen.opened,
        seen.left,
        seen.steps_lost,
    ];
    assert!(kinds.iter().all(|count| *count > 50), "{seen:?}");
    assert!(seen.failed * 4 < seen.requests, "most are answered: {seen:?}");
}

/// Two regions of two origins, five hundred requests a second, and the preferred region gone from one moment to the next:
/// by resets, or by a network that eats everything.
#[test]
fn a_region_that_goes_at_once_costs_no_request_and_nobody_two_seconds() {
    let specs = [0, 1].map(|preference| RegionSpec { preference, origins: 2 });
    let (second, pause) = (Duration::from_secs(1), Duration::from_millis(2));
    for seed in 0..20 {
        for gone in [Condition::Dead, Condition::Hung] {
            let seen = World::scripted(seed, &specs, pause, &[(5 * second, 0..2, gone)], 30 * second);
            assert_eq!((seen.left, seen.failed), (1, 0), "{gone:?}: {seen:?}");
            assert!(seen.slowest < 2 * second, "{gone:?}: {seen:?}");
            assert!(5 * (seen.retries + seen.hedges) < seen.requests, "{gone:?}: {seen:?}");
        }
    }
}

/// One that dies, is slow or breaks every other answer while others are well is left alone, not repaired by retries.
#[test]
fn one_bad_origin_of_three_costs_hardly_any_retries() {
    let specs = [RegionSpec {
        preference: 0,
        origins: 3,
    }];
    let (second, pause) = (Duration::from_secs(1), Duration::from_millis(2));
    for seed in 0..20 {
        for bad in [Condition::Dead, Condition::Hung, Condition::Slow, Condition::Flaky] {
            let seen = World::scripted(seed, &specs, pause, &[(5 * second, 0..1, bad)], 30 * second);
            assert_eq!(seen.failed, 0, "{bad:?}: {seen:?}");
            assert!(50 * seen.retries < seen.requests, "{bad:?}: {seen:?}");
        }
    }
}
