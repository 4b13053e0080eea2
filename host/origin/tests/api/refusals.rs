//! What is refused, and how it is said.

use serde_json::{Value, json};

use crate::harness::{Reply, Running, link};

async fn what_no_route_takes_is_a_problem_too() {
    let running = Running::with_site().await;
    for path in ["/", "/v1", "/v1/nothing", "/v1/sites/go/more"] {
        running.ask("GET", path).await.problem(404, "no-such-route");
    }
    for (method, path) in [("PATCH", "/v1/sites"), ("POST", "/v1/feed"), ("DELETE", "/v1/policies")] {
        running.ask(method, path).await.problem(405, "wrong-method");
    }
    let request = running.bare("POST", "/v1/sites").bearer_auth(&running.acme).body("{}");
    let untyped = Reply::of(request.header("content-type", "text/plain")).await;
    untyped.problem(415, "unreadable-request");
    let request = running
        .bare("GET", "/v1/edge/policies/xyz")
        .bearer_auth(&running.operator);
    Reply::of(request).await.invalid("digest");
    for path in ["/v1/sites/%FF", "/v1/policies/%FF"] {
        running.ask("GET", path).await.problem(400, "unreadable-request");
    }
}

async fn a_query_that_cannot_be_read_says_why() {
    let running = Running::with_site().await;
    let number = "a whole number that is not negative";
    let known = "one of `site`, `path`, `prefix`, `cursor`, `limit`";
    for (query, field, found, expected) in [
        ("", "site", "nothing", "a value"),
        ("?site=go&limit=x", "limit", "\"x\"", number),
        ("?site=go&limit=", "limit", "\"\"", number),
        ("?site=go&limit=-1", "limit", "\"-1\"", number),
        (
            "?site=go&limit=99999999999",
            "limit",
            "\"99999999999\"",
            "a smaller number",
        ),
        ("?site=go&colour=red", "colour", "a field that is not known", known),
        ("?site=go&site=go", "site", "it twice", "it once"),
    ] {
        let problem = running.ask("GET", &format!("/v1/links{query}")).await.invalid(field);
        assert_eq!(
            (&problem["found"], &problem["expected"]),
            (&json!(found), &json!(expected)),
            "{query}"
        );
    }
}

