//! Players that report well, badly, seldom, too often and falsely, in virtual time.

use std::time::Duration;

use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use wayside_balance::{moment::Moment, random::Random};
use wayside_decide::stream::target::Country;

use super::{
    CELLS_MAX, HOME_VOICES_MAX, Network, NoSettings, Playing, Quality, Sample, Settings, Speaker, VOICES_MAX, Verdict,
};
use crate::{
    cmcd::{self, Report},
    samples::{look, spec},
    select::{
        set::{TargetIndex, TargetSet},
        target::Pool,
    },
};

const NETWORK: Network = Network::System(64_500);
const WELL: Sample = Sample {
    is_starved: false,
    is_failed: false,
    throughput_kbit_s: None,
    bitrate_kbit_s: None,
};
const STALLED: Sample = Sample {
    is_starved: true,
    ..WELL
};

fn target(place: usize) -> TargetIndex {
    TargetIndex::new(place).expect("a place")
}

fn on(place: usize) -> Playing {
    Playing {
        target: target(place),
        left: None,
    }
}

/// A session that lives by itself.
const fn alone(session: u64) -> Speaker {
    Speaker { session, home: session }
}

/// Quality and a clock.
struct Scene {
    quality: Quality,
    now: Moment,
}

impl Scene {
    fn new() -> Self {
        let now = Moment::default();
        let quality = Quality::new(Settings::default(), 1, now).expect("settings");
        Self { quality, now }
    }

    fn report(&mut self, session: u64, place: usize, sample: &Sample) {
        self.quality
            .report(&[NETWORK], alone(session), &on(place), sample, self.now);
    }

    fn look(&mut self) {
        self.look_at(0);
    }

    /// After an interval, at targets from each of which so many sessions play.
    fn look_at(&mut self, sessions: u32) {
        self.now = self.now + Settings::default().interval;
        look(&mut self.quality, self.now, sessions);
    }

    fn verdict(&self, place: usize) -> Verdict {
        self.quality.verdict(NETWORK, target(place)).0
    }

    fn share(&self, place: usize) -> f64 {
        self.quality.verdict(NETWORK, target(place)).1
    }

    fn avoided(&self, session: u64) -> TargetSet {
        self.quality.avoided(&[NETWORK], session)
    }
}

/// Sessions that play from the first of two targets unless they avoid it.
fn play(scene: &Scene, sessions: u64) -> Vec<usize> {
    (0..sessions)
        .map(|session| usize::from(scene.avoided(session).has(target(0))))
        .collect()
}

#[test]
fn few_who_complain_do_not_stand_for_many_who_say_nothing() {
    let other = Network::System(64_501);
    for (voices, of_others, sessions, is_known) in [
        (4, 0, 10, false),
        (5, 0, 25, true),
        (5, 0, 26, false),
        (31, 0, 1_000, false),
        (32, 0, 1_000, true),
        // There are as many as are kept.
        (64, 0, 100_000, true),
        // A tenth of the thousand sessions is here: ten speak for a hundred, nine of another tenth do not.
        (10, 90, 1_000, true),
        (9, 91, 1_000, false),
    ] {
        let mut scene = Scene::new();
        for session in 0..voices {
            scene.report(session, 0, &STALLED);
        }
        // Networks of others keep no more voices each than any.
        for session in 0..of_others {
            let network = if session < 50 { other } else { Network::System(64_502) };
            let speaker = alone(1_000 + session);
            scene.quality.report(&[network], speaker, &on(0), &WELL, scene.now);
        }
        scene.look_at(sessions);
        let found = scene.verdict(0) != Verdict::Unknown;
        assert_eq!(found, is_known, "{voices} of {sessions}, {of_others} elsewhere");
    }
}

