//! What the disk has of manifests: after a restart, while it is slow, and when they are taken down.

use std::time::Duration;

use wayside_decide::{
    site::SiteId,
    stream::asset::{Asset, RelativePath},
};

use super::super::kind::Kind;
use super::{
    Origin, PLAYLIST, age, eventually, file, get, manifests, manifests_in, ready, ready_error, set_interval, status,
    until, url_of,
};

#[tokio::test]
async fn what_was_taken_down_does_not_come_back_from_the_disk() {
    let disk = tempfile::tempdir().expect("folder");
    let folder = disk.path().join("manifests");
    let origin = Origin::start(file("", PLAYLIST)).await;
    let (manifests, asset) = (manifests_in(Some(&folder)), origin.asset());
    get(&manifests, &asset).await.expect("a playlist");
    let url = url_of(&asset);
    let is_kept = || {
        let disk = manifests.shared.disk.as_ref().expect("a disk");
        disk.shelf().read(SiteId(7), url.as_str()).is_some()
    };
    eventually("it is kept", is_kept).await;
    origin.say(status(404));
    age(&manifests, &asset, 600);
    // However long the disk takes: nobody waits for it.
    let held = manifests.shared.disk.as_ref().expect("a disk").shelf().hold();
    assert_eq!(ready_error(ready(&manifests, &asset, Kind::Hls).await), "missing");
    origin.say(status(500));
    age(&manifests, &asset, 600);
    assert_eq!(ready_error(ready(&manifests, &asset, Kind::Hls).await), "away");
    assert!(is_kept(), "not removed yet");
    drop(held);
    eventually("it is removed", || !is_kept()).await;
    // What comes after it is kept again.
    origin.say(file("", PLAYLIST));
    age(&manifests, &asset, 600);
    until(&manifests, &asset, Result::is_ok).await;
    eventually("it is kept again", is_kept).await;
}

#[test]
fn a_disk_that_is_slow_leaves_threads_for_everything_else() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("folder");
        let origin = Origin::start(file("ETag: \"v1\"\r\n", PLAYLIST)).await;
        let manifests = manifests_in(Some(&folder.path().join("manifests")));
        let disk = manifests.shared.disk.as_ref().expect("a disk");
        let assets: Vec<Asset> = (0..20)
            .map(|number| {
                let mut asset = origin.asset();
                asset.hls = Some(RelativePath::parse("hls", &format!("{number}.m3u8")).expect("a path"));
                asset
            })
            .collect();
        let is_kept = |asset: &Asset| {
            let (source, path) = (asset.source.as_ref(), asset.hls.as_ref());
            let url = source.zip(path).map(|(source, path)| source.join(path.as_str()));
            let url = url.expect("a playlist").expect("a URL");
            disk.shelf().read(SiteId(7), url.as_str()).is_some()
        };
        let held = disk.shelf().hold();
        let all = tokio::time::timeout(Duration::from_secs(20), async {
            for asset in &assets {
                get(&manifests, asset).await.expect("a playlist");
            }
        });
        all.await.expect("nobody waits for the disk");
        assert!(!assets.iter().any(is_kept));
        drop(held);
        eventually("all are kept", || assets.iter().all(is_kept)).await;
    });
}

#[tokio::test]
async fn the_disk_has_the_last_of_playlists_that_follow_soon_on_each_other() {
    let disk = tempfile::tempdir().expect("folder");
    let origin = Origin::start(file("", PLAYLIST)).await;
    let (mut manifests, asset) = (manifests_in(Some(disk.path())), origin.asset());
    set_interval(&mut manifests, Duration::from_secs(2));
    for version in ["v2/", "v3/"] {
        get(&manifests, &asset).await.expect("a playlist");
        origin.say(file("", &PLAYLIST.replace("v1/", version)));
        age(&manifests, &asset, 600);
    }
    get(&manifests, &asset).await.expect("a playlist");
    let url = url_of(&asset);
    let shelf = manifests.shared.disk.as_ref().expect("a disk").shelf();
    let has = |text: &str| {
        let kept = shelf.read(SiteId(7), url.as_str());
        kept.is_some_and(|(body, ..)| String::from_utf8_lossy(&body).contains(text))
    };
    eventually("the last is kept", || has("v3/")).await;
}

