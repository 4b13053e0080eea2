//! Many tenants on one pool: one that spins takes nobody else's turn, and nothing waits for ever.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use wayside_decide::{
    decision::{Decision, Failure},
    facts::Facts,
    name::Name,
    question::{Answer, Question},
    trace::Recorder,
};
use wayside_policy::{
    admission::Admission,
    compiler::Compiler,
    guest::Guest,
    pool::{Pool, PoolOptions},
};

use crate::{component, engine, load, with_settings};

fn tenant(name: &str) -> Name {
    Name::parse("tenant", name).expect("name")
}

fn pool(options: PoolOptions) -> Arc<Pool> {
    Arc::new(Pool::new(&options).expect("pool"))
}

/// Options under which nothing but the test's own doing makes a run wait too long.
fn patient(workers: usize) -> PoolOptions {
    PoolOptions {
        workers,
        wait_max: Duration::from_secs(60),
        ..PoolOptions::default()
    }
}

/// A guest that may run for so long that the order of things is certain.
fn slow_guest(deadline: Duration) -> Arc<Guest> {
    let admission = Admission::new(engine(deadline), Compiler::here());
    Arc::new(admission.load(&component("hostile")).expect("guest"))
}

#[tokio::test]
async fn a_run_brings_back_decision_trace_and_log() {
    let pool = pool(patient(2));
    let run = pool
        .run(&tenant("a"), load("hostile"), with_settings(&[("mode", "talk")]))
        .await;
    assert_eq!(run.result, Ok(Decision::Proceed));
    assert_eq!((run.recorder.trace().len(), run.log.len()), (1, 16));
    assert!(run.took > Duration::ZERO);
}

#[tokio::test]
async fn a_spinning_tenant_does_not_stop_another_from_being_served() {
    let guest = slow_guest(Duration::from_millis(200));
    let pool = pool(patient(2));
    let spinning: Vec<_> = (0..6)
        .map(|_| {
            let (pool, guest) = (Arc::clone(&pool), Arc::clone(&guest));
            tokio::spawn(async move {
                pool.run(&tenant("spinner"), guest, with_settings(&[("mode", "loop")]))
                    .await;
                Instant::now()
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    for _ in 0..5 {
        let run = pool.run(&tenant("other"), Arc::clone(&guest), with_settings(&[])).await;
        assert_eq!(run.result, Ok(Decision::Proceed));
    }
    let served = Instant::now();
    let mut last = served;
    for spin in spinning {
        last = last.max(spin.await.expect("no panic"));
    }
    // One at a time, the six take 1.2 s at least; the other tenant was served while they went on.
    assert!(last > served, "the other tenant waited for the spinner");
}

#[tokio::test]
async fn whoever_waits_too_long_is_told_so_and_keeps_the_recorder() {
    let guest = slow_guest(Duration::from_secs(2));
    let pool = pool(PoolOptions {
        wait_max: Duration::from_millis(400),
        ..patient(1)
    });
    let spin = {
        let (pool, guest) = (Arc::clone(&pool), Arc::clone(&guest));
        tokio::spawn(async move {
            pool.run(&tenant("a"), guest, with_settings(&[("mode", "loop")]))
                .await
                .result
        })
    };
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut late = pool
        .run(&tenant("b"), Arc::clone(&guest), with_settings(&[("x", "y")]))
        .await;
    assert_eq!(late.result, Err(Failure::Overloaded));
    assert!(late.waited >= Duration::from_millis(400) && late.took.is_zero());
    assert_eq!(
        late.recorder.ask(Question::Setting("x".into())),
        Ok(Answer::text(Some("y")))
    );
    // A run that has begun is not given up: it ends by its deadline, or because this machine had no time for it.
    let spun = spin.await.expect("no panic");
    let is_cut_off = matches!(spun, Err(Failure::DeadlineExceeded { .. } | Failure::Unavailable(_)));
    assert!(is_cut_off, "{spun:?}");
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let guest = slow_guest(Duration::from_secs(2));
    let pool = pool(PoolOptions {
        tenant_queue_max: 1,
        ..patient(1)
    });
    let start = |name: &'static str, mode: &'static str| {
        let (pool, guest) = (Arc::clone(&pool), Arc::clone(&guest));
        tokio::spawn(async move {
            pool.run(&tenant(name), guest, with_settings(&[("mode", mode)]))
                .await
                .result
        })
    };
    let running = start("a", "loop");
    tokio::time::sleep(Duration::from_millis(200)).await;
    let waiting = start("a", "harmless");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(
        start("a", "harmless").await.expect("no panic"),
        Err(Failure::Overloaded)
    );
    let other = start("b", "harmless");
    assert!(running.await.expect("no panic").is_err());
    assert_eq!(waiting.await.expect("no panic"), Ok(Decision::Proceed));
    assert_eq!(other.await.expect("no panic"), Ok(Decision::Proceed));
}

#[tokio::test]
async fn a_panic_of_the_host_ends_the_run_and_not_the_worker() {
    struct Broken;
    impl Facts for Broken {
        fn answer(&self, _: &Question) -> Answer {
            panic!("broken facts");
        }

        fn now_s(&self) -> u64 {
            0
        }
    }
    let pool = pool(patient(1));
    for _ in 0..3 {
        let run = pool
            .run(&tenant("a"), load("hostile"), Recorder::new(Arc::new(Broken)))
            .await;
        assert!(matches!(run.result, Err(Failure::Unavailable(_))));
    }
    let run = pool.run(&tenant("a"), load("hostile"), with_settings(&[])).await;
    assert_eq!(run.result, Ok(Decision::Proceed));
}

#[test]
fn dropping_the_pool_joins_its_threads() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("runtime");
    let guest = load("hostile");
    let pool = Pool::new(&patient(2)).expect("pool");
    let run = runtime.block_on(pool.run(&tenant("a"), Arc::clone(&guest), with_settings(&[])));
    assert_eq!(run.result, Ok(Decision::Proceed));
    drop((run, pool));
    // Every worker has let go of the guest.
    assert_eq!(Arc::strong_count(&guest), 1);
}
