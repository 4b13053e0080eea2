//! What the cache leaves undone at each level of degradation, and what it never does.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use wayside_balance::level::Level;

use super::{
    LinkCache, Lookup, SITE, held_target, link, setup_with,
    tiers::{answer, loaded, loader, start},
};
use crate::load::LoadError;

const OLD: &str = "https://old.example/";
const NEW: &str = "https://new.example/";

/// Looks up as visitors of a popular link do, at each second of these.
fn visit(cache: &LinkCache, path: &str, from: Instant, seconds: std::ops::Range<u64>) {
    for second in seconds {
        let at = from + Duration::from_secs(second);
        if let Lookup::Held(held) = cache.look_up(SITE, path, at) {
            cache.sample(SITE, path, &held, at);
        }
    }
}

#[tokio::test]
async fn a_reduced_cache_renews_nothing_ahead_of_its_time_and_everything_after_it() {
    let folder = tempfile::tempdir().expect("folder");
    let origin = loader(Ok(Some(link(OLD))));
    let (cache, _disk) = start(folder.path(), &origin, None, 0).await;
    cache.shared.level.set(Level::Reduced);
    let now = Instant::now();
    assert_eq!(
        loaded(&cache, "/hot").await.as_deref(),
        Some(OLD),
        "missing ones are loaded"
    );
    // Its time to live is 90 s at least.
    visit(&cache, "/hot", now, 0..90);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(origin.loads.load(Ordering::SeqCst), 1);
    answer(&origin, Ok(Some(link(NEW))));
    let past = now + Duration::from_secs(120);
    assert_eq!(
        held_target(cache.look_up(SITE, "/hot", past)).as_deref(),
        Some(OLD),
        "served behind the refresh"
    );
    while held_target(cache.look_up(SITE, "/hot", now)).as_deref() != Some(NEW) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn at_core_only_the_node_itself_answers_and_nobody_is_asked() {
    let folder = tempfile::tempdir().expect("folder");
    let origin = loader(Ok(Some(link(OLD))));
    let (cache, disk) = start(folder.path(), &origin, None, 0).await;
    for path in ["/memory", "/disk", "/changed"] {
        assert!(loaded(&cache, path).await.is_some());
    }
    disk.flush().expect("flush");
    drop((cache, disk));
    let (cache, disk) = start(folder.path(), &origin, None, 0).await;
    assert!(loaded(&cache, "/memory").await.is_some());
    let loads = origin.loads.load(Ordering::SeqCst);
    cache.shared.level.set(Level::CoreOnly);
    assert_eq!(loaded(&cache, "/disk").await.as_deref(), Some(OLD));
    let stale = Instant::now() + Duration::from_secs(1_000);
    assert_eq!(
        held_target(cache.look_up(SITE, "/memory", stale)).as_deref(),
        Some(OLD),
        "past its time"
    );
    assert_eq!(cache.load(SITE, "/missing").await.expect_err("shed"), LoadError::Shed);
    // A change counts, whatever the level: better nothing than what was.
    for path in ["/changed", "/memory"] {
        cache.invalidate(SITE, path, 7);
        assert!(
            matches!(cache.look_up(SITE, path, Instant::now()), Lookup::Missing),
            "{path}"
        );
        assert_eq!(
            cache.load(SITE, path).await.expect_err("shed"),
            LoadError::Shed,
            "{path}"
        );
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(origin.loads.load(Ordering::SeqCst), loads);
    // Back again, and none the worse.
    cache.shared.level.set(Level::Full);
    answer(&origin, Ok(Some(link(NEW))));
    for path in ["/changed", "/memory", "/missing"] {
        assert_eq!(loaded(&cache, path).await.as_deref(), Some(NEW), "{path}");
    }
    drop(disk);
}

#[tokio::test]
async fn in_an_emergency_memory_alone_is_asked() {
    let folder = tempfile::tempdir().expect("folder");
    let origin = loader(Ok(Some(link(OLD))));
    let (cache, disk) = start(folder.path(), &origin, None, 0).await;
    for path in ["/memory", "/disk"] {
        assert!(loaded(&cache, path).await.is_some());
    }
    disk.flush().expect("flush");
    drop((cache, disk));
    let (cache, disk) = start(folder.path(), &origin, None, 0).await;
    assert!(loaded(&cache, "/memory").await.is_some());
    cache.shared.level.set(Level::Emergency);
    let asked = disk.counts();
    assert_eq!(
        held_target(cache.look_up(SITE, "/memory", Instant::now())).as_deref(),
        Some(OLD)
    );
    assert_eq!(cache.load(SITE, "/disk").await.expect_err("shed"), LoadError::Shed);
    assert_eq!(disk.counts(), asked);
    cache.invalidate(SITE, "/disk", 7);
    cache.shared.level.set(Level::CoreOnly);
    assert_eq!(
        cache.load(SITE, "/disk").await.expect_err("shed"),
        LoadError::Shed,
        "forgotten meanwhile"
    );
}

#[tokio::test]
async fn loads_have_a_bound_and_who_is_beyond_it_hears_so_at_once() {
    let minute = Duration::from_secs(60);
    let (cache, loader) = setup_with(Ok(Some(link(OLD))), 0, minute, minute);
    let under_way: Vec<_> = (0..64)
        .map(|number| {
            let cache = cache.clone();
            tokio::spawn(async move { cache.load(SITE, &format!("/{number}")).await })
        })
        .collect();
    while cache.loads() != (64, 64) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let beyond = cache.load(SITE, "/beyond").await.expect_err("too many");
    assert_eq!(beyond, LoadError::TooMany { max: 64 });
    // Who asks for what is on its way waits for that.
    let joined = tokio::spawn({
        let cache = cache.clone();
        async move { cache.load(SITE, "/0").await }
    });
    loader.gate.add_permits(1_000);
    assert!(joined.await.expect("join").is_ok());
    for load in under_way {
        assert!(load.await.expect("join").is_ok());
    }
    assert!(cache.load(SITE, "/beyond").await.is_ok());
    while cache.loads().0 > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
