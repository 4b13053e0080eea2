//! Targets and assets as people and programs write them.

use serde_json::{Value, json};
use wayside_decide::{digest::Digest, site::SiteId};
use wayside_upstream::client::streams::Lookup;

use crate::harness::Running;

fn target(name: &str) -> Value {
    json!({"name": name, "region": "eu", "urls": [format!("https://{name}.example/live")]})
}

fn film(more: &Value) -> Value {
    let mut asset = json!({"site": "go", "id": "film"});
    let fields = asset.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("fields").clone());
    asset
}

/// Acme's site `go` and targets `a` and `b`, and one whose tokens are for one URL each.
async fn with_targets() -> Running {
    let running = Running::with_site().await;
    for name in ["a", "b"] {
        running.send("POST", "/v1/targets", &target(name)).await.success(201);
    }
    let mut narrow = target("narrow");
    narrow["signing"] = json!({"scheme": "fastly", "secret": "k"});
    running.send("POST", "/v1/targets", &narrow).await.success(201);
    running
}

async fn a_target_is_made_read_drained_changed_and_ended() {
    let running = Running::start().await;
    let whole = json!({
        "name": "cdn-a", "urls": ["https://a.example/live/", "http://a.example/live/"], "region": "eu-west",
        "coordinates": [52.5, 13.4], "weight": 3, "sessions_max": 1000, "kbit_s_max": 9_000_000_u64,
        "kbit_s_commit": 5_000_000_u64, "cost": 2, "countries": ["DE", "FR"], "service": "in",
        "probe": {"path": "up", "url": null, "interval_ms": 1000, "timeout_ms": 500, "status": 204, "degraded_ms": 200},
        "signing": {"scheme": "cloudfront", "secret": "cf", "valid_s": 600, "window_s": 300, "skew_s": 30,
            "has_start": true, "key_pair_id": "K1", "hash": "sha256", "key_id": null, "issuer": null,
            "placement": null},
        "ingest": ["rtmp://in.example/live/{asset}"],
    });
    let mut made = running.send("POST", "/v1/targets", &whole).await.success(201);
    let read = running.ask("GET", "/v1/targets/cdn-a").await.success(200);
    assert_eq!(read, made);
    let listed = running.ask("GET", "/v1/targets").await.success(200);
    assert_eq!(listed["items"], json!([made]));
    let fields = made.as_object_mut().expect("fields");
    let since_ms = fields.remove("since_ms").expect("an instant");
    assert!(fields.remove("updated_at").is_some() && since_ms.as_u64() > Some(0));
    assert_eq!(made, whole, "it reads as it was written");
    let drained = json!({"service": "draining"});
    let drained = running.send("PUT", "/v1/targets/cdn-a/service", &drained).await;
    let drained = drained.success(200);
    assert_eq!(
        (&drained["service"], &drained["weight"]),
        (&json!("draining"), &json!(3))
    );
    let less = json!({"urls": ["https://b.example"], "region": "us"});
    let less = running.send("PUT", "/v1/targets/cdn-a", &less).await.success(200);
    assert_eq!(
        less["service"], "draining",
        "who does not say that it serves again leaves it as it is"
    );
    assert!(
        less["since_ms"].as_u64() > since_ms.as_u64(),
        "players do not know where it is now"
    );
    let whole_again = running.send("PUT", "/v1/targets/cdn-a", &whole).await.success(200);
    assert_eq!(whole_again["service"], "in");
    let less = json!({"urls": ["https://b.example"], "region": "us"});
    let less = running.send("PUT", "/v1/targets/cdn-a", &less).await.success(200);
    assert_eq!((&less["probe"], &less["name"]), (&Value::Null, &json!("cdn-a")));
    let again = running
        .send("POST", "/v1/targets", &whole)
        .await
        .problem(409, "conflict");
    assert_eq!((&again["field"], &again["found"]), (&json!("target"), &json!("cdn-a")));
    running.ask("DELETE", "/v1/targets/cdn-a").await.success(204);
    for (method, path) in [("GET", "/v1/targets/cdn-a"), ("DELETE", "/v1/targets/cdn-a")] {
        running.ask(method, path).await.problem(404, "not-found");
    }
    let service = json!({"service": "in"});
    let gone = running.send("PUT", "/v1/targets/cdn-a/service", &service).await;
    gone.problem(404, "not-found");
}

