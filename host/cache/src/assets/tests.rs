use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::Semaphore};
use wayside_balance::level::{AtomicLevel, Level};
use wayside_decide::site::SiteId;

use super::{AssetCache, Held, Known, LoadAsset, Loading, Settings};
use crate::load::{LoadError, Seen};

const SITE: SiteId = SiteId(1);

/// Numbers for assets; each takes as much as it says.
impl Held for u32 {
    fn weight(&self) -> usize {
        *self as usize
    }
}

/// An origin whose answers wait for permits, and which says what it was asked.
struct Origin {
    gate: Semaphore,
    answer: Mutex<Result<Known<u32>, ()>>,
    asked: AtomicUsize,
    seen: Mutex<Option<Seen>>,
}

impl LoadAsset<u32> for Origin {
    fn load<'a>(&'a self, _: SiteId, _: &'a str, seen: Option<Seen>) -> Loading<'a, u32> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            *self.seen.lock().expect("lock") = seen;
            let answer = self.answer.lock().expect("lock").clone();
            self.gate.acquire().await.expect("open").forget();
            match answer {
                // A new one each time, as of what is read from the wire.
                Ok(Known::There(value)) => Ok(Known::There(Arc::new(*value))),
                Ok(known) => Ok(known),
                Err(()) => Err(LoadError::Failed("away".to_owned())),
            }
        })
    }
}

/// Waits for what must become true soon.
async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    const SOON: Duration = Duration::from_secs(20);
    let give_up = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < give_up, "not within {SOON:?}: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn there(value: u32) -> Known<u32> {
    Known::There(Arc::new(value))
}

fn settings() -> Settings {
    Settings {
        bytes_max: 100_000,
        ttl: Duration::from_secs(60),
        negative_ttl: Duration::from_secs(60),
        stale_max: Duration::from_secs(60),
        load_timeout: Duration::from_secs(5),
        loads_max: 4,
    }
}

fn cache_with(settings: Settings) -> (AssetCache<u32>, Arc<Origin>, Arc<AtomicLevel>) {
    let origin = Arc::new(Origin {
        gate: Semaphore::new(0),
        answer: Mutex::new(Ok(there(1))),
        asked: AtomicUsize::new(0),
        seen: Mutex::default(),
    });
    let level = Arc::new(AtomicLevel::default());
    let loader: Arc<dyn LoadAsset<u32>> = Arc::clone(&origin) as _;
    let cache = AssetCache::new(settings, loader, Arc::clone(&level), Handle::current());
    (cache, origin, level)
}

fn value(known: Option<Known<u32>>) -> Option<u32> {
    match known? {
        Known::There(value) => Some(*value),
        Known::Gone | Known::Missing => None,
    }
}

#[tokio::test]
async fn all_who_ask_at_once_share_one_load() {
    let (cache, origin, _) = cache_with(settings());
    let asking: Vec<_> = (0..50)
        .map(|_| {
            let cache = cache.clone();
            tokio::spawn(async move { cache.load(SITE, "a").await })
        })
        .collect();
    tokio::task::yield_now().await;
    origin.gate.add_permits(1);
    for asking in asking {
        assert_eq!(value(asking.await.expect("no panic").ok()), Some(1));
    }
    assert_eq!(origin.asked.load(Ordering::SeqCst), 1);
    assert_eq!(value(cache.look_up(SITE, "a", Instant::now())), Some(1));
    assert!(cache.look_up(SiteId(2), "a", Instant::now()).is_none());
}

#[tokio::test]
async fn what_was_under_way_when_it_changed_is_not_kept() {
    let (cache, origin, _) = cache_with(settings());
    let asking = tokio::spawn({
        let cache = cache.clone();
        async move { cache.load(SITE, "a").await }
    });
    eventually("the origin is asked", || origin.asked.load(Ordering::SeqCst) > 0).await;
    cache.follow(Seen { epoch: 1, cursor: 6 });
    cache.invalidate(SITE, "a", 7);
    *origin.answer.lock().expect("lock") = Ok(there(2));
    origin.gate.add_permits(2);
    assert_eq!(value(asking.await.expect("no panic").ok()), Some(1));
    assert!(cache.look_up(SITE, "a", Instant::now()).is_none());
    assert_eq!(value(cache.load(SITE, "a").await.ok()), Some(2));
    assert_eq!(*origin.seen.lock().expect("lock"), Some(Seen { epoch: 1, cursor: 7 }));
}

