//! Changes against everything that is under way beside them, on several threads: nobody gets anything older than what was
//! pushed.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::runtime::Handle;
use wayside_decide::{link::Link, site::SiteId};

use super::{
    LinkCache, Lookup, SITE, Settings, link,
    tiers::{open, settings, tiers},
};
use crate::{
    clock::NodeClock,
    load::{LoadLink, Loaded, Seen},
};

/// Settings with which no load ends for the processor's having other work.
fn patient() -> Settings {
    Settings {
        load_timeout: Duration::from_secs(20),
        ..settings()
    }
}

/// A cache on a disk in `folder`, empty.
async fn start(folder: &Path, settings: Settings, loader: &Arc<impl LoadLink>) -> LinkCache {
    let clock = NodeClock::resume(None, 0, Instant::now());
    let loader = Arc::clone(loader);
    LinkCache::new(
        settings,
        tiers(clock, open(folder).await),
        Arc::default(),
        loader,
        Handle::current(),
    )
}

/// An origin whose links change all the time: a link's target says its version.
struct Changing {
    versions: Mutex<HashMap<String, u64>>,
}

impl LoadLink for Changing {
    fn load<'a>(
        &'a self,
        _: SiteId,
        path: &'a str,
        _: Option<Seen>,
    ) -> std::pin::Pin<Box<dyn Future<Output = Loaded> + Send + 'a>> {
        Box::pin(async move {
            let version = self.versions.lock().expect("lock").get(path).copied().unwrap_or(0);
            // The answer is taken; it arrives later.
            for _ in 0..version % 5 {
                tokio::task::yield_now().await;
            }
            // One of four versions is "no such link".
            let there = !version.is_multiple_of(4);
            Ok(there.then(|| link(&format!("https://v{version}.example/"))))
        })
    }
}

