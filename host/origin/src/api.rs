//! The HTTP API: `/v1/…` for people and programs, `/v1/edge/…` and the feed for nodes.
//!
//! Each handler reads wire types, makes domain types of them (where bad input is refused by field), calls one store
//! operation and writes wire types. Errors are RFC 9457 problems, without exception.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};
use tokio::sync::watch;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};
use wayside_decide::limits::COMPONENT_BYTES_MAX;
use wayside_policy::admission::Admission;

use crate::store::Store;

mod auth;
mod bindings;
mod edge;
mod extract;
mod feed;
mod links;
mod policies;
mod problem;
mod rules;
mod sites;
mod tokens;

use problem::Problem;

/// Largest JSON body, in bytes: a full batch of links of ordinary length.
const JSON_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Api {
    store: Arc<dyn Store>,
    admission: Admission,
    heartbeat: Duration,
    is_draining: watch::Receiver<bool>,
}

#[derive(OpenApi)]
#[openapi(info(
    title = "Wayside origin",
    description = "Sites, links, rules, policies, bindings and tokens; the directory, links, policies and feed for edge nodes. \
                   Send `Authorization: Bearer TOKEN`; an operator's token names the tenant in `Wayside-Tenant`."
))]
struct Document;

/// The whole API.
pub(crate) fn router(
    store: Arc<dyn Store>,
    admission: Admission,
    heartbeat: Duration,
    is_draining: watch::Receiver<bool>,
) -> Router {
    let (router, document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(sites::list, sites::create))
        .routes(routes!(sites::one, sites::replace, sites::delete))
        .routes(routes!(links::list, links::create, links::replace, links::delete))
        .routes(routes!(links::batch))
        .routes(routes!(rules::list, rules::create, rules::delete))
        .routes(routes!(policies::list))
        .routes(routes!(policies::versions, policies::push))
        .routes(routes!(bindings::list, bindings::bind, bindings::unbind))
        .routes(routes!(bindings::roll_back))
        .routes(routes!(tokens::list, tokens::create, tokens::revoke))
        .routes(routes!(edge::directory))
        .routes(routes!(edge::link))
        .routes(routes!(edge::policy))
        .routes(routes!(feed::follow))
        .split_for_parts();
    let document = Arc::new(document);
    router
        .route(
            "/v1/openapi.json",
            get(move || async move { Json((*document).clone()).into_response() }),
        )
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(|| async { Problem::missing_route() })
        .method_not_allowed_fallback(|| async { Problem::wrong_method() })
        .layer(DefaultBodyLimit::max(JSON_BYTES_MAX.max(COMPONENT_BYTES_MAX)))
        .layer(middleware::from_fn(finish_writes))
        .with_state(Api {
            store,
            admission,
            heartbeat,
            is_draining,
        })
}

/// Runs each request apart from its connection: who hangs up after a commit must not keep the feed from being told of
/// it.
async fn finish_writes(request: Request, next: Next) -> Response {
    match tokio::spawn(next.run(request)).await {
        Ok(response) => response,
        Err(error) => Problem::internal(&error).into_response(),
    }
}
