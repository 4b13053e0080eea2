//! What players report: taken, bounded, believed of sessions that are ours only, and followed.

use std::time::Instant;

use serde_json::{Value, json};

use super::{
    audience::{Audience, BADLY, ONE_IS_HEARD, QUICK, WELL, report, steered},
    site::{HOST, Site, source},
};
use crate::harness::{eventually, raw};

const CMCD: &str = "/.wayside/cmcd/film";

/// Which outcome was counted how often.
fn counted(site: &Site, outcome: &str) -> f64 {
    let name = format!("wayside_stream_reports_total{{outcome=\"{outcome}\"}}");
    site.edge.metric(&name)
}

#[test]
fn reports_are_taken_and_what_is_none_is_refused() {
    let site = Site::start(&["a", "b"], &[]);
    let (session, target) = site.begin("192.0.2.1");
    let path = format!("{CMCD}?session={session}");
    let media = [("Content-Type", "application/cmcd")];
    let event = format!("e=rr,ts=1,v=2,rc=200,ot=v,br=(3000),url=\"https://{target}.example/x/film/1.m4s\"");
    let taken = site.ask("POST", &path, &media, &format!("{event}\n{event}\n"));
    assert_eq!((taken.status, taken.body.as_str()), (204, ""));
    assert_eq!(taken.header("access-control-allow-origin").as_deref(), Some("*"));
    assert_eq!(counted(&site, "heard"), 2.0);
    // Part of it is broken; the rest is heard.
    assert_eq!(site.ask("POST", &path, &media, &format!("{event}\n\"\n")).status, 204);
    assert_eq!((counted(&site, "heard"), counted(&site, "malformed")), (3.0, 1.0));
    // Nobody's session, and one that the player made up.
    assert_eq!(
        site.ask("POST", CMCD, &media, &format!("{event},sid=\"made-up\""))
            .status,
        204
    );
    assert_eq!(counted(&site, "no_session"), 1.0);
    // The session in the report itself, and reports beside other requests.
    assert_eq!(
        site.ask("POST", CMCD, &media, &format!("{event},sid=\"{session}\""))
            .status,
        204
    );
    let query = format!("/video/film/1.ts?CMCD=br%3D3000%2Cot%3Dv%2Csid%3D%22{session}%22");
    assert_eq!(site.ask("GET", &query, &[], "").status, 302);
    let fields = [
        ("CMCD-Session", format!("sid=\"{session}\"")),
        ("CMCD-Status", "bs".to_owned()),
    ];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(site.ask("GET", "/video/film/1.ts", &fields, "").status, 302);
    let broken = site.ask("GET", "/video/film/1.ts?CMCD=%22", &[], "");
    assert_eq!(broken.status, 302, "a report is no reason to refuse a player something");
    assert_eq!((counted(&site, "heard"), counted(&site, "malformed")), (6.0, 2.0));
    let long = "x".repeat(300_000);
    let many = "bs\n".repeat(300);
    for (method, path, body, expected) in [
        ("POST", path.as_str(), "{\"no\": \"CMCD\"}", 400),
        ("POST", &path, &long, 413),
        ("POST", &path, &many, 413),
        ("POST", &path, "", 204),
        ("PUT", &path, "bs", 405),
        ("POST", "/.wayside/cmcd/other", "bs", 404),
        ("POST", "/.wayside/steer/film", "bs", 405),
        ("POST", "/video/film/1.ts", "bs", 405),
        ("OPTIONS", CMCD, "", 204),
    ] {
        let answered = site.ask(method, path, &media, body);
        assert_eq!(answered.status, expected, "{method} {path}: {answered:?}");
        assert_eq!(
            answered.header("access-control-allow-origin").as_deref(),
            Some("*"),
            "{path}"
        );
    }
    let asked = site.ask("OPTIONS", CMCD, &[("Access-Control-Request-Method", "POST")], "");
    let allowed = asked.header("access-control-allow-headers").expect("headers");
    assert!(
        allowed.contains("content-type") && allowed.contains("cmcd-session"),
        "{allowed}"
    );
    site.write("DELETE", "/v1/assets?site=films&id=film", &Value::Null);
    eventually("the asset is gone", || {
        site.ask("GET", "/.wayside/steer/film", &[], "").status == 410
    });
    let gone = site.ask("POST", &path, &media, &event);
    assert_eq!(gone.status, 404, "a player that is told 410 reports nothing any more");
}

