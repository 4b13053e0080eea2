//! `/v1/tokens`.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wayside_decide::{invalid::Invalid, name::Name};

use super::{
    Api,
    auth::Admin,
    extract::{Body, Page, Parameters},
    problem::Problem,
};
use crate::{
    clock::now_s,
    store::TokenRecord,
    token::{Grant, Scope, Token as DomainToken, TokenId},
};

/// A token to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// What its owner calls it.
    name: String,
    /// `read`, `write` or `admin`.
    scope: String,
    /// Whether it is to reach every tenant. Only operators may ask for it.
    #[serde(default)]
    operator: bool,
}

/// A token, without its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct Token {
    id: String,
    name: String,
    /// `*` for an operator's.
    tenant: String,
    scope: &'static str,
    created_at: u64,
    revoked_at: Option<u64>,
}

/// A token that was just made.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeToken {
    #[serde(flatten)]
    about: Token,
    /// The token itself. It is shown this once.
    token: String,
}

/// Which token.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ThisOne {
    /// Its id.
    id: String,
}

/// The tenant's tokens; the operators', for an operator who names no tenant.
#[utoipa::path(get, path = "/v1/tokens", responses((status = 200, body = Page<Token>)))]
pub(crate) async fn list(State(api): State<Api>, admin: Admin) -> Result<Json<Page<Token>>, Problem> {
    let tokens = api.store.tokens(admin.tenant.as_ref()).await?;
    Ok(Json(Page::whole(tokens.into_iter().map(Token::from).collect())))
}

/// Makes a token.
#[utoipa::path(post, path = "/v1/tokens", request_body = NewToken,
    responses((status = 201, body = MadeToken), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn create(
    State(api): State<Api>,
    admin: Admin,
    Body(new): Body<NewToken>,
) -> Result<(StatusCode, Json<MadeToken>), Problem> {
    let scope = Scope::parse(&new.scope).map_err(|invalid| Problem::invalid("scope", invalid))?;
    Name::parse("token name", &new.name).map_err(|invalid| Problem::invalid("name", invalid))?;
    if new.operator && !admin.is_operator {
        return Err(Problem::forbidden("only an operator makes an operator's token"));
    }
    let tenant = if new.operator { None } else { admin.tenant };
    if tenant.is_none() && !new.operator {
        let invalid = Invalid::other(
            "tenant",
            "no `Wayside-Tenant` field",
            "the tenant, or `\"operator\": true`",
        );
        return Err(Problem::invalid("Wayside-Tenant", invalid));
    }
    let (token, record) = DomainToken::mint(Grant { tenant, scope }, &new.name, now_s())?;
    let about = Token::from(record.clone());
    api.store.create_token(record).await?;
    tracing::info!(
        token = about.id,
        tenant = about.tenant,
        scope = about.scope,
        "made a token"
    );
    Ok((
        StatusCode::CREATED,
        Json(MadeToken {
            about,
            token: token.expose(),
        }),
    ))
}

/// Ends a token.
#[utoipa::path(delete, path = "/v1/tokens", params(ThisOne), responses((status = 204), (status = 404, body = Problem)))]
pub(crate) async fn revoke(
    State(api): State<Api>,
    admin: Admin,
    Parameters(this): Parameters<ThisOne>,
) -> Result<StatusCode, Problem> {
    let refuse = || Problem::invalid("id", Invalid::text("token id", &this.id, "12 hexadecimal digits"));
    let id = TokenId::parse(&this.id).ok_or_else(refuse)?;
    api.store.revoke_token(admin.tenant.as_ref(), &id).await?;
    api.welcome.forget_token(&id);
    tracing::info!(token = this.id, "revoked a token");
    Ok(StatusCode::NO_CONTENT)
}

impl From<TokenRecord> for Token {
    fn from(record: TokenRecord) -> Self {
        Self {
            id: record.id.as_str().to_owned(),
            name: record.name,
            tenant: record
                .grant
                .tenant
                .map_or_else(|| "*".to_owned(), |tenant| tenant.to_string()),
            scope: record.grant.scope.as_str(),
            created_at: record.created_at,
            revoked_at: record.revoked_at,
        }
    }
}
