//! Who may do what.

use serde_json::json;
use wayside_origin::token::Scope;

use crate::harness::{Reply, Running, link};

async fn without_a_good_token_nobody_gets_in() {
    let running = Running::with_site().await;
    let (start, _) = running.acme.rsplit_once('_').expect("a token");
    let forged = format!("Bearer {start}_AAAA");
    let unknown = "Bearer ws_0123456789ab_AAAA".to_owned();
    let basic = format!("Basic {}", running.acme);
    let fields = [
        None,
        Some("Bearer".to_owned()),
        Some("Bearer x".to_owned()),
        Some(forged),
        Some(unknown),
        Some(basic),
    ];
    for field in fields {
        let mut request = running.bare("GET", "/v1/sites");
        if let Some(field) = &field {
            request = request.header("authorization", field);
        }
        let reply = Reply::of(request).await;
        assert_eq!(
            reply.headers.get("www-authenticate").expect("a challenge"),
            "Bearer",
            "{field:?}"
        );
        reply.problem(401, "unauthorized");
    }
    let field = format!("bearer {}", running.acme);
    let request = running.bare("GET", "/v1/sites").header("authorization", field);
    Reply::of(request).await.success(200);
}

async fn a_revoked_token_ends_at_once() {
    let running = Running::with_site().await;
    let id = running.acme.split('_').nth(1).expect("an id").to_owned();
    let path = format!("/v1/tokens?id={id}");
    // Without a tenant the operator reaches operators' tokens only.
    let apart = running.ask_as(&running.operator, "DELETE", &path).await;
    apart.problem(404, "not-found");
    running.ask("GET", "/v1/sites").await.success(200);
    let request = running.bare("DELETE", &path).bearer_auth(&running.operator);
    Reply::of(request.header("wayside-tenant", "acme")).await.success(204);
    let reply = running.ask("GET", "/v1/sites").await;
    assert!(reply.headers.contains_key("www-authenticate"));
    reply.problem(401, "unauthorized");
    let malformed = running.ask_as(&running.operator, "DELETE", "/v1/tokens?id=x").await;
    malformed.invalid("id");
}

async fn a_scope_goes_no_further_than_it_says() {
    let running = Running::with_site().await;
    let reader = running.mint(Some("acme"), Scope::Read).await;
    running.ask_as(&reader, "GET", "/v1/sites").await.success(200);
    let written = running
        .send_as(&reader, "POST", "/v1/links", &link("/a", "https://a.example/"))
        .await;
    written.problem(403, "forbidden");
    running
        .ask_as(&reader, "DELETE", "/v1/sites/go")
        .await
        .problem(403, "forbidden");
    running.ask("GET", "/v1/tokens").await.problem(403, "forbidden");
    let admin = running.mint(Some("acme"), Scope::Admin).await;
    let grab = json!({"name": "grab", "scope": "admin", "operator": true});
    let grab = running.send_as(&admin, "POST", "/v1/tokens", &grab).await;
    grab.problem(403, "forbidden");
}

async fn a_tenants_token_is_no_nodes() {
    let running = Running::with_site().await;
    let admin = running.mint(Some("acme"), Scope::Admin).await;
    let digest = "0".repeat(64);
    for path in [
        "/v1/edge/directory".to_owned(),
        "/v1/edge/links?site_id=1&path=/a".to_owned(),
        "/v1/edge/snapshot".to_owned(),
        format!("/v1/edge/policies/{digest}"),
        "/v1/feed?cursor=0".to_owned(),
    ] {
        running.ask_as(&admin, "GET", &path).await.problem(403, "forbidden");
    }
}

async fn tenants_do_not_see_each_other() {
    let running = Running::with_site().await;
    running
        .send("POST", "/v1/links", &link("/a", "https://a.example/"))
        .await
        .success(201);
    running.push("geo", crate::harness::GEO).await.success(201);
    let other = running.mint(Some("globex"), Scope::Admin).await;
    for path in ["/v1/sites", "/v1/policies", "/v1/policies/geo"] {
        let listed = running.ask_as(&other, "GET", path).await.success(200);
        assert_eq!(listed["items"], json!([]), "{path}");
    }
    for path in [
        "/v1/sites/go",
        "/v1/links?site=go",
        "/v1/links?site=go&path=/a",
        "/v1/rules?site=go",
        "/v1/bindings?site=go",
    ] {
        running.ask_as(&other, "GET", path).await.problem(404, "not-found");
    }
    for path in ["/v1/sites/go", "/v1/links?site=go&path=/a"] {
        running.ask_as(&other, "DELETE", path).await.problem(404, "not-found");
    }
    let request = running.bare("GET", "/v1/sites").bearer_auth(&other);
    let named = Reply::of(request.header("wayside-tenant", "acme")).await;
    named.problem(403, "forbidden");
    // The same name is another site, and another tenant's policy cannot be bound.
    let site = json!({"name": "go", "hosts": ["go.globex.example"]});
    running.send_as(&other, "POST", "/v1/sites", &site).await.success(201);
    let digest = wayside_decide::digest::Digest::of(crate::harness::GEO).to_string();
    let binding = json!({"site": "go", "prefix": "/", "policy": "geo", "digest": digest, "on_failure": "open"});
    let bound = running.send_as(&other, "PUT", "/v1/bindings", &binding).await;
    bound.problem(404, "not-found");
    let read = running.ask("GET", "/v1/links?site=go&path=/a").await.success(200);
    assert_eq!(read["target"], "https://a.example/");
}

async fn an_operator_names_the_tenant() {
    let running = Running::with_site().await;
    let operator = running.operator.clone();
    running
        .ask_as(&operator, "GET", "/v1/sites")
        .await
        .invalid("Wayside-Tenant");
    let request = |tenant: &'static str| {
        let request = running.bare("GET", "/v1/sites/go").bearer_auth(&operator);
        Reply::of(request.header("wayside-tenant", tenant))
    };
    request("acme").await.success(200);
    request("globex").await.problem(404, "not-found");
    request("no name").await.invalid("Wayside-Tenant");
}

async fn every_response_says_under_which_id_the_log_knows_it() {
    let running = Running::start().await;
    let id = |reply: &Reply| {
        reply
            .headers
            .get("x-request-id")
            .map(|id| id.to_str().expect("text").to_owned())
    };
    let (first, second) = (
        running.ask("GET", "/v1/sites").await,
        running.ask("GET", "/nowhere").await,
    );
    assert!(id(&first).is_some() && id(&second).is_some() && id(&first) != id(&second));
    for (own, is_kept) in [
        ("trace-1.a_B", true),
        ("a b", false),
        ("", false),
        (&*"x".repeat(65), false),
    ] {
        let reply = Reply::of(running.bare("GET", "/v1/sites").header("x-request-id", own)).await;
        assert_eq!(id(&reply).as_deref() == Some(own), is_kept, "{own:?}");
    }
}

crate::on_both_engines! {
    without_a_good_token_nobody_gets_in,
    a_revoked_token_ends_at_once,
    a_scope_goes_no_further_than_it_says,
    a_tenants_token_is_no_nodes,
    tenants_do_not_see_each_other,
    an_operator_names_the_tenant,
    every_response_says_under_which_id_the_log_knows_it,
}
