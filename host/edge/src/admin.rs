//! The node's own endpoint: is it alive, is it ready, what does it count, what does it hold.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use axum::{
    Json, Router,
    extract::{Query, State, rejection::QueryRejection},
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use serde::Serialize;

use crate::{
    explain::{self, Which},
    follow::Follower,
    pipeline::Edge,
};

/// What the endpoint reads from.
pub(crate) struct Admin {
    pub(crate) edge: Arc<Edge>,
    pub(crate) follower: Arc<Follower>,
    pub(crate) started: Instant,
    pub(crate) is_draining: AtomicBool,
}

/// What `wayside status` shows.
#[derive(Serialize)]
struct Status {
    version: &'static str,
    uptime_s: u64,
    ready: bool,
    draining: bool,
    region: Option<String>,
    pop: Option<String>,
    requests: u64,
    sites: usize,
    links_cached: u64,
    links_cached_bytes: u64,
    feed_connected: bool,
    feed_cursor: Option<u64>,
    directory_cursor: Option<u64>,
    geography: bool,
}

/// The endpoint's routes.
pub(crate) fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route("/policies", get(policies))
        .route("/policies/explain", get(explain_one))
        .with_state(admin)
}

impl Admin {
    pub(crate) fn is_ready(&self) -> bool {
        !self.is_draining.load(Ordering::Relaxed) && self.follower.is_settled()
    }
}

async fn ready(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    match (admin.is_draining.load(Ordering::Relaxed), admin.is_ready()) {
        (_, true) => (StatusCode::OK, "ready\n"),
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        (false, _) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "no directory yet, or its policies are still being loaded\n",
        ),
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let size = admin.edge.links.size();
    admin.edge.metrics.show_links(size.entries, size.bytes);
    match admin.edge.metrics.text() {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "write the metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn status(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let edge = &admin.edge;
    let (directory, size) = (edge.directory.load(), edge.links.size());
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: admin.started.elapsed().as_secs(),
        ready: admin.is_ready(),
        draining: admin.is_draining.load(Ordering::Relaxed),
        region: edge.place.region.clone(),
        pop: edge.place.pop.clone(),
        requests: edge.metrics.request_count(),
        sites: directory.site_count(),
        links_cached: size.entries,
        links_cached_bytes: size.bytes,
        feed_connected: edge.metrics.feed_is_connected(),
        feed_cursor: admin.follower.cursor(),
        directory_cursor: directory.cursor,
        geography: edge.geo.load().is_present(),
    })
}

/// What is bound here and how much is remembered of it.
async fn policies(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let items = explain::summaries(&admin.edge.directory.load());
    Json(serde_json::json!({ "items": items }))
}

/// One binding's decision tree.
async fn explain_one(
    State(admin): State<Arc<Admin>>,
    which: Result<Query<Which>, QueryRejection>,
) -> impl IntoResponse {
    let Ok(Query(which)) = which else {
        let expected = "expected the parameters tenant, site and prefix, and no other\n";
        return (StatusCode::BAD_REQUEST, expected).into_response();
    };
    match explain::explanation(&admin.edge.directory.load(), &which) {
        Some(explanation) => Json(explanation).into_response(),
        None => (StatusCode::NOT_FOUND, "there is no such binding on this node\n").into_response(),
    }
}
