//! `/v1/policies`.

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use serde::Serialize;
use utoipa::ToSchema;
use wayside_decide::{limits::COMPONENT_BYTES_MAX, name::Name};

use super::{
    Api,
    auth::{Reader, Writer},
    extract::{Page, Segment, read_bytes},
    problem::Problem,
};
use crate::store::PolicyRecord;

/// A version of a policy.
#[derive(Serialize, ToSchema)]
pub(crate) struct Policy {
    name: String,
    /// SHA-256 of the component.
    digest: String,
    /// In bytes.
    size: u64,
    world: String,
    /// The interfaces it asks through.
    imports: Vec<String>,
    created_at: u64,
}

/// Every version of every policy, newest first within each.
#[utoipa::path(get, path = "/v1/policies", responses((status = 200, body = Page<Policy>)))]
pub(crate) async fn list(State(api): State<Api>, Reader(tenant): Reader) -> Result<Json<Page<Policy>>, Problem> {
    let policies = api.store.policies(&tenant, None).await?;
    Ok(Json(Page::whole(policies.into_iter().map(Policy::from).collect())))
}

/// Every version of one policy, newest first.
#[utoipa::path(get, path = "/v1/policies/{name}", params(("name" = String, Path)),
    responses((status = 200, body = Page<Policy>)))]
pub(crate) async fn versions(
    State(api): State<Api>,
    Reader(tenant): Reader,
    Segment(name): Segment,
) -> Result<Json<Page<Policy>>, Problem> {
    let policies = api.store.policies(&tenant, Some(&read_name(&name)?)).await?;
    Ok(Json(Page::whole(policies.into_iter().map(Policy::from).collect())))
}

/// Pushes a version: a WebAssembly component, which is inspected, compiled and tried before it is kept.
#[utoipa::path(post, path = "/v1/policies/{name}", params(("name" = String, Path)),
    request_body(content = Vec<u8>, content_type = "application/wasm"),
    responses((status = 201, body = Policy), (status = 413, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn push(
    State(api): State<Api>,
    Writer(tenant): Writer,
    Segment(name): Segment,
    request: Request,
) -> Result<(StatusCode, Json<Policy>), Problem> {
    let name = read_name(&name)?;
    let bytes = read_bytes(request, &api, COMPONENT_BYTES_MAX).await?;
    let (admission, component) = (api.admission.for_tenant(&tenant), bytes.clone());
    let admitted = tokio::task::spawn_blocking(move || admission.admit(&component)).await;
    let admitted = match admitted.map_err(|error| Problem::internal(&error))? {
        Ok((admitted, _)) => admitted,
        Err(refusal) if !refusal.is_final() => return Err(Problem::unavailable(&refusal)),
        Err(refusal) => return Err(Problem::refused_component(&refusal)),
    };
    let record = PolicyRecord {
        name: name.clone(),
        digest: admitted.digest,
        size: admitted.bytes as u64,
        world: admitted.world.as_str().to_owned(),
        imports: admitted.imports,
        created_at: 0,
    };
    api.store.push_policy(&tenant, record, bytes.to_vec()).await?;
    tracing::info!(%tenant, policy = %name, digest = %admitted.digest, "pushed a policy");
    let versions = api.store.policies(&tenant, Some(&name)).await?;
    let kept = versions.into_iter().find(|version| version.digest == admitted.digest);
    let kept = kept.ok_or_else(|| Problem::internal(&"a version that was just pushed is not there"))?;
    Ok((StatusCode::CREATED, Json(kept.into())))
}

fn read_name(text: &str) -> Result<Name, Problem> {
    Name::parse("policy name", text).map_err(|invalid| Problem::invalid("name", invalid))
}

impl From<PolicyRecord> for Policy {
    fn from(record: PolicyRecord) -> Self {
        Self {
            name: record.name.to_string(),
            digest: record.digest.to_string(),
            size: record.size,
            world: record.world,
            imports: record.imports,
            created_at: record.created_at,
        }
    }
}
