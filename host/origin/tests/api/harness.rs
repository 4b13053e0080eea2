//! A running origin and somebody who asks it.

use std::{path::PathBuf, sync::LazyLock, time::Duration};

use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::{net::TcpListener, task::JoinHandle};
use wayside_decide::name::Name;
use wayside_origin::{origin::Origin, store::postgres::connect::PostgresSettings, token::Scope};
use wayside_policy::{
    admission::Admission,
    compiler::Compiler,
    engine::{Engine, EngineOptions},
};
use wayside_upstream::{
    access::Access,
    client::OriginClient,
    http::{self, Roots},
};

pub(crate) const GEO: &[u8] = include_bytes!("../../../../guest/components/geo-redirect.wasm");

/// One engine for all tests, as in a process. A trial must not fail because the machine is busy.
static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let options = EngineOptions {
        deadline: Duration::from_millis(500),
        ..EngineOptions::default()
    };
    Engine::new(&options).expect("engine")
});

pub(crate) fn admission() -> Admission {
    Admission::new(ENGINE.clone(), Compiler::here())
}

/// How origins of tests use a database in Postgres.
pub(crate) fn settings(store: String) -> PostgresSettings {
    PostgresSettings {
        store,
        replica: None,
        password: None,
        connections: 8,
        statement_timeout: Duration::from_secs(10),
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.expect("a response");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.expect("a body");
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Self { status, headers, body }
    }

    /// The body of a reply that must be a success of this kind.
    #[track_caller]
    pub(crate) fn success(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.body
    }

    /// The body of a reply that must be this problem.
    #[track_caller]
    pub(crate) fn problem(self, status: u16, kind: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        let content_type = self.headers.get("content-type").map(|value| value.as_bytes());
        assert_eq!(content_type, Some(&b"application/problem+json"[..]), "{self:?}");
        assert_eq!(self.body["type"], kind, "{self:?}");
        assert_eq!(self.body["status"], status, "{self:?}");
        self.body
    }

    /// A 422 that must name this field.
    #[track_caller]
    pub(crate) fn invalid(self, field: &str) -> Value {
        let problem = self.problem(422, "invalid-field");
        assert_eq!(problem["field"], field, "{problem}");
        assert!(
            problem["expected"].is_string() && problem["found"].is_string(),
            "{problem}"
        );
        problem
    }
}

/// An origin that listens.
pub(crate) struct Running {
    pub(crate) origin: Origin,
    pub(crate) base: String,
    /// A token of tenant acme's that may write.
    pub(crate) acme: String,
    pub(crate) operator: String,
    pub(crate) folder: tempfile::TempDir,
    http: reqwest::Client,
    serving: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Running {
    pub(crate) async fn start() -> Self {
        if let Some(url) = crate::engines::postgres() {
            return Self::on(&settings(url)).await;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let origin = Origin::open(&folder.path().join("wayside.db"), admission()).await;
        Self::over(origin.expect("an origin"), folder).await
    }

    /// An origin on Postgres.
    pub(crate) async fn on(settings: &PostgresSettings) -> Self {
        let origin = Origin::open_postgres(settings, admission()).await;
        Self::over(origin.expect("an origin"), tempfile::tempdir().expect("a folder")).await
    }

    async fn over(origin: Origin, folder: tempfile::TempDir) -> Self {
        let origin = origin.with_heartbeat(Duration::from_millis(50));
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let base = format!("http://{}", socket.local_addr().expect("an address"));
        let serving = tokio::spawn(origin.clone().serve(socket, None, std::future::pending()));
        Self {
            acme: mint(&origin, Some("acme"), Scope::Write).await,
            operator: mint(&origin, None, Scope::Admin).await,
            http: http::client(&base, &Roots::System).build().expect("a client"),
            origin,
            base,
            folder,
            serving,
        }
    }

    /// As `start`, with acme's site `go` at `go.example.com`.
    pub(crate) async fn with_site() -> Self {
        let running = Self::start().await;
        running.make_site().await;
        running
    }

    /// Acme's site `go` at `go.example.com`.
    pub(crate) async fn make_site(&self) {
        let site = json!({"name": "go", "hosts": ["go.example.com"]});
        self.send("POST", "/v1/sites", &site).await.success(201);
    }

    /// Runs a statement in the record, past the origin.
    pub(crate) async fn sql(&self, statement: &'static str) {
        let done = match crate::engines::postgres() {
            Some(url) => {
                let connection = PgConnection::connect(&url).await;
                sqlx::query(statement)
                    .execute(&mut connection.expect("a connection"))
                    .await
                    .map(drop)
            }
            None => {
                let options = SqliteConnectOptions::new().filename(self.database());
                let connection = SqliteConnection::connect_with(&options).await;
                sqlx::query(statement)
                    .execute(&mut connection.expect("a connection"))
                    .await
                    .map(drop)
            }
        };
        done.expect(statement);
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("wayside.db")
    }

    pub(crate) async fn mint(&self, tenant: Option<&str>, scope: Scope) -> String {
        mint(&self.origin, tenant, scope).await
    }

    /// A request without a token.
    pub(crate) fn bare(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// A request with somebody's token and no body.
    pub(crate) async fn ask_as(&self, token: &str, method: &str, path: &str) -> Reply {
        Reply::of(self.bare(method, path).bearer_auth(token)).await
    }

    /// A request of acme's without a body.
    pub(crate) async fn ask(&self, method: &str, path: &str) -> Reply {
        self.ask_as(&self.acme, method, path).await
    }

    /// A request with somebody's token and a JSON body.
    pub(crate) async fn send_as(&self, token: &str, method: &str, path: &str, body: &Value) -> Reply {
        Reply::of(self.bare(method, path).bearer_auth(token).json(body)).await
    }

    /// A request of acme's with a JSON body.
    pub(crate) async fn send(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.send_as(&self.acme, method, path, body).await
    }

    /// Acme pushes a component.
    pub(crate) async fn push(&self, name: &str, component: &[u8]) -> Reply {
        let request = self.bare("POST", &format!("/v1/policies/{name}"));
        Reply::of(
            request
                .bearer_auth(&self.acme)
                .header("content-type", "application/wasm")
                .body(component.to_vec()),
        )
        .await
    }

    pub(crate) fn node(&self) -> OriginClient {
        node(&self.base, &self.operator)
    }
}

/// A node at `base` with an operator's token.
pub(crate) fn node(base: &str, token: &str) -> OriginClient {
    let access = Access::by_token(token, Roots::System).expect("a token");
    OriginClient::new(base, &access).expect("a client")
}

async fn mint(origin: &Origin, tenant: Option<&str>, scope: Scope) -> String {
    let tenant = tenant.map(|tenant| Name::parse("tenant", tenant).expect("a name"));
    let token = origin.mint_token(tenant, scope, "test").await.expect("a token");
    token.expose()
}

pub(crate) fn link(path: &str, target: &str) -> Value {
    json!({"site": "go", "path": path, "target": target})
}
