//! Each balancer by what it alone does: selected by command or API, in force at the next session.

use serde_json::{Value, json};

use super::{
    Target, add_target,
    audience::{Audience, WELL},
    site::{Site, sent, target},
    with_site,
};
use crate::{
    geo::databases,
    harness::{Dev, eventually, request},
};

/// Begins a session at an address of its own; on which target.
fn begin(dev: &Dev, asset: &str, number: usize) -> String {
    let address = format!("198.51.{}.{}", number / 250, number % 250);
    let path = format!("/.wayside/play/{asset}");
    let fields = [("X-Forwarded-For", address.as_str())];
    let begun = request(dev.process.edge(), "GET", "video.test", &path, &fields);
    let begun: Value = serde_json::from_str(&begun.body).unwrap_or_default();
    begun["target"]["id"].as_str().unwrap_or_default().to_owned()
}

fn status(dev: &Dev, name: &str, field: &str) -> f64 {
    let shown: Value = serde_json::from_str(&dev.process.admin("/streams/targets").body).expect("JSON");
    let shown = shown["items"].as_array().expect("targets").clone();
    let of = shown.into_iter().find(|shown| shown["target"] == name);
    of.and_then(|of| of[field].as_f64()).unwrap_or(f64::NAN)
}

/// Selects a balancer, and waits until the node knows it.
fn select(dev: &Dev, asset: &str, balancer: &str) {
    dev.ok(&["stream", "set", "video", asset, "--balancer", balancer]);
    let path = format!("/streams/explain?tenant=default&site=video&asset={asset}&ip=192.0.2.1");
    let selected = format!("\"balancer\":\"{balancer}\"");
    eventually("the node knows it", || {
        dev.process.admin(&path).body.contains(&selected)
    });
}

/// Three targets that differ: the first has more weight; the second takes its time; the third is quick, and has the most to do
/// for its weight.
#[test]
fn a_balancer_is_in_force_as_soon_as_it_is_selected() {
    const PLAYING: [(&str, usize); 3] = [("heavy", 90), ("slow", 30), ("quick", 80)];
    const LATE_MS: u64 = 3_000;
    let dev = with_site();
    let servers = PLAYING.map(|_| Target::start());
    servers[1].is_late_by(LATE_MS);
    let probe = "--probe up --probe-interval 250 --probe-timeout 20000";
    for (((name, _), server), weight) in PLAYING.iter().zip(&servers).zip(["5", "1", "1"]) {
        let words: Vec<&str> = ["--weight", weight].into_iter().chain(probe.split(' ')).collect();
        add_target(&dev, name, &server.url(), &words);
        dev.ok(&["stream", "add", "video", name, "--pathway", name]);
    }
    for (asset, [one, two]) in [("first", ["heavy", "slow"]), ("second", ["slow", "quick"])] {
        dev.ok(&["stream", "add", "video", asset, "--pathway", one, "--pathway", two]);
    }
    let mut numbers = 0..;
    let mut next = || numbers.next().expect("another");
    for (name, playing) in PLAYING {
        eventually("the asset is known", || begin(&dev, name, 10_000) == name);
        for _ in 0..playing {
            assert_eq!(begin(&dev, name, next()), name);
        }
        assert!(status(&dev, name, "sessions") >= playing as f64);
    }
    eventually("its probes have told who is slow", || {
        status(&dev, "slow", "latency_ms") > LATE_MS as f64 - 1.0 && status(&dev, "quick", "latency_ms") < 1_000.0
    });
    let mut twelve_of = |asset: &str, balancer: &str| -> Vec<String> {
        select(&dev, asset, balancer);
        (0..12).map(|_| begin(&dev, asset, next())).collect()
    };
    let all = |name: &str| vec![name.to_owned(); 12];
    let is_alternating = |taken: &[String]| taken.windows(2).all(|two| two[0] != two[1]);
    let count = |taken: &[String], name: &str| taken.iter().filter(|taken| *taken == name).count();
    let turns = twelve_of("first", "round-robin");
    assert!(is_alternating(&turns), "whatever they weigh: {turns:?}");
    let turns = twelve_of("first", "smooth-weighted");
    assert_eq!((count(&turns, "heavy"), count(&turns, "slow")), (10, 2), "{turns:?}");
    let second = turns.iter().rposition(|taken| taken == "slow").expect("there are two");
    let first = turns.iter().position(|taken| taken == "slow").expect("there are two");
    assert_eq!(second - first, 6, "each sixth: {turns:?}");
    // Who has fewer for its weight, and who is quick with the fewest.
    for (balancer, first, second) in [("least-connections", "heavy", "slow"), ("peak-ewma", "heavy", "quick")] {
        assert_eq!(twelve_of("first", balancer), all(first), "{balancer}");
        assert_eq!(twelve_of("second", balancer), all(second), "{balancer}");
    }
}

