//! A fleet of regions that die, hang, slow down and heal, in virtual time and from seeds: what a fleet of origins must
//! hold whatever happens.

#![allow(
    clippy::expect_used,
    reason = "a test says what it expects by failing, and these functions are no tests of their own"
)]

mod observer;
mod world;

use world::World;

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
