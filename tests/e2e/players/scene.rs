//! Targets, a site that sends players to them, and a page with the players.

use std::time::{Duration, Instant};

use super::{
    browser::{Browser, Frame, Report},
    media,
    site::{HOST, Site, TTL_S},
    targets::{self, Health, Log, Served, Target},
};

/// Longer than this a picture may not stand still.
const STALL_MAX_S: f64 = 1.0;
/// How much a picture may fall behind the clock besides, frame by frame.
const LOST_SHARE_MAX: f64 = 0.05;
/// How long players play before something happens: their buffers are full then.
const SETTLED_S: f64 = 6.0;
/// How long all may take on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Targets and their site, before anybody plays. The last target is where the manifests come from, and none of the site's.
pub(crate) struct Set {
    pub(crate) site: Site,
    pub(crate) targets: Vec<Target>,
    /// How often players of assets that are added ask where to play from.
    pub(crate) ttl_s: u64,
    log: Log,
}

impl Set {
    /// Targets that the site does not know yet.
    pub(crate) fn bare(names: &[&str]) -> Self {
        let (targets, log) = targets::start(&[names, &["source"]].concat(), &media::folder());
        let site = Site::start();
        Self {
            site,
            targets,
            ttl_s: TTL_S,
            log,
        }
    }

    /// Targets with the names of their regions: a visitor is near to `near`.
    pub(crate) fn of(names: &[&str]) -> Self {
        let set = Self::bare(names);
        for target in &set.targets[..names.len()] {
            set.site.add_probed_target(target.name(), target.name(), &target.base());
        }
        set
    }

    /// Adds an asset for this player, of its name.
    pub(crate) fn add_asset(&self, who: &str) {
        let source = self.targets.last().expect("a source").base();
        self.site.add_asset(who, &source, "adaptive", self.ttl_s);
    }

    /// As [`Self::add_asset`], with sessions spread over all targets alike.
    pub(crate) fn add_shared_asset(&self, who: &str) {
        let source = self.targets.last().expect("a source").base();
        self.site.add_asset(who, &source, "consistent-hash", self.ttl_s);
    }

    /// Opens the page with these players, each of which plays an asset of its own.
    pub(crate) fn play(self, frames: &[Frame]) -> Scene {
        let mut hosts: Vec<_> = self.targets.iter().flat_map(Target::hosts).collect();
        hosts.push((HOST.to_owned(), self.site.edge()));
        let stage = Stage {
            browser: Browser::open(frames, &hosts),
            targets: self.targets,
            log: self.log,
            who: frames.iter().map(|frame| frame.who.clone()).collect(),
        };
        Scene {
            site: self.site,
            stage,
            settled: Instant::now(),
        }
    }
}

/// Players that play.
pub(crate) struct Scene {
    pub(crate) site: Site,
    pub(crate) stage: Stage,
    /// When the page was opened; later, when all had settled.
    settled: Instant,
}

impl Scene {
    /// Waits until all have played for a while.
    pub(crate) fn settle(&mut self) {
        let stage = &self.stage;
        for who in &stage.who {
            stage.until(who, "it has settled", SOON, || {
                let position = stage.position(who);
                position.is_some_and(|(now, began)| now - began > SETTLED_S)
            });
        }
        self.settled = Instant::now();
    }

    /// Waits until all have played for a while, from this target alone.
    pub(crate) fn settle_on(&mut self, target: &str) {
        let opened = self.settled;
        self.settle();
        let stage = &self.stage;
        for who in &stage.who {
            for other in stage.targets.iter().filter(|other| other.name() != target) {
                let fetched = stage.segments(who, other.name(), opened);
                assert_eq!(
                    fetched,
                    0,
                    "{who} was to begin on {target}, and fetched from {}",
                    other.name()
                );
            }
        }
    }

    /// Waits until all fetch from this target and no other.
    pub(crate) fn all_move_to(&self, target: &str) {
        for who in &self.stage.who {
            self.moves_to(who, target, SOON);
        }
    }

    pub(crate) fn moves_to(&self, who: &str, target: &str, within: Duration) {
        let what = format!("it fetches from {target}");
        self.stage.until(who, &what, within, || self.stage.is_on(who, target));
    }

    /// Each player that fetched from this target asked where to play from within so long after `since`, and so long after it was
    /// told it fetched nothing from there any more.
    pub(crate) fn all_left(&self, target: &str, since: Instant, asks_within: Duration, ends_within: Duration) {
        for who in &self.stage.who {
            let said = || self.stage.said(who);
            // Who was told before has left before.
            let asked = self.site.steered(who).into_iter().find(|at| *at >= since);
            let asked = asked.unwrap_or_else(Instant::now);
            let waited = asked.saturating_duration_since(since);
            assert!(
                waited <= asks_within,
                "{who} asked after {waited:?}, expected {asks_within:?} at most\n{}",
                said()
            );
            let last = self.stage.last_segment(who, target);
            let stayed = last.map_or(Duration::ZERO, |last| last.saturating_duration_since(asked));
            assert!(
                stayed <= ends_within,
                "{who} fetched from {target} for {stayed:?} after it was told\n{}",
                said()
            );
        }
    }

