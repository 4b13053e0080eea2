use std::time::Duration;

use super::{
    Fleet, OriginIndex, RegionIndex,
    attempt::{Attempt, Ended, Kind, Read, Transition},
    settings::{RegionSpec, Settings},
};
use crate::{moment::Moment, random::Random};

const SECOND: Duration = Duration::from_secs(1);
const QUICK: Duration = Duration::from_millis(5);

/// A fleet, a clock and a seed.
struct Run {
    fleet: Fleet,
    now: Moment,
    random: Random,
}

impl Run {
    /// Regions given by preference and count of origins.
    fn new(regions: &[(u32, usize)]) -> Self {
        let spec = |(preference, origins): &(u32, usize)| RegionSpec {
            preference: *preference,
            origins: *origins,
        };
        let specs: Vec<RegionSpec> = regions.iter().map(spec).collect();
        let fleet = Fleet::new(&specs, Settings::default(), Moment::default()).expect("origins");
        Self {
            fleet,
            now: Moment::default(),
            random: Random::new(11),
        }
    }

    fn first(&mut self) -> Attempt {
        self.fleet.first(Read::Small, self.now, &mut self.random)
    }

    fn end(&mut self, attempt: &Attempt, ended: Ended, took: Duration) {
        self.now = self.now + took;
        self.fleet.finish(attempt, ended, self.now, &mut self.random);
    }

    /// As many requests, of which those to regions in `bad` fail; how many went to each region.
    fn ask(&mut self, count: usize, bad: &[usize], took: impl Fn(usize) -> Duration) -> Vec<usize> {
        let mut asked = vec![0; self.fleet.regions.len()];
        for _ in 0..count {
            let attempt = self.first();
            let RegionIndex(region) = self.fleet.region_of(attempt.origin());
            asked[region] += 1;
            let ended = if bad.contains(&region) {
                Ended::Failed
            } else {
                Ended::Answered
            };
            self.end(&attempt, ended, took(region));
        }
        asked
    }

    fn share(&self, region: usize) -> u8 {
        self.fleet.region_view(RegionIndex(region)).share
    }
}

#[test]
fn nobody_to_ask_is_refused_at_the_start() {
    let refused = |specs: &[RegionSpec]| Fleet::new(specs, Settings::default(), Moment::default()).is_err();
    let spec = |origins| RegionSpec { preference: 0, origins };
    assert!(refused(&[]) && refused(&[spec(1), spec(0)]) && !refused(&[spec(1)]));
}

#[test]
fn a_region_at_a_step_gets_that_share_and_the_next_one_the_rest() {
    let mut run = Run::new(&[(0, 1), (1, 1), (2, 1)]);
    run.ask(20, &[0], |_| QUICK);
    assert_eq!((run.share(0), run.share(1)), (0, 100), "left at once");
    run.now = run.now + 60 * SECOND;
    let probe = run.first();
    assert_eq!((probe.origin(), probe.kind()), (OriginIndex(0), Kind::Probe));
    run.end(&probe, Ended::Answered, QUICK);
    for (percent, expected) in [(10, 100), (25, 250), (50, 500), (75, 750), (100, 1_000)] {
        assert_eq!(run.share(0), percent);
        // Quick enough that the step's time does not pass meanwhile.
        let asked = run.ask(1_000, &[], |_| Duration::from_micros(10));
        assert!(asked[0].abs_diff(expected) < 60, "{percent} %: {asked:?}");
        assert!(asked[2] <= 1, "nothing but a check: {asked:?}");
        run.now = run.now + 10 * SECOND;
        run.ask(1, &[], |_| QUICK);
    }
}

#[test]
fn of_equal_regions_the_quicker_one_goes_first_and_the_other_is_measured_now_and_then() {
    let mut run = Run::new(&[(0, 2), (0, 2)]);
    let slow_first = |region| if region == 0 { 20 * QUICK } else { QUICK };
    // A check each half a minute tells how quick the other is.
    run.ask(400, &[], slow_first);
    assert_eq!(run.fleet.order()[0], RegionIndex(1));
    let asked = run.ask(10_000, &[], slow_first);
    assert!((1..=3).contains(&asked[0]), "{asked:?}");
    assert!(run.fleet.region_view(RegionIndex(0)).latency.is_some());
}

#[test]
fn retries_try_two_of_a_region_and_then_another() {
    let mut run = Run::new(&[(0, 3), (1, 3)]);
    let attempt = run.first();
    let mut tried = vec![attempt.origin()];
    run.end(&attempt, Ended::Failed, QUICK);
    while let Some(attempt) = run.fleet.retry(Read::Small, &tried, run.now, &mut run.random) {
        tried.push(attempt.origin());
        run.end(&attempt, Ended::Failed, QUICK);
    }
    let regions: Vec<usize> = tried.iter().map(|origin| run.fleet.region_of(*origin).0).collect();
    assert_eq!(regions, [0, 0, 1]);
}

#[test]
fn large_reads_neither_probe_nor_count_as_slow() {
    let mut run = Run::new(&[(0, 1), (1, 1)]);
    run.ask(20, &[0], |_| QUICK);
    run.now = run.now + 60 * SECOND;
    let large = run.fleet.first(Read::Large, run.now, &mut run.random);
    assert_eq!((large.origin(), large.kind()), (OriginIndex(1), Kind::Ordinary));
    let before = run.fleet.origin(OriginIndex(1), run.now).latency;
    run.end(&large, Ended::Answered, 20 * SECOND);
    assert_eq!(run.fleet.origin(OriginIndex(1), run.now).latency, before);
}

#[test]
fn whoever_broke_off_is_not_followed_again_while_there_is_another() {
    let mut run = Run::new(&[(0, 2), (1, 1)]);
    let mut left = None;
    for _ in 0..20 {
        let attempt = run.fleet.follow(left, run.now, &mut run.random);
        assert_ne!(left, Some(attempt.origin()));
        assert_eq!(
            run.fleet.region_of(attempt.origin()),
            RegionIndex(0),
            "of the preferred region"
        );
        left = Some(attempt.origin());
        run.end(&attempt, Ended::Abandoned, QUICK);
    }
    let broken = left.expect("followed");
    for _ in 0..5 {
        run.fleet.blame(broken, run.now, &mut run.random);
    }
    let opened = run.fleet.take_transitions();
    assert!(
        matches!(opened[..], [Transition::Breaker { origin, .. }] if origin == broken),
        "{opened:?}"
    );
    let mut alone = Run::new(&[(0, 1)]);
    let attempt = alone.fleet.follow(Some(OriginIndex(0)), alone.now, &mut alone.random);
    assert_eq!(attempt.origin(), OriginIndex(0), "there is nobody else");
    alone.end(&attempt, Ended::Abandoned, QUICK);
}

#[test]
fn the_only_region_is_never_left() {
    let mut run = Run::new(&[(0, 2)]);
    run.ask(100, &[0], |_| QUICK);
    assert!(run.fleet.is_in_panic());
    assert_eq!(run.share(0), 100);
    run.ask(1, &[], |_| QUICK);
    assert!(!run.fleet.is_in_panic(), "the first answer ends it");
}