#[test]
fn each_way_lists_its_own_methods() {
    let site = Site::start(&["a"], &[]);
    for (path, expected) in [
        (CMCD, "GET, HEAD, POST, OPTIONS"),
        ("/.wayside/ingest/film", "POST, OPTIONS"),
        ("/.wayside/steer/film", "GET, HEAD, OPTIONS"),
        ("/video/film/1.ts", "GET, HEAD, OPTIONS"),
    ] {
        for method in ["PUT", "OPTIONS"] {
            let allow = site.ask(method, path, &[], "").header("allow");
            assert_eq!(allow.as_deref(), Some(expected), "{method} {path}");
        }
    }
}

#[test]
fn bodies_without_a_length_without_an_end_and_too_long_are_bounded() {
    let site = Site::start(&["a"], &[]);
    let (session, _) = site.begin("192.0.2.1");
    let head = format!("POST {CMCD}?session={session} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n");
    let chunked = |body: &str| {
        raw(
            site.edge.edge(),
            &format!("{head}Transfer-Encoding: chunked\r\n\r\n{body}"),
        )
    };
    assert_eq!(chunked("3\r\nbs\n\r\n2\r\nsu\r\n0\r\n\r\n").status, 204);
    assert_eq!(counted(&site, "heard"), 2.0);
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    assert_eq!(chunked(&chunk.repeat(5)).status, 413);
    let endless = raw(site.edge.edge(), &format!("{head}Content-Length: 10\r\n\r\nbs"));
    assert_eq!(endless.status, 400, "{endless:?}");
    let waits = format!("{head}Expect: 100-continue\r\nContent-Length: 2\r\n\r\nbs");
    let answered = raw(site.edge.edge(), &waits);
    assert!(
        answered.head.starts_with("HTTP/1.1 100 ") && answered.body.starts_with("HTTP/1.1 204 "),
        "{answered:?}"
    );
}

#[test]
fn players_leave_a_target_that_they_report_badly_little_by_little_and_come_back() {
    let site = Site::start(&["a", "b"], &[QUICK[0], QUICK[1], ONE_IS_HEARD]);
    // Others leave a player where it is well served; hashing leads it home.
    let hashed = json!({"site": "films", "id": "film", "balancer": "consistent-hash"});
    site.write("PUT", "/v1/assets", &hashed);
    eventually("it is spread by hashing", || {
        let explained = "/streams/explain?tenant=default&site=films&asset=film&ip=192.0.2.1";
        site.edge.admin(explained).body.contains("consistent-hash")
    });
    let mut audience = Audience::begin(&site, 60);
    let whole = audience.on("a");
    assert!(whole > 10 && audience.on("b") > 10, "{whole} on a");
    // The share shrinks by a tenth each second, whoever asks meanwhile: so many seconds after the first report so many may
    // have left at most, but for what chance does.
    let (began, chance) = (Instant::now(), 2.0 * (whole as f64).sqrt());
    eventually("a third have left", || {
        audience.play(|target| if target == "a" { BADLY } else { WELL });
        let intervals = began.elapsed().as_secs_f64().floor() + 1.0;
        let least = whole as f64 * (1.0 - 0.1 * intervals) - chance;
        let left = audience.on("a");
        assert!(left as f64 >= least, "{left} of {whole} after {intervals} intervals");
        left <= whole / 2
    });
    // Not each of them: whoever comes home late may find the bound on the load reached.
    eventually("most are back", || {
        audience.play(|_| WELL);
        audience.on("a") >= whole * 3 / 4
    });
}