#[test]
fn what_an_operator_says_of_a_load_counts_in_a_score_alone() {
    let dev = with_site();
    for name in ["loaded", "alike"] {
        add_target(&dev, name, "https://cdn.example/", &[]);
    }
    dev.ok(&["stream", "add", "video", "film"]);
    eventually("both are known", || {
        status(&dev, "loaded", "sessions") >= 0.0 && status(&dev, "alike", "sessions") >= 0.0
    });
    dev.ok(&["target", "load", "loaded", "0.9"]);
    eventually("the node knows the load", || {
        let explained = dev
            .process
            .admin("/streams/explain?tenant=default&site=video&asset=film&ip=192.0.2.1");
        let explained: Value = serde_json::from_str(&explained.body).unwrap_or_default();
        let targets = explained["targets"].as_array().cloned().unwrap_or_default();
        let is_loaded = |target: &Value| target["name"] == "loaded" && target["load"].as_f64() > Some(0.8);
        targets.iter().any(is_loaded)
    });
    for (balancer, expected) in [("least-connections", 6), ("adaptive", 0)] {
        select(&dev, "film", balancer);
        let from = expected * 100;
        let on_loaded = (from..from + 12).filter(|number| begin(&dev, "film", *number) == "loaded");
        assert_eq!(on_loaded.count(), expected, "{balancer}");
    }
}

/// Of all balancers only hashing leads a session back to where it was, and no other there.
#[test]
fn sessions_go_home_by_hashing_and_stay_by_any_other() {
    let site = Site::start(&["a", "b"], &[]);
    for balancer in ["consistent-hash", "adaptive"] {
        let film = json!({"site": "films", "id": "film", "balancer": balancer});
        site.write("PUT", "/v1/assets", &film);
        eventually("the edge knows it", || {
            Site::explained(&site.edge, "192.0.2.1")["balancer"] == balancer
        });
        // So many that chance sends about as many home to each: of a few it may send most to one, which has no room for them.
        let mut audience = Audience::begin(&site, 240);
        audience.play(|_| WELL);
        let (before, whole) = (audience.places(), audience.on("a"));
        assert!((60..=180).contains(&whole), "{whole} on a");
        site.write("PUT", "/v1/targets/a/service", &json!({"service": "draining"}));
        eventually("all have left", || {
            audience.play(|_| WELL);
            audience.on("a") == 0
        });
        site.write("PUT", "/v1/targets/a/service", &json!({"service": "in"}));
        eventually("a serves again", || {
            Site::explained(&site.edge, "192.0.2.1")["targets"][0]["service"] == "in"
        });
        audience.play(|_| WELL);
        audience.play(|_| WELL);
        if balancer == "adaptive" {
            assert_eq!(audience.on("a"), 0, "who is well served stays");
            continue;
        }
        let now = audience.places();
        let came_home = before
            .iter()
            .filter(|(session, target)| *target == "a" && now[*session] == "a")
            .count();
        let strangers = audience.on("a") - came_home;
        // Those who come late may find no room, and those who had found none at home before may have it now.
        assert!(
            came_home * 4 >= whole * 3 && strangers * 4 <= whole,
            "{came_home} of {whole}, {strangers} others"
        );
    }
}

#[test]
fn the_nearest_is_taken_of_those_in_one_region() {
    let Some(databases) = databases() else { return };
    let city = databases.join("GeoLite2-City-Test.mmdb");
    let site = Site::start(&[], &[("WAYSIDE__GEO__CITY", city.to_str().expect("a path"))]);
    for (name, place) in [("west", [51.5, -0.1]), ("north", [58.4, 15.6])] {
        let mut target = target(name);
        target["coordinates"] = json!(place);
        site.write("POST", "/v1/targets", &target);
    }
    site.write(
        "PUT",
        "/v1/assets",
        &json!({"site": "films", "id": "film", "balancer": "nearest"}),
    );
    eventually("the edge knows it and both targets", || {
        let told = Site::explained(&site.edge, "192.0.2.1");
        told["balancer"] == "nearest" && told["targets"].as_array().map(Vec::len) == Some(2)
    });
    for host in 0..12 {
        assert_eq!(sent(&site.edge, &format!("81.2.69.{}", 160 + host)), "west", "London");
        assert_eq!(
            sent(&site.edge, &format!("89.160.20.{}", 128 + host)),
            "north",
            "Linköping"
        );
    }
}
