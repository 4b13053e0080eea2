//! What choosing a target costs: among 3 and among 64, by each balancer, for a new session, one that stays and one that is moved, with
//! most of the targets taken out, and the order of all for a steering manifest.

#![allow(
    missing_docs,
    clippy::expect_used,
    reason = "criterion's macros make public items; a bench stops when it cannot go on"
)]

use std::{hint::black_box, time::Duration};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use wayside_balance::{adaptive::Adaptive, moment::Moment, nearest::Place, random::Random};
use wayside_decide::{name::Name, stream::asset::Balancer};
use wayside_stream::select::{
    Selector, Visitor,
    live::{Live, Probe},
    plan::Plan,
    set::{TargetIndex, TargetSet},
    target::{Pool, TargetSpec},
};

const BALANCERS: [(&str, Balancer); 7] = [
    ("adaptive", Balancer::Adaptive),
    ("round-robin", Balancer::RoundRobin),
    ("smooth-weighted", Balancer::SmoothWeighted),
    ("least-connections", Balancer::LeastConnections),
    ("peak-ewma", Balancer::PeakEwma),
    ("consistent-hash", Balancer::ConsistentHash),
    ("nearest", Balancer::Nearest),
];

/// Targets of four regions, each with its load, latency and bitrate.
fn pool(count: usize, random: &mut Random) -> (Pool, Live) {
    let name = |text: String| Name::parse("name", &text).expect("a name");
    let specs = (0..count).map(|index| TargetSpec {
        place: Place::new(random.share() * 180.0 - 90.0, random.share() * 360.0 - 180.0).ok(),
        weight: 1 + random.below(10) as u32,
        sessions_max: Some(1_000_000),
        kbit_s_max: Some(1_000_000),
        kbit_s_commit: Some(800_000),
        cost: random.below(5) as u32,
        ..TargetSpec::new(name(format!("target-{index}")), name(format!("region-{}", index % 4)))
    });
    let pool = Pool::new(specs.collect()).expect("a pool");
    let mut live = Live::new(&pool, Adaptive::default(), Duration::from_secs(10), Moment::default());
    for target in pool.all().iter() {
        let took = Duration::from_micros(1_000 + random.below(50_000) as u64);
        live.probe(&pool, target, Probe::Answered(took), Moment::default());
        let kbit_s = random.below(700_000) as u64;
        live.set_counted(&pool, target, random.below(2_000) as u32, kbit_s);
    }
    (pool, live)
}

fn select(criterion: &mut Criterion) {
    let mut random = Random::new(1);
    let now = Moment::after_start(Duration::from_secs(1));
    for count in [3, 64] {
        let (pool, mut live) = pool(count, &mut random);
        let near = pool.of_region(&Name::parse("name", "region-1").expect("a name"));
        for (name, balancer) in BALANCERS {
            let mut selector = Selector::new(&pool, Plan::of_all(&pool), balancer);
            for (group, near) in [("all", TargetSet::EMPTY), ("near", near)] {
                let mut session = 0_u64;
                criterion.bench_function(&format!("pick/{name}/{group}/{count}"), |bench| {
                    bench.iter(|| {
                        session += 1;
                        let id = session.to_be_bytes();
                        let visitor = Visitor {
                            near,
                            place: Place::new(10.0, 20.0).ok(),
                            ..Visitor::new(&id)
                        };
                        selector.pick(&pool, black_box(&mut live), &visitor, now, &mut random)
                    });
                });
            }
        }
        let mut selector = Selector::new(&pool, Plan::of_all(&pool), Balancer::Adaptive);
        let mut visitor = Visitor {
            near,
            ..Visitor::new(b"a session")
        };
        for listed in [4, count] {
            criterion.bench_function(&format!("order-of-{listed}/{count}"), |bench| {
                bench.iter(|| selector.order(&pool, black_box(&mut live), &visitor, listed, now, &mut random));
            });
        }
        visitor.current = TargetIndex::new(1);
        criterion.bench_with_input(BenchmarkId::new("kept", count), &visitor, |bench, visitor| {
            bench.iter(|| selector.pick(&pool, black_box(&mut live), visitor, now, &mut random));
        });
        visitor.among.set(TargetIndex::new(1).expect("a place"), false);
        visitor.near = TargetSet::EMPTY;
        criterion.bench_with_input(BenchmarkId::new("moved", count), &visitor, |bench, visitor| {
            bench.iter(|| selector.pick(&pool, black_box(&mut live), visitor, now, &mut random));
        });
    }
}

criterion_group!(benches, select);
criterion_main!(benches);