async fn a_target_that_cannot_be_is_refused_by_field() {
    let running = Running::start().await;
    let long = format!("https://a.example/{}", "x".repeat(2048));
    let pairs = ('A'..='Z').flat_map(|first| ('A'..='Z').map(move |second| format!("{first}{second}")));
    let pairs: Vec<String> = pairs.collect();
    let cases = [
        ("name", json!({"name": null})),
        ("name", json!({"name": "a b"})),
        ("urls", json!({"urls": []})),
        ("urls[1]", json!({"urls": ["https://a.example/", "ftp://a.example/"]})),
        ("urls[0]", json!({"urls": ["https://user@a.example/"]})),
        ("region", json!({"region": ""})),
        ("coordinates", json!({"coordinates": [91, 0]})),
        ("weight", json!({"weight": 10_001})),
        ("weight", json!({"weight": -1})),
        ("kbit_s_commit", json!({"kbit_s_commit": 2, "kbit_s_max": 1})),
        ("countries[0]", json!({"countries": ["DEU"]})),
        ("countries", json!({"countries": pairs})),
        ("urls[0]", json!({"urls": [long]})),
        ("service", json!({"service": "on"})),
        ("probe.path", json!({"probe": {"path": "../up"}})),
        ("probe.interval_ms", json!({"probe": {"interval_ms": 1}})),
        ("probe.timeout_ms", json!({"probe": {"timeout_ms": 0}})),
        ("probe.status", json!({"probe": {"status": 99}})),
        ("probe.degraded_ms", json!({"probe": {"degraded_ms": 2000}})),
        ("probe.every", json!({"probe": {"every": 1}})),
        ("signing.scheme", json!({"signing": {"scheme": "none", "secret": "k"}})),
        (
            "signing.secret",
            json!({"signing": {"scheme": "akamai", "secret": "/etc/key"}}),
        ),
        (
            "signing.key_pair_id",
            json!({"signing": {"scheme": "cloudfront", "secret": "k"}}),
        ),
        (
            "signing.issuer",
            json!({"signing": {"scheme": "akamai", "secret": "k", "issuer": "us"}}),
        ),
        (
            "signing.placement",
            json!({"signing": {"scheme": "fastly", "secret": "k", "placement": "path"}}),
        ),
        (
            "signing.valid_s",
            json!({"signing": {"scheme": "akamai", "secret": "k", "valid_s": 0}}),
        ),
        (
            "signing.valid_s",
            json!({"signing": {"scheme": "akamai", "secret": "k", "valid_s": 604_800}}),
        ),
        ("ingest[0]", json!({"ingest": ["file:///etc/passwd"]})),
        ("ingest[0]", json!({"ingest": ["HTTPS://in.example/whip"]})),
        ("colour", json!({"colour": "red"})),
        ("since_ms", json!({"since_ms": 1})),
    ];
    for (field, change) in cases {
        let mut bad = target("a");
        let fields = bad.as_object_mut().expect("fields");
        fields.extend(change.as_object().expect("fields").clone());
        running.send("POST", "/v1/targets", &bad).await.invalid(field);
    }
    running.send("POST", "/v1/targets", &target("a")).await.success(201);
    let renamed = running.send("PUT", "/v1/targets/a", &target("b")).await;
    renamed.invalid("name");
    let service = json!({"service": "off"});
    let service = running.send("PUT", "/v1/targets/a/service", &service).await;
    service.invalid("service");
}

