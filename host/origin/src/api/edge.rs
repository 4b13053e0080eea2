//! `/v1/edge/…`: what nodes read. The types are those of the protocol crate.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use utoipa::IntoParams;
use wayside_decide::{digest::Digest, invalid::Invalid, name::Name, path::LinkPath, site::SiteId};
use wayside_upstream::protocol::{
    Cursor, EdgeLink, Epoch, Position, SNAPSHOT_LINKS_MAX, SnapshotPage, streams::EdgeAsset,
};

use super::{
    Api,
    auth::Node,
    extract::{Parameters, Segment},
    problem::Problem,
};
use crate::store::{SnapshotKey, StoreError};

/// Which link.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    /// The site's number.
    site_id: u64,
    /// The path in normal form.
    path: String,
    /// Which record `cursor` is of.
    #[param(value_type = Option<String>)]
    epoch: Option<Epoch>,
    /// The last change that the node was told of.
    cursor: Option<Cursor>,
}

/// Which asset.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhichAsset {
    /// The site's number.
    site_id: u64,
    /// What it is called.
    id: String,
    /// Which record `cursor` is of.
    #[param(value_type = Option<String>)]
    epoch: Option<Epoch>,
    /// The last change that the node was told of.
    cursor: Option<Cursor>,
}

/// How new.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Known {
    /// Which record `cursor` is of.
    #[param(value_type = Option<String>)]
    epoch: Option<Epoch>,
    /// The last change that the node was told of.
    cursor: Option<Cursor>,
}

/// Which part.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhichPart {
    /// `next` of the part before.
    after: Option<String>,
    /// At most so many links.
    limit: Option<u32>,
    /// The first part's epoch.
    #[param(value_type = Option<String>)]
    epoch: Option<Epoch>,
    /// The first part's cursor.
    cursor: Option<Cursor>,
}

/// What a node knows already: a cursor says nothing without its record.
fn position(epoch: Option<Epoch>, cursor: Option<Cursor>) -> Option<Position> {
    let (epoch, cursor) = epoch.zip(cursor)?;
    Some(Position { epoch, cursor })
}

/// Every site with its rules and bindings, as of one position of the feed.
#[utoipa::path(get, path = "/v1/edge/directory", params(Known),
    responses((status = 200), (status = 304), (status = 409, body = Problem)))]
pub(crate) async fn directory(
    State(api): State<Api>,
    _: Node,
    Parameters(known): Parameters<Known>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let known = position(known.epoch, known.cursor);
    let directory = api.large.directory(known).await?;
    let tag = [(header::ETAG, directory.tag.clone())];
    if headers.get(header::IF_NONE_MATCH) == Some(&directory.tag) {
        return Ok((StatusCode::NOT_MODIFIED, tag).into_response());
    }
    let kind = [(header::CONTENT_TYPE, "application/json")];
    Ok((tag, kind, directory.body.clone()).into_response())
}

/// One link.
#[utoipa::path(get, path = "/v1/edge/links", params(Which),
    responses((status = 200), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn link(
    State(api): State<Api>,
    _: Node,
    Parameters(which): Parameters<Which>,
) -> Result<Json<EdgeLink>, Problem> {
    // What is no path of a link has none.
    let missing = |_| StoreError::Missing {
        what: "link",
        name: which.path.clone(),
    };
    let path = LinkPath::parse(&which.path).map_err(missing)?;
    let freshness = position(which.epoch, which.cursor).into();
    let record = api.store.link(SiteId(which.site_id), &path, freshness).await?;
    Ok(Json(EdgeLink::from(&record.link)))
}

/// One asset: 404 when there never was one of that name, 410 when it was deleted.
#[utoipa::path(get, path = "/v1/edge/assets", params(WhichAsset),
    responses((status = 200), (status = 404, body = Problem), (status = 409, body = Problem), (status = 410, body = Problem)))]
pub(crate) async fn asset(
    State(api): State<Api>,
    _: Node,
    Parameters(which): Parameters<WhichAsset>,
) -> Result<Json<EdgeAsset>, Problem> {
    // What cannot be the name of one never was one.
    let missing = |_| StoreError::Missing {
        what: "asset",
        name: which.id.clone(),
    };
    let id = Name::parse("asset id", &which.id).map_err(missing)?;
    let freshness = position(which.epoch, which.cursor).into();
    let record = api.store.asset(SiteId(which.site_id), &id, freshness).await?;
    Ok(Json(EdgeAsset::from(&record.asset)))
}

/// The coverage zones of a digest, as they were uploaded.
#[utoipa::path(get, path = "/v1/edge/zones/{digest}", params(("digest" = String, Path)),
    responses((status = 200, content_type = "application/json"), (status = 404, body = Problem)))]
pub(crate) async fn zones(State(api): State<Api>, _: Node, Segment(digest): Segment) -> Result<Response, Problem> {
    let digest = Digest::parse(&digest).map_err(|invalid| Problem::invalid("digest", invalid))?;
    let body = api.store.zones_by_digest(digest).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// A part of all links.
#[utoipa::path(get, path = "/v1/edge/snapshot", params(WhichPart),
    responses((status = 200), (status = 409, body = Problem), (status = 422, body = Problem),
        (status = 429, body = Problem)))]
pub(crate) async fn snapshot(
    State(api): State<Api>,
    _: Node,
    Parameters(which): Parameters<WhichPart>,
) -> Result<Json<SnapshotPage>, Problem> {
    let limit = which.limit.unwrap_or(SNAPSHOT_LINKS_MAX);
    if !(1..=SNAPSHOT_LINKS_MAX).contains(&limit) {
        let invalid = Invalid::other("limit", limit.to_string(), format!("1 to {SNAPSHOT_LINKS_MAX}"));
        return Err(Problem::invalid("limit", invalid));
    }
    let read = |text: &str| {
        let invalid = || Invalid::text("after", text, "`next` of the part before");
        SnapshotKey::parse(text).ok_or_else(|| Problem::invalid("after", invalid()))
    };
    let after = which.after.as_deref().map(read).transpose()?;
    let first = position(which.epoch, which.cursor);
    let read = api.store.snapshot(after.as_ref(), limit, first);
    Ok(Json(api.large.part(read).await?))
}

/// The bytes of one policy version.
#[utoipa::path(get, path = "/v1/edge/policies/{digest}", params(("digest" = String, Path)),
    responses((status = 200, content_type = "application/wasm"), (status = 404, body = Problem)))]
pub(crate) async fn policy(State(api): State<Api>, _: Node, Segment(digest): Segment) -> Result<Response, Problem> {
    let digest = Digest::parse(&digest).map_err(|invalid| Problem::invalid("digest", invalid))?;
    let bytes = api.store.component(digest).await?;
    Ok(([(header::CONTENT_TYPE, "application/wasm")], bytes).into_response())
}
