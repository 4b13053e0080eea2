//! Players in a browser: what they fetch from which target, and whether the picture stands still.
//!
//! `tests/setup` installs Chromium and ffmpeg, `npm ci --prefix tests/players` the players in the versions that its lock
//! file names. The targets' own logs say which of them served what; of the players only the playhead is believed.

use std::time::{Duration, Instant};

use self::{
    browser::{Browser, Frame, Report},
    targets::{Log, Target},
};

mod browser;
mod media;
mod targets;

/// A browser with players before targets.
struct Stage {
    targets: Vec<Target>,
    log: Log,
    browser: Browser,
}

impl Stage {
    /// What this player has said.
    fn reports(&self, who: &str) -> Vec<Report> {
        let mut reports = self.browser.reports();
        reports.retain(|report| report.who == who);
        reports
    }

    /// Where this player's playhead is, and where it began.
    fn position(&self, who: &str) -> Option<(f64, f64)> {
        let reports = self.reports(who);
        let began = reports
            .iter()
            .find(|report| report.what == "started")?
            .number("position");
        let now = reports
            .iter()
            .rev()
            .find(|report| report.what == "position")?
            .number("position");
        Some((now, began))
    }

    /// How many segments each target served of this asset.
    fn segments(&self, asset: &str) -> Vec<(String, usize)> {
        let log = targets::read(&self.log);
        let count = |target: &Target| {
            let is_its = |served: &&targets::Served| served.target == target.name() && served.asset == asset;
            log.iter().filter(is_its).filter(|served| served.is_segment()).count()
        };
        self.targets
            .iter()
            .map(|target| (target.name().to_owned(), count(target)))
            .collect()
    }

    /// Waits for something of this player; with what it said when that does not come.
    fn until(&self, who: &str, what: &str, is_so: impl Fn() -> bool) {
        const SOON: Duration = Duration::from_secs(30);
        let give_up = Instant::now() + SOON;
        while !is_so() {
            assert!(
                Instant::now() < give_up,
                "{who}: not within {SOON:?}: {what}\n{}\n{}",
                self.said(who),
                self.browser.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What it said but for where it is, one line each.
    fn said(&self, who: &str) -> String {
        let reports = self.reports(who);
        let last = reports.iter().rev().find(|report| report.what == "position");
        let lines = reports
            .iter()
            .filter(|report| report.what != "position")
            .chain(last)
            .map(|report| format!("{} {:?}\n", report.what, report.more));
        lines.collect()
    }
}

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
    let hosts = [(targets[0].host(), targets[0].address)];
    let browser = Browser::open(&frames, &hosts);
    let stage = Stage { targets, log, browser };
    for frame in &frames {
        stage.until(&frame.who, "it plays for five seconds", || {
            stage.position(&frame.who).is_some_and(|(now, began)| now - began > 5.0)
        });
        if frame.player != "video" {
            let served = stage.segments(&frame.who)[0].1;
            assert!(
                served >= 4,
                "{}: {served} segments for five seconds of picture and sound",
                frame.who
            );
        }
    }
}
