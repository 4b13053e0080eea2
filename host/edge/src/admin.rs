//! The node's own endpoint: is it alive, is it ready, what does it count, what does it hold.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use axum::{
    Json, Router,
    body::Body,
    extract::{
        DefaultBodyLimit, Query, RawQuery, State,
        rejection::{BytesRejection, QueryRejection},
    },
    http::{HeaderMap, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use tokio::sync::{Semaphore, broadcast::error::RecvError};
use wayside_balance::level::Level;
use wayside_cache::links::Size;
use wayside_decide::limits::COMPONENT_BYTES_MAX;
use wayside_upstream::origins::{Origins, shown::Shown};

use crate::{
    degradation::shown::Shown as DegradationShown,
    explain::{self, Which},
    follow::Follower,
    guests::Guests,
    metrics::Shard,
    pipeline::{Edge, stream as stream_step},
    plan::{self, PlanError, Wanted},
    policy_log::{self, Line},
    streams,
};

mod host;

/// What the endpoint reads from.
pub(crate) struct Admin {
    pub(crate) edge: Arc<Edge>,
    pub(crate) follower: Arc<Follower>,
    pub(crate) guests: Arc<Guests>,
    pub(crate) origins: Origins,
    /// Plans that may be under way: each takes the time of many runs.
    pub(crate) planning: Semaphore,
    /// What explanations count in.
    pub(crate) shard: Arc<Shard>,
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
    cache_tiers: BTreeMap<&'static str, Tier>,
    shared_cache: Option<&'static str>,
    feed_connected: bool,
    feed_cursor: Option<u64>,
    resyncing: bool,
    directory_cursor: Option<u64>,
    geography: bool,
    degradation: DegradationShown,
    upstream: Shown,
}

/// The endpoint's routes. `is_loopback` says whether only this machine can reach it.
pub(crate) fn router(admin: Arc<Admin>, is_loopback: bool) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route("/policies", get(policies))
        .route("/policies/explain", get(explain_one))
        .route("/policies/logs", get(policy_logs))
        .route("/streams/explain", get(explain_stream))
        .route("/streams/targets", get(stream_targets))
        .route(
            "/policies/plan",
            post(plan_one).layer(DefaultBodyLimit::max(COMPONENT_BYTES_MAX)),
        )
        .layer(middleware::from_fn_with_state(is_loopback, host::check))
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
    let links = &admin.edge.links;
    admin.edge.metrics.show_tiers(links.tiers(), links.disk_bytes());
    admin
        .edge
        .metrics
        .show_targets(streams::shown::targets(&admin.edge.streams.pools));
    let wide = explain::wide_questions(&admin.edge.directory.load());
    admin.edge.metrics.show_wide_questions(&wide);
    admin
        .edge
        .metrics
        .show_resting(explain::resting(&admin.edge.directory.load()));
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
        cache_tiers: tiers(edge, size),
        shared_cache: edge.links.shared_state(),
        feed_connected: edge.metrics.feed_is_connected(),
        feed_cursor: admin.follower.place().cursor,
        resyncing: admin.follower.place().resync.is_some(),
        directory_cursor: directory.cursor,
        geography: edge.geo.load().is_present(),
        degradation: edge.degradation.shown(),
        upstream: admin.origins.shown(),
    })
}

/// A tier of the cache.
#[derive(Serialize)]
struct Tier {
    hits: u64,
    misses: u64,
    errors: u64,
    /// What it takes, where that is known.
    bytes: Option<u64>,
}

/// The tiers, by name.
fn tiers(edge: &Edge, size: Size) -> BTreeMap<&'static str, Tier> {
    let (look_ups, hits) = edge.metrics.memory_hits();
    let memory = Tier {
        hits,
        misses: look_ups.saturating_sub(hits),
        errors: 0,
        bytes: Some(size.bytes),
    };
    let behind = edge.links.tiers().into_iter().map(|(name, counts)| {
        let tier = Tier {
            hits: counts.hits,
            misses: counts.misses,
            errors: counts.errors,
            bytes: (name == "disk").then(|| edge.links.disk_bytes()),
        };
        (name, tier)
    });
    behind.chain([("memory", memory)]).collect()
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

/// How the targets of streams do here.
async fn stream_targets(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let items = streams::shown::targets(&admin.edge.streams.pools);
    Json(serde_json::json!({ "items": items }))
}

/// Which target somebody would get.
async fn explain_stream(
    State(admin): State<Arc<Admin>>,
    which: Result<Query<streams::explain::Which>, QueryRejection>,
) -> Response {
    let Ok(Query(which)) = which else {
        let expected = "expected the parameters tenant, site, asset, ip (an address) and, if it is to be one that \
                        plays, session";
        return refuse(StatusCode::BAD_REQUEST, expected.to_owned());
    };
    match stream_step::explain(&admin.edge, &admin.shard, &which).await {
        Ok(told) => Json(told).into_response(),
        Err(reason) => refuse(StatusCode::NOT_FOUND, reason),
    }
}

