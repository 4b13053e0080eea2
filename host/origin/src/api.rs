//! The HTTP API: `/v1/…` for people and programs, `/v1/edge/…` and the feed for nodes.
//!
//! Each handler reads wire types, makes domain types of them (where bad input is refused by field), calls one store
//! operation and writes wire types. Errors are RFC 9457 problems, without exception.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::Request,
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};
use tokio::sync::watch;
use tracing::Instrument as _;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Content, Ref, RefOr, Response as OperationResponse, ResponseBuilder,
        security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};
use wayside_policy::admission::Admission;

use crate::{store::Store, tail::Following};

mod assets;
mod auth;
mod bindings;
mod edge;
mod extract;
mod feed;
mod labels;
mod large;
mod links;
mod loads;
mod nodes;
mod policies;
mod problem;
mod request_id;
mod rules;
mod sites;
mod targets;
mod tokens;
mod unreadable;
mod welcome;
mod zones;

use large::Large;
use loads::Board;
use problem::Problem;
use welcome::Welcome;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Api {
    store: Arc<dyn Store>,
    admission: Admission,
    heartbeat: Duration,
    is_draining: watch::Receiver<bool>,
    following: Arc<Following>,
    large: Arc<Large>,
    welcome: Arc<Welcome>,
    board: Arc<Board>,
}

#[derive(OpenApi)]
#[openapi(
    components(schemas(Problem)),
    info(
        title = "Wayside origin",
        description = "Sites, links, rules, policies, bindings, targets and assets of streams, and tokens; the directory, links, assets, policies and \
                   feed for edge nodes. \
                   Send `Authorization: Bearer TOKEN`; an operator's token names the tenant in `Wayside-Tenant`."
    )
)]
struct Document;

/// What holds for every route: it needs a token, its errors are problems, and its operation has a name of its own.
struct Conventions;

impl Modify for Conventions {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", scheme);
        document.security = Some(vec![SecurityRequirement::new("token", [""; 0])]);
        for (path, item) in &mut document.paths.paths {
            let operations = [
                ("get", &mut item.get),
                ("put", &mut item.put),
                ("post", &mut item.post),
                ("delete", &mut item.delete),
            ];
            for (method, operation) in operations {
                if let Some(operation) = operation {
                    operation.operation_id = Some(operation_id(method, path));
                    complete(&mut operation.responses.responses);
                }
            }
        }
    }
}

/// `put_sites_site` for `PUT /v1/sites/{site}`: handlers of different routes have the same name.
fn operation_id(method: &str, path: &str) -> String {
    let words = path
        .split(['/', '{', '}'])
        .filter(|word| !word.is_empty() && *word != "v1");
    [method].into_iter().chain(words).collect::<Vec<_>>().join("_")
}

/// Every error is a problem, also one that no handler names; every response says something, as OpenAPI demands.
fn complete(responses: &mut BTreeMap<String, RefOr<OperationResponse>>) {
    let other = ResponseBuilder::new().description("An error (RFC 9457)").build();
    responses.insert("default".to_owned(), other.into());
    for (status, response) in responses {
        let RefOr::T(response) = response else { continue };
        if status.starts_with(['4', '5', 'd']) {
            let problem = Content::new(Some(Ref::from_schema_name("Problem")));
            response.content = [("application/problem+json".to_owned(), problem.into())].into();
        }
        let reason = StatusCode::from_bytes(status.as_bytes()).ok();
        if let Some(reason) = reason.and_then(|status| status.canonical_reason())
            && response.description.is_empty()
        {
            response.description = reason.to_owned();
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
        .routes(routes!(targets::list, targets::create))
        .routes(routes!(targets::one, targets::replace, targets::delete))
        .routes(routes!(targets::serve))
        .routes(routes!(loads::show, loads::say, loads::unsay))
        .routes(routes!(loads::tell))
        .routes(routes!(zones::show, zones::replace, zones::delete))
        .routes(routes!(assets::list, assets::create, assets::replace, assets::delete))
        .routes(routes!(assets::batch))
        .routes(routes!(assets::make_key, assets::drop_key))
        .routes(routes!(nodes::list, nodes::invite, nodes::revoke))
        .routes(routes!(nodes::enrol))
        .routes(routes!(edge::directory))
        .routes(routes!(edge::link))
        .routes(routes!(edge::asset))
        .routes(routes!(edge::zones))
        .routes(routes!(edge::snapshot))
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
        .layer(middleware::from_fn(finish_writes))
        .with_state(Api {
            following: Arc::new(Following::start(Arc::clone(&store))),
            large: Arc::new(Large::new(Arc::clone(&store))),
            welcome: Arc::new(Welcome::new(Arc::clone(&store))),
            board: Arc::new(Board::new(Arc::clone(&store))),
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
    let text = id.to_str().unwrap_or_default();
    // Of the highest level: a log of errors alone must say which request each is about.
    let span = tracing::error_span!("request", request_id = text,
        method = %request.method(), path = request.uri().path());
    let response = match tokio::spawn(next.run(request).instrument(span.clone())).await {
        Ok(response) => response,
        Err(error) => span.in_scope(|| Problem::internal(&error)).into_response(),
    };
    let mut response = problem::name_request(response, text);
    response.headers_mut().insert(request_id::HEADER, id);
    response
}

#[cfg(test)]
mod tests {
    use std::{fs::File, sync::Arc};

    use axum::{Router, middleware, routing::get};
    use tokio::net::TcpListener;
    use tracing_subscriber::filter::LevelFilter;

    use wayside_upstream::http::{Roots, client};

    use super::finish_writes;

    #[tokio::test]
    async fn a_handler_that_panics_is_a_failure_with_a_name() {
        let log = tempfile::NamedTempFile::new().expect("a log");
        let lines = tracing_subscriber::fmt().json().with_max_level(LevelFilter::ERROR);
        let file = Arc::new(File::create(log.path()).expect("a log"));
        let _logging = tracing::subscriber::set_default(lines.with_writer(file).finish());
        let router = Router::new()
            .route("/", get(async || -> () { panic!("on purpose") }))
            .layer(middleware::from_fn(finish_writes));
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let url = format!("http://{}/", socket.local_addr().expect("an address"));
        tokio::spawn(async { axum::serve(socket, router).await });
        let client = client(&url, &Roots::System).build().expect("a client");
        let request = client.get(url).header("x-request-id", "find-me.2");
        let response = request.send().await.expect("a response");
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["x-request-id"], "find-me.2");
        let problem = response.text().await.expect("a body");
        assert!(problem.contains("find-me.2"), "{problem}");
        let log = std::fs::read_to_string(log.path()).expect("the log");
        assert!(log.contains("the origin failed") && log.contains("find-me.2"), "{log}");
    }
}
