//! `/v1/edge/…`: what nodes read. The types are those of the protocol crate.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use utoipa::IntoParams;
use wayside_decide::{digest::Digest, path::LinkPath, site::SiteId};
use wayside_upstream::protocol::EdgeLink;

use super::{
    Api,
    auth::Node,
    extract::{Parameters, Segment},
    problem::Problem,
};
use crate::store::StoreError;

/// Which link.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    /// The site's number.
    site_id: u64,
    /// The path in normal form.
    path: String,
}

/// Every site with its rules and bindings, as of one position of the feed.
#[utoipa::path(get, path = "/v1/edge/directory", responses((status = 200), (status = 304)))]
pub(crate) async fn directory(State(api): State<Api>, _: Node, headers: HeaderMap) -> Result<Response, Problem> {
    let directory = api.store.directory().await?;
    let tag = format!("\"{}\"", directory.cursor);
    let is_known = headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Json(directory).into_response()
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// One link.
#[utoipa::path(get, path = "/v1/edge/links", params(Which), responses((status = 200), (status = 404, body = Problem)))]
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
    Ok(Json(EdgeLink::from(
        &api.store.link(SiteId(which.site_id), &path).await?.link,
    )))
}

/// The bytes of one policy version.
#[utoipa::path(get, path = "/v1/edge/policies/{digest}", params(("digest" = String, Path)),
    responses((status = 200, content_type = "application/wasm"), (status = 404, body = Problem)))]
pub(crate) async fn policy(State(api): State<Api>, _: Node, Segment(digest): Segment) -> Result<Response, Problem> {
    let digest = Digest::parse(&digest).map_err(|invalid| Problem::invalid("digest", invalid))?;
    let bytes = api.store.component(digest).await?;
    Ok(([(header::CONTENT_TYPE, "application/wasm")], bytes).into_response())
}
