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
use tracing::Instrument as _;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Content, Ref, ResponseBuilder,
        security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    },
};
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
mod request_id;
mod rules;
mod sites;
mod tokens;
mod unreadable;

use problem::Problem;

/// Largest JSON body, in bytes: a full batch of links of ordinary length.
const JSON_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Largest body of any kind, in bytes.
const BODY_BYTES_MAX: usize = if COMPONENT_BYTES_MAX > JSON_BYTES_MAX {
    COMPONENT_BYTES_MAX
} else {
    JSON_BYTES_MAX
};

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Api {
    store: Arc<dyn Store>,
    admission: Admission,
    heartbeat: Duration,
    is_draining: watch::Receiver<bool>,
}

#[derive(OpenApi)]
#[openapi(
    components(schemas(Problem)),
    info(
        title = "Wayside origin",
        description = "Sites, links, rules, policies, bindings and tokens; the directory, links, policies and feed for edge nodes. \
                   Send `Authorization: Bearer TOKEN`; an operator's token names the tenant in `Wayside-Tenant`."
    )
)]
struct Document;

/// What holds for every route: it needs a token, and its errors are problems.
struct Conventions;

impl Modify for Conventions {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", scheme);
        document.security = Some(vec![SecurityRequirement::new("token", [""; 0])]);
        for item in document.paths.paths.values_mut() {
            let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
            for operation in operations.into_iter().flatten() {
                let responses = &mut operation.responses.responses;
                responses.retain(|status, _| status.starts_with('2'));
                let problem = Content::new(Some(Ref::from_schema_name("Problem")));
                let response = ResponseBuilder::new()
                    .description("An error (RFC 9457)")
                    .content("application/problem+json", problem);
                responses.insert("default".to_owned(), response.build().into());
            }
        }
    }
}

/// The whole API.
pub(crate) fn router(
    store: Arc<dyn Store>,
    admission: Admission,
    heartbeat: Duration,
    is_draining: watch::Receiver<bool>,
) -> Router {
    let (router, mut document) = OpenApiRouter::with_openapi(Document::openapi())
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
    Conventions.modify(&mut document);
    let document = Arc::new(document);
    router
        .route(
            "/v1/openapi.json",
            get(move || async move { Json((*document).clone()).into_response() }),
        )
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(|| async { Problem::missing_route() })
        .method_not_allowed_fallback(|| async { Problem::wrong_method() })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(finish_writes))
        .with_state(Api {
            store,
            admission,
            heartbeat,
            is_draining,
        })
}

/// Runs each request apart from its connection: who hangs up after a commit must not keep the feed from being told of
/// it. Everything logged on the way carries the request's id, and so does the response.
async fn finish_writes(request: Request, next: Next) -> Response {
    let id = request_id::of(request.headers());
    let span = tracing::info_span!("request", request_id = id.to_str().unwrap_or_default(),
        method = %request.method(), path = request.uri().path());
    let mut response = match tokio::spawn(next.run(request).instrument(span)).await {
        Ok(response) => response,
        Err(error) => Problem::internal(&error).into_response(),
    };
    response.headers_mut().insert(request_id::HEADER, id);
    response
}
