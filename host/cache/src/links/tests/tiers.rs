//! Memory and disk together: restarts, ages, and invalidations against everything that is under way.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::runtime::Handle;
use wayside_decide::{link::Link, target::Target};

use super::{LinkCache, Loader, Lookup, SITE, Settings, Tiers, held_target, link};
use crate::{
    clock::{Kept, NodeClock},
    disk::{self, Disk},
    key::KeyRef,
    load::{LoadError, LoadLink, Loaded},
};

pub(super) fn settings() -> Settings {
    Settings {
        bytes_max: 1 << 20,
        ttl: Duration::from_secs(100),
        negative_ttl: Duration::from_secs(5),
        stale_max: Duration::from_secs(86_400),
        load_timeout: Duration::from_millis(500),
        loads_max: 100_000,
    }
}

/// Opens the disk; waits until whatever is still under way on it has ended.
pub(super) async fn open(folder: &Path) -> Arc<Disk> {
    open_sized(folder, 1 << 20).await
}

async fn open_sized(folder: &Path, bytes_max: u64) -> Arc<Disk> {
    let settings = disk::Settings {
        folder: folder.to_owned(),
        bytes_max,
    };
    loop {
        if let Some(disk) = Disk::open(&settings) {
            return Arc::new(disk);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

pub(super) const fn tiers(clock: NodeClock, disk: Arc<Disk>) -> Tiers {
    Tiers {
        clock,
        disk: Some(disk),
        pop: None,
    }
}

/// A cache on what `folder` keeps, whose calendar is at `wall_s`.
pub(super) async fn start(
    folder: &Path,
    loader: &Arc<Loader>,
    kept: Option<Kept>,
    wall_s: u64,
) -> (LinkCache, Arc<Disk>) {
    let clock = NodeClock::resume(kept, wall_s, Instant::now());
    let disk = open(folder).await;
    let shared: Arc<dyn LoadLink> = Arc::clone(loader) as Arc<dyn LoadLink>;
    let cache = LinkCache::new(
        settings(),
        tiers(clock, Arc::clone(&disk)),
        Arc::default(),
        shared,
        Handle::current(),
    );
    (cache, disk)
}

pub(super) fn loader(answer: Loaded) -> Arc<Loader> {
    Arc::new(Loader {
        loads: AtomicU64::new(0),
        gate: tokio::sync::Semaphore::new(1_000),
        answer: Mutex::new(answer),
    })
}

pub(super) fn answer(loader: &Loader, answer: Loaded) {
    *loader.answer.lock().expect("lock") = answer;
}

fn away() -> Loaded {
    Err(LoadError::Failed("origin away".into()))
}

pub(super) async fn loaded(cache: &LinkCache, path: &str) -> Option<String> {
    let held = cache.load(SITE, path).await.ok()?;
    held.link.as_ref().map(|link| link.target.to_string())
}

#[tokio::test]
async fn what_was_loaded_is_served_after_a_restart_without_the_origin_whatever_the_calendar_did() {
    let folder = tempfile::tempdir().expect("folder");
    let origin = loader(Ok(Some(link("https://a.example/"))));
    let day = 86_400;
    let begin = 100 * day;
    let (cache, disk) = start(folder.path(), &origin, None, begin).await;
    assert!(loaded(&cache, "/a").await.is_some());
    disk.flush().expect("flush");
    drop((cache, disk));
    answer(&origin, away());
    let kept = Some(Kept {
        node_s: begin,
        wall_s: begin,
    });
    for (what, wall_s, is_served) in [
        ("a minute later", begin + 60, true),
        ("an hour later, or set ahead by one", begin + 3_600, true),
        ("set back by an hour", begin - 3_600, true),
        ("a day and an hour later", begin + day + 3_600, false),
    ] {
        let (cache, disk) = start(folder.path(), &origin, kept, wall_s).await;
        let found = loaded(&cache, "/a").await;
        assert_eq!(found.is_some(), is_served, "{what}");
        // It ages on, by the clock that nobody sets.
        if let Lookup::Held(_) = cache.look_up(SITE, "/a", Instant::now()) {
            let later = Instant::now() + Duration::from_secs(day + 200);
            assert_eq!(held_target(cache.look_up(SITE, "/a", later)), None, "{what}");
        }
        drop((cache, disk));
    }
}

#[tokio::test]
async fn a_calendar_that_is_days_ahead_at_one_start_costs_nothing_at_the_next() {
    let folder = tempfile::tempdir().expect("folder");
    let origin = loader(Ok(Some(link("https://a.example/"))));
    let (day, begin) = (86_400, 100 * 86_400);
    let (cache, disk) = start(folder.path(), &origin, None, begin).await;
    assert!(loaded(&cache, "/a").await.is_some());
    assert!(loaded(&cache, "/gone").await.is_some());
    disk.flush().expect("flush");
    drop((cache, disk));
    answer(&origin, away());
    let mut kept = Kept {
        node_s: begin,
        wall_s: begin,
    };
    for (what, wall_s, is_served) in [
        ("two days ahead", begin + 2 * day, false),
        ("right again", begin + 60, true),
    ] {
        let (cache, disk) = start(folder.path(), &origin, Some(kept), wall_s).await;
        assert_eq!(loaded(&cache, "/a").await.is_some(), is_served, "{what}");
        disk.flush().expect("flush");
        kept = NodeClock::resume(Some(kept), wall_s, Instant::now()).kept(Instant::now(), wall_s, false);
        drop((cache, disk));
    }
    // Was it too old and has the origin no such link, nothing is kept for it any more.
    answer(&origin, Ok(None));
    let (cache, disk) = start(folder.path(), &origin, Some(kept), begin + 2 * day).await;
    assert_eq!(loaded(&cache, "/gone").await, None);
    disk.flush().expect("flush");
    drop((cache, disk));
    answer(&origin, away());
    let (cache, _disk) = start(folder.path(), &origin, Some(kept), begin + 60).await;
    assert_eq!(loaded(&cache, "/gone").await, None);
    assert!(loaded(&cache, "/a").await.is_some());
}

#[tokio::test]
async fn a_change_is_forgotten_on_disk_and_absence_is_never_kept_there() {
    let folder = tempfile::tempdir().expect("folder");
    let origin = loader(Ok(None));
    let (cache, disk) = start(folder.path(), &origin, None, 0).await;
    assert_eq!(loaded(&cache, "/new").await, None);
    // The link is published: the push ends what was known, and nothing old comes back from anywhere.
    answer(&origin, Ok(Some(link("https://a.example/"))));
    cache.invalidate(SITE, "/new", 1);
    assert_eq!(loaded(&cache, "/new").await.as_deref(), Some("https://a.example/"));
    answer(&origin, Ok(Some(link("https://b.example/"))));
    cache.invalidate(SITE, "/new", 1);
    disk.flush().expect("flush");
    drop((cache, disk));
    answer(&origin, away());
    let (cache, disk) = start(folder.path(), &origin, None, 0).await;
    assert_eq!(loaded(&cache, "/new").await, None, "the old target was forgotten");
    // Deleted: a refresh finds nothing, and then the disk has nothing either.
    answer(&origin, Ok(Some(link("https://c.example/"))));
    assert!(loaded(&cache, "/gone").await.is_some());
    cache.invalidate(SITE, "/gone", 1);
    answer(&origin, Ok(None));
    assert_eq!(loaded(&cache, "/gone").await, None);
    disk.flush().expect("flush");
    drop((cache, disk));
    answer(&origin, away());
    let (cache, _) = start(folder.path(), &origin, None, 0).await;
    assert_eq!(loaded(&cache, "/gone").await, None);
    assert_eq!(
        cache.load(SITE, "/gone").await.map(|_| ()),
        away().map(|_| ()),
        "unknown, not absent: a 404 is never kept"
    );
}

#[tokio::test]
async fn a_dead_origin_is_asked_once_a_while_however_many_links_are_stale() {
    let folder = tempfile::tempdir().expect("folder");
    let origin = loader(Ok(Some(link("https://a.example/"))));
    let (cache, disk) = start(folder.path(), &origin, None, 0).await;
    for number in 0..500 {
        assert!(loaded(&cache, &format!("/{number}")).await.is_some());
    }
    disk.flush().expect("flush");
    drop((cache, disk));
    answer(&origin, away());
    let before = origin.loads.load(Ordering::SeqCst);
    let kept = Kept { node_s: 0, wall_s: 0 };
    let (cache, _disk) = start(folder.path(), &origin, Some(kept), 1_000).await;
    for number in 0..500 {
        assert!(
            loaded(&cache, &format!("/{number}")).await.is_some(),
            "stale, and served"
        );
        tokio::task::yield_now().await;
    }
    let asked = origin.loads.load(Ordering::SeqCst) - before;
    assert!(asked <= 70, "{asked} loads for 500 stale links");
}

/// So large that it can never be read from disk without waiting.
fn large_link() -> Link {
    let mut large = link("https://large.example/");
    large.fallback = Target::parse(&format!("https://b.example/{}", "x".repeat(4_000))).ok();
    large
}

#[tokio::test]
async fn a_slow_disk_is_waited_for_when_nobody_else_has_the_link() {
    let folder = tempfile::tempdir().expect("folder");
    let origin = loader(Ok(Some(link("https://a.example/"))));
    let (cache, disk) = start(folder.path(), &origin, None, 0).await;
    answer(&origin, Ok(Some(large_link())));
    assert!(loaded(&cache, "/large").await.is_some());
    disk.flush().expect("flush");
    drop((cache, disk));
    answer(&origin, away());
    let (cache, _disk) = start(folder.path(), &origin, None, 0).await;
    // All who may read are held up.
    let turns = Arc::clone(&cache.shared.disk_turns);
    let held_up = turns.acquire_many(16).await.expect("turns");
    let waiting = tokio::spawn({
        let cache = cache.clone();
        async move { loaded(&cache, "/large").await }
    });
    let loads = origin.loads.load(Ordering::SeqCst);
    while origin.loads.load(Ordering::SeqCst) == loads {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(held_up);
    let found = waiting.await.expect("join");
    assert_eq!(found.as_deref(), Some("https://large.example/"));
}

#[tokio::test]
async fn what_comes_faster_than_the_disk_takes_it_is_kept_all_the_same() {
    const LINKS: usize = 20_000;
    let folder = tempfile::tempdir().expect("folder");
    let origin = loader(Ok(Some(link("https://a.example/"))));
    origin.gate.add_permits(LINKS);
    let disk = open_sized(folder.path(), 32 << 20).await;
    let clock = NodeClock::resume(None, 50, Instant::now());
    let settings = Settings {
        bytes_max: 64 << 20,
        ..settings()
    };
    let shared = Arc::clone(&origin) as Arc<dyn LoadLink>;
    let cache = LinkCache::new(
        settings,
        tiers(clock, Arc::clone(&disk)),
        Arc::default(),
        shared,
        Handle::current(),
    );
    // A write that takes its time, as while the disk is busy.
    let write = disk.hold_up();
    let loads: Vec<_> = (0..LINKS)
        .map(|number| {
            let cache = cache.clone();
            tokio::spawn(async move { loaded(&cache, &format!("/{number}")).await.is_some() })
        })
        .collect();
    for load in loads {
        assert!(load.await.expect("join"), "visitors notice nothing");
    }
    drop(write);
    disk.flush().expect("flush");
    assert!(disk.counts().dropped > 0, "more than the queue takes");
    tokio::task::spawn_blocking({
        let cache = cache.clone();
        move || cache.keep_what_was_lost()
    })
    .await
    .expect("join");
    disk.flush().expect("flush");
    for number in 0..LINKS {
        let path = format!("/{number}");
        let key = KeyRef {
            site: SITE,
            path: &path,
        };
        let found = disk.read(key).unwrap_or_else(|| panic!("{path} is not on disk"));
        assert!((50..100).contains(&found.loaded_s), "{path}: {}", found.loaded_s);
    }
}

#[tokio::test]
async fn popular_links_are_renewed_ahead_and_are_in_memory_after_a_restart() {
    let folder = tempfile::tempdir().expect("folder");
    let origin = loader(Ok(Some(link("https://a.example/"))));
    let (cache, disk) = start(folder.path(), &origin, None, 0).await;
    for path in ["/hot", "/warm", "/cold"] {
        assert!(loaded(&cache, path).await.is_some());
    }
    let sample = |path, times, at| {
        for _ in 0..times {
            let Lookup::Held(held) = cache.look_up(SITE, path, at) else {
                panic!("{path} is held");
            };
            cache.sample(SITE, path, &held, at);
        }
    };
    let now = Instant::now();
    sample("/hot", 5, now);
    sample("/warm", 1, now);
    assert_eq!(origin.loads.load(Ordering::SeqCst), 3, "all are fresh for long");
    let popular = cache.popular(10);
    let paths: Vec<&str> = popular.iter().map(|popular| &*popular.path).collect();
    assert_eq!(paths, ["/hot", "/warm"], "the most popular first");
    // 90 to 110 s is the time to live; at 88 s at least the popular one is renewed, the other is not yet popular.
    let soon = now + Duration::from_secs(88);
    answer(&origin, Ok(Some(link("https://b.example/"))));
    for second in 0..25 {
        let at = soon + Duration::from_secs(second);
        if let Lookup::Held(held) = cache.look_up(SITE, "/hot", at) {
            cache.sample(SITE, "/hot", &held, at);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        if held_target(cache.look_up(SITE, "/hot", now)).as_deref() == Some("https://b.example/") {
            break;
        }
    }
    assert_eq!(
        held_target(cache.look_up(SITE, "/hot", now)).as_deref(),
        Some("https://b.example/")
    );
    assert!(cache.popular(1)[0].hits >= 5, "a renewal keeps what was counted");
    disk.flush().expect("flush");
    drop((cache, disk));
    let (cache, _disk) = start(folder.path(), &origin, None, 0).await;
    for popular in &popular {
        assert!(cache.warm(popular, Instant::now()), "there is room");
    }
    assert_eq!(cache.size().entries, 2);
}

#[tokio::test]
async fn a_resync_serves_on_confirms_what_is_there_and_drops_the_rest() {
    let folder = tempfile::tempdir().expect("folder");
    let origin = loader(Ok(Some(link("https://old.example/"))));
    let (cache, disk) = start(folder.path(), &origin, None, 0).await;
    for path in ["/same", "/changed", "/gone", "/disk-changed", "/disk-gone"] {
        assert!(loaded(&cache, path).await.is_some());
    }
    disk.flush().expect("flush");
    drop((cache, disk));
    let (cache, disk) = start(folder.path(), &origin, None, 0).await;
    for path in ["/same", "/changed", "/gone"] {
        assert!(loaded(&cache, path).await.is_some(), "into memory");
    }
    answer(&origin, away());
    cache.begin_resync().expect("begin");
    let now = Instant::now();
    let held = |path| held_target(cache.look_up(SITE, path, now));
    assert_eq!(held("/gone").as_deref(), Some("https://old.example/"), "served on");
    for (path, target) in [
        ("/same", "https://old.example/"),
        ("/changed", "https://new.example/"),
        ("/disk-changed", "https://new.example/"),
        ("/never-held", "https://new.example/"),
    ] {
        cache.confirm(SITE, path, &link(target), now);
    }
    cache.end_resync().expect("end");
    disk.flush().expect("flush");
    assert_eq!(held("/same").as_deref(), Some("https://old.example/"));
    assert_eq!(held("/changed").as_deref(), Some("https://new.example/"));
    assert_eq!(held("/gone"), None);
    assert_eq!(
        loaded(&cache, "/disk-changed").await.as_deref(),
        Some("https://new.example/")
    );
    for path in ["/gone", "/disk-gone", "/never-held"] {
        assert_eq!(loaded(&cache, path).await, None, "{path}");
    }
}

#[tokio::test]
async fn a_load_that_began_before_a_resync_neither_displaces_nor_outlives_what_it_found() {
    let folder = tempfile::tempdir().expect("folder");
    let origin = loader(Ok(Some(link("https://old.example/"))));
    let (cache, disk) = start(folder.path(), &origin, None, 0).await;
    assert!(loaded(&cache, "/kept").await.is_some());
    disk.flush().expect("flush");
    // The origin answers, and its answers take their time: to a refresh, and to whoever misses.
    let gate = origin.gate.acquire_many(999).await.expect("permits");
    let stale = Instant::now() + Duration::from_secs(200);
    assert!(held_target(cache.look_up(SITE, "/kept", stale)).is_some());
    let first = tokio::spawn({
        let cache = cache.clone();
        async move { loaded(&cache, "/gone").await }
    });
    while origin.loads.load(Ordering::SeqCst) < 3 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    cache.begin_resync().expect("begin");
    cache.confirm(SITE, "/kept", &link("https://new.example/"), Instant::now());
    answer(&origin, Ok(None));
    drop(gate);
    assert_eq!(first.await.expect("join").as_deref(), Some("https://old.example/"));
    cache.end_resync().expect("end");
    assert_eq!(loaded(&cache, "/gone").await, None, "it is asked for anew");
    answer(&origin, away());
    let target = Some("https://new.example/".to_owned());
    assert_eq!(held_target(cache.look_up(SITE, "/kept", Instant::now())), target);
    disk.flush().expect("flush");
    drop((cache, disk));
    let (cache, _disk) = start(folder.path(), &origin, None, 0).await;
    assert_eq!(loaded(&cache, "/kept").await, target);
}

#[tokio::test]
async fn what_was_read_from_disk_just_before_a_resync_ended_is_not_served_after_it() {
    let folder = tempfile::tempdir().expect("folder");
    let origin = loader(Ok(Some(large_link())));
    let (cache, disk) = start(folder.path(), &origin, None, 0).await;
    assert!(loaded(&cache, "/large").await.is_some());
    disk.flush().expect("flush");
    drop((cache, disk));
    answer(&origin, Ok(None));
    let (cache, disk) = start(folder.path(), &origin, None, 0).await;
    cache.begin_resync().expect("begin");
    let waiting = tokio::spawn({
        let cache = cache.clone();
        async move { loaded(&cache, "/large").await }
    });
    // It asks, and has the disk read. What that finds comes to this thread only when this test waits again.
    for _ in 0..2 {
        tokio::task::yield_now().await;
    }
    let give_up = Instant::now() + Duration::from_secs(10);
    while disk.counts().hits == 0 {
        assert!(Instant::now() < give_up, "the disk is read");
        std::thread::sleep(Duration::from_millis(1));
    }
    cache.end_resync().expect("end");
    assert_eq!(waiting.await.expect("join"), None);
}

#[tokio::test]
async fn who_joins_a_refresh_that_fails_gets_what_a_slow_disk_has() {
    let folder = tempfile::tempdir().expect("folder");
    let origin = loader(Ok(Some(large_link())));
    let (cache, disk) = start(folder.path(), &origin, None, 0).await;
    assert!(loaded(&cache, "/large").await.is_some());
    disk.flush().expect("flush");
    answer(&origin, away());
    let gate = origin.gate.acquire_many(999).await.expect("permits");
    let stale = Instant::now() + Duration::from_secs(200);
    assert!(held_target(cache.look_up(SITE, "/large", stale)).is_some());
    // Others came, and memory gave it up.
    cache.shared.memory.clear();
    let joined = tokio::spawn({
        let cache = cache.clone();
        async move { loaded(&cache, "/large").await }
    });
    tokio::task::yield_now().await;
    drop(gate);
    assert_eq!(joined.await.expect("join").as_deref(), Some("https://large.example/"));
}