fn version_of(link: &Link) -> u64 {
    let label = link.target.host()[1..].split('.').next();
    label.and_then(|text| text.parse().ok()).expect("version")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_gets_anything_older_than_the_last_change_that_was_pushed() {
    const KEYS: u64 = 40;
    let folder = tempfile::tempdir().expect("folder");
    let origin = Arc::new(Changing {
        versions: Mutex::default(),
    });
    // So little memory that links go to disk and back all the time.
    let settings = Settings {
        bytes_max: 8 * 1024,
        ..patient()
    };
    let cache = start(folder.path(), settings, &origin).await;
    let pushed: Arc<Vec<AtomicU64>> = Arc::new((0..KEYS).map(|_| AtomicU64::new(0)).collect());
    let changer = tokio::spawn({
        let (cache, pushed, origin) = (cache.clone(), Arc::clone(&pushed), Arc::clone(&origin));
        async move {
            for round in 1..4_000_u64 {
                let number = round.wrapping_mul(2_654_435_761) % KEYS;
                let path = format!("/{number}");
                let version = {
                    let mut versions = origin.versions.lock().expect("lock");
                    let version = versions.entry(path.clone()).or_default();
                    *version += 1;
                    *version
                };
                cache.invalidate(SITE, &path, 1);
                pushed[usize::try_from(number).expect("number")].store(version, Ordering::SeqCst);
                tokio::task::yield_now().await;
            }
        }
    });
    let readers: Vec<_> = (0..6_u64)
        .map(|reader| {
            let (cache, pushed, origin) = (cache.clone(), Arc::clone(&pushed), Arc::clone(&origin));
            tokio::spawn(async move {
                for round in 0..4_000_u64 {
                    let number = (round * 31 + reader * 17) % KEYS;
                    let path = format!("/{number}");
                    let at_least = pushed[usize::try_from(number).expect("number")].load(Ordering::SeqCst);
                    let held = match cache.look_up(SITE, &path, Instant::now()) {
                        Lookup::Held(held) => held,
                        Lookup::Missing => cache.load(SITE, &path).await.expect("load"),
                    };
                    let Some(link) = &held.link else {
                        // The origin had no other version than the one that was pushed before: if that one is a
                        // link, "there is none" is an old miss.
                        let now = origin.versions.lock().expect("lock").get(&path).copied().unwrap_or(0);
                        assert!(now != at_least || now.is_multiple_of(4), "{path}: an old miss");
                        continue;
                    };
                    let version = version_of(link);
                    assert!(version >= at_least, "{path}: {version}, and {at_least} was pushed");
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for reader in readers {
        reader.await.expect("reader");
    }
    changer.await.expect("changer");
}

/// Who reads the disk while an invalidation is under way must not bring back what it found there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_invalidation_ends_reads_of_the_disk_that_are_under_way() {
    const ROUNDS: u64 = 5_000;
    let folder = tempfile::tempdir().expect("folder");
    let origin = Arc::new(Changing {
        versions: Mutex::default(),
    });
    let cache = start(folder.path(), patient(), &origin).await;
    let pushed = Arc::new(AtomicU64::new(0));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (cache, pushed) = (cache.clone(), Arc::clone(&pushed));
            tokio::spawn(async move {
                loop {
                    let at_least = pushed.load(Ordering::SeqCst);
                    if at_least == ROUNDS {
                        return;
                    }
                    let held = cache.load(SITE, "/one").await.expect("load");
                    if let Some(link) = &held.link {
                        let version = version_of(link);
                        assert!(version >= at_least, "{version}, and {at_least} was pushed");
                    }
                    // What is read next comes from the disk, or from what is queued for it.
                    cache.shared.memory.clear();
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for version in 1..=ROUNDS {
        origin.versions.lock().expect("lock").insert("/one".to_owned(), version);
        cache.invalidate(SITE, "/one", version);
        pushed.store(version, Ordering::SeqCst);
        cache.load(SITE, "/one").await.expect("load");
    }
    for reader in readers {
        reader.await.expect("reader");
    }
}

/// Origins that are behind: each answer is as of the change that it has to have, and no later.
#[derive(Default)]
struct Lagging {
    /// What the link's version was from each change on.
    versions: Mutex<Vec<u64>>,
}

impl LoadLink for Lagging {
    fn load<'a>(
        &'a self,
        _: SiteId,
        _: &'a str,
        seen: Option<Seen>,
    ) -> std::pin::Pin<Box<dyn Future<Output = Loaded> + Send + 'a>> {
        Box::pin(async move {
            let as_of = seen.map_or(0, |seen| seen.cursor);
            let version = usize::try_from(as_of)
                .ok()
                .map(|place| self.versions.lock().expect("lock")[place]);
            Ok(version.map(|version| link(&format!("https://v{version}.example/"))))
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_loaded_after_a_change_is_as_of_it_however_far_behind_an_origin_is() {
    const ROUNDS: u64 = 20_000;
    let folder = tempfile::tempdir().expect("folder");
    let origin = Arc::new(Lagging::default());
    origin.versions.lock().expect("lock").push(0);
    let cache = start(folder.path(), patient(), &origin).await;
    cache.follow(Seen { epoch: 1, cursor: 0 });
    let pushed = Arc::new(AtomicU64::new(0));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (cache, pushed) = (cache.clone(), Arc::clone(&pushed));
            tokio::spawn(async move {
                loop {
                    let at_least = pushed.load(Ordering::SeqCst);
                    if at_least == ROUNDS {
                        return;
                    }
                    let held = cache.load(SITE, "/one").await.expect("load");
                    let version = version_of(held.link.as_ref().expect("a link"));
                    assert!(version >= at_least, "{version}, and {at_least} was pushed");
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for cursor in 1..=ROUNDS {
        origin.versions.lock().expect("lock").push(cursor);
        cache.invalidate(SITE, "/one", cursor);
        pushed.store(cursor, Ordering::SeqCst);
        tokio::task::yield_now().await;
    }
    for reader in readers {
        reader.await.expect("reader");
    }
}
