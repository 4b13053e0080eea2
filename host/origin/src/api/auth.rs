//! Who asks: from a bearer token to a tenant and a scope.

use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};
use wayside_decide::{invalid::Invalid, name::Name};

use super::{Api, problem::Problem};
use crate::{
    store::Freshness,
    token::{Grant, Scope, Token},
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
/// An edge node.
pub(crate) struct Node;

impl FromRequestParts<Api> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let grant = authenticate(parts, api, Scope::Read, Freshness::Newest).await?;
        tenant_of(parts, grant).map(Self)
    }
}

impl FromRequestParts<Api> for Writer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let grant = authenticate(parts, api, Scope::Write, Freshness::Newest).await?;
        tenant_of(parts, grant).map(Self)
    }
}

impl FromRequestParts<Api> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let grant = authenticate(parts, api, Scope::Admin, Freshness::Newest).await?;
        let is_operator = grant.tenant.is_none();
        let tenant = if is_operator && !parts.headers.contains_key(TENANT_HEADER) {
            None
        } else {
            Some(tenant_of(parts, grant)?)
        };
        Ok(Self { tenant, is_operator })
    }
}

impl FromRequestParts<Api> for Node {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        // Nodes go on while the primary is away; a revoked token is refused as soon as a replica knows.
        match authenticate(parts, api, Scope::Read, Freshness::Any).await?.tenant {
            None => Ok(Self),
            Some(_) => Err(Problem::forbidden(
                "edge nodes need an operator's token; this one is a tenant's",
            )),
        }
    }
}

async fn authenticate(parts: &Parts, api: &Api, scope: Scope, freshness: Freshness) -> Result<Grant, Problem> {
    let field = parts
        .headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let field = field.ok_or_else(|| Problem::unauthorized("send `Authorization: Bearer TOKEN`"))?;
    // The scheme's name is case-insensitive (RFC 9110 §11.1).
    let bearer = field
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let token = bearer.and_then(|(_, token)| Token::parse(token.trim()));
    let token = token.ok_or_else(|| Problem::unauthorized("the token has not the form of one: ws_…"))?;
    let record = api.store.token(token.id(), freshness).await?;
    let record = record.filter(|record| token.fits(record));
    let grant = record
        .ok_or_else(|| Problem::unauthorized("the token is unknown or revoked"))?
        .grant;
    if grant.scope < scope {
        let (has, needs) = (grant.scope.as_str(), scope.as_str());
        return Err(Problem::forbidden(format!(
            "the token's scope is `{has}`, and this needs `{needs}`"
        )));
    }
    Ok(grant)
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
