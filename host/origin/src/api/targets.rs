//! `/v1/targets`: the CDNs and edge servers that serve streams.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wayside_decide::{name::Name, stream::target::Service};
use wayside_upstream::protocol::streams::EdgeTarget;

use super::{
    Api,
    auth::{Reader, Writer},
    extract::{Body, Page, Segment},
    problem::Problem,
};
use crate::store::streams::TargetRecord;

mod content;

use content::TargetContent;

/// A target.
#[derive(Serialize, ToSchema)]
pub(crate) struct Target {
    #[serde(flatten)]
    content: TargetContent,
    /// When it was made, in milliseconds since 1970 UTC: later than all targets and pathways of the tenant that were there.
    since_ms: u64,
    /// When it was last changed, in seconds since 1970 UTC.
    updated_at: u64,
}

/// What an operator says of a target.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceContent {
    /// `in`, `draining` (nobody new, sessions are moved) or `out`.
    service: String,
}

/// The tenant's targets, by name.
#[utoipa::path(get, path = "/v1/targets", responses((status = 200, body = Page<Target>)))]
pub(crate) async fn list(State(api): State<Api>, Reader(tenant): Reader) -> Result<Json<Page<Target>>, Problem> {
    let targets = api.store.targets(&tenant).await?;
    Ok(Json(Page::whole(targets.iter().map(Target::from).collect())))
}

/// Makes a target.
#[utoipa::path(post, path = "/v1/targets", request_body = TargetContent,
    responses((status = 201, body = Target), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn create(
    State(api): State<Api>,
    Writer(tenant): Writer,
    Body(content): Body<TargetContent>,
) -> Result<(StatusCode, Json<Target>), Problem> {
    let target = content.read(None)?;
    let made = api.store.create_target(&tenant, target).await?;
    tracing::info!(%tenant, target = %made.target.name, "made a target");
    Ok((StatusCode::CREATED, Json(Target::from(&made))))
}

/// One target.
#[utoipa::path(get, path = "/v1/targets/{name}", params(("name" = String, Path)),
    responses((status = 200, body = Target), (status = 404, body = Problem)))]
pub(crate) async fn one(
    State(api): State<Api>,
    Reader(tenant): Reader,
    Segment(name): Segment,
) -> Result<Json<Target>, Problem> {
    let found = api.store.target(&tenant, &read_name(&name)?).await?;
    Ok(Json(Target::from(&found)))
}

/// Gives a target another content. Its name stays, and whether it serves, unless that is said.
#[utoipa::path(put, path = "/v1/targets/{name}", params(("name" = String, Path)), request_body = TargetContent,
    responses((status = 200, body = Target), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn replace(
    State(api): State<Api>,
    Writer(tenant): Writer,
    Segment(name): Segment,
    Body(content): Body<TargetContent>,
) -> Result<Json<Target>, Problem> {
    let keeps_service = !content.says_service();
    let target = content.read(Some(&read_name(&name)?))?;
    let replaced = api.store.replace_target(&tenant, target, keeps_service).await?;
    tracing::info!(%tenant, target = name, "changed a target");
    Ok(Json(Target::from(&replaced)))
}

/// Takes a target into service, drains it or takes it out; all else of it stays.
#[utoipa::path(put, path = "/v1/targets/{name}/service", params(("name" = String, Path)),
    request_body = ServiceContent,
    responses((status = 200, body = Target), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn serve(
    State(api): State<Api>,
    Writer(tenant): Writer,
    Segment(name): Segment,
    Body(content): Body<ServiceContent>,
) -> Result<Json<Target>, Problem> {
    let service = Service::parse(&content.service).map_err(|invalid| Problem::invalid("service", invalid))?;
    let changed = api.store.set_service(&tenant, &read_name(&name)?, service).await?;
    tracing::info!(%tenant, target = name, service = service.as_str(), "changed the service of a target");
    Ok(Json(Target::from(&changed)))
}

/// Ends a target. Assets that name it have one pathway less, and have it again when there is one of that name.
#[utoipa::path(delete, path = "/v1/targets/{name}", params(("name" = String, Path)), responses((status = 204)))]
pub(crate) async fn delete(
    State(api): State<Api>,
    Writer(tenant): Writer,
    Segment(name): Segment,
) -> Result<StatusCode, Problem> {
    api.store.delete_target(&tenant, &read_name(&name)?).await?;
    tracing::info!(%tenant, target = name, "ended a target");
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn read_name(text: &str) -> Result<Name, Problem> {
    Name::parse("target name", text).map_err(|invalid| Problem::invalid("name", invalid))
}

impl From<&TargetRecord> for Target {
    fn from(record: &TargetRecord) -> Self {
        Self {
            content: TargetContent::from(EdgeTarget::from(&record.target)),
            since_ms: record.target.since_ms,
            updated_at: record.updated_at,
        }
    }
}