async fn an_asset_is_made_read_replaced_and_ended() {
    let running = with_targets().await;
    let whole = film(&json!({
        "source": "https://o.example/vod/film/", "hls": "master.m3u8", "dash": "film.mpd", "state": "transcoding",
        "pathways": [{"target": "a", "folder": null}, {"target": "b", "folder": "copies/film"}],
        "balancer": "nearest", "ttl_s": 10, "existing": "refuse", "tags": ["x"], "attributes": {"k": "v"},
    }));
    let mut made = running.send("POST", "/v1/assets", &whole).await.success(201);
    let one = "/v1/assets?site=go&id=film";
    assert_eq!(running.ask("GET", one).await.success(200), made);
    let listed = running.ask("GET", "/v1/assets?site=go").await.success(200);
    assert_eq!(listed["items"], json!([made]));
    let fields = made.as_object_mut().expect("fields");
    fields.retain(|name, _| !name.ends_with("ed_at"));
    assert_eq!(fields.remove("has_ingest_key"), Some(json!(false)));
    for pathway in fields["pathways"].as_array_mut().expect("pathways") {
        let since_ms = pathway.as_object_mut().expect("a pathway").remove("since_ms");
        assert!(since_ms.and_then(|since_ms| since_ms.as_u64()) > Some(0));
    }
    assert_eq!(made, whole, "it reads as it was written");
    let again = running
        .send("POST", "/v1/assets", &whole)
        .await
        .problem(409, "conflict");
    assert_eq!(again["field"], "asset");
    let less = running.send("PUT", "/v1/assets", &film(&json!({}))).await.success(200);
    assert_eq!((&less["hls"], &less["ttl_s"]), (&Value::Null, &json!(30)));
    running.ask("DELETE", one).await.success(204);
    for method in ["GET", "DELETE"] {
        let gone = running.ask(method, one).await.problem(410, "gone");
        assert_eq!(gone["detail"], "asset film was deleted");
        let never = running.ask(method, "/v1/assets?site=go&id=show").await;
        never.problem(404, "not-found");
    }
    running.send("POST", "/v1/assets", &whole).await.success(201);
}

async fn an_asset_that_cannot_be_is_refused_by_field() {
    let running = with_targets().await;
    let cases = [
        ("site", json!({"site": null})),
        ("id", json!({"id": "a/b"})),
        ("source", json!({"hls": "a.m3u8"})),
        ("source", json!({"source": "https://o.example/?a=1"})),
        ("source", json!({"source": "ftp://o.example/"})),
        (
            "source",
            json!({"source": format!("https://o.example/{}", "x".repeat(2048))}),
        ),
        ("hls", json!({"source": "https://o.example/", "hls": "../a.m3u8"})),
        ("dash", json!({"source": "https://o.example/", "dash": "/a.mpd"})),
        (
            "pathways[1].target",
            json!({"pathways": [{"target": "a"}, {"target": "none"}]}),
        ),
        (
            "pathways[0].folder",
            json!({"pathways": [{"target": "a", "folder": "a/../.."}]}),
        ),
        ("pathways", json!({"pathways": [{"target": "a"}, {"target": "a"}]})),
        (
            "pathways[0].weight",
            json!({"pathways": [{"target": "a", "weight": 1}]}),
        ),
        ("state", json!({"state": "live"})),
        ("balancer", json!({"balancer": "random"})),
        ("ttl_s", json!({"ttl_s": 0})),
        (
            "dash",
            json!({"source": "https://o.example/film/", "hls": "a.m3u8", "dash": "a.m3u8"}),
        ),
        ("existing", json!({"existing": "keep"})),
        ("tags", json!({"tags": [""]})),
        ("attributes.k", json!({"attributes": {"k": "\u{1}"}})),
        ("ingest_key", json!({"ingest_key": "00"})),
    ];
    for (field, change) in cases {
        running.send("POST", "/v1/assets", &film(&change)).await.invalid(field);
        let mut one = film(&change);
        if field != "site" {
            one.as_object_mut().expect("fields").remove("site");
            let batch = json!({"site": "go", "assets": [{"id": "good"}, one]});
            let refused = running.send("POST", "/v1/assets/batch", &batch).await;
            refused.invalid(&format!("assets[1].{field}"));
        }
    }
    let listed = running.ask("GET", "/v1/assets?site=go").await.success(200);
    assert_eq!(listed["items"], json!([]), "nothing of a batch that is refused");
    let missing = json!({"site": "none", "id": "film"});
    let missing = running.send("POST", "/v1/assets", &missing).await;
    missing.problem(404, "not-found");
}