#[test]
fn sessions_leave_a_bad_target_a_few_at_a_time_and_come_back_as_slowly() {
    let mut scene = Scene::new();
    let (sessions, step) = (2_000, 0.1);
    let mut before = play(&scene, sessions);
    let mut away = Vec::new();
    for round in 0..60 {
        let is_bad = (5..25).contains(&round);
        for (session, place) in before.iter().enumerate() {
            let sample = if *place == 0 && is_bad { STALLED } else { WELL };
            scene.report(session as u64, *place, &sample);
        }
        scene.look();
        let now = play(&scene, sessions);
        let moved = now.iter().zip(&before).filter(|(now, before)| now != before).count();
        assert!(
            moved as f64 <= sessions as f64 * (step + 0.02),
            "{moved} in round {round}"
        );
        away.push(now.iter().sum::<usize>());
        before = now;
    }
    assert_eq!(&away[..5], [0; 5]);
    // A twentieth stays, by which it is known that it is well again.
    assert!((1_850..1_950).contains(&away[24]), "{away:?}");
    assert_eq!(away[59], 0, "{away:?}");
    assert!(
        away[..25].is_sorted() && away[30..].is_sorted_by(|one, other| one >= other),
        "no to and fro: {away:?}"
    );
}

#[test]
fn one_session_has_one_voice_however_often_it_speaks() {
    let mut scene = Scene::new();
    for _ in 0..20 {
        for _ in 0..1_000 {
            scene.report(0, 0, &STALLED);
        }
        for session in 1..9 {
            scene.report(session, 0, &WELL);
            scene.report(session + 100, 1, &WELL);
        }
        scene.look();
    }
    assert_eq!(scene.verdict(0), Verdict::Good(1.0));
}

#[test]
fn too_few_reports_say_nothing_and_old_ones_are_forgotten() {
    let mut scene = Scene::new();
    for session in 0..4 {
        scene.report(session, 0, &STALLED);
    }
    scene.look();
    assert_eq!(
        (scene.verdict(0), scene.share(0), scene.quality.cells()),
        (Verdict::Unknown, 1.0, 0)
    );
    for _ in 0..5 {
        for session in 0..5 {
            scene.report(session, 0, &STALLED);
        }
        scene.look();
    }
    assert_eq!(
        scene.verdict(0),
        Verdict::Bad(0.0),
        "nobody knows the others to be worse"
    );
    let share = scene.share(0);
    assert!(share < 0.6);
    // Silence is not badness for ever.
    for _ in 0..29 {
        scene.look();
    }
    assert!(matches!(scene.verdict(0), Verdict::Bad(_)));
    for _ in 0..15 {
        scene.look();
    }
    assert_eq!(
        (scene.verdict(0), scene.share(0), scene.quality.cells()),
        (Verdict::Unknown, 1.0, 0)
    );
}

#[test]
fn nobody_is_moved_when_all_targets_are_as_bad() {
    let mut scene = Scene::new();
    for _ in 0..20 {
        for session in 0..50 {
            scene.report(session, (session % 2) as usize, &STALLED);
        }
        scene.look();
    }
    for place in 0..2 {
        assert_eq!(
            (scene.verdict(place), scene.share(place)),
            (Verdict::Good(0.0), 1.0),
            "it is the visitors' network"
        );
    }
}

#[test]
fn the_worst_that_a_session_reports_in_an_interval_is_its_voice() {
    let mut scene = Scene::new();
    for session in 0..6 {
        scene.report(session, 0, &STALLED);
        scene.report(session, 0, &WELL);
        scene.report(session, 1, &WELL);
    }
    scene.look();
    assert_eq!(scene.verdict(0), Verdict::Bad(0.0));
}

#[test]
fn a_bad_target_is_good_again_above_a_higher_bound_only() {
    let at = |throughput| Sample {
        throughput_kbit_s: Some(throughput),
        bitrate_kbit_s: Some(1_000),
        ..WELL
    };
    // 1,050 kbit/s are a value of 0.7: between the bounds.
    for (first, expected) in [(0, true), (1_500, false)] {
        let mut scene = Scene::new();
        for round in 0..40 {
            for session in 0..20 {
                scene.report(session, 0, &at(if round < 3 { first } else { 1_050 }));
                scene.report(session, 1, &WELL);
            }
            scene.look();
        }
        assert_eq!(matches!(scene.verdict(0), Verdict::Bad(_)), expected);
    }
}

