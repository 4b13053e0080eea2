//! What works.

use std::collections::BTreeSet;

use serde_json::json;
use wayside_decide::digest::Digest;

use crate::harness::{GEO, Reply, Running, link};

async fn a_site_is_made_listed_changed_and_ended() {
    let running = Running::with_site().await;
    let listed = running.ask("GET", "/v1/sites").await.success(200);
    assert_eq!(listed["items"][0]["name"], "go");
    assert_eq!(listed["items"][0]["privacy"], "redacted");
    assert!(listed["next_cursor"].is_null());
    let content = json!({"hosts": ["*.example.org"], "not_found": "https://example.org/lost", "privacy": "full",
        "streams": "/video"});
    let changed = running.send("PUT", "/v1/sites/go", &content).await.success(200);
    assert_eq!(changed["hosts"], json!(["*.example.org"]));
    assert_eq!(
        (&changed["privacy"], &changed["streams"]),
        (&json!("full"), &json!("/video"))
    );
    let told = running.node().directory(None).await.expect("a directory");
    assert_eq!(told.sites[0].streams.as_deref(), Some("/video"));
    let read = running.ask("GET", "/v1/sites/go").await.success(200);
    assert_eq!(read, changed);
    running.ask("DELETE", "/v1/sites/go").await.success(204);
    running.ask("GET", "/v1/sites/go").await.problem(404, "not-found");
    let again = json!({"name": "two", "hosts": ["go.example.com"]});
    let again = running.send("POST", "/v1/sites", &again).await.success(201);
    assert_ne!(again["id"], read["id"], "numbers are never reused");
}

async fn a_link_is_made_read_replaced_and_ended() {
    let running = Running::with_site().await;
    let made = json!({"site": "go", "path": "/a", "target": "https://a.example", "status": 301, "tags": ["x"],
        "forward_query": true, "starts_at": 1, "expires_at": 2, "fallback": "https://b.example/"});
    let made = running.send("POST", "/v1/links", &made).await.success(201);
    assert_eq!(made["target"], "https://a.example/", "in its normal form");
    let read = running.ask("GET", "/v1/links?site=go&path=/a").await.success(200);
    assert_eq!(read, made);
    assert_eq!((&read["tags"], &read["expires_at"]), (&json!(["x"]), &json!(2)));
    let again = running
        .send("POST", "/v1/links", &link("/a", "https://c.example/"))
        .await;
    assert_eq!(again.problem(409, "conflict")["field"], "link");
    let replaced = running
        .send("PUT", "/v1/links", &link("/a", "https://c.example/"))
        .await;
    let replaced = replaced.success(200);
    assert_eq!((&replaced["status"], &replaced["tags"]), (&json!(302), &json!([])));
    running.ask("DELETE", "/v1/links?site=go&path=/a").await.success(204);
    let gone = running.ask("GET", "/v1/links?site=go&path=/a").await;
    gone.problem(404, "not-found");
    let gone = running.ask("DELETE", "/v1/links?site=go&path=/a").await;
    gone.problem(404, "not-found");
}

async fn links_are_listed_in_parts_without_gaps() {
    let running = Running::with_site().await;
    let links: Vec<_> = (0..7)
        .map(|number| json!({"path": format!("/p/{number}"), "target": "https://a.example/"}))
        .chain([json!({"path": "/q", "target": "https://a.example/"})])
        .collect();
    let batch = json!({"site": "go", "links": links});
    let written = running.send("POST", "/v1/links/batch", &batch).await.success(200);
    assert_eq!(written["written"], 8);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/links?site=go&prefix=/p/&limit=3&cursor={cursor}");
        let part = running.ask("GET", &path).await.success(200);
        let items = part["items"].as_array().expect("items");
        seen.extend(
            items
                .iter()
                .map(|item| item["path"].as_str().expect("a path").to_owned()),
        );
        let Some(next) = part["next_cursor"].as_str() else {
            break;
        };
        cursor = next.to_owned();
    }
    let expected: Vec<_> = (0..7).map(|number| format!("/p/{number}")).collect();
    assert_eq!(seen, expected);
    for limit in ["0", "100000"] {
        let path = format!("/v1/links?site=go&limit={limit}");
        running.ask("GET", &path).await.invalid("limit");
    }
}

