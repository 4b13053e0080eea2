//! Manifests that are large: who holds them, who writes them, and which are too large.

use std::sync::Arc;

use futures_util::FutureExt as _;
use wayside_decide::stream::asset::RelativePath;

use super::super::{NoManifest, kind::Kind};
use super::{Origin, PLAYLIST, age, file, get, large, manifests, ready, until, write, write_to};

#[tokio::test]
async fn a_large_manifest_is_kept_and_written_to_so_many_who_do_not_read_it() {
    let origin = Origin::start(file("", &large(9_000_000))).await;
    let (manifests, asset) = (manifests(), origin.asset());
    let found = ready(&manifests, &asset, Kind::Hls).await.expect("a playlist");
    assert_eq!(manifests.ready.len(), 1);
    let mut unread = vec![write(&manifests, &found).await.expect("room")];
    let refused = write(&manifests, &found).await.expect_err("one address").to_string();
    assert!(
        refused
            .starts_with("found large manifests that address 192.0.2.1 did not read yet, expected room for one of 90"),
        "{refused}"
    );
    let refused = loop {
        match write_to(&manifests, &found, "t", 1 + unread.len() as u32).await {
            Ok(bytes) => unread.push(bytes),
            Err(error) => break error.to_string(),
        }
        assert!(unread.len() < 10);
    };
    assert_eq!(unread.len(), 4);
    assert!(
        refused.starts_with("found large manifests that players of tenant t did not read yet"),
        "{refused}"
    );
    write_to(&manifests, &found, "other", 99)
        .await
        .expect("room for others");
    // Small ones have room, and large ones when one was read to its end.
    origin.say(file("", PLAYLIST));
    let mut small = asset.clone();
    small.hls = Some(RelativePath::parse("hls", "small.m3u8").expect("a path"));
    get(&manifests, &small).await.expect("a playlist");
    let part = unread.remove(0).slice(..100);
    write(&manifests, &found)
        .await
        .expect_err("a part of one is read still");
    drop(part);
    write(&manifests, &found).await.expect("room");
}

#[test]
fn a_large_manifest_is_written_by_another_thread_than_that_which_serves() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (manifests, origin) = (manifests(), Origin::start(file("", PLAYLIST)).await);
        let small = ready(&manifests, &origin.asset(), Kind::Hls).await.expect("a playlist");
        origin.say(file("", &large(1_000_000)));
        let mut asset = origin.asset();
        asset.hls = Some(RelativePath::parse("hls", "large.m3u8").expect("a path"));
        let large = ready(&manifests, &asset, Kind::Hls).await.expect("a playlist");
        // All other threads are busy until this is dropped.
        let (busy, idle) = std::sync::mpsc::channel::<()>();
        let waiting = tokio::task::spawn_blocking(move || idle.recv());
        assert!(
            write(&manifests, &small)
                .now_or_never()
                .is_some_and(|written| written.is_ok())
        );
        let mut writing = Box::pin(write(&manifests, &large));
        assert!(writing.as_mut().now_or_never().is_none(), "nobody else wrote it");
        drop(busy);
        assert!(writing.await.is_ok_and(|bytes| bytes.len() > 1_000_000));
        waiting.await.expect("idle").expect_err("dropped");
    });
}

#[tokio::test]
async fn what_is_too_large_with_all_its_pathways_is_found_out_once() {
    // With one it is not: a variant is copied for each.
    let variant = format!(
        "#EXT-X-STREAM-INF:BANDWIDTH=1,NAME=\"{}\"\nv1/main.m3u8\n",
        "x".repeat(9_000_000)
    );
    let origin = Origin::start(file("", &format!("#EXTM3U\n{variant}"))).await;
    let (manifests, asset) = (manifests(), origin.asset());
    let refused = async || match ready(&manifests, &asset, Kind::Hls).await {
        Err(NoManifest::Broken(problem)) => problem,
        other => panic!("{other:?}"),
    };
    let (first, second) = (refused().await, refused().await);
    assert!(
        first.contains("spliced playlist: found more than 16777216 bytes"),
        "{first}"
    );
    assert!(Arc::ptr_eq(&first, &second), "it was worked out again");
    // Another playlist is looked at anew.
    origin.say(file("", PLAYLIST));
    age(&manifests, &asset, 600);
    until(&manifests, &asset, Result::is_ok).await;
}