#[tokio::test]
async fn what_is_not_trusted_is_served_when_nobody_answers() {
    let (cache, origin, level) = cache_with(settings());
    origin.gate.add_permits(100);
    assert_eq!(value(cache.load(SITE, "a").await.ok()), Some(1));
    cache.distrust_all();
    assert!(cache.look_up(SITE, "a", Instant::now()).is_none());
    *origin.answer.lock().expect("lock") = Err(());
    assert_eq!(value(cache.load(SITE, "a").await.ok()), Some(1));
    level.set(Level::CoreOnly);
    assert_eq!(value(cache.load(SITE, "a").await.ok()), Some(1));
    let asked = origin.asked.load(Ordering::SeqCst);
    assert!(matches!(cache.load(SITE, "b").await, Err(LoadError::Shed)));
    level.set(Level::Full);
    assert_eq!(origin.asked.load(Ordering::SeqCst), asked);
    *origin.answer.lock().expect("lock") = Ok(there(2));
    assert_eq!(value(cache.load(SITE, "a").await.ok()), Some(2));
    assert_eq!(value(cache.look_up(SITE, "a", Instant::now())), Some(2));
}

#[tokio::test]
async fn what_is_no_longer_fresh_is_renewed_behind_the_request() {
    let (cache, origin, _) = cache_with(Settings {
        ttl: Duration::ZERO,
        ..settings()
    });
    origin.gate.add_permits(100);
    assert_eq!(value(cache.load(SITE, "a").await.ok()), Some(1));
    *origin.answer.lock().expect("lock") = Ok(there(2));
    assert_eq!(value(cache.look_up(SITE, "a", Instant::now())), Some(1));
    eventually("the new one is there", || {
        value(cache.look_up(SITE, "a", Instant::now())) == Some(2)
    })
    .await;
}

#[tokio::test]
async fn a_deleted_asset_is_remembered_as_such() {
    let (cache, origin, _) = cache_with(settings());
    *origin.answer.lock().expect("lock") = Ok(Known::Gone);
    origin.gate.add_permits(1);
    assert!(matches!(cache.load(SITE, "a").await, Ok(Known::Gone)));
    assert!(matches!(cache.look_up(SITE, "a", Instant::now()), Some(Known::Gone)));
    assert_eq!((origin.asked.load(Ordering::SeqCst), cache.len()), (1, 1));
}

#[tokio::test]
async fn that_there_is_none_holds_while_nobody_can_say_otherwise_and_that_one_is_gone_does_not() {
    let (cache, origin, _) = cache_with(Settings {
        negative_ttl: Duration::from_millis(1),
        ..settings()
    });
    origin.gate.add_permits(100);
    *origin.answer.lock().expect("lock") = Ok(Known::Missing);
    assert!(matches!(cache.load(SITE, "a").await, Ok(Known::Missing)));
    *origin.answer.lock().expect("lock") = Ok(Known::Gone);
    assert!(matches!(cache.load(SITE, "b").await, Ok(Known::Gone)));
    *origin.answer.lock().expect("lock") = Err(());
    let later = Instant::now() + Duration::from_secs(30);
    assert!(matches!(cache.look_up(SITE, "a", later), Some(Known::Missing)));
    assert!(cache.look_up(SITE, "b", later).is_none());
    let much_later = later + Duration::from_secs(60);
    assert!(cache.look_up(SITE, "a", much_later).is_none());
    // It is asked for behind, and there as soon as the feed has told of it.
    *origin.answer.lock().expect("lock") = Ok(there(1));
    cache.invalidate(SITE, "a", 1);
    assert_eq!(value(cache.load(SITE, "a").await.ok()), Some(1));
}

