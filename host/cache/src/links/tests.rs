//! The cache against a loader that counts, waits and fails on command.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::Semaphore};
use wayside_decide::{link::Link, site::SiteId, status::RedirectStatus, target::Target};

use super::{LinkCache, Lookup, Settings, Tiers};
use crate::{
    clock::NodeClock,
    load::{LoadError, LoadLink, Loaded, Seen},
};

mod levels;
mod races;
mod tiers;

const SITE: SiteId = SiteId(1);

struct Loader {
    loads: AtomicU64,
    /// A load waits for a permit.
    gate: Semaphore,
    answer: Mutex<Loaded>,
}

impl LoadLink for Loader {
    fn load<'a>(
        &'a self,
        _: SiteId,
        path: &'a str,
        _: Option<Seen>,
    ) -> Pin<Box<dyn Future<Output = Loaded> + Send + 'a>> {
        Box::pin(async move {
            self.loads.fetch_add(1, Ordering::SeqCst);
            // As an origin reads: the answer is taken first and arrives later.
            let answer = self.answer.lock().expect("lock").clone();
            self.gate.acquire().await.expect("gate").forget();
            assert!(path != "/panic", "a loader that panics");
            answer
        })
    }
}

fn link(target: &str) -> Link {
    Link {
        target: Target::parse(target).expect("target"),
        status: RedirectStatus::Found,
        forward_query: false,
        starts_at: None,
        expires_at: None,
        fallback: None,
        tags: Box::default(),
        attributes: Box::default(),
    }
}

fn setup(answer: Loaded, permits: usize) -> (LinkCache, Arc<Loader>) {
    setup_with_ttl(answer, permits, Duration::from_secs(100))
}

fn setup_with_ttl(answer: Loaded, permits: usize, ttl: Duration) -> (LinkCache, Arc<Loader>) {
    setup_with(answer, permits, ttl, Duration::from_millis(500))
}

fn setup_with(answer: Loaded, permits: usize, ttl: Duration, load_timeout: Duration) -> (LinkCache, Arc<Loader>) {
    let loader = Arc::new(Loader {
        loads: AtomicU64::new(0),
        gate: Semaphore::new(permits),
        answer: Mutex::new(answer),
    });
    let settings = Settings {
        bytes_max: 1 << 20,
        ttl,
        negative_ttl: Duration::from_secs(5),
        stale_max: Duration::from_secs(1000),
        load_timeout,
        loads_max: 64,
    };
    let shared: Arc<dyn LoadLink> = loader.clone();
    let tiers = Tiers {
        clock: NodeClock::resume(None, 0, Instant::now()),
        disk: None,
        pop: None,
    };
    let cache = LinkCache::new(settings, tiers, Arc::default(), shared, Handle::current());
    (cache, loader)
}

fn held_target(lookup: Lookup) -> Option<String> {
    match lookup {
        Lookup::Held(held) => Some(
            held.link
                .as_ref()
                .map_or_else(String::new, |link| link.target.to_string()),
        ),
        Lookup::Missing => None,
    }
}

#[tokio::test]
async fn a_thousand_misses_are_one_load() {
    let (cache, loader) = setup(Ok(Some(link("https://a.example/"))), 0);
    let waiters: Vec<_> = (0..1000)
        .map(|_| {
            let cache = cache.clone();
            tokio::spawn(async move { cache.load(SITE, "/a").await.map(|held| held.link.is_some()) })
        })
        .collect();
    tokio::task::yield_now().await;
    loader.gate.add_permits(1);
    for waiter in waiters {
        assert_eq!(waiter.await.expect("join"), Ok(true));
    }
    assert_eq!(loader.loads.load(Ordering::SeqCst), 1);
    assert_eq!(
        held_target(cache.look_up(SITE, "/a", Instant::now())).as_deref(),
        Some("https://a.example/")
    );
    assert_eq!(
        held_target(cache.look_up(SiteId(2), "/a", Instant::now())),
        None,
        "another site shares nothing"
    );
}