    /// Since they had settled no picture stood still, and each went on as the clock did.
    pub(crate) fn nobody_stalled(&self) {
        for who in &self.stage.who {
            let mut reports = self.stage.reports(who);
            reports.retain(|report| report.at >= self.settled);
            let said = || self.stage.said(who);
            let stalls = reports.iter().filter(|report| report.what == "stall");
            let longest = stalls.map(|report| report.number("seconds")).fold(0.0, f64::max);
            assert!(longest <= STALL_MAX_S, "{who} stood still for {longest} s\n{}", said());
            let mut positions = reports.iter().filter(|report| report.what == "position");
            let (Some(first), Some(last)) = (positions.next(), positions.next_back()) else {
                panic!("{who} said nothing since it had settled\n{}", said());
            };
            let passed = |field| last.number(field) - first.number(field);
            let behind = passed("page_s") - passed("position");
            // A busy machine loses a frame here and there.
            let most = STALL_MAX_S + passed("page_s") * LOST_SHARE_MAX;
            assert!(behind <= most, "{who} fell {behind} s behind the clock\n{}", said());
        }
    }

    /// From now on a target is like this.
    pub(crate) fn be(&mut self, target: &str, health: Health) {
        let targets = &mut self.stage.targets;
        let target = targets.iter_mut().find(|other| other.name() == target);
        target.expect("a target of that name").be(health);
    }
}

/// A browser with players before targets.
pub(crate) struct Stage {
    pub(crate) targets: Vec<Target>,
    pub(crate) log: Log,
    pub(crate) browser: Browser,
    /// The players, each by its asset's name.
    pub(crate) who: Vec<String>,
}

impl Stage {
    /// What this player has said.
    pub(crate) fn reports(&self, who: &str) -> Vec<Report> {
        let mut reports = self.browser.reports();
        reports.retain(|report| report.who == who);
        reports
    }

    /// Where this player's playhead is, and where it began.
    pub(crate) fn position(&self, who: &str) -> Option<(f64, f64)> {
        let reports = self.reports(who);
        let first = reports.iter().find(|report| report.what == "started")?;
        let last = reports.iter().rev().find(|report| report.what == "position")?;
        Some((last.number("position"), first.number("position")))
    }

    /// How many segments a target has served to this player since.
    pub(crate) fn segments(&self, who: &str, target: &str, since: Instant) -> usize {
        let log = targets::read(&self.log);
        let is_its = |served: &&Served| served.asset == who && served.target == target && served.at >= since;
        log.iter().filter(is_its).filter(|served| served.is_segment()).count()
    }

    /// When a target served the last segment to this player.
    pub(crate) fn last_segment(&self, who: &str, target: &str) -> Option<Instant> {
        let log = targets::read(&self.log);
        let is_its = |served: &&Served| served.asset == who && served.target == target && served.is_segment();
        log.iter().rev().find(is_its).map(|served| served.at)
    }

    /// Whether the last segments of picture and sound that this player got were from this target.
    pub(crate) fn is_on(&self, who: &str, target: &str) -> bool {
        const LAST: usize = 4;
        let log = targets::read(&self.log);
        let its = log
            .iter()
            .rev()
            .filter(|served| served.asset == who && served.is_segment());
        its.take(LAST).filter(|served| served.target == target).count() == LAST
    }

    /// Waits for something of this player; with what it said when that does not come.
    pub(crate) fn until(&self, who: &str, what: &str, within: Duration, is_so: impl Fn() -> bool) {
        let give_up = Instant::now() + within;
        while !is_so() {
            assert!(
                Instant::now() < give_up,
                "{who}: not within {within:?}: {what}\n{}\n{}",
                self.said(who),
                self.browser.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What it said but for where it is, and what it asked for, in order.
    pub(crate) fn said(&self, who: &str) -> String {
        let reports = self.reports(who);
        let last = reports.iter().rev().find(|report| report.what == "position");
        let said = reports.iter().filter(|report| report.what != "position").chain(last);
        let said = said.map(|report| (report.at, format!("{} {:?}", report.what, report.more)));
        let log = targets::read(&self.log);
        let asked = log.iter().filter(|served| served.asset == who);
        let asked = asked.map(|served| {
            (
                served.at,
                format!("{}: {} {}", served.target, served.status, served.file),
            )
        });
        let mut lines: Vec<_> = said.chain(asked).collect();
        lines.sort_by_key(|(at, _)| *at);
        let Some((began, _)) = lines.first().cloned() else {
            return "it said nothing".to_owned();
        };
        let line = |(at, text)| format!("{:8.3} {text}\n", Instant::duration_since(&at, began).as_secs_f64());
        lines.into_iter().map(line).collect()
    }
}
