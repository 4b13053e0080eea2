//! `/v1/bindings`.

use std::collections::BTreeMap;

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wayside_decide::{
    binding::{Binding as DomainBinding, FailureMode, Prefix, VisitorKey},
    digest::Digest,
    invalid::Invalid,
    limits::{BINDING_SETTINGS_MAX, SETTING_VALUE_BYTES_MAX, SITE_BINDINGS_MAX},
    name::Name,
};

use super::{
    Api,
    auth::{Reader, Writer},
    extract::{Body, OfSite, Page, Parameters},
    problem::Problem,
};
use crate::store::StoreError;

/// A binding to make, or to make anew.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBinding {
    /// The site's name.
    site: String,
    /// `/` for the whole site, or a path such as `/geo`, which covers `/geo` and `/geo/…`.
    prefix: String,
    /// The policy's name.
    policy: String,
    /// The version; the newest when absent.
    #[serde(default)]
    digest: Option<String>,
    /// What the policy reads by `settings.get`.
    #[serde(default)]
    settings: BTreeMap<String, String>,
    /// What holds when the policy gives no decision: `open` or `closed`. There is no default.
    on_failure: String,
    /// What `visitor.bucket` tells visitors apart by: `address`, `cookie:NAME` or `header:NAME`; the address when absent.
    #[serde(default)]
    visitor_key: Option<String>,
}

/// A binding.
#[derive(Serialize, ToSchema)]
pub(crate) struct Binding {
    site: String,
    prefix: String,
    policy: String,
    digest: String,
    settings: BTreeMap<String, String>,
    on_failure: &'static str,
    visitor_key: String,
}

/// Which binding, in a query.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ThisOne {
    /// The site's name.
    site: String,
    /// The binding's prefix.
    prefix: String,
}

/// Which binding, in a body.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rollback {
    /// The site's name.
    site: String,
    /// The binding's prefix.
    prefix: String,
}

/// A site's bindings.
#[utoipa::path(get, path = "/v1/bindings", params(OfSite), responses((status = 200, body = Page<Binding>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    Reader(tenant): Reader,
    Parameters(of): Parameters<OfSite>,
) -> Result<Json<Page<Binding>>, Problem> {
    let bindings = api
        .store
        .bindings(&tenant, api.site_id(&tenant, &of.site).await?)
        .await?;
    Ok(Json(Page::whole(
        bindings.into_iter().map(|binding| show(&of.site, binding)).collect(),
    )))
}

/// Binds a policy to a part of a site; what was bound there can be rolled back to.
#[utoipa::path(put, path = "/v1/bindings", request_body = NewBinding,
    responses((status = 200, body = Binding), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn bind(
    State(api): State<Api>,
    Writer(tenant): Writer,
    Body(new): Body<NewBinding>,
) -> Result<Json<Binding>, Problem> {
    let site = api.site_id(&tenant, &new.site).await?;
    let binding = read(&api, &tenant, &new).await?;
    let others = api.store.bindings(&tenant, site).await?;
    if others.len() >= SITE_BINDINGS_MAX && others.iter().all(|other| other.prefix != binding.prefix) {
        let expected = format!("at most {SITE_BINDINGS_MAX} bindings for a site");
        return Err(Problem::invalid(
            "site",
            Invalid::other("bindings", others.len().to_string(), expected),
        ));
    }
    api.store.bind(&tenant, site, binding.clone()).await?;
    tracing::info!(%tenant, site = new.site, prefix = new.prefix, digest = %binding.digest, "bound a policy");
    Ok(Json(show(&new.site, binding)))
}

/// Ends a binding.
#[utoipa::path(delete, path = "/v1/bindings", params(ThisOne), responses((status = 204)))]
pub(crate) async fn unbind(
    State(api): State<Api>,
    Writer(tenant): Writer,
    Parameters(this): Parameters<ThisOne>,
) -> Result<StatusCode, Problem> {
    api.store
        .unbind(&tenant, api.site_id(&tenant, &this.site).await?, &this.prefix)
        .await?;
    tracing::info!(%tenant, site = this.site, prefix = this.prefix, "ended a binding");
    Ok(StatusCode::NO_CONTENT)
}

/// Goes back to what was bound before.
#[utoipa::path(post, path = "/v1/bindings/rollback", request_body = Rollback,
    responses((status = 200, body = Binding), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn roll_back(
    State(api): State<Api>,
    Writer(tenant): Writer,
    Body(this): Body<Rollback>,
) -> Result<Json<Binding>, Problem> {
    let site = api.site_id(&tenant, &this.site).await?;
    let binding = api.store.roll_back(&tenant, site, &this.prefix).await?;
    tracing::info!(%tenant, site = this.site, prefix = this.prefix, digest = %binding.digest, "rolled a binding back");
    Ok(Json(show(&this.site, binding)))
}

async fn read(api: &Api, tenant: &Name, new: &NewBinding) -> Result<DomainBinding, Problem> {
    let refuse = |field: &'static str| move |invalid| Problem::invalid(field, invalid);
    let policy = Name::parse("policy name", &new.policy).map_err(refuse("policy"))?;
    let digest = match &new.digest {
        Some(digest) => Digest::parse(digest).map_err(refuse("digest"))?,
        None => {
            let versions = api.store.policies(tenant, Some(&policy)).await?;
            let missing = || StoreError::Missing {
                what: "policy",
                name: policy.to_string(),
            };
            versions.first().ok_or_else(missing)?.digest
        }
    };
    if new.settings.len() > BINDING_SETTINGS_MAX {
        let expected = format!("at most {BINDING_SETTINGS_MAX} settings");
        return Err(refuse("settings")(Invalid::other(
            "settings",
            new.settings.len().to_string(),
            expected,
        )));
    }
    for (name, value) in &new.settings {
        Name::parse("setting", name).map_err(refuse("settings"))?;
        if value.len() > SETTING_VALUE_BYTES_MAX {
            let expected = format!("at most {SETTING_VALUE_BYTES_MAX} bytes");
            return Err(Problem::invalid(
                format!("settings.{name}"),
                Invalid::text("setting", value, expected),
            ));
        }
    }
    Ok(DomainBinding {
        prefix: Prefix::parse(&new.prefix).map_err(refuse("prefix"))?,
        policy,
        digest,
        settings: new
            .settings
            .iter()
            .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
            .collect(),
        on_failure: FailureMode::parse(&new.on_failure).map_err(refuse("on_failure"))?,
        visitor_key: match &new.visitor_key {
            Some(text) => VisitorKey::parse(text).map_err(refuse("visitor_key"))?,
            None => VisitorKey::default(),
        },
    })
}

fn show(site: &str, binding: DomainBinding) -> Binding {
    Binding {
        site: site.to_owned(),
        prefix: binding.prefix.to_string(),
        policy: binding.policy.to_string(),
        digest: binding.digest.to_string(),
        settings: binding
            .settings
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        on_failure: binding.on_failure.as_str(),
        visitor_key: binding.visitor_key.to_string(),
    }
}