async fn rules_are_kept_in_the_order_they_are_tried() {
    let running = Running::with_site().await;
    let late = json!({"site": "go", "pattern": "/docs/*", "target": "https://docs.example/{splat}", "status": 308});
    let late = running.send("POST", "/v1/rules", &late).await.success(201);
    let early = json!({"site": "go", "pattern": "/docs/old", "target": "https://old.example/", "priority": 1});
    let early = running.send("POST", "/v1/rules", &early).await.success(201);
    let listed = running.ask("GET", "/v1/rules?site=go").await.success(200);
    assert_eq!(listed["items"], json!([early, late]));
    let twice = json!({"site": "go", "pattern": "/docs/*", "target": "https://x.example/"});
    let twice = running.send("POST", "/v1/rules", &twice).await;
    assert_eq!(twice.problem(409, "conflict")["field"], "pattern");
    let path = format!("/v1/rules?site=go&id={}", early["id"]);
    running.ask("DELETE", &path).await.success(204);
    running.ask("DELETE", &path).await.problem(404, "not-found");
    let listed = running.ask("GET", "/v1/rules?site=go").await.success(200);
    assert_eq!(listed["items"], json!([late]));
}

async fn a_policy_is_pushed_bound_rolled_back_and_unbound() {
    let running = Running::with_site().await;
    let pushed = running.push("geo", GEO).await.success(201);
    assert_eq!(pushed["digest"], Digest::of(GEO).to_string());
    assert_eq!(pushed["size"], GEO.len());
    let again = running.push("geo", GEO).await.success(201);
    assert_eq!(again["digest"], pushed["digest"]);
    for path in ["/v1/policies", "/v1/policies/geo"] {
        let listed = running.ask("GET", path).await.success(200);
        assert_eq!(listed["items"].as_array().map(Vec::len), Some(1), "{listed}");
    }
    let binding = |version: &str| {
        json!({"site": "go", "prefix": "/geo", "policy": "geo", "settings": {"version": version},
            "on_failure": "open"})
    };
    for version in ["1", "2", "3"] {
        let bound = running
            .send("PUT", "/v1/bindings", &binding(version))
            .await
            .success(200);
        assert_eq!(bound["digest"], pushed["digest"], "the newest when none is named");
    }
    let this = json!({"site": "go", "prefix": "/geo"});
    for version in ["2", "1"] {
        let back = running.send("POST", "/v1/bindings/rollback", &this).await.success(200);
        assert_eq!(back["settings"]["version"], version);
        let listed = running.ask("GET", "/v1/bindings?site=go").await.success(200);
        assert_eq!(listed["items"], json!([back]));
    }
    let end = running.send("POST", "/v1/bindings/rollback", &this).await;
    assert_eq!(end.problem(409, "conflict")["field"], "binding");
    let path = "/v1/bindings?site=go&prefix=/geo";
    running.ask("DELETE", path).await.success(204);
    running.ask("DELETE", path).await.problem(404, "not-found");
    let unbound = running.send("POST", "/v1/bindings/rollback", &this).await;
    unbound.problem(404, "not-found");
}

async fn a_token_is_made_used_listed_and_revoked() {
    let running = Running::with_site().await;
    let new = json!({"name": "ci", "scope": "read"});
    let request = running.bare("POST", "/v1/tokens").bearer_auth(&running.operator);
    let made = Reply::of(request.header("wayside-tenant", "acme").json(&new)).await;
    let made = made.success(201);
    let token = made["token"].as_str().expect("a token");
    running.ask_as(token, "GET", "/v1/sites/go").await.success(200);
    let request = running.bare("GET", "/v1/tokens").bearer_auth(&running.operator);
    let listed = Reply::of(request.header("wayside-tenant", "acme")).await.success(200);
    let secret = token.rsplit('_').next().expect("a secret");
    assert!(!listed.to_string().contains(secret), "a secret is shown once");
    assert!(listed.to_string().contains(made["id"].as_str().expect("an id")));
}

/// Which parameters of which operations may be left out.
const OPTIONAL: [(&str, &str); 19] = [
    ("get_edge_directory", "epoch"),
    ("get_edge_directory", "cursor"),
    ("get_edge_links", "epoch"),
    ("get_edge_links", "cursor"),
    ("get_edge_snapshot", "after"),
    ("get_edge_snapshot", "limit"),
    ("get_edge_snapshot", "epoch"),
    ("get_assets", "id"),
    ("get_assets", "prefix"),
    ("get_assets", "cursor"),
    ("get_assets", "limit"),
    ("get_edge_assets", "epoch"),
    ("get_edge_assets", "cursor"),
    ("get_edge_snapshot", "cursor"),
    ("get_feed", "epoch"),
    ("get_links", "path"),
    ("get_links", "prefix"),
    ("get_links", "cursor"),
    ("get_links", "limit"),
];

