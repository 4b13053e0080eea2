//! What choosing costs: each balancer over three and over a hundred targets, and a whole request through a fleet.

#![allow(
    missing_docs,
    clippy::expect_used,
    reason = "criterion's macros make public items; a bench stops when it cannot go on"
)]

use std::{hint::black_box, time::Duration};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use wayside_balance::{
    adaptive::{Adaptive, Signals},
    consistent_hash::{Member, Ring},
    fleet::{
        Fleet,
        attempt::{Ended, Read},
        settings::{RegionSpec, Settings},
    },
    latency::PeakEwma,
    least_connections::{self, Busy},
    moment::Moment,
    nearest::{self, Place},
    quantile::Quantile,
    random::Random,
    round_robin::RoundRobin,
    smooth_weighted::SmoothWeighted,
    two_choices,
};

const COUNTS: [usize; 2] = [3, 100];

fn simple(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pick");
    for count in COUNTS {
        let mut turn = RoundRobin::default();
        group.bench_function(BenchmarkId::new("round-robin", count), |bench| {
            bench.iter(|| turn.pick(count, |_| true));
        });
        let weights: Vec<u32> = (1..=count as u32).collect();
        let mut weighted = SmoothWeighted::new(&weights);
        group.bench_function(BenchmarkId::new("smooth-weighted", count), |bench| {
            bench.iter(|| weighted.pick(|_| true));
        });
        let mut random = Random::new(1);
        let busy: Vec<Busy> = weights
            .iter()
            .map(|weight| Busy {
                open: 7 * weight % 13,
                weight: 1,
            })
            .collect();
        group.bench_function(BenchmarkId::new("least-connections", count), |bench| {
            bench.iter(|| least_connections::pick(black_box(&busy), |_| true, &mut random));
        });
        let now = Moment::after_start(Duration::from_secs(1));
        let latency = PeakEwma::new(Duration::from_millis(30), Duration::from_secs(10), Moment::default());
        let latencies = vec![latency; count];
        group.bench_function(BenchmarkId::new("peak-ewma", count), |bench| {
            bench.iter(|| two_choices::pick(count, |_| 1, |target| latencies[target].cost(1, now), &mut random));
        });
    }
}

fn informed(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pick");
    for count in COUNTS {
        let mut random = Random::new(1);
        let names: Vec<String> = (0..count).map(|index| format!("target-{index}")).collect();
        let members: Vec<Member<'_>> = names
            .iter()
            .map(|name| Member {
                name,
                weight: 1,
                points: 160,
            })
            .collect();
        let ring = Ring::new(&members, 1.25);
        let mut key = 0_u64;
        group.bench_function(BenchmarkId::new("consistent-hash", count), |bench| {
            bench.iter(|| {
                key += 1;
                ring.pick(&key.to_be_bytes(), |_| 1, |_| true)
            });
        });
        let places: Vec<Place> = (0..count)
            .map(|_| Place::new(random.share() * 180.0 - 90.0, random.share() * 360.0 - 180.0).expect("a place"))
            .collect();
        group.bench_function(BenchmarkId::new("nearest", count), |bench| {
            bench.iter(|| nearest::pick(&places[0], black_box(&places), |_| true));
        });
        let signals: Vec<Signals> = (0..count)
            .map(|_| Signals {
                load: random.share(),
                latency: random.up_to(Duration::from_millis(100)),
                bandwidth: random.share(),
            })
            .collect();
        let adaptive = Adaptive::default();
        group.bench_function(BenchmarkId::new("adaptive", count), |bench| {
            bench.iter(|| {
                let cost = |target: usize| -adaptive.score(&black_box(&signals)[target], Duration::from_millis(1));
                two_choices::pick(count, |_| 1, cost, &mut random)
            });
        });
    }
}

fn around(criterion: &mut Criterion) {
    let mut random = Random::new(1);
    let (mut p95, mut now) = (Quantile::new(0.95, Duration::from_secs(30)), Moment::default());
    criterion.bench_function("quantile/record-and-estimate", |bench| {
        bench.iter(|| {
            now = now + Duration::from_millis(1);
            p95.record(random.up_to(Duration::from_millis(100)), now);
            p95.estimate(now)
        });
    });
    let specs = [0, 1].map(|preference| RegionSpec { preference, origins: 2 });
    let mut fleet = Fleet::new(&specs, Settings::default(), now).expect("origins");
    criterion.bench_function("fleet/request", |bench| {
        bench.iter(|| {
            now = now + Duration::from_millis(1);
            let attempt = fleet.first(Read::Small, now, &mut random);
            fleet.finish(&attempt, Ended::Answered, now + Duration::from_micros(500), &mut random);
        });
    });
}

criterion_group!(benches, simple, informed, around);
criterion_main!(benches);