#[test]
fn a_little_worse_than_the_others_is_not_bad() {
    let mut scene = Scene::new();
    let at = |throughput| Sample {
        throughput_kbit_s: Some(throughput),
        bitrate_kbit_s: Some(1_000),
        ..WELL
    };
    for _ in 0..9 {
        for session in 0..20 {
            scene.report(session, 0, &at(600));
            scene.report(session, 1, &at(750));
        }
        scene.look();
        assert!(matches!(scene.verdict(0), Verdict::Good(_)) && scene.share(0) == 1.0);
    }
}

#[test]
fn a_stall_right_after_a_switch_is_the_fault_of_who_was_left() {
    let mut scene = Scene::new();
    let late = Settings::default().blame;
    for round in 0..10 {
        for session in 0..20 {
            let mut playing = on(1);
            playing.left = Some((target(0), scene.now));
            scene
                .quality
                .report(&[NETWORK], alone(session), &playing, &STALLED, scene.now + late / 2);
            scene.report(session + 100, 1, &WELL);
        }
        scene.look();
        assert!(round < 1 || matches!(scene.verdict(0), Verdict::Bad(_)), "{round}");
        assert_eq!(scene.verdict(1), Verdict::Good(1.0));
    }
    // Later it is the fault of who serves; a failed request is at once.
    for (after, is_failed) in [(late, false), (Duration::ZERO, true)] {
        let mut scene = Scene::new();
        for session in 0..20 {
            let playing = Playing {
                target: target(1),
                left: Some((target(0), scene.now)),
            };
            let sample = Sample { is_failed, ..STALLED };
            scene
                .quality
                .report(&[NETWORK], alone(session), &playing, &sample, scene.now + after);
            scene.report(session + 100, 2, &WELL);
        }
        scene.look();
        assert!(matches!(scene.verdict(1), Verdict::Bad(_)), "{after:?}");
    }
}

#[test]
fn the_first_network_that_knows_a_target_decides() {
    let mut scene = Scene::new();
    let country = Network::Country(Country::parse("de").expect("a country"));
    for _ in 0..12 {
        for session in 0..20 {
            scene
                .quality
                .report(&[NETWORK], alone(session), &on(0), &WELL, scene.now);
            scene
                .quality
                .report(&[country], alone(session), &on(0), &STALLED, scene.now);
            scene
                .quality
                .report(&[country], alone(session), &on(1), &WELL, scene.now);
            scene
                .quality
                .report(&[country], alone(session), &on(2), &STALLED, scene.now);
        }
        scene.look();
    }
    let avoided = |networks: &[Network]| {
        let mut all = TargetSet::EMPTY;
        for key in 0..200 {
            all = all.or(scene.quality.avoided(networks, key));
        }
        all.iter().map(TargetIndex::place).collect::<Vec<_>>()
    };
    assert_eq!(avoided(&[country]), [0, 2]);
    assert_eq!(avoided(&[NETWORK, country]), [2]);
    assert_eq!(avoided(&[Network::System(1)]), [] as [usize; 0]);
}

#[test]
fn what_is_known_goes_with_the_names_of_targets() {
    let pool = |names: &[&str]| {
        let specs = names.iter().map(|called| spec(called, "r"));
        Pool::new(specs.collect()).expect("a pool")
    };
    let mut scene = Scene::new();
    for _ in 0..12 {
        for session in 0..20 {
            scene.report(session, 0, &STALLED);
            scene.report(session, 1, &WELL);
        }
        scene.look();
    }
    scene
        .quality
        .follow(&pool(&["bad", "gone"]), &pool(&["new", "other", "bad"]));
    assert_eq!(
        (scene.verdict(2), scene.verdict(0), scene.verdict(1)),
        (Verdict::Bad(0.0), Verdict::Unknown, Verdict::Unknown)
    );
    let avoided: Vec<_> = (0..100)
        .map(|key| scene.avoided(key))
        .filter(|set| !set.is_empty())
        .collect();
    assert!(avoided.len() > 80 && avoided.iter().all(|set| set.has(target(2)) && set.len() == 1));
}

