//! Where recorders are sent to.

use serde_json::{Value, json};

use super::{
    Target,
    site::{HOST, Site},
};
use crate::harness::{Process, Response, eventually, send};

const INGEST: &str = "/.wayside/ingest/film";
const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\n";

fn ask(edge: &Process, key: &str, path: &str, media_type: &str, body: &str) -> Response {
    let authorization = format!("Bearer {key}");
    let fields = [("Authorization", authorization.as_str()), ("Content-Type", media_type)];
    send(edge.edge(), "POST", HOST, path, &fields, body)
}

fn target(answer: &Response) -> String {
    let offer: Value = serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"));
    offer["target"].as_str().expect("a target").to_owned()
}

/// A site with three targets that take streams, one that does not, and the asset's key.
fn studio() -> (Site, String) {
    let site = Site::start(&["viewers-only"], &[]);
    for name in ["a", "b", "c"] {
        let ingest = json!([
            format!("https://{name}.example/whip/{{asset}}"),
            format!("rtmp://{name}.example/live/{{asset}}"),
            format!("srt://{name}.example:9000?streamid={{asset}}"),
        ]);
        let target = json!({"name": name, "region": "eu", "ingest": ingest});
        site.write("POST", "/v1/targets", &target);
    }
    let this = json!({"site": "films", "id": "film"});
    let made = site.write("POST", "/v1/assets/ingest-key", &this);
    let key = made["key"].as_str().expect("a key").to_owned();
    eventually("the edge knows the key and the targets", || {
        let answer = ask(&site.edge, &key, INGEST, "application/json", "");
        answer.status == 200 && answer.body.matches("whip").count() == 6
    });
    (site, key)
}

fn serve(site: &Site, name: &str, service: &str) {
    let path = format!("/v1/targets/{name}/service");
    site.write("PUT", &path, &json!({"service": service}));
}

#[test]
fn a_recorder_gets_a_target_keeps_it_while_it_serves_and_nodes_agree() {
    let (site, key) = studio();
    let edge = &site.edge;
    let answer = ask(edge, &key, INGEST, "application/json", "{}");
    assert_eq!(answer.header("content-type").as_deref(), Some("application/json"));
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
    let offer: Value = serde_json::from_str(&answer.body).expect("JSON");
    let first = target(&answer);
    assert_eq!(offer["asset"], "film");
    assert_eq!(offer["urls"]["whip"], format!("https://{first}.example/whip/film"));
    assert_eq!(offer["urls"]["rtmp"], format!("rtmp://{first}.example/live/film"));
    assert_eq!(
        offer["urls"]["srt"],
        format!("srt://{first}.example:9000?streamid=film")
    );
    assert_eq!(offer["fallbacks"].as_array().map(Vec::len), Some(2));
    let whip = ask(edge, &key, INGEST, "application/sdp", SDP);
    assert_eq!(whip.status, 307);
    assert_eq!(whip.location(), Some(format!("https://{first}.example/whip/film")));
    let other = site.other_edge();
    let of = |edge: &Process| target(&ask(edge, &key, INGEST, "", ""));
    eventually("the other edge has the asset", || {
        ask(&other, &key, INGEST, "", "").status == 200
    });
    assert_eq!(of(&other), first, "nodes agree");

    serve(&site, &first, "draining");
    eventually("the recorder is sent elsewhere", || of(edge) != first);
    let second = of(edge);
    serve(&site, &first, "in");
    eventually("the first is offered again", || {
        ask(edge, &key, INGEST, "", "").body.matches("whip").count() == 6
    });
    assert_eq!(of(edge), second, "whoever is there stays, also when the first is back");
    let told = format!("{INGEST}?target={second}");
    eventually("another node is told by the recorder", || {
        target(&ask(&other, &key, &told, "", "")) == second
    });
    assert_eq!(of(&other), second, "and remembers it");
}

/// A site with two targets that do nothing but take streams, of which one is asked for a connection and one for a page of its
/// API; and their servers.
fn recorders_only() -> (Site, [(&'static str, Target); 2], String) {
    let site = Site::start(
        &["viewers-only"],
        &[("WAYSIDE__STREAMS__PRIVATE_NETWORKS", "127.0.0.0/8")],
    );
    let servers = [("a", Target::start()), ("b", Target::start())];
    for (name, server) in &servers {
        let address = server.address;
        let asks = match *name {
            "a" => format!("tcp://{address}"),
            _ => format!("http://{address}/v3/paths/list"),
        };
        let target = json!({
            "name": name, "region": "eu", "ingest": [format!("rtmp://{address}/live/{{asset}}")],
            "probe": {"url": asks, "interval_ms": 250, "timeout_ms": 3_000},
        });
        site.write("POST", "/v1/targets", &target);
    }
    let this = json!({"site": "films", "id": "film"});
    let made = site.write("POST", "/v1/assets/ingest-key", &this);
    let key = made["key"].as_str().expect("a key").to_owned();
    (site, servers, key)
}

#[test]
fn a_recorder_is_sent_away_from_a_server_that_has_died_and_stays_while_the_next_lives() {
    let (site, mut servers, key) = recorders_only();
    let ask = || ask(&site.edge, &key, INGEST, "", "");
    let are_both_offered = || {
        let answer = ask();
        answer.status == 200 && answer.body.matches("rtmp://").count() == 2
    };
    eventually("both are offered", are_both_offered);
    // The one and then the other, so that each kind of probe finds out.
    for _ in 0..2 {
        let first = target(&ask());
        for _ in 0..10 {
            assert_eq!(target(&ask()), first, "it is the same while it lives");
        }
        let place = servers.iter().position(|(name, _)| *name == first);
        let place = place.expect("a server");
        let (name, dies) = &servers[place];
        let (name, address) = (*name, dies.address);
        servers[place] = (name, Target::start());
        eventually("it gets the other one", || target(&ask()) != first);
        let second = target(&ask());
        servers[place] = (name, Target::start_at(address));
        eventually("the first is offered again", are_both_offered);
        assert_eq!(target(&ask()), second, "whoever is there stays");
    }
}

#[test]
fn who_may_not_send_and_what_cannot_be_taken_is_refused() {
    let (site, key) = studio();
    let edge = &site.edge;
    for (key, path, media_type, body, expected) in [
        ("wrong", INGEST, "", "", 401),
        ("", INGEST, "", "", 401),
        (&key, "/.wayside/ingest/other", "", "", 404),
        (&key, INGEST, "text/plain", "hello", 415),
        (&key, INGEST, "application/sdp", &"x".repeat(70_000), 413),
    ] {
        let refused = ask(edge, key, path, media_type, body);
        assert_eq!(refused.status, expected, "{refused:?}");
        assert_eq!(refused.header("access-control-allow-origin").as_deref(), Some("*"));
        assert_eq!(refused.header("www-authenticate").is_some(), expected == 401);
    }
    assert_eq!(site.ask("POST", INGEST, &[], "").status, 401, "no key at all");
    assert_eq!(site.ask("GET", INGEST, &[], "").status, 405);
    for name in ["a", "b", "c"] {
        serve(&site, name, "out");
    }
    eventually("nobody takes streams", || ask(edge, &key, INGEST, "", "").status == 503);
    let refused = ask(edge, &key, INGEST, "application/sdp", SDP);
    assert_eq!((refused.status, refused.header("retry-after").is_some()), (503, true));
    site.write("DELETE", "/v1/assets/ingest-key?site=films&id=film", &Value::Null);
    eventually("the key is ended", || ask(edge, &key, INGEST, "", "").status == 401);
}
