//! `/v1/zones`: which networks are near which of a tenant's targets.

use axum::{
    Json,
    body::Bytes,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use utoipa::ToSchema;
use wayside_upstream::protocol::zones::{self, ZONES_BYTES_MAX};

use super::{
    Api,
    auth::{Reader, Writer},
    extract::read_bytes,
    problem::Problem,
};

/// Coverage zones that were uploaded.
#[derive(Serialize, ToSchema)]
pub(crate) struct ZonesWritten {
    /// SHA-256 of the file.
    digest: String,
    /// How many groups it has.
    groups: usize,
    /// How many networks they have together.
    networks: usize,
    /// When it was uploaded, in seconds since 1970 UTC.
    updated_at: u64,
}

/// The tenant's coverage zones, as they were uploaded.
#[utoipa::path(get, path = "/v1/zones",
    responses((status = 200, content_type = "application/json"), (status = 404, body = Problem)))]
pub(crate) async fn show(State(api): State<Api>, Reader(tenant): Reader) -> Result<Response, Problem> {
    let record = api.store.zones(&tenant).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], record.body).into_response())
}

/// Gives the tenant other coverage zones: JSON as Traffic Control's coverage zone file. A group is the region of targets.
#[utoipa::path(put, path = "/v1/zones",
    request_body(content = serde_json::Value, description = "`{\"coverageZones\": {\"GROUP\": {\"network\": [], \"network6\": []}}}`"),
    responses((status = 200, body = ZonesWritten), (status = 413, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn replace(
    State(api): State<Api>,
    Writer(tenant): Writer,
    request: Request,
) -> Result<Json<ZonesWritten>, Problem> {
    let body = read_bytes(request, &api, ZONES_BYTES_MAX).await?;
    let (groups, networks) = count(body.clone()).await?;
    let record = api.store.set_zones(&tenant, body.into()).await?;
    tracing::info!(%tenant, groups, networks, "changed the coverage zones");
    Ok(Json(ZonesWritten {
        digest: record.digest.to_string(),
        groups,
        networks,
        updated_at: record.updated_at,
    }))
}

/// How many groups and networks a file has. Reading a large one takes long: others are answered meanwhile.
async fn count(body: Bytes) -> Result<(usize, usize), Problem> {
    let count = move || {
        let groups = zones::parse(&body).map_err(|invalid| Problem::invalid("coverageZones", invalid))?;
        Ok((groups.len(), groups.iter().map(|(_, networks)| networks.len()).sum()))
    };
    tokio::task::spawn_blocking(count)
        .await
        .map_err(|error| Problem::internal(&error))?
}

/// Ends the tenant's coverage zones.
#[utoipa::path(delete, path = "/v1/zones", responses((status = 204), (status = 404, body = Problem)))]
pub(crate) async fn delete(State(api): State<Api>, Writer(tenant): Writer) -> Result<StatusCode, Problem> {
    api.store.delete_zones(&tenant).await?;
    tracing::info!(%tenant, "ended the coverage zones");
    Ok(StatusCode::NO_CONTENT)
}