#[test]
fn settings_that_cannot_be_are_named() {
    let refused = |settings: Settings| settings.check().expect_err("refused").to_string();
    let all = Settings::default();
    for (settings, expected) in [
        (
            Settings {
                interval: Duration::ZERO,
                ..all
            },
            "interval of the quality score: found 0 s, expected more than nothing",
        ),
        (
            Settings { sessions_min: 0, ..all },
            "minimum of sessions of the quality score: found 0, expected 1 to 64",
        ),
        (
            Settings { bad_below: 0.9, ..all },
            "bounds of the quality score: found bad below 0.9 and good above 0.8, expected bad below good, both between 0 and 1",
        ),
        (
            Settings {
                shift_max: f64::NAN,
                ..all
            },
            "shift of the quality score: found NaN, expected above 0, up to 1",
        ),
    ] {
        assert_eq!(refused(settings), expected);
    }
    let quality: Result<_, NoSettings> = Quality::new(
        Settings {
            good_above: f64::NAN,
            ..all
        },
        1,
        Moment::default(),
    );
    quality.expect_err("refused");
}

#[test]
fn memory_is_bounded() {
    let mut scene = Scene::new();
    for system in 0..20_000 {
        scene
            .quality
            .report(&[Network::System(system)], alone(1), &on(0), &WELL, scene.now);
    }
    assert_eq!(scene.quality.cells(), CELLS_MAX);
    scene.look();
    assert_eq!(scene.quality.cells(), 0, "one session is not enough to be remembered");
    for session in 0..10_000 {
        scene.report(session, 0, &WELL);
    }
    let cell = scene.quality.cells.values().next().expect("a cell");
    assert_eq!(cell.voices.len(), VOICES_MAX);
}

#[test]
fn whoever_comes_first_does_not_speak_for_all() {
    let mut scene = Scene::new();
    for _ in 0..5 {
        // The first seventy lie; by order of arrival they would be all that is heard.
        for session in 0..500 {
            scene.report(session, 0, if session < 70 { &STALLED } else { &WELL });
            scene.report(session, 1, &WELL);
        }
        scene.look();
        assert_eq!(scene.verdict(0), Verdict::Good(1.0));
    }
}

#[test]
fn a_report_of_a_player_says_what_steering_needs() {
    let sample = |line: &str| {
        let report: Report = cmcd::from_body(line.as_bytes()).expect("short").reports.remove(0);
        Sample::of(&report)
    };
    let value = |line: &str| sample(line).map(|sample| sample.value());
    for (line, expected) in [
        ("ot=v,br=1000,mtp=9000", Some(1.0)),
        ("ot=v,br=1000,mtp=750", Some(0.5)),
        ("ot=v,br=0,mtp=750", Some(1.0)),
        ("ot=av,bs,br=1000,mtp=9000", Some(0.0)),
        ("e=rr,ot=v,rc=503", Some(0.0)),
        ("e=rr,ot=v,rc=0", Some(0.0)),
        ("e=rr,ot=v,rc=206", Some(1.0)),
        ("e=e,ec=(\"x\")", Some(0.0)),
        ("e=ps,sta=r", Some(0.0)),
        ("e=t,sta=p", Some(1.0)),
        ("ot=m", None),
        ("ot=m,rc=404", Some(0.0)),
        ("sid=\"a\"", None),
    ] {
        assert_eq!(value(line), expected, "{line}");
    }
}

