//! The origin: its record, its admission of policies, and its server.

use std::{future::Future, path::Path, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::watch};
use wayside_decide::name::Name;
use wayside_policy::admission::Admission;
use wayside_serve::{server, tls::Tls};
use wayside_upstream::protocol::HEARTBEAT_S;

use crate::{
    api,
    clock::now_s,
    store::{
        Freshness, Store, StoreError,
        postgres::{
            PostgresStore,
            connect::{PostgresOpenError, PostgresSettings},
        },
        sqlite::{OpenError, SqliteStore},
    },
    token::{Grant, Scope, Token},
};

/// How long requests may finish when the origin stops.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// The origin. Cheap to clone: clones share everything.
#[derive(Clone)]
pub struct Origin {
    store: Arc<dyn Store>,
    admission: Admission,
    heartbeat: Duration,
}

impl Origin {
    /// An origin whose record is the SQLite file at `database`, made when it is missing.
    ///
    /// # Errors
    /// [`OpenError`], which names the file.
    pub async fn open(database: &Path, admission: Admission) -> Result<Self, OpenError> {
        let store = Arc::new(SqliteStore::open(database).await?);
        Ok(Self::over(store, admission))
    }

    /// An origin whose record is in Postgres, where others may use it too.
    ///
    /// # Errors
    /// [`PostgresOpenError`], which names the server.
    pub async fn open_postgres(settings: &PostgresSettings, admission: Admission) -> Result<Self, PostgresOpenError> {
        let store = Arc::new(PostgresStore::open(settings).await?);
        Ok(Self::over(store, admission))
    }

    fn over(store: Arc<dyn Store>, admission: Admission) -> Self {
        Self {
            store,
            admission,
            heartbeat: Duration::from_secs(HEARTBEAT_S),
        }
    }

    /// The same origin whose idle feeds speak every `heartbeat`.
    #[must_use]
    pub fn with_heartbeat(self, heartbeat: Duration) -> Self {
        Self { heartbeat, ..self }
    }

    /// The record.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// What decides whether a component may be pushed.
    #[must_use]
    pub const fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Makes a token outside the API: the first one, or a node's of this very process.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be recorded.
    pub async fn mint_token(&self, tenant: Option<Name>, scope: Scope, name: &str) -> Result<Token, StoreError> {
        let (token, record) = Token::mint(Grant { tenant, scope }, name, now_s())?;
        self.store.create_token(record).await?;
        Ok(token)
    }

    /// Whether `token` is recorded and not revoked.
    ///
    /// # Errors
    /// [`StoreError`] when the record cannot be read.
    pub async fn knows(&self, token: &Token) -> Result<bool, StoreError> {
        Ok(self
            .store
            .token(token.id(), Freshness::Newest)
            .await?
            .is_some_and(|record| token.fits(&record)))
    }

    /// Serves the API on `socket`, over TLS when there is a certificate, until `stop` resolves; feeds end then, other
    /// requests have a while to finish, and the record is closed.
    pub async fn serve(self, socket: TcpListener, tls: Option<Tls>, stop: impl Future<Output = ()>) {
        let (draining, is_draining) = watch::channel(false);
        let router = api::router(Arc::clone(&self.store), self.admission, self.heartbeat, is_draining);
        let stopped = async {
            stop.await;
            draining.send_replace(true);
        };
        server::serve(socket, router, tls, stopped, DRAIN_MAX).await;
        self.store.close().await;
    }
}