/// What a generated client needs: where each parameter stands, and what each answer looks like.
fn check_operation(path: &str, operation: &serde_json::Value) {
    let id = operation["operationId"].as_str().expect("an id");
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().expect("a name");
        let place = if path.contains(&format!("{{{name}}}")) {
            "path"
        } else {
            "query"
        };
        assert_eq!(parameter["in"], place, "{path} {parameter}");
        let is_required = !OPTIONAL.contains(&(id, name));
        assert_eq!(parameter["required"], is_required, "{path} {parameter}");
    }
    let responses = operation["responses"].as_object().expect("responses");
    assert!(responses.contains_key("default"), "{path}");
    for (status, response) in responses {
        assert!(response["description"].is_string(), "{path} {status}");
        if !status.starts_with(['2', '3']) {
            let problem = &response["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(problem, "#/components/schemas/Problem", "{path} {status}");
        }
    }
}

async fn every_documented_route_exists_and_asks_for_a_token() {
    let running = Running::start().await;
    let document = Reply::of(running.bare("GET", "/v1/openapi.json")).await.success(200);
    let scheme = &document["components"]["securitySchemes"]["token"];
    assert_eq!((&scheme["type"], &scheme["scheme"]), (&json!("http"), &json!("bearer")));
    assert_eq!(document["security"], json!([{"token": []}]));
    let paths = document["paths"].as_object().expect("paths");
    let mut ids = BTreeSet::new();
    for (template, methods) in paths {
        let path = template
            .replace("{site}", "go")
            .replace("{name}", "geo")
            .replace("{digest}", "00");
        assert!(!path.contains('{'), "{path}");
        for (method, operation) in methods.as_object().expect("methods") {
            check_operation(template, operation);
            let reply = Reply::of(running.bare(&method.to_uppercase(), &path)).await;
            // Who enrols has an invitation in place of a token, and the document says so.
            if path == "/v1/edge/nodes" {
                assert_eq!((&operation["security"], reply.status), (&json!([{}]), 415));
            } else {
                assert_eq!(reply.status, 401, "{method} {path}: {reply:?}");
                reply.problem(401, "unauthorized");
            }
            let id = &operation["operationId"];
            assert!(ids.insert(id.to_string()), "{id} twice");
        }
    }
    assert!(ids.len() >= 28, "only {} routes are documented", ids.len());
    let made = &document["paths"]["/v1/sites"]["post"]["responses"];
    assert!(made["409"].is_object() && made["422"].is_object(), "{made}");
    let health = Reply::of(running.bare("GET", "/healthz")).await;
    assert_eq!(health.success(200), "ok\n");
}

/// They are written down twice, so that neither lets an unknown field pass and each names a wrong one.
async fn a_link_by_itself_and_one_of_a_batch_say_the_same() {
    let running = Running::start().await;
    let mut document = Reply::of(running.bare("GET", "/v1/openapi.json")).await.success(200);
    let mut schema = |name: &str| {
        let schema = &mut document["components"]["schemas"][name];
        (schema["properties"].take(), schema["required"].take())
    };
    let (mut alone, mut needed_alone) = schema("NewLink");
    let in_batch = schema("LinkContent");
    alone.as_object_mut().expect("fields").remove("site").expect("a site");
    needed_alone
        .as_array_mut()
        .expect("names")
        .retain(|name| name != "site");
    assert_eq!((alone, needed_alone), in_batch);
}

crate::on_both_engines! {
    a_site_is_made_listed_changed_and_ended,
    a_link_is_made_read_replaced_and_ended,
    links_are_listed_in_parts_without_gaps,
    rules_are_kept_in_the_order_they_are_tried,
    a_policy_is_pushed_bound_rolled_back_and_unbound,
    a_token_is_made_used_listed_and_revoked,
    every_documented_route_exists_and_asks_for_a_token,
    a_link_by_itself_and_one_of_a_batch_say_the_same,
}