proptest! {
    #[test]
    fn fewer_than_half_cannot_steer_the_others(
        honest in 11_u64..100, rogue_share in 0.0..0.45_f64, seed in any::<u64>(), rounds in 1_usize..20,
    ) {
        let mut scene = Scene::new();
        scene.quality.seed = seed;
        let rogues = (honest as f64 * rogue_share / (1.0 - rogue_share)) as u64;
        // What is heard is a sample when there are too many; half of 64 by chance is far from a share of 0.3.
        let rogues = if honest + rogues > VOICES_MAX as u64 { rogues.min(honest * 2 / 5) } else { rogues };
        for _ in 0..rounds {
            for session in 0..honest {
                scene.report(session, 0, &WELL);
                scene.report(session, 1, &WELL);
            }
            for session in 0..rogues {
                for _ in 0..5 {
                    scene.report(1_000 + session, 0, &STALLED);
                }
            }
            scene.look();
            prop_assert!(!matches!(scene.verdict(0), Verdict::Bad(_)), "{rogues} of {}", honest + rogues);
        }
        prop_assert_eq!(scene.share(0), 1.0);
    }

    #[test]
    fn shares_stay_in_bounds_and_move_by_a_step(
        rounds in proptest::collection::vec((0_u64..20, any::<u8>(), 0_u64..40), 1..60), seed in any::<u64>(),
    ) {
        let mut scene = Scene::new();
        let mut random = Random::new(seed);
        let mut since_s = 0;
        for (sessions, badness, pause_s) in rounds {
            for session in 0..sessions {
                let sample = if random.below(256) < usize::from(badness) { STALLED } else { WELL };
                scene.report(session, random.below(3), &sample);
            }
            let before: Vec<f64> = (0..3).map(|place| scene.share(place)).collect();
            scene.now = scene.now + Duration::from_secs(pause_s);
            look(&mut scene.quality, scene.now, 0);
            since_s += pause_s;
            for (place, before) in before.iter().enumerate() {
                let share = scene.share(place);
                prop_assert!((0.05..=1.0).contains(&share) && (share - before).abs() <= 0.1 + 1e-9);
                prop_assert!(since_s >= 10 || share == *before, "nothing changes before the interval is over");
            }
            since_s = if since_s >= 10 { 0 } else { since_s };
        }
    }

    #[test]
    fn a_session_that_leaves_first_comes_back_last(key in any::<u64>()) {
        let mut scene = Scene::new();
        let mut was_away = false;
        for _ in 0..12 {
            for session in 0..20 {
                scene.report(session, 0, &STALLED);
                scene.report(session, 1, &WELL);
            }
            scene.look();
            let is_away = scene.avoided(key).has(target(0));
            prop_assert!(is_away || !was_away, "moved to and fro");
            was_away = is_away;
        }
    }
}

#[test]
fn many_sessions_of_one_home_are_heard_as_few() {
    let mut scene = Scene::new();
    let home = "192.0.2.1".parse().expect("an address");
    for _ in 0..30 {
        for session in 0..7 {
            scene.report(session, 0, &WELL);
            scene.report(session, 1, &WELL);
        }
        for session in 100..1_100 {
            let liar = Speaker::new(session, home);
            scene.quality.report(&[NETWORK], liar, &on(0), &STALLED, scene.now);
        }
        scene.look();
        assert_eq!((scene.verdict(0), scene.share(0)), (Verdict::Good(1.0), 1.0));
    }
    for session in 0..HOME_VOICES_MAX as u64 + 5 {
        let liar = Speaker::new(session, home);
        scene
            .quality
            .report(&[Network::Elsewhere], liar, &on(0), &STALLED, scene.now);
    }
    scene.look();
    let alone = scene.quality.verdict(Network::Elsewhere, target(0));
    assert_eq!(alone, (Verdict::Unknown, 1.0), "by themselves they are too few");
}

#[test]
fn a_home_is_an_address_or_a_site_of_networks() {
    let home = |text: &str| Speaker::new(1, text.parse().expect("an address")).home;
    assert_eq!(home("192.0.2.1"), home("::ffff:192.0.2.1"));
    assert_ne!(home("192.0.2.1"), home("192.0.2.2"));
    assert_eq!(home("2001:db8:1:2::3"), home("2001:db8:1:ffff::4"));
    assert_ne!(home("2001:db8:1::"), home("2001:db8:2::"));
    assert_ne!(home("0.0.0.1"), home("0:0:1::"));
}
