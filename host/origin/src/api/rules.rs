//! `/v1/rules`.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wayside_decide::{
    invalid::Invalid,
    limits::SITE_RULES_MAX,
    rule::{Pattern, Rule as DomainRule},
    status::RedirectStatus,
    template::Template,
};

use super::{
    Api,
    auth::{Reader, Writer},
    extract::{Body, OfSite, Page, Parameters},
    problem::Problem,
};
use crate::store::RuleRecord;

/// The priority of a rule that names none.
const fn middle() -> u32 {
    100
}

const fn found() -> u16 {
    RedirectStatus::Found.code()
}

/// A rule to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRule {
    /// The site's name.
    site: String,
    /// Lower goes first.
    #[serde(default = "middle")]
    priority: u32,
    /// An exact path, or one that ends in `/*`.
    pattern: String,
    /// A template of a URL: `https://docs.example.com/{splat}`.
    target: String,
    /// 301, 302, 303, 307 or 308.
    #[serde(default = "found")]
    status: u16,
}

/// A rule.
#[derive(Serialize, ToSchema)]
pub(crate) struct Rule {
    id: u64,
    site: String,
    priority: u32,
    pattern: String,
    target: String,
    status: u16,
}

/// Which rule.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ThisOne {
    /// The site's name.
    site: String,
    /// The rule's number.
    id: u64,
}

/// A site's rules in the order they are tried.
#[utoipa::path(get, path = "/v1/rules", params(OfSite), responses((status = 200, body = Page<Rule>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    Reader(tenant): Reader,
    Parameters(of): Parameters<OfSite>,
) -> Result<Json<Page<Rule>>, Problem> {
    let rules = api.store.rules(&tenant, api.site_id(&tenant, &of.site).await?).await?;
    Ok(Json(Page::whole(
        rules.into_iter().map(|record| show(&of.site, record)).collect(),
    )))
}

/// Makes a rule.
#[utoipa::path(post, path = "/v1/rules", request_body = NewRule,
    responses((status = 201, body = Rule), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn create(
    State(api): State<Api>,
    Writer(tenant): Writer,
    Body(new): Body<NewRule>,
) -> Result<(StatusCode, Json<Rule>), Problem> {
    let refuse = |field: &'static str| move |invalid| Problem::invalid(field, invalid);
    let pattern = Pattern::parse(&new.pattern).map_err(refuse("pattern"))?;
    let location = Template::parse(&new.target).map_err(refuse("target"))?;
    let status = RedirectStatus::from_code(new.status).map_err(refuse("status"))?;
    let rule = DomainRule::new(new.priority, pattern, location, status).map_err(refuse("target"))?;
    let site = api.site_id(&tenant, &new.site).await?;
    let count = api.store.rules(&tenant, site).await?.len();
    if count >= SITE_RULES_MAX {
        let expected = format!("at most {SITE_RULES_MAX} rules for a site");
        return Err(Problem::invalid(
            "site",
            Invalid::other("rules", count.to_string(), expected),
        ));
    }
    let record = api.store.create_rule(&tenant, site, rule).await?;
    tracing::info!(%tenant, site = new.site, pattern = new.pattern, "made a rule");
    Ok((StatusCode::CREATED, Json(show(&new.site, record))))
}

/// Ends a rule.
#[utoipa::path(delete, path = "/v1/rules", params(ThisOne), responses((status = 204)))]
pub(crate) async fn delete(
    State(api): State<Api>,
    Writer(tenant): Writer,
    Parameters(this): Parameters<ThisOne>,
) -> Result<StatusCode, Problem> {
    api.store
        .delete_rule(&tenant, api.site_id(&tenant, &this.site).await?, this.id)
        .await?;
    tracing::info!(%tenant, site = this.site, rule = this.id, "ended a rule");
    Ok(StatusCode::NO_CONTENT)
}

fn show(site: &str, record: RuleRecord) -> Rule {
    let RuleRecord { id, rule } = record;
    Rule {
        id,
        site: site.to_owned(),
        priority: rule.priority,
        pattern: rule.pattern.to_string(),
        target: rule.location.to_string(),
        status: rule.status.code(),
    }
}