/// What policies said, a line of JSON each; without end where the lines to come are wanted.
async fn policy_logs(
    State(admin): State<Arc<Admin>>,
    wanted: Result<Query<policy_log::Wanted>, QueryRejection>,
) -> Response {
    let Ok(Query(wanted)) = wanted else {
        let expected = "expected the parameters tenant and, where they matter, site, prefix and follow=true";
        return refuse(StatusCode::BAD_REQUEST, expected.to_owned());
    };
    let (kept, coming) = admin.edge.policy_log.follow();
    let kept: Vec<Line> = kept.into_iter().filter(|line| wanted.has(line)).collect();
    // What is there no more may have said something.
    if kept.is_empty() && !explain::is_known(&admin.edge.directory.load(), &wanted) {
        return refuse(
            StatusCode::NOT_FOUND,
            "there is no such site or binding on this node".to_owned(),
        );
    }
    let kept = stream::iter(kept).map(|line| Ok::<_, Infallible>(json_line(&line)));
    let coming = stream::unfold((coming, wanted), |(mut coming, wanted)| async move {
        loop {
            if !wanted.follow {
                return None;
            }
            match coming.recv().await {
                Ok(line) if wanted.has(&line) => return Some((Ok(json_line(&line)), (coming, wanted))),
                // Not theirs; or some were missed, and those that are left come next.
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (kind, Body::from_stream(kept.chain(coming))).into_response()
}

fn json_line(line: &Line) -> Bytes {
    // A line is texts and a number: it can always be written.
    let mut text = serde_json::to_vec(line).unwrap_or_default();
    text.push(b'\n');
    text.into()
}

/// What another version of a binding's policy would change. The body is the component.
async fn plan_one(
    State(admin): State<Arc<Admin>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    component: Result<Bytes, BytesRejection>,
) -> Response {
    // A page in a browser of this machine cannot send this type without being asked whether it may.
    if headers
        .get(header::CONTENT_TYPE)
        .is_none_or(|kind| kind != "application/wasm")
    {
        let expected = "expected the content type application/wasm".to_owned();
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, expected);
    }
    let wanted = match wanted(query.as_deref().unwrap_or_default()) {
        Ok(wanted) => wanted,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, why),
    };
    let component = match component {
        Ok(component) => component,
        Err(rejection) => return refuse(rejection.status(), rejection.body_text()),
    };
    if admin.edge.degradation.level() >= Level::CoreOnly {
        return refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            "the node runs no policies now; see `degradation` in its status".to_owned(),
        );
    }
    let Ok(_turn) = admin.planning.try_acquire() else {
        return refuse(
            StatusCode::CONFLICT,
            "another plan is under way on this node".to_owned(),
        );
    };
    match plan::plan(&admin.edge, &admin.guests, &wanted, component).await {
        Ok(plan) => Json(plan).into_response(),
        Err(error) => {
            let status = match &error {
                PlanError::NoBinding => StatusCode::NOT_FOUND,
                PlanError::NotRunning(_) => StatusCode::CONFLICT,
                PlanError::Setting(_) => StatusCode::BAD_REQUEST,
                PlanError::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
            };
            refuse(status, error.to_string())
        }
    }
}

/// A refusal as RFC 9457 has it.
fn refuse(status: StatusCode, why: String) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let problem = serde_json::json!({ "title": title, "status": status.as_u16(), "detail": why });
    let kind = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, kind, problem.to_string()).into_response()
}

/// Reads `tenant`, `site` and `prefix`, and any number of `set=NAME=VALUE`.
fn wanted(query: &str) -> Result<Wanted, String> {
    let expected = "expected the parameters tenant, site, prefix and any number of set=NAME=VALUE";
    let (mut which, mut settings) = ([None, None, None], Vec::new());
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let place = match &*name {
            "tenant" => 0,
            "site" => 1,
            "prefix" => 2,
            "set" => {
                let (name, value) = value.split_once('=').ok_or(expected)?;
                settings.push((name.to_owned(), value.to_owned()));
                continue;
            }
            _ => return Err(expected.to_owned()),
        };
        if which[place].replace(value.into_owned()).is_some() {
            return Err(expected.to_owned());
        }
    }
    let [Some(tenant), Some(site), Some(prefix)] = which else {
        return Err(expected.to_owned());
    };
    Ok(Wanted {
        which: Which { tenant, site, prefix },
        settings,
    })
}