async fn an_asset_names_targets_that_players_can_use_and_keeps_those_that_ended() {
    let running = with_targets().await;
    let manifest = json!({"source": "https://o.example/", "hls": "a.m3u8"});
    // Players could not fetch the segments of what they find in such a target's playlists.
    let mut narrow = film(&manifest);
    narrow["pathways"] = json!([{"target": "a"}, {"target": "narrow"}]);
    let refused = running.send("POST", "/v1/assets", &narrow).await;
    let refused = refused.invalid("pathways[1].target");
    let found = refused["found"].as_str().expect("what was found");
    assert!(found.contains("fastly") && found.contains("one URL"), "{refused}");
    let plain = film(&json!({"pathways": [{"target": "narrow"}]}));
    running.send("POST", "/v1/assets", &plain).await.success(201);
    // What was right when it was written stays: the pathway is there again when the target is.
    running.ask("DELETE", "/v1/targets/narrow").await.success(204);
    let kept = running.ask("GET", "/v1/assets?site=go&id=film").await.success(200);
    assert_eq!(kept["pathways"][0]["target"], "narrow");
    let changed = film(&json!({"pathways": [{"target": "narrow"}], "ttl_s": 5}));
    let changed = running.send("PUT", "/v1/assets", &changed).await.success(200);
    assert_eq!(changed["ttl_s"], 5);
    let batch = json!({"site": "go", "assets": [{"id": "film", "pathways": [{"target": "narrow"}, {"target": "a"}]}]});
    running.send("POST", "/v1/assets/batch", &batch).await.success(200);
    for assets in [
        json!([{"id": "other", "pathways": [{"target": "narrow"}]}]),
        json!([{"id": "film", "pathways": [{"target": "b"}, {"target": "none"}]}]),
    ] {
        let batch = json!({"site": "go", "assets": assets});
        let refused = running.send("POST", "/v1/assets/batch", &batch).await;
        let place = assets[0]["pathways"].as_array().expect("pathways").len() - 1;
        refused.invalid(&format!("assets[0].pathways[{place}].target"));
    }
}

