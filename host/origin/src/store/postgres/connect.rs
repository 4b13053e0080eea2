//! How to reach a record in Postgres: settings, connections that have an end, and tables that are up to date.

use std::{fmt, io, str::FromStr as _, time::Duration};

use sqlx::{ConnectOptions as _, Connection as _, postgres::PgConnectOptions};

use crate::store::StoreError;

/// How long a request waits for a free connection, or for a new one.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a statement waits for a lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a transaction may do nothing before Postgres ends it: what a cut connection holds is let go.
const IDLE_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(15);

/// Where the record is, and how it is used.
#[derive(Clone)]
pub struct PostgresSettings {
    /// `postgres://USER@HOST/DATABASE`, of the primary.
    pub store: String,
    /// The same of a streaming replica.
    pub replica: Option<String>,
    /// The password of both, when the URLs hold none.
    pub password: Option<String>,
    /// Connections for requests, to each of the two.
    pub connections: u32,
    /// How long one statement may take.
    pub statement_timeout: Duration,
}

impl fmt::Debug for PostgresSettings {
    /// Without the URLs: they may hold a password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PostgresSettings").finish_non_exhaustive()
    }
}

/// Why a record in Postgres cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PostgresOpenError {
    /// A URL is none of Postgres's.
    #[error("{field}: expected a URL such as `postgres://user@host/database`, found one that cannot be read: {source}")]
    Url {
        /// Which of the settings.
        field: &'static str,
        /// What is wrong with it.
        source: sqlx::Error,
    },
    /// The server cannot be reached, or refuses.
    #[error("the database {server}: {source}")]
    Unreachable {
        /// Host, port and database.
        server: String,
        /// What the driver or the server says.
        source: sqlx::Error,
    },
    /// The tables cannot be made or brought up to date.
    #[error("the database {server}: expected a Wayside record or an empty database, found: {source}")]
    Unusable {
        /// Host, port and database.
        server: String,
        /// What the server says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

pub(super) fn options(
    field: &'static str,
    url: &str,
    settings: &PostgresSettings,
) -> Result<PgConnectOptions, PostgresOpenError> {
    let mut options = PgConnectOptions::from_str(url).map_err(|source| PostgresOpenError::Url { field, source })?;
    if let Some(password) = &settings.password {
        options = options.password(password);
    }
    let milliseconds = |limit: Duration| limit.as_millis().to_string();
    Ok(options.application_name("wayside-origin").options([
        ("statement_timeout", milliseconds(settings.statement_timeout)),
        ("lock_timeout", milliseconds(LOCK_TIMEOUT)),
        (
            "idle_in_transaction_session_timeout",
            milliseconds(IDLE_TRANSACTION_TIMEOUT),
        ),
        // Whatever the role's or the database's default: what is acknowledged or told is not lost by a crash.
        ("synchronous_commit", "on".to_owned()),
    ]))
}

fn server(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    format!("{}:{}/{database}", options.get_host(), options.get_port())
}

pub(super) fn unusable(options: &PgConnectOptions, source: StoreError) -> PostgresOpenError {
    PostgresOpenError::Unusable {
        server: server(options),
        source: source.into(),
    }
}

/// Brings the tables up to date, however long that takes. Origins that start together wait for each other.
pub(super) async fn migrate(options: &PgConnectOptions) -> Result<(), PostgresOpenError> {
    let unreachable = |source| PostgresOpenError::Unreachable {
        server: server(options),
        source,
    };
    let patient = options
        .clone()
        .options([("statement_timeout", "0"), ("lock_timeout", "0")]);
    let connected = tokio::time::timeout(ACQUIRE_TIMEOUT, patient.connect()).await;
    let connected = connected.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()));
    let mut connection = connected.map_err(unreachable)?;
    let migrated = sqlx::migrate!("migrations/postgres").run(&mut connection).await;
    migrated.map_err(|source| PostgresOpenError::Unusable {
        server: server(options),
        source: source.into(),
    })?;
    connection.close().await.map_err(unreachable)
}