#[tokio::test]
async fn the_last_playlist_outlives_a_restart() {
    let disk = tempfile::tempdir().expect("folder");
    let folder = disk.path().join("manifests");
    let origin = Origin::start(file("ETag: \"v1\"\r\n", PLAYLIST)).await;
    let asset = origin.asset();
    let before = manifests_in(Some(&folder));
    let good = get(&before, &asset).await.expect("a playlist");
    let files = || std::fs::read_dir(&folder).map(|all| all.flatten().map(|entry| entry.path()).collect::<Vec<_>>());
    eventually("it is kept", || {
        files().is_ok_and(|all| all.len() == 1 && all[0].extension().is_none())
    })
    .await;
    origin.say(status(503));
    assert_eq!(get(&manifests_in(Some(&folder)), &asset).await.as_ref(), Ok(&good));
    assert_eq!(
        ready_error(ready(&manifests(), &asset, Kind::Hls).await),
        "away",
        "without a disk"
    );
    // Damage is noticed.
    let path = files().expect("files").remove(0);
    let whole = std::fs::read(&path).expect("bytes");
    for at in [0, 70, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        std::fs::write(&path, damaged).expect("write");
        let found = ready(&manifests_in(Some(&folder)), &asset, Kind::Hls).await;
        assert_eq!(ready_error(found), "away", "byte {at} changed");
    }
}

#[tokio::test]
async fn what_the_origin_has_confirmed_is_young_after_a_restart() {
    let disk = tempfile::tempdir().expect("folder");
    let origin = Origin::start(file("ETag: \"v1\"\r\n", PLAYLIST)).await;
    let (mut before, asset) = (manifests_in(Some(disk.path())), origin.asset());
    set_interval(&mut before, Duration::ZERO);
    let good = get(&before, &asset).await.expect("a playlist");
    let kept = || {
        let files = std::fs::read_dir(disk.path()).expect("files").flatten();
        files.map(|entry| entry.path()).find(|path| path.extension().is_none())
    };
    let after_restart = async || {
        origin.say(status(503));
        get(&manifests_in(Some(disk.path())), &asset).await
    };
    let grow_old = || {
        let day_and_more = std::time::SystemTime::now() - Duration::from_secs(90_000);
        let file = std::fs::File::options().write(true).open(kept().expect("a file"));
        file.expect("open").set_modified(day_and_more).expect("an old file");
    };
    let confirm = async |age_s| {
        origin.say("HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n".to_owned());
        age(&before, &asset, age_s);
        get(&before, &asset).await.expect("confirmed");
    };
    // Nobody waits for the disk, so that it is told a little later.
    let is_told = async || {
        let age = || kept()?.metadata().ok()?.modified().ok()?.elapsed().ok();
        eventually("the disk is told", || {
            age().is_some_and(|age| age < Duration::from_secs(3_600))
        })
        .await;
    };
    eventually("it is kept", || kept().is_some()).await;
    grow_old();
    after_restart().await.expect_err("too old");
    confirm(60).await;
    is_told().await;
    assert_eq!(after_restart().await.as_ref(), Ok(&good));
    // Not each time.
    grow_old();
    confirm(60).await;
    after_restart().await.expect_err("too old");
    confirm(6_000).await;
    is_told().await;
    assert_eq!(after_restart().await.as_ref(), Ok(&good));
    // What was put away for want of room comes back.
    std::fs::remove_file(kept().expect("a file")).expect("removed");
    confirm(6_000).await;
    eventually("it is kept again", || kept().is_some()).await;
}
