//! Players that know nothing of steering: sent to a target by a redirect, or told where to begin in JSON.

use std::{net::SocketAddr, process::Command};

use super::{
    browser::Frame,
    scene::{SOON, Set},
    site::HOST,
    targets::Health,
};
use crate::harness::{eventually, request, text};

/// Reads seven seconds of an asset's file as ffmpeg does, by way of the edge.
fn ffmpeg(edge: SocketAddr, asset: &str, file: &str) {
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-nostdin"])
        .args(["-headers", &format!("Host: {HOST}\r\n")])
        .args(["-i", &format!("http://{edge}/video/{asset}/{file}")])
        .args(["-t", "7", "-f", "null", "-"])
        .output()
        .expect("run ffmpeg");
    assert!(output.status.success(), "{file}: {}", text(&output.stderr));
}

#[test]
fn players_without_steering_are_sent_to_a_target_that_serves() {
    let set = Set::of(&["near", "far"]);
    for who in ["vod-video", "vod-page", "vod-ffmpeg"] {
        set.add_asset(who);
    }
    let edge = set.site.edge();
    let frames = [
        ("vod-video", "video", set.site.url("vod-video", "whole.mp4")),
        (
            "vod-page",
            "page",
            format!("http://{HOST}:{}/.wayside/play/vod-page", edge.port()),
        ),
    ];
    let frames = frames.map(|(who, player, url)| Frame {
        who: who.to_owned(),
        player,
        url,
    });
    let mut scene = set.play(&frames);
    scene.settle_on("near");
    // The page's player reports, by the session that it was given.
    eventually("reports are heard", || scene.site.reports("heard") >= 10.0);
    for outcome in ["malformed", "too_long", "no_session"] {
        assert_eq!(scene.site.reports(outcome), 0.0, "{outcome}");
    }
    ffmpeg(edge, "vod-ffmpeg", "media_2.m3u8");
    assert!(scene.stage.is_on("vod-ffmpeg", "near"));
    scene.be("near", Health::Dead);
    // It goes on by itself, from the URL that it was told to try next.
    scene.moves_to("vod-page", "far", SOON);
    eventually("a redirect to the target that serves", || {
        let response = request(edge, "GET", HOST, "/video/vod-ffmpeg/media_2.m3u8", &[]);
        let far = scene.stage.targets[1].base();
        response.status == 302 && response.location().is_some_and(|location| location.starts_with(&far))
    });
    ffmpeg(edge, "vod-ffmpeg", "media_2.m3u8");
    assert!(scene.stage.is_on("vod-ffmpeg", "far"));
    // Steering stands in this one, which ffmpeg does not know.
    ffmpeg(edge, "vod-ffmpeg", "main.m3u8");
}

/// dash.js and Shaka report by the settings that docs/streams/reports.md shows, beside being steered; hls.js does so above.
#[test]
fn reports_of_steered_players_are_heard() {
    for player in ["page-dash", "page-shaka"] {
        let set = Set::of(&["near", "far"]);
        let who = format!("vod-{player}");
        set.add_asset(&who);
        let url = format!("http://{HOST}:{}/.wayside/play/{who}", set.site.edge().port());
        let scene = set.play(&[Frame { who, player, url }]);
        scene.all_move_to("near");
        eventually("reports are heard", || scene.site.reports("heard") >= 10.0);
        for outcome in ["malformed", "too_long", "no_session"] {
            assert_eq!(scene.site.reports(outcome), 0.0, "{player}: {outcome}");
        }
    }
}