async fn json_that_cannot_be_read_says_why() {
    let running = Running::with_site().await;
    let send = |body: &'static str| {
        let request = running.bare("POST", "/v1/links").bearer_auth(&running.acme);
        Reply::of(
            request
                .header("content-type", "application/json; charset=utf-8")
                .body(body),
        )
    };
    for body in [
        "",
        "{",
        "\u{0}",
        r#"{"site": "go", "path": "/a", "target": "https://a.example/"} x"#,
    ] {
        let problem = send(body).await.problem(400, "unreadable-request");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.starts_with("line 1, column "), "{detail}");
    }
    for (body, field) in [
        ("[]", "body"),
        (r#"["go", "/a", "https://a.example/"]"#, "body"),
        (r#"{"site": "go", "site": "go"}"#, "site"),
        (r#"{"site": "go"}"#, "path"),
        (r#"{"site": 1, "path": "/a", "target": ""}"#, "site"),
        (
            r#"{"site": "go", "path": "/a", "target": "https://a.example/", "status": "x"}"#,
            "status",
        ),
        (
            r#"{"site": "go", "path": "/a", "target": "https://a.example/", "colour": "red"}"#,
            "colour",
        ),
    ] {
        let problem = send(body).await.invalid(field);
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(
            detail.starts_with(&format!("{field}: found ")) && !detail.contains("struct"),
            "{detail}"
        );
    }
    // What a request says of itself must not be taken for what was expected of it, nor be repeated without end.
    for status in ["a, expected b".to_owned(), "x".repeat(100_000)] {
        let mut link = link("/a", "https://a.example/");
        link["status"] = status.into();
        let problem = running.send("POST", "/v1/links", &link).await.invalid("status");
        assert_eq!(problem["expected"], "a whole number from 0 to 65535");
        assert!(problem.to_string().len() < 1_000, "{problem}");
    }
    let batch = json!({"site": "go", "links": [{"path": "/a", "target": "https://a.example/"}, {"path": "/b"}]});
    running
        .send("POST", "/v1/links/batch", &batch)
        .await
        .invalid("links[1].target");
    let by_position = json!({"site": "go", "links": [["/a", "https://a.example/"]]});
    running
        .send("POST", "/v1/links/batch", &by_position)
        .await
        .invalid("links[0]");
}

async fn a_target_that_could_harm_is_refused() {
    let running = Running::with_site().await;
    let long = format!("https://a.example/{}", "x".repeat(8 * 1024));
    let targets = [
        "javascript:alert(1)",
        "http://",
        "//a.example/",
        "/relative",
        "https://user:word@a.example/",
        "https://a.example/\r\nset-cookie: x=y",
        "https://a.example/\n",
        &long,
        "https://go.example.com/a",
        "http://GO.example.com/a?again#x",
    ];
    for target in targets {
        let start = &target[..target.len().min(40)];
        for method in ["POST", "PUT"] {
            let refused = running.send(method, "/v1/links", &link("/a", target)).await;
            assert_eq!(refused.status, 422, "{start:?}: {refused:?}");
            refused.invalid("target");
        }
        let mut fallback = link("/a", "https://a.example/");
        fallback["fallback"] = target.into();
        let refused = running.send("POST", "/v1/links", &fallback).await.invalid("fallback");
        assert!(
            refused["detail"].as_str().expect("a detail").starts_with("fallback: "),
            "{refused}"
        );
    }
    running
        .ask("GET", "/v1/links?site=go&path=/a")
        .await
        .problem(404, "not-found");
    let template = json!({"site": "go", "pattern": "/j", "target": "javascript:alert(1)"});
    running.send("POST", "/v1/rules", &template).await.invalid("target");
}

async fn each_wrong_field_is_named() {
    let running = Running::with_site().await;
    let with = |field: &str, value: Value| {
        let mut link = link("/a", "https://a.example/");
        link[field] = value;
        link
    };
    let mut window = with("starts_at", 2.into());
    window["expires_at"] = 2.into();
    let links = [
        ("path", with("path", "a".into())),
        ("status", with("status", 200.into())),
        ("site", with("site", "no name".into())),
        ("tags", with("tags", json!([""]))),
        ("expires_at", window),
    ];
    for (field, link) in links {
        running.send("POST", "/v1/links", &link).await.invalid(field);
    }
    let sites = [
        ("name", json!({"name": "", "hosts": ["a.example"]})),
        ("hosts", json!({"name": "x", "hosts": []})),
        (
            "hosts[1]",
            json!({"name": "x", "hosts": ["a.example", "https://a.example"]}),
        ),
        (
            "not_found",
            json!({"name": "x", "hosts": ["a.example"], "not_found": "ftp://a.example/"}),
        ),
        (
            "privacy",
            json!({"name": "x", "hosts": ["a.example"], "privacy": "none"}),
        ),
        (
            "streams",
            json!({"name": "x", "hosts": ["a.example"], "streams": "video/"}),
        ),
    ];
    for (field, site) in sites {
        running.send("POST", "/v1/sites", &site).await.invalid(field);
    }
    let missing = running.send("POST", "/v1/links", &with("site", "none".into())).await;
    missing.problem(404, "not-found");
}

async fn a_host_belongs_to_one_site() {
    let running = Running::with_site().await;
    let taken = json!({"name": "two", "hosts": ["free.example.com", "GO.example.com"]});
    let taken = running.send("POST", "/v1/sites", &taken).await.problem(409, "conflict");
    assert_eq!(
        (&taken["field"], &taken["found"]),
        (&json!("host"), &json!("go.example.com"))
    );
    running.ask("GET", "/v1/sites/two").await.problem(404, "not-found");
    let named = json!({"name": "go", "hosts": ["free.example.com"]});
    let named = running.send("POST", "/v1/sites", &named).await.problem(409, "conflict");
    assert_eq!(named["field"], "site");
    let free = json!({"name": "two", "hosts": ["free.example.com"]});
    running.send("POST", "/v1/sites", &free).await.success(201);
    let grab = json!({"hosts": ["go.example.com"]});
    running
        .send("PUT", "/v1/sites/two", &grab)
        .await
        .problem(409, "conflict");
    let kept = running.ask("GET", "/v1/sites/two").await.success(200);
    assert_eq!(
        kept["hosts"],
        json!(["free.example.com"]),
        "a refused change changes nothing"
    );
}

/// What is kept is read again: its escapes count.
async fn a_path_is_no_longer_than_can_be_read_again() {
    let running = Running::with_site().await;
    // Each character is six bytes when it is escaped, and no two are alike, so that nothing of them is saved.
    let path = |length: u32| {
        let letters = (0..length).filter_map(|at| char::from_u32(0x400 + (at * at * 31 + at * 7) % 0x400));
        std::iter::once('/').chain(letters).collect::<String>()
    };
    running
        .send("PUT", "/v1/links", &link(&path(341), "https://a.example/"))
        .await
        .success(200);
    let long = link(&path(342), "https://a.example/");
    running.send("PUT", "/v1/links", &long).await.invalid("path");
}

/// Who answers for a domain's hosts is decided once: another tenant gets nothing in, above or below it.
async fn a_tenants_hosts_cannot_be_taken_over_by_another() {
    let running = Running::start().await;
    let beta = running.mint(Some("beta"), wayside_origin::token::Scope::Write).await;
    let site = |name: &str, hosts: &[&str]| json!({"name": name, "hosts": hosts});
    let own = site("own", &["*.t.example", "deep.a.u.example"]);
    running.send("POST", "/v1/sites", &own).await.success(201);
    for (host, in_the_way) in [
        ("www.t.example", "*.t.example"),
        ("a.b.t.example", "*.t.example"),
        ("*.www.t.example", "*.t.example"),
        ("*.u.example", "deep.a.u.example"),
        ("*.a.u.example", "deep.a.u.example"),
    ] {
        let grab = running
            .send_as(&beta, "POST", "/v1/sites", &site("grab", &[host]))
            .await;
        let grab = grab.problem(409, "conflict");
        assert_eq!((&grab["field"], &grab["found"]), (&json!("host"), &json!(host)));
        let detail = grab["detail"].as_str().expect("a detail");
        assert!(detail.contains(in_the_way) && !detail.contains("acme"), "{detail}");
    }
    for host in ["t.example", "xt.example", "*.b.u.example", "*.v.example", "a.u.example"] {
        let name = host.replace(['*', '.'], "x");
        let free = running.send_as(&beta, "POST", "/v1/sites", &site(&name, &[host])).await;
        free.success(201);
    }
    // Within the tenant the most specific answers.
    let more = site("more", &["www.t.example", "*.www.t.example"]);
    running.send("POST", "/v1/sites", &more).await.success(201);
    let widen = json!({"hosts": ["*.v.example"]});
    running
        .send("PUT", "/v1/sites/more", &widen)
        .await
        .problem(409, "conflict");
    for host in ["*.com", "*.127.0.0.1", "1.1"] {
        running
            .send("POST", "/v1/sites", &site("no", &[host]))
            .await
            .invalid("hosts[0]");
    }
    let twice = site("no", &["d.example", "D.EXAMPLE."]);
    let twice = running.send("POST", "/v1/sites", &twice).await.invalid("hosts[1]");
    assert_eq!(twice["found"], "\"D.EXAMPLE.\"", "as it was written");
    assert!(
        twice["expected"].as_str().expect("text").contains("hosts[0]"),
        "{twice}"
    );
    let shorthand = running.send("POST", "/v1/sites", &site("no", &["1.1"])).await;
    let shorthand = shorthand.invalid("hosts[0]");
    assert!(
        shorthand["expected"]
            .as_str()
            .expect("text")
            .contains("four decimal numbers"),
        "{shorthand}"
    );
}

async fn a_batch_is_written_whole_or_not_at_all() {
    let running = Running::with_site().await;
    let batch = json!({"site": "go", "links": [
        {"path": "/a", "target": "https://a.example/"},
        {"path": "/b", "target": "javascript:alert(1)"},
        {"path": "/c", "target": "https://c.example/"},
    ]});
    running
        .send("POST", "/v1/links/batch", &batch)
        .await
        .invalid("links[1].target");
    let listed = running.ask("GET", "/v1/links?site=go").await.success(200);
    assert_eq!(listed["items"], json!([]));
    let empty = json!({"site": "go", "links": []});
    let empty = running.send("POST", "/v1/links/batch", &empty).await.success(200);
    assert_eq!(empty["written"], 0);
    let many = vec![json!({"path": "/a", "target": "https://a.example/"}); 10_001];
    let many = json!({"site": "go", "links": many});
    running.send("POST", "/v1/links/batch", &many).await.invalid("links");
}

async fn a_body_past_the_limit_is_told_the_limit() {
    let running = Running::with_site().await;
    let refused = running.push("big", &vec![0; 25 * 1024 * 1024]).await;
    let refused = refused.problem(413, "body-too-large");
    assert!(
        refused["detail"].as_str().expect("a detail").contains("25165824 bytes"),
        "{refused}"
    );
    // JSON has a limit of its own, and what anybody may send without a token a small one.
    for (path, bytes_max) in [("/v1/links/batch", 16 * 1024 * 1024), ("/v1/edge/nodes", 4 * 1024)] {
        for (bytes, status) in [(bytes_max, 400), (bytes_max + 1, 413)] {
            let request = running.bare("POST", path).bearer_auth(&running.acme);
            let request = request
                .header("content-type", "application/json")
                .body(" ".repeat(bytes));
            let reply = Reply::of(request).await;
            assert_eq!(reply.status, status, "{path} {bytes}: {reply:?}");
            let said = reply.body["detail"].as_str().expect("a detail").to_owned();
            assert_eq!(said.contains(&format!("{bytes_max} bytes")), status == 413, "{said}");
        }
    }
}

async fn what_is_no_policy_is_refused() {
    let running = Running::with_site().await;
    let hostile = include_bytes!("../../../../guest/components/hostile.wasm");
    let module = b"\0asm\x01\0\0\0";
    for component in [&b""[..], b"no component", module, &crate::harness::GEO[..1000], hostile] {
        let refused = running.push("bad", component).await;
        if refused.status == 201 {
            // What behaves when it is tried is cut off where it runs.
            assert_eq!(component, hostile);
            continue;
        }
        let problem = refused.problem(422, "policy-refused");
        assert_eq!(problem["field"], "component");
    }
    let unknown = json!({"site": "go", "prefix": "/", "policy": "none", "on_failure": "open"});
    let unknown = running.send("PUT", "/v1/bindings", &unknown).await;
    unknown.problem(404, "not-found");
    running.push("geo", crate::harness::GEO).await.success(201);
    let mode = json!({"site": "go", "prefix": "/", "policy": "geo", "on_failure": "maybe"});
    running.send("PUT", "/v1/bindings", &mode).await.invalid("on_failure");
    let prefix = json!({"site": "go", "prefix": "geo", "policy": "geo", "on_failure": "open"});
    running.send("PUT", "/v1/bindings", &prefix).await.invalid("prefix");
    running.push("no%20name", crate::harness::GEO).await.invalid("name");
}

crate::on_both_engines! {
    what_no_route_takes_is_a_problem_too,
    a_query_that_cannot_be_read_says_why,
    json_that_cannot_be_read_says_why,
    a_target_that_could_harm_is_refused,
    each_wrong_field_is_named,
    a_host_belongs_to_one_site,
    a_path_is_no_longer_than_can_be_read_again,
    a_tenants_hosts_cannot_be_taken_over_by_another,
    a_batch_is_written_whole_or_not_at_all,
    a_body_past_the_limit_is_told_the_limit,
    what_is_no_policy_is_refused,
}