#[test]
fn a_target_that_is_too_slow_for_the_best_rendition_is_left() {
    let private = ("WAYSIDE__STREAMS__PRIVATE_NETWORKS", "127.0.0.0/8");
    let site = Site::start(&["a", "b"], &[QUICK[0], QUICK[1], ONE_IS_HEARD, private]);
    let film = json!({"site": "films", "id": "film", "source": source(), "hls": "main.m3u8"});
    site.write("PUT", "/v1/assets", &film);
    eventually("the playlist is known", || {
        site.ask("GET", "/video/film/main.m3u8", &[], "").status == 200
    });
    let mut audience = Audience::begin(&site, 30);
    let whole = audience.on("a");
    assert!(whole > 5, "{whole} on a");
    eventually("a third have left", || {
        for (address, session, target) in &mut audience.sessions {
            // Three times what is taken to be needed of a stream of which nothing is known.
            let throughput = if target == "a" { 3_000_000 } else { 50_000_000 };
            let says = format!("_HLS_pathway={target}&_HLS_throughput={throughput}");
            *target = steered(&site, "film", address, session, &says);
        }
        audience.on("a") * 3 <= whole * 2
    });
}

#[test]
fn many_sessions_and_many_reports_of_one_address_move_nobody() {
    let site = Site::start(
        &["a", "b"],
        &[QUICK[0], QUICK[1], ("WAYSIDE__STREAMS__ADDRESS_SESSIONS_MAX", "10")],
    );
    let mut small = super::site::target("a");
    small["sessions_max"] = 60.into();
    site.write("PUT", "/v1/targets/a", &small);
    // What honest players say of another target, at the same time: when they have left it, lies would have done the same.
    for name in ["c", "d"] {
        site.write("POST", "/v1/targets", &super::site::target(name));
    }
    for (id, names) in [("film", ["a", "b"]), ("other", ["c", "d"])] {
        let pathways = names.map(|name| json!({"target": name}));
        site.write(
            "PUT",
            "/v1/assets",
            &json!({"site": "films", "id": id, "pathways": pathways}),
        );
    }
    eventually("each asset is on its own targets", || {
        ["film", "other"].iter().all(|id| {
            let told = site.ask("GET", &format!("/.wayside/steer/{id}"), &[], "").body;
            let told: Value = serde_json::from_str(&told).unwrap_or_default();
            told["PATHWAY-PRIORITY"].as_array().map(Vec::len) == Some(2)
        })
    });
    let mut audience = Audience::begin(&site, 20);
    let before = audience.places();
    let addresses = (1..=40).map(|number| format!("192.0.2.{number}"));
    let mut honest = Audience::begin_at(&site, "other", addresses);
    let whole = honest.on("c");
    assert!(whole > 10, "{whole} on c");
    let rogue = "203.0.113.66";
    let sessions: Vec<String> = (0..100).map(|_| site.begin(rogue).0).collect();
    // Everything of its sessions is on `a`, fails there, and takes all the room there is.
    let lie = "e=rr,rc=503,ot=v,bs,br=(90000000),url=\"https://a.example/x/film/1.ts\"\n".repeat(20);
    let mut lies = 0;
    // At first it is the only one who speaks of `a`.
    for (what, most, others_speak) in [
        ("some have left what is bad", whole - 1, false),
        ("half have left what is bad", whole / 2, true),
    ] {
        eventually(what, || {
            for number in lies..lies + 20 {
                report(&site, "film", rogue, &sessions[number % sessions.len()], &lie);
            }
            lies += 20;
            if others_speak {
                audience.play(|_| WELL);
            }
            honest.play(|target| if target == "c" { BADLY } else { WELL });
            honest.on("c") <= most
        });
    }
    assert!(counted(&site, "heard") > (lies * 20) as f64);
    assert_eq!(audience.places(), before, "nobody is moved");
    let begun: Vec<String> = (0..20)
        .map(|number| site.begin(&format!("192.0.2.{}", 100 + number)).1)
        .collect();
    let on_a = begun.iter().filter(|target| *target == "a").count();
    assert!(on_a >= 4, "others still begin there: {on_a}");
}
