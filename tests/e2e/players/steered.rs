//! Players that are steered: they begin on the best target, leave the one that dies, is ill or is drained, come back, and
//! use one that did not exist when they began. The picture goes on.

use std::time::{Duration, Instant};

use super::{
    PLAYERS,
    browser::Frame,
    media::SEGMENT_S,
    scene::{SOON, Scene, Set},
    site::HOST,
    targets::{self, Health, Target},
};
use crate::harness::{eventually, request};

/// How often players of the assets that are drained ask: for longer than everything else takes that comes between, so that one
/// that does as it was told a whole TTL ago is told from one that does not.
const DRAINED_TTL_S: u64 = 8;
/// How soon nodes know a change.
const TOLD: Duration = Duration::from_secs(1);
/// How late a busy machine makes what happens in time.
const SLACK: Duration = Duration::from_secs(2);
/// Shaka stays away for a minute from a host that failed it.
const SHAKA_FORGIVES: Duration = Duration::from_secs(60);

/// All players play an asset of each of these kinds.
fn play(set: Set, kinds: &[&str]) -> Scene {
    let mut frames = Vec::new();
    for kind in kinds {
        for (name, player, manifest) in PLAYERS {
            let who = format!("{kind}-{name}");
            set.add_asset(&who);
            let url = set.site.url(&who, manifest);
            frames.push(Frame { who, player, url });
        }
    }
    set.play(&frames)
}

/// A dead target refuses connections. Each player notices before it is told, and holds a grudge of its own: dash.js for a
/// TTL, Shaka for a minute, hls.js for five.
#[test]
fn a_target_dies_and_segments_come_from_another_until_it_recovers() {
    let mut scene = play(Set::of(&["near", "far"]), &["vod", "live"]);
    scene.settle_on("near");
    scene.be("near", Health::Dead);
    scene.all_move_to("far");
    scene.be("near", Health::Well);
    for kind in ["vod", "live"] {
        scene.moves_to(&format!("{kind}-dash.js"), "near", SOON);
        for player in ["shaka-hls", "shaka-dash"] {
            scene.moves_to(&format!("{kind}-{player}"), "near", SHAKA_FORGIVES + SOON);
        }
    }
    scene.nobody_stalled();
}

/// Nothing fails for the players: they leave because they are told, and come back as soon as they are told.
#[test]
fn players_leave_a_target_that_is_drained_or_ill_within_a_ttl_and_come_back() {
    let mut set = Set::of(&["near", "far"]);
    set.ttl_s = DRAINED_TTL_S;
    let mut scene = play(set, &["vod", "live"]);
    scene.settle_on("near");
    scene.site.set_service("near", "draining");
    // Who asks from now on is told.
    let drained = Instant::now() + TOLD;
    scene.all_move_to("far");
    // What was begun is finished: a segment that is due meanwhile.
    let (ttl, segment) = (Duration::from_secs(DRAINED_TTL_S), Duration::from_secs(SEGMENT_S));
    scene.all_left("near", drained, ttl + SLACK, segment + SLACK);
    scene.site.set_service("near", "in");
    scene.all_move_to("near");
    scene.be("near", Health::Ill);
    scene.all_move_to("far");
    scene.be("near", Health::Well);
    scene.all_move_to("near");
    scene.nobody_stalled();
}

/// The playlists that the players have do not name it. Shaka's own build has forgotten what the fields of a clone are
/// called; the same code with its names does as it is told.
#[test]
fn a_target_that_is_added_while_they_play_is_used_by_players_that_know_clones() {
    let set = Set::bare(&["near", "far", "new"]);
    let urls: Vec<_> = set.targets.iter().map(Target::base_on_default_port).collect();
    set.site.add_target("near", "near", &urls[0]);
    set.site.add_target("far", "far", &urls[1]);
    let players = [
        ("vod-hls.js", "hls.js", "main.m3u8", "new"),
        ("vod-dash.js", "dash.js", "main.mpd", "new"),
        ("vod-shaka-debug-hls", "shaka-debug", "main.m3u8", "new"),
        ("vod-shaka-debug-dash", "shaka-debug", "main.mpd", "new"),
        ("vod-shaka", "shaka", "main.m3u8", "far"),
    ];
    let frames = players.map(|(who, player, manifest, _)| {
        set.add_asset(who);
        let (who, url) = (who.to_owned(), set.site.url(who, manifest));
        Frame { who, player, url }
    });
    let mut scene = set.play(&frames);
    scene.settle_on("near");
    scene.site.add_target("new", "near", &urls[2]);
    scene.site.set_service("near", "draining");
    for (who, _, _, target) in players {
        scene.moves_to(who, target, SOON);
    }
    scene.nobody_stalled();
}

/// All URLs of a copy inherit the token in front of its path, in playlists as in MPDs.
#[test]
fn targets_that_want_tokens_get_them_from_every_player() {
    let set = Set::bare(&["near", "far"]);
    for target in &set.targets[..2] {
        target.want_tokens();
        set.site.add_signed_target(target.name(), target.name(), &target.base());
    }
    let mut scene = play(set, &["vod", "live"]);
    scene.settle_on("near");
    scene.site.set_service("near", "draining");
    scene.all_move_to("far");
    scene.nobody_stalled();
    let refused: Vec<_> = targets::read(&scene.stage.log)
        .iter()
        .filter(|served| served.status == 403)
        .cloned()
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
}

/// dash.js loses a clone's port, and would look for it where it is not.
#[test]
fn clones_with_a_port_are_for_hls_alone() {
    let set = Set::bare(&["near", "far", "new"]);
    let urls: Vec<_> = set.targets.iter().map(Target::base).collect();
    set.site.add_target("near", "near", &urls[0]);
    set.site.add_target("far", "far", &urls[1]);
    set.add_asset("film");
    let edge = set.site.edge();
    let get = |path: &str| request(edge, "GET", HOST, path, &[]).body;
    let begin = || {
        let mpd = get("/video/film/main.mpd");
        let (_, rest) = mpd.split_once("/.wayside/steer/film?session=").expect("steering");
        rest.split_once('<').expect("an end").0.to_owned()
    };
    eventually("the edge knows the targets", || {
        get("/video/film/main.mpd").contains("far")
    });
    let session = begin();
    set.site.add_target("new", "near", &urls[2]);
    let ask = |parameter: &str| get(&format!("/.wayside/steer/film?session={session}&{parameter}=near"));
    eventually("players of HLS get a clone", || {
        ask("_HLS_pathway").contains(r#""ID":"new""#)
    });
    let dash = ask("_DASH_pathway");
    assert!(dash.contains("near") && !dash.contains("new"), "{dash}");
}
