//! Players in a browser: what they fetch from which target, and whether the picture stands still.
//!
//! `tests/setup` installs Chromium and ffmpeg, `npm ci --prefix tests/players` the players in the versions that its lock
//! file names. The targets' own logs say which of them served what; of the players only the playhead is believed.

use std::time::Instant;

use self::{
    browser::{Browser, Frame},
    scene::{SOON, Stage},
};

mod browser;
mod media;
mod plain;
mod scene;
mod site;
mod steered;
mod targets;
mod tokens;
mod traffic;

/// Each player with the manifest that it is given.
const PLAYERS: [(&str, &str, &str); 4] = [
    ("hls.js", "hls.js", "main.m3u8"),
    ("dash.js", "dash.js", "main.mpd"),
    ("shaka-hls", "shaka", "main.m3u8"),
    ("shaka-dash", "shaka", "main.mpd"),
];

/// What fails here fails for want of media, of a browser or of a player, and for nothing of ours.
#[test]
fn each_player_plays_the_media_as_it_comes_from_a_target() {
    let (targets, log) = targets::start(&["a"], &media::folder());
    let base = targets[0].base();
    let mut frames: Vec<Frame> = ["vod", "live"]
        .iter()
        .flat_map(|kind| PLAYERS.map(|player| (kind, player)))
        .map(|(kind, (name, player, manifest))| Frame {
            who: format!("{kind}-{name}"),
            player,
            url: format!("{base}{kind}-{name}/{manifest}"),
        })
        .collect();
    frames.push(Frame {
        who: "vod-video".to_owned(),
        player: "video",
        url: format!("{base}vod-video/whole.mp4"),
    });
    let browser = Browser::open(&frames, &targets[0].hosts());
    let began = Instant::now();
    let stage = Stage {
        targets,
        log,
        browser,
        who: frames.iter().map(|frame| frame.who.clone()).collect(),
    };
    for who in &stage.who {
        stage.until(who, "it plays for five seconds", SOON, || {
            stage.position(who).is_some_and(|(now, began)| now - began > 5.0)
        });
        let least = if who.ends_with("video") { 0 } else { 4 };
        let served = stage.segments(who, "a", began);
        assert!(
            served >= least,
            "{who}: {served} segments for five seconds of picture and sound"
        );
    }
}