#[tokio::test]
async fn who_missed_just_before_a_load_landed_needs_no_other() {
    let (cache, loader) = setup(Ok(Some(link("https://a.example/"))), 2);
    let missed = cache.look_up(SITE, "/a", Instant::now());
    assert!(matches!(missed, Lookup::Missing));
    cache.load(SITE, "/a").await.expect("another visitor's load");
    let late = cache.load(SITE, "/a").await.expect("what it brought");
    assert!(late.link.is_some());
    assert_eq!(loader.loads.load(Ordering::SeqCst), 1);
    cache.invalidate(SITE, "/a", 1);
    cache.load(SITE, "/a").await.expect("a load of its own");
    assert_eq!(loader.loads.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_invalidation_during_a_load_keeps_the_old_value_out() {
    let (cache, loader) = setup(Ok(Some(link("https://old.example/"))), 0);
    let waiter = tokio::spawn({
        let cache = cache.clone();
        async move { cache.load(SITE, "/a").await }
    });
    while loader.loads.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    *loader.answer.lock().expect("lock") = Ok(Some(link("https://new.example/")));
    cache.invalidate(SITE, "/a", 1);
    // Whoever asks after the change gets a load of their own, not the old flight.
    let later = tokio::spawn({
        let cache = cache.clone();
        async move { cache.load(SITE, "/a").await }
    });
    while loader.loads.load(Ordering::SeqCst) == 1 {
        tokio::task::yield_now().await;
    }
    loader.gate.add_permits(2);
    waiter.await.expect("join").expect("load");
    let later = later.await.expect("join").expect("load");
    assert_eq!(
        later.link.as_ref().map(|link| link.target.as_str()),
        Some("https://new.example/")
    );
    assert_eq!(
        held_target(cache.look_up(SITE, "/a", Instant::now())).as_deref(),
        Some("https://new.example/")
    );
}

#[tokio::test]
async fn absence_is_remembered_briefly_and_ended_by_an_invalidation() {
    let (cache, loader) = setup(Ok(None), 10);
    cache.load(SITE, "/new").await.expect("load");
    let now = Instant::now();
    assert_eq!(held_target(cache.look_up(SITE, "/new", now)).as_deref(), Some(""));
    assert_eq!(
        held_target(cache.look_up(SITE, "/new", now + Duration::from_secs(6))),
        None
    );
    *loader.answer.lock().expect("lock") = Ok(Some(link("https://a.example/")));
    cache.invalidate(SITE, "/new", 1);
    assert_eq!(held_target(cache.look_up(SITE, "/new", now)), None);
    assert!(cache.load(SITE, "/new").await.expect("load").link.is_some());
}

#[tokio::test]
async fn a_stale_link_is_served_and_refreshed_behind() {
    let (cache, loader) = setup(Ok(Some(link("https://a.example/"))), 1);
    cache.load(SITE, "/a").await.expect("load");
    *loader.answer.lock().expect("lock") = Ok(Some(link("https://b.example/")));
    let later = Instant::now() + Duration::from_secs(111);
    assert_eq!(
        held_target(cache.look_up(SITE, "/a", later)).as_deref(),
        Some("https://a.example/")
    );
    loader.gate.add_permits(1);
    while held_target(cache.look_up(SITE, "/a", Instant::now())).as_deref() != Some("https://b.example/") {
        tokio::task::yield_now().await;
    }
    assert_eq!(loader.loads.load(Ordering::SeqCst), 2);
    let much_later = Instant::now() + Duration::from_secs(1200);
    assert_eq!(
        held_target(cache.look_up(SITE, "/a", much_later)),
        None,
        "stale for a while, not for ever"
    );
}

#[tokio::test]
async fn errors_are_shared_not_kept_and_a_stale_link_outlives_them() {
    let failure = Err(LoadError::Failed("origin away".into()));
    let (cache, loader) = setup_with_ttl(failure.clone(), 10, Duration::ZERO);
    assert_eq!(cache.load(SITE, "/a").await.map(|_| ()), failure.clone().map(|_| ()));
    *loader.answer.lock().expect("lock") = Ok(Some(link("https://a.example/")));
    assert!(cache.load(SITE, "/a").await.is_ok());
    *loader.answer.lock().expect("lock") = failure;
    // Without a time to live the link is stale at once.
    for _ in 0..100 {
        let lookup = cache.look_up(SITE, "/a", Instant::now());
        assert_eq!(held_target(lookup).as_deref(), Some("https://a.example/"));
        tokio::task::yield_now().await;
    }
    let loads = loader.loads.load(Ordering::SeqCst);
    assert_eq!(
        loads, 3,
        "after a failed refresh a dead origin is not asked for every visitor"
    );
}

#[tokio::test]
async fn a_loader_that_hangs_or_panics_does_not_hang_those_who_wait() {
    let (cache, loader) = setup(Ok(None), 0);
    assert_eq!(
        cache.load(SITE, "/a").await.map(|_| ()),
        Err(LoadError::TimedOut { timeout_ms: 500 })
    );
    loader.gate.add_permits(2);
    assert_eq!(cache.load(SITE, "/panic").await.map(|_| ()), Err(LoadError::Aborted));
    assert!(cache.load(SITE, "/a").await.is_ok(), "the next one flies");
}

#[tokio::test]
async fn memory_is_bounded_and_links_in_use_outlive_a_flood() {
    let (cache, _) = setup(Ok(None), 0);
    let now = Instant::now();
    let put = |path: String| cache.restore(SITE, &path, link("https://a.example/"), now);
    (0..100).for_each(|number| put(format!("/used/{number}")));
    let mut used = 0;
    for number in 0..50_000 {
        put(format!("/flood/{number}"));
        // Each used link is asked for between floods of a few hundred others.
        let path = format!("/used/{}", number % 100);
        used += u32::from(
            cache
                .shared
                .memory
                .get(&super::KeyRef {
                    site: SITE,
                    path: &path,
                })
                .is_some(),
        );
    }
    let size = cache.size();
    assert!(size.bytes <= 1 << 20, "{size:?}");
    assert!(size.entries > 1_000, "{size:?}");
    assert!(used > 49_000, "found {used} of 50,000 times");
}