#[tokio::test]
async fn what_is_the_same_as_before_is_no_change() {
    let (cache, origin, _) = cache_with(settings());
    origin.gate.add_permits(100);
    let load = async || match cache.load(SITE, "a").await {
        Ok(Known::There(asset)) => (asset, cache.version()),
        other => panic!("{other:?}"),
    };
    let (first, version) = load().await;
    let (again, same) = load().await;
    assert!(Arc::ptr_eq(&first, &again) && version == same);
    *origin.answer.lock().expect("lock") = Ok(there(2));
    let (other, next) = load().await;
    assert!(*other == 2 && next != version);
    *origin.answer.lock().expect("lock") = Ok(Known::Missing);
    cache.load(SITE, "b").await.expect("an answer");
    assert_eq!(cache.version(), next, "none where there was none");
    cache.load(SITE, "a").await.expect("an answer");
    assert_ne!(cache.version(), next);
}

#[tokio::test]
async fn what_is_held_takes_so_many_bytes() {
    let (cache, origin, _) = cache_with(settings());
    origin.gate.add_permits(1_000);
    for number in 0..200 {
        *origin.answer.lock().expect("lock") = Ok(there(5_000 + number));
        cache.load(SITE, &number.to_string()).await.expect("an asset");
        assert!(cache.weight() <= 100_000, "{} bytes after {number}", cache.weight());
    }
    assert!((5..20).contains(&cache.len()), "{} assets", cache.len());
}

#[tokio::test]
async fn a_restart_begins_with_what_was_held() {
    let (cache, origin, _) = cache_with(settings());
    origin.gate.add_permits(1);
    let before = cache.version();
    assert_eq!(value(cache.load(SITE, "a").await.ok()), Some(1));
    assert_ne!(cache.version(), before);
    let held = cache.held_assets(10, Instant::now());
    let (restarted, asked, _) = cache_with(settings());
    for held in held {
        restarted.restore(held.site, "a", *held.asset, held.is_trusted, Instant::now());
    }
    assert_eq!(value(restarted.look_up(SITE, "a", Instant::now())), Some(1));
    assert_eq!(asked.asked.load(Ordering::SeqCst), 0);
    restarted.invalidate(SITE, "a", 1);
    assert!(restarted.look_up(SITE, "a", Instant::now()).is_none());
}

#[tokio::test]
async fn what_was_not_trusted_before_a_restart_is_not_after_it() {
    let (cache, origin, _) = cache_with(settings());
    origin.gate.add_permits(1);
    cache.load(SITE, "a").await.expect("an asset");
    let before = cache.version();
    cache.distrust_all();
    assert_ne!(cache.version(), before, "it is kept again");
    let held = cache.held_assets(10, Instant::now()).pop().expect("it is held");
    assert!(!held.is_trusted);
    let (distrusted, trusted_again) = (cache.version(), || cache.held_assets(10, Instant::now())[0].is_trusted);
    origin.gate.add_permits(1);
    cache.load(SITE, "a").await.expect("the same asset");
    assert!(cache.version() != distrusted && trusted_again(), "that is kept, too");
    let much_later = Instant::now() + Duration::from_secs(1_000_000);
    assert!(cache.held_assets(10, much_later).is_empty(), "it is of no use any more");

    let (restarted, origin, level) = cache_with(settings());
    restarted.restore(SITE, "a", *held.asset, held.is_trusted, Instant::now());
    assert!(restarted.look_up(SITE, "a", Instant::now()).is_none());
    level.set(Level::CoreOnly);
    assert_eq!(
        value(restarted.load(SITE, "a").await.ok()),
        Some(1),
        "while nobody is asked"
    );
    level.set(Level::Full);
    origin.gate.add_permits(1);
    *origin.answer.lock().expect("lock") = Ok(there(2));
    assert_eq!(value(restarted.load(SITE, "a").await.ok()), Some(2));
}

#[tokio::test]
async fn loads_under_way_are_bounded() {
    let (cache, origin, _) = cache_with(settings());
    let waiting: Vec<_> = (0..4)
        .map(|id| {
            cache.flight(super::KeyRef {
                site: SITE,
                id: &id.to_string(),
            })
        })
        .collect();
    assert!(matches!(
        cache.load(SITE, "x").await,
        Err(LoadError::TooMany { max: 4 })
    ));
    origin.gate.add_permits(4);
    for mut landing in waiting {
        landing.wait_for(Option::is_some).await.expect("a result");
    }
    origin.gate.add_permits(1);
    assert_eq!(value(cache.load(SITE, "x").await.ok()), Some(1));
}
