//! What three targets serve while one of them dies and comes back: its players go on from the others, and it gets
//! its share again. The picture in the documentation is drawn from it.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{
    browser::Frame,
    scene::{SOON, Scene, Set},
    targets::{self, Health},
};

const TARGETS: [&str; 3] = ["east", "north", "west"];
const PLAYERS: usize = 12;
/// How long the picture shows what is the same.
const SHOWN: Duration = Duration::from_secs(8);

/// Those of the players that fetch from this target and no other.
fn players_of(scene: &Scene, target: &str) -> Vec<String> {
    let stage = &scene.stage;
    stage
        .who
        .iter()
        .filter(|who| stage.is_on(who, target))
        .cloned()
        .collect()
}

#[test]
fn three_targets_share_players_while_one_dies_and_recovers() {
    let set = Set::of(&TARGETS);
    let frames: Vec<Frame> = (0..PLAYERS)
        .map(|number| {
            let who = format!("vod-{number}");
            set.add_shared_asset(&who);
            let url = set.site.url(&who, "main.mpd");
            Frame {
                who,
                player: "dash.js",
                url,
            }
        })
        .collect();
    let mut scene = set.play(&frames);
    scene.settle();
    let began = Instant::now();
    std::thread::sleep(SHOWN);
    // The one with the most players: by chance another may have none.
    let (dies, its) = TARGETS
        .map(|target| (target, players_of(&scene, target)))
        .into_iter()
        .max_by_key(|(_, its)| its.len())
        .expect("targets");
    scene.be(dies, Health::Dead);
    let died = Instant::now();
    let others = || TARGETS.into_iter().filter(|other| *other != dies);
    for who in &its {
        let moved = || others().any(|other| scene.stage.is_on(who, other));
        scene.stage.until(who, "it has left the dead target", SOON, moved);
    }
    std::thread::sleep(SHOWN);
    scene.be(dies, Health::Well);
    let recovered = Instant::now();
    // Not all the same: who comes first takes the places that bounded hashing leaves.
    let returned = || players_of(&scene, dies).len() * 2 >= its.len();
    scene
        .stage
        .until(&its[0], "half of its players are back", SOON, returned);
    std::thread::sleep(SHOWN);
    let ended = Instant::now();
    scene.nobody_stalled();
    for who in &scene.stage.who {
        // Those of the others stayed where they were, or were pushed aside for a while by the newcomers.
        let served: usize = TARGETS
            .iter()
            .map(|target| scene.stage.segments(who, target, recovered))
            .sum();
        assert!(
            served > 0,
            "{who} got nothing after the recovery\n{}",
            scene.stage.said(who)
        );
    }
    let seconds = |at: Instant| at.saturating_duration_since(began).as_secs_f64();
    let served: Vec<_> = targets::read(&scene.stage.log)
        .iter()
        .filter(|served| served.is_segment() && served.at >= began && served.at < ended)
        .map(|served| json!([seconds(served.at), served.target, served.bytes]))
        .collect();
    let run = json!({
        "targets": TARGETS,
        "died": dies,
        "died_s": seconds(died),
        "recovered_s": seconds(recovered),
        "ended_s": seconds(ended),
        "players": PLAYERS,
        "served": served,
    });
    // For tests/players/draw.
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("traffic.json");
    fs::write(&file, run.to_string()).expect("write");
}