async fn a_target_that_assets_with_manifests_name_cannot_sign_each_url() {
    let running = with_targets().await;
    let manifest = json!({"source": "https://o.example/", "hls": "a.m3u8"});
    let mut named = film(&manifest);
    named["pathways"] = json!([{"target": "a"}]);
    running.send("POST", "/v1/assets", &named).await.success(201);
    // Names none, or has no manifest: nobody was promised anything.
    let mut every = film(&manifest);
    every["id"] = json!("every");
    running.send("POST", "/v1/assets", &every).await.success(201);
    let files = json!({"site": "go", "id": "files", "pathways": [{"target": "b"}]});
    running.send("POST", "/v1/assets", &files).await.success(201);
    let narrow = |name| {
        let mut narrow = target(name);
        narrow["signing"] = json!({"scheme": "cloudflare", "secret": "k"});
        narrow
    };
    let refused = running.send("PUT", "/v1/targets/a", &narrow("a")).await;
    let refused = refused.invalid("signing.scheme");
    let text = refused.to_string();
    for part in ["target a,", "asset film of site go", "cloudflare"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let kept = running.ask("GET", "/v1/targets/a").await.success(200);
    assert_eq!(kept["signing"], Value::Null);
    running.send("PUT", "/v1/targets/b", &narrow("b")).await.success(200);
    let mut wide = target("a");
    wide["signing"] = json!({"scheme": "akamai", "secret": "k"});
    running.send("PUT", "/v1/targets/a", &wide).await.success(200);
    // Nor can one of its name come back so.
    running.ask("DELETE", "/v1/targets/a").await.success(204);
    let refused = running.send("POST", "/v1/targets", &narrow("a")).await;
    refused.invalid("signing.scheme");
    running.ask("DELETE", "/v1/assets?site=go&id=film").await.success(204);
    running.send("POST", "/v1/targets", &narrow("a")).await.success(201);
}

async fn a_batch_writes_all_or_nothing_and_listings_come_in_parts() {
    let running = with_targets().await;
    let assets: Vec<Value> = (0..7).map(|number| json!({"id": format!("e{number}")})).collect();
    let batch = json!({"site": "go", "assets": assets});
    let written = running.send("POST", "/v1/assets/batch", &batch).await.success(200);
    assert_eq!(written["written"], 7);
    let twice = json!({"site": "go", "assets": [{"id": "x"}, {"id": "x"}]});
    let twice = running.send("POST", "/v1/assets/batch", &twice).await;
    twice.invalid("assets[1].id");
    let elsewhere = json!({"site": "go", "assets": [{"site": "other", "id": "x"}]});
    let elsewhere = running.send("POST", "/v1/assets/batch", &elsewhere).await;
    elsewhere.invalid("assets[0].site");
    let many: Vec<Value> = (0..1001).map(|number| json!({"id": format!("m{number}")})).collect();
    let many = json!({"site": "go", "assets": many});
    let many = running.send("POST", "/v1/assets/batch", &many).await;
    many.invalid("assets");
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/assets?site=go&prefix=e&limit=3&cursor={cursor}");
        let part = running.ask("GET", &path).await.success(200);
        let items = part["items"].as_array().expect("items");
        seen.extend(items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()));
        let Some(next) = part["next_cursor"].as_str() else {
            break;
        };
        cursor = next.to_owned();
    }
    let expected: Vec<_> = (0..7).map(|number| format!("e{number}")).collect();
    assert_eq!(seen, expected);
}

async fn an_ingest_key_is_shown_once_and_kept_as_a_hash() {
    let running = with_targets().await;
    running.send("POST", "/v1/assets", &film(&json!({}))).await.success(201);
    let this = json!({"site": "go", "id": "film"});
    let mut keys = Vec::new();
    for _ in 0..2 {
        let made = running.send("POST", "/v1/assets/ingest-key", &this).await.success(201);
        keys.push(made["key"].as_str().expect("a key").to_owned());
    }
    assert!(keys[0] != keys[1] && keys.iter().all(|key| key.starts_with("wk_") && key.len() > 40));
    let told = running.node().asset(SiteId(1), "film", None).await.expect("an answer");
    let Lookup::Found(told) = told else { panic!("{told:?}") };
    assert_eq!(told.ingest_key, Some(Digest::of(keys[1].as_bytes()).to_string()));
    let shown = running.ask("GET", "/v1/assets?site=go&id=film").await.success(200);
    assert_eq!(shown["has_ingest_key"], true);
    assert!(
        !shown.to_string().contains(&told.ingest_key.expect("a hash")),
        "{shown}"
    );
    let path = "/v1/assets/ingest-key?site=go&id=film";
    running.ask("DELETE", path).await.success(204);
    let shown = running.ask("GET", "/v1/assets?site=go&id=film").await.success(200);
    assert_eq!(shown["has_ingest_key"], false);
    let never = json!({"site": "go", "id": "show"});
    let never = running.send("POST", "/v1/assets/ingest-key", &never).await;
    never.problem(404, "not-found");
}

on_both_engines![
    a_target_is_made_read_drained_changed_and_ended,
    a_target_that_cannot_be_is_refused_by_field,
    an_asset_is_made_read_replaced_and_ended,
    an_asset_that_cannot_be_is_refused_by_field,
    an_asset_names_targets_that_players_can_use_and_keeps_those_that_ended,
    a_target_that_assets_with_manifests_name_cannot_sign_each_url,
    a_batch_writes_all_or_nothing_and_listings_come_in_parts,
    an_ingest_key_is_shown_once_and_kept_as_a_hash,
];
