//! Nodes: invited, enrolled, revoked.

use std::time::Duration;

use serde_json::{Value, json};
use wayside_decide::name::Name;
use wayside_origin::{node::Invitation, token::Scope};
use wayside_upstream::{
    access::Access,
    client::{OriginClient, OriginError},
    enrol::Candidate,
    http::Roots,
    identity::{Identity, NodeKey},
};

use crate::harness::Running;

pub(crate) async fn invite(running: &Running) -> Value {
    let node = json!({"name": "fra-1"});
    running
        .send_as(&running.operator, "POST", "/v1/nodes", &node)
        .await
        .success(201)
}

pub(crate) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().expect(field).to_owned()
}

/// Somebody with this invitation and a new key.
pub(crate) fn candidate(running: &Running, invitation: String) -> Candidate {
    let key = NodeKey::generate().expect("randomness");
    Candidate::new(&[&running.base], &Roots::System, invitation, key).expect("a candidate")
}

/// A node by its identity.
pub(crate) fn client(running: &Running, identity: Identity) -> OriginClient {
    let access = Access::by_identity(identity, Roots::System);
    OriginClient::new(&running.base, &access).expect("a client")
}

async fn enrol(running: &Running) -> (String, OriginClient) {
    let invited = invite(running).await;
    let candidate = candidate(running, text(&invited, "invitation"));
    let id = candidate.enrol().await.expect("enrolled");
    assert_eq!(id.as_str(), text(&invited, "id"));
    let again = candidate.enrol().await.expect("the first answer may have been lost");
    assert_eq!(id, again);
    let client = client(running, candidate.into_identity(id.clone()));
    (id.to_string(), client)
}

async fn states(running: &Running) -> Vec<String> {
    let listed = running.ask_as(&running.operator, "GET", "/v1/nodes").await.success(200);
    let items = listed["items"].as_array().expect("items").clone();
    items.iter().map(|node| text(node, "state")).collect()
}

fn status(error: OriginError) -> u16 {
    match error {
        OriginError::Refused { status, .. } => status,
        other => panic!("{other}"),
    }
}

async fn an_invited_node_enrols_and_is_known_by_its_key() {
    let running = Running::with_site().await;
    let (_, node) = enrol(&running).await;
    assert_eq!(states(&running).await, ["enrolled"]);
    assert_eq!(node.directory(None).await.expect("a directory").sites.len(), 1);
}

async fn a_revoked_node_gets_nothing_more() {
    let running = Running::with_site().await;
    let (id, node) = enrol(&running).await;
    let mut feed = node.feed(0, None).await.expect("a feed");
    feed.next().await.expect("a first word").expect("an event");
    let path = format!("/v1/nodes?id={id}");
    running.ask_as(&running.operator, "DELETE", &path).await.success(204);
    assert_eq!(status(node.directory(None).await.expect_err("revoked")), 401);
    assert_eq!(status(node.feed(0, None).await.err().expect("revoked")), 401);
    let ended = async { while feed.next().await.expect("a good end").is_some() {} };
    tokio::time::timeout(Duration::from_secs(20), ended)
        .await
        .expect("the feed ends");
    assert_eq!(states(&running).await, ["revoked"]);
    let again = running.ask_as(&running.operator, "DELETE", &path).await;
    again.problem(404, "not-found");
}

async fn an_invitation_serves_once_and_in_time() {
    let running = Running::with_site().await;
    let invitation = text(&invite(&running).await, "invitation");
    let newcomer = || candidate(&running, invitation.clone());
    newcomer().enrol().await.expect("enrolled");
    assert_eq!(status(newcomer().enrol().await.expect_err("used")), 409);
    let (late, record) = Invitation::mint(Name::parse("name", "late").expect("a name"), 1, 1).expect("randomness");
    running.origin.store().invite_node(record).await.expect("recorded");
    let late = candidate(&running, late.expose());
    assert_eq!(status(late.enrol().await.expect_err("expired")), 409);
    let invited = invite(&running).await;
    let path = format!("/v1/nodes?id={}", text(&invited, "id"));
    running.ask_as(&running.operator, "DELETE", &path).await.success(204);
    let taken_back = candidate(&running, text(&invited, "invitation"));
    assert_eq!(status(taken_back.enrol().await.expect_err("revoked")), 409);
}

async fn nobody_enrols_or_asks_under_anothers_name() {
    let running = Running::with_site().await;
    let invited = invite(&running).await;
    let invitation = text(&invited, "invitation");
    let (start, _) = invitation.rsplit_once('_').expect("an invitation");
    for (forged, expected) in [
        (format!("{start}_AAAA"), 401),
        ("wi_0123456789abcdef_AAAA".to_owned(), 401),
        ("x".to_owned(), 422),
    ] {
        let candidate = candidate(&running, forged);
        assert_eq!(status(candidate.enrol().await.expect_err("forged")), expected);
    }
    let (id, _) = enrol(&running).await;
    let invitation = Invitation::parse(&invitation).expect("an invitation");
    let key = || NodeKey::generate().expect("randomness");
    let known = wayside_upstream::identity::NodeId::parse(&id).expect("an id");
    for node in [known, invitation.node().clone()] {
        let client = client(&running, Identity::new(node, key()));
        assert_eq!(status(client.directory(None).await.expect_err("another key")), 401);
    }
    let key = json!({"invitation": text(&invited, "invitation"), "public_key": "AAAA", "of-a-newer-node": 1});
    let short = running.bare("POST", "/v1/edge/nodes").json(&key);
    crate::harness::Reply::of(short).await.invalid("public_key");
}

async fn only_operators_invite() {
    let running = Running::with_site().await;
    let (tenant, reader) = (
        running.mint(Some("acme"), Scope::Admin).await,
        running.mint(None, Scope::Write).await,
    );
    for token in [&tenant, &reader] {
        let reply = running
            .send_as(token, "POST", "/v1/nodes", &json!({"name": "fra-1"}))
            .await;
        reply.problem(403, "forbidden");
        running
            .ask_as(token, "GET", "/v1/nodes")
            .await
            .problem(403, "forbidden");
    }
    for (body, field) in [
        (json!({"name": "no name"}), "name"),
        (json!({"name": "a", "valid_for_s": 0}), "valid_for_s"),
        (json!({"name": "a", "valid_for_s": 700_000}), "valid_for_s"),
    ] {
        running
            .send_as(&running.operator, "POST", "/v1/nodes", &body)
            .await
            .invalid(field);
    }
    running
        .ask_as(&running.operator, "DELETE", "/v1/nodes?id=x")
        .await
        .invalid("id");
}

crate::on_both_engines! {
    an_invited_node_enrols_and_is_known_by_its_key,
    a_revoked_node_gets_nothing_more,
    an_invitation_serves_once_and_in_time,
    nobody_enrols_or_asks_under_anothers_name,
    only_operators_invite,
}
