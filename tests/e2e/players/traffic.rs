//! What three targets serve while one of them dies and comes back, for the picture in the documentation.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{
    browser::Frame,
    scene::Set,
    targets::{self, Health},
};

const TARGETS: [&str; 3] = ["east", "north", "west"];
const PLAYERS: usize = 12;
/// When it dies, when it comes back, and when the picture ends, after all have settled.
const DIES: Duration = Duration::from_secs(15);
const RECOVERS: Duration = Duration::from_secs(40);
const ENDS: Duration = Duration::from_secs(80);

#[test]
#[ignore = "it draws rather than tests, for a minute and a half: tests/players/draw runs it"]
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
    let wait_until = |at: Duration| std::thread::sleep(at.saturating_sub(began.elapsed()));
    wait_until(DIES);
    scene.be("north", Health::Dead);
    wait_until(RECOVERS);
    scene.be("north", Health::Well);
    wait_until(ENDS);
    let served: Vec<_> = targets::read(&scene.stage.log)
        .iter()
        .filter(|served| served.is_segment() && served.at >= began)
        .map(|served| json!([(served.at - began).as_secs_f64(), served.target, served.bytes]))
        .collect();
    let run = json!({
        "targets": TARGETS,
        "died_s": DIES.as_secs(),
        "recovered_s": RECOVERS.as_secs(),
        "ended_s": ENDS.as_secs(),
        "players": PLAYERS,
        "served": served,
    });
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("traffic.json");
    std::fs::write(&file, run.to_string()).expect("write");
}
