//! Who asks: from a bearer token to a tenant and a scope.

use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};
use wayside_decide::{invalid::Invalid, name::Name};
use wayside_upstream::identity::{self, Assertion, NodeId, PublicKey};

use super::{Api, problem::Problem, welcome::Welcome};
use crate::{
    clock::now_s,
    node::{NodeRecord, NodeState},
    store::{Freshness, TokenRecord},
    token::{Grant, Scope, Token, TokenId},
};

/// In which tenant an operator's token acts.
const TENANT_HEADER: &str = "wayside-tenant";

/// Somebody who may look at a tenant's things.
pub(crate) struct Reader(pub(crate) Name);
/// Somebody who may change a tenant's things.
pub(crate) struct Writer(pub(crate) Name);
/// Somebody who may make and revoke the tokens of a tenant; of operators, when there is none.
pub(crate) struct Admin {
    pub(crate) tenant: Option<Name>,
    pub(crate) is_operator: bool,
}
/// Somebody who looks after all tenants, and may do everything.
pub(crate) struct Operator;
/// An edge node, by its own key or by an operator's token.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Enrolled(NodeId),
    Lent(TokenId),
}

impl FromRequestParts<Api> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let grant = authenticate(parts, api, Scope::Read).await?;
        tenant_of(parts, grant).map(Self)
    }
}

impl FromRequestParts<Api> for Writer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let grant = authenticate(parts, api, Scope::Write).await?;
        tenant_of(parts, grant).map(Self)
    }
}

impl FromRequestParts<Api> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let grant = authenticate(parts, api, Scope::Admin).await?;
        let is_operator = grant.tenant.is_none();
        let tenant = if is_operator && !parts.headers.contains_key(TENANT_HEADER) {
            None
        } else {
            Some(tenant_of(parts, grant)?)
        };
        Ok(Self { tenant, is_operator })
    }
}

impl FromRequestParts<Api> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        match authenticate(parts, api, Scope::Admin).await?.tenant {
            None => Ok(Self),
            Some(_) => Err(Problem::forbidden(
                "this needs an operator's token; this one is a tenant's",
            )),
        }
    }
}

impl FromRequestParts<Api> for Node {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        if let Some(assertion) = credentials(parts, identity::SCHEME) {
            let assertion = Assertion::parse(assertion)
                .ok_or_else(|| Problem::unauthorized("the assertion has not the form of one: node_….TIME.SIGNATURE"))?;
            let record = api.welcome.node(&assertion.node).await?;
            let key = enrolled_key(record.as_deref(), now_s())?;
            let believed = assertion.check(key, now_s());
            believed.map_err(|disbelief| Problem::unauthorized(&disbelief.to_string()))?;
            return Ok(Self::Enrolled(assertion.node));
        }
        // Nodes go on while the primary is away; a revoked token is refused as soon as a replica knows.
        let token = bearer(parts)?;
        let record = api.welcome.token(token.id()).await?;
        match granted(&token, record.as_deref(), Scope::Read)? {
            Grant { tenant: None, .. } => Ok(Self::Lent(token.id().clone())),
            _ => Err(Problem::forbidden(
                "edge nodes need an identity or an operator's token; this one is a tenant's",
            )),
        }
    }
}

impl Node {
    /// Whether it may still be told anything. While the record cannot be read, it may: nodes go on without it.
    pub(crate) async fn is_welcome(&self, welcome: &Welcome) -> bool {
        match self {
            Self::Enrolled(id) => welcome
                .node(id)
                .await
                .map_or(true, |record| enrolled_key(record.as_deref(), now_s()).is_ok()),
            Self::Lent(id) => welcome
                .token(id)
                .await
                .map_or(true, |record| record.is_some_and(|record| record.revoked_at.is_none())),
        }
    }
}

/// The key of a node that has enrolled and was not revoked.
fn enrolled_key(record: Option<&NodeRecord>, now_s: u64) -> Result<&PublicKey, Problem> {
    let record = record.ok_or_else(|| Problem::unauthorized("the node is unknown"))?;
    match (record.state(now_s), &record.enrolled) {
        (NodeState::Enrolled, Some((key, _))) => Ok(key),
        (NodeState::Revoked, _) => Err(Problem::unauthorized("the node is revoked")),
        _ => Err(Problem::unauthorized("the node has not enrolled")),
    }
}

/// What follows the scheme in `Authorization`; none when it is another's. The name is case-insensitive (RFC 9110 §11.1).
fn credentials<'p>(parts: &'p Parts, scheme: &str) -> Option<&'p str> {
    let field = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (named, rest) = field.split_once(' ')?;
    named.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

/// The token that a request shows.
fn bearer(parts: &Parts) -> Result<Token, Problem> {
    if !parts.headers.contains_key(header::AUTHORIZATION) {
        return Err(Problem::unauthorized("send `Authorization: Bearer TOKEN`"));
    }
    let token = credentials(parts, "bearer").and_then(Token::parse);
    token.ok_or_else(|| Problem::unauthorized("the token has not the form of one: ws_…"))
}

/// What a token allows, when that reaches as far as `scope`.
fn granted(token: &Token, record: Option<&TokenRecord>, scope: Scope) -> Result<Grant, Problem> {
    let record = record.filter(|record| token.fits(record));
    let grant = &record
        .ok_or_else(|| Problem::unauthorized("the token is unknown or revoked"))?
        .grant;
    if grant.scope < scope {
        let (has, needs) = (grant.scope.as_str(), scope.as_str());
        return Err(Problem::forbidden(format!(
            "the token's scope is `{has}`, and this needs `{needs}`"
        )));
    }
    Ok(grant.clone())
}

/// For people and programs, to whom a token that was revoked is revoked at once.
async fn authenticate(parts: &Parts, api: &Api, scope: Scope) -> Result<Grant, Problem> {
    let token = bearer(parts)?;
    let record = api.store.token(token.id(), Freshness::Newest).await?;
    granted(&token, record.as_ref(), scope)
}

fn tenant_of(parts: &Parts, grant: Grant) -> Result<Name, Problem> {
    let named = parts
        .headers
        .get(TENANT_HEADER)
        .map(|value| value.to_str().unwrap_or_default());
    let invalid = |invalid: Invalid| Problem::invalid("Wayside-Tenant", invalid);
    let named = named
        .map(|text| Name::parse("tenant", text))
        .transpose()
        .map_err(invalid)?;
    match (grant.tenant, named) {
        (Some(own), Some(named)) if own != named => Err(Problem::forbidden(format!(
            "the token is one of tenant {own}'s, not of {named}'s"
        ))),
        (Some(own), _) => Ok(own),
        (None, Some(named)) => Ok(named),
        (None, None) => {
            let missing = Invalid::other("tenant", "no `Wayside-Tenant` field", "the tenant to act in");
            Err(Problem::invalid("Wayside-Tenant", missing))
        }
    }
}
