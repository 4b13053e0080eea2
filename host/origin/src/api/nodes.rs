//! `/v1/nodes`: which edges may follow; and `/v1/edge/nodes`, where a new one brings its key.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wayside_decide::{invalid::Invalid, name::Name};
use wayside_upstream::{
    identity::{NodeId, PublicKey},
    protocol::{Enrolled, Enrolment},
};

use super::{
    Api,
    auth::Operator,
    extract::{Body, Page, Parameters},
    problem::Problem,
};
use crate::{
    clock::now_s,
    node::{Invitation, NodeRecord},
    store::Freshness,
};

/// How long an invitation holds unless somebody says otherwise, in seconds.
const VALID_FOR_S: u64 = 60 * 60;
/// How long it may hold, in seconds: a week.
const VALID_FOR_S_MAX: u64 = 7 * 24 * 60 * 60;

/// Largest enrolment, in bytes: anybody may send one. Its two texts are a hundred together.
const ENROLMENT_BYTES_MAX: usize = 4 * 1024;

/// A node to invite.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewNode {
    /// What to call it.
    name: String,
    /// How long its invitation holds, in seconds; an hour unless said otherwise, a week at most.
    valid_for_s: Option<u64>,
}

/// A node.
#[derive(Serialize, ToSchema)]
pub(crate) struct Node {
    id: String,
    name: String,
    /// `invited`, `expired`, `enrolled` or `revoked`.
    state: &'static str,
    invited_at: u64,
    /// Until when the invitation holds.
    expires_at: u64,
    enrolled_at: Option<u64>,
    revoked_at: Option<u64>,
}

/// A node that was just invited.
#[derive(Serialize, ToSchema)]
pub(crate) struct InvitedNode {
    #[serde(flatten)]
    about: Node,
    /// The invitation. It is shown this once, and serves once.
    invitation: String,
}

/// Which node.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ThisOne {
    /// Its id.
    id: String,
}

/// All nodes, the latest first.
#[utoipa::path(get, path = "/v1/nodes", responses((status = 200, body = Page<Node>)))]
pub(crate) async fn list(State(api): State<Api>, _: Operator) -> Result<Json<Page<Node>>, Problem> {
    let now_s = now_s();
    let nodes = api.store.nodes().await?;
    Ok(Json(Page::whole(
        nodes.into_iter().map(|record| Node::of(record, now_s)).collect(),
    )))
}

/// Invites a node.
#[utoipa::path(post, path = "/v1/nodes", request_body = NewNode,
    responses((status = 201, body = InvitedNode), (status = 422, body = Problem)))]
pub(crate) async fn invite(
    State(api): State<Api>,
    _: Operator,
    Body(new): Body<NewNode>,
) -> Result<(StatusCode, Json<InvitedNode>), Problem> {
    let name = Name::parse("node name", &new.name).map_err(|invalid| Problem::invalid("name", invalid))?;
    let valid_for_s = new.valid_for_s.unwrap_or(VALID_FOR_S);
    if !(1..=VALID_FOR_S_MAX).contains(&valid_for_s) {
        let expected = format!("1 to {VALID_FOR_S_MAX} seconds");
        return Err(Problem::wrong("valid_for_s", valid_for_s.to_string(), expected));
    }
    let (invitation, record) = Invitation::mint(name, now_s(), valid_for_s)?;
    api.store.invite_node(record.clone()).await?;
    tracing::info!(node = %record.id, name = %record.name, "invited a node");
    let made = InvitedNode {
        about: Node::of(record, now_s()),
        invitation: invitation.expose(),
    };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Revokes a node, or its invitation: it gets nothing more.
#[utoipa::path(delete, path = "/v1/nodes", params(ThisOne), responses((status = 204), (status = 404, body = Problem)))]
pub(crate) async fn revoke(
    State(api): State<Api>,
    _: Operator,
    Parameters(this): Parameters<ThisOne>,
) -> Result<StatusCode, Problem> {
    let id = NodeId::parse(&this.id).map_err(|invalid| Problem::invalid("id", invalid))?;
    api.store.revoke_node(&id).await?;
    api.welcome.forget_node(&id);
    tracing::info!(node = %id, "revoked a node");
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a new node's key. The invitation is what it shows; sent again with the same key, the answer is the same.
#[utoipa::path(post, path = "/v1/edge/nodes", security(()),
    request_body(content = serde_json::Value, description = "`invitation`, and `public_key`: Ed25519, 32 bytes in base64url"),
    responses((status = 201), (status = 401, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn enrol(
    State(api): State<Api>,
    Body(enrolment): Body<Enrolment, ENROLMENT_BYTES_MAX>,
) -> Result<(StatusCode, Json<Enrolled>), Problem> {
    let key = PublicKey::parse(&enrolment.public_key).map_err(|invalid| Problem::invalid("public_key", invalid))?;
    let invitation = Invitation::parse(&enrolment.invitation).ok_or_else(|| {
        // Not repeated: it may be a secret of another kind.
        let invalid = Invalid::other("invitation", "something else", "the line that begins with `wi_`");
        Problem::invalid("invitation", invalid)
    })?;
    let record = api.store.node(invitation.node(), Freshness::Newest).await?;
    if !record.is_some_and(|record| invitation.fits(&record)) {
        return Err(Problem::unauthorized("the invitation is unknown"));
    }
    api.store.enrol_node(invitation.node(), &key).await?;
    let node = invitation.node().to_string();
    tracing::info!(node, "a node has enrolled");
    Ok((StatusCode::CREATED, Json(Enrolled { node })))
}

impl Node {
    fn of(record: NodeRecord, now_s: u64) -> Self {
        Self {
            id: record.id.to_string(),
            state: record.state(now_s).as_str(),
            name: record.name.to_string(),
            invited_at: record.invited_at,
            expires_at: record.expires_at,
            enrolled_at: record.enrolled.map(|(_, at)| at),
            revoked_at: record.revoked_at,
        }
    }
}
