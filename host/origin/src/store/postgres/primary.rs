//! The primary, and whether there is any use in asking it.
//!
//! A pool waits for a server that refuses connections, in the hope that it is only starting. One request may; thousands
//! that each wait for seconds are an outage of their own. So the task that talks to the primary all the time says whether
//! it is there, and while it is not, everything else is answered at once.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{ConnectOptions as _, Connection as _, PgPool};

use crate::store::StoreError;

/// How long a server may take to say anything.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Postgres's code while it starts or stops.
const CANNOT_CONNECT_NOW: &str = "57P03";

/// Whether the primary could be reached when it was last tried.
#[derive(Debug, Default)]
pub(super) struct Reach(AtomicBool);

impl Reach {
    /// What came of trying, on a connection of this pool. Said once when the primary goes and once when it comes, however
    /// many ask meanwhile; a statement that fails or is cut off, while the primary answers, is neither.
    pub(super) async fn note<T: Sync>(&self, tried: &Result<T, StoreError>, pool: &PgPool) {
        let in_vain = tried.as_ref().err().filter(|error| is_in_vain(error));
        let lost = match in_vain {
            Some(error) if !answers(pool).await => Some(error),
            _ => None,
        };
        let was_lost = self.0.swap(lost.is_some(), Ordering::Relaxed);
        match lost {
            Some(error) if !was_lost => {
                tracing::error!(%error, "the primary cannot be reached; answering what needs it with 503");
            }
            None if was_lost => tracing::info!("the primary can be reached again"),
            _ => {}
        }
    }

    fn is_lost(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether trying was given up. A connection that breaks is made again; that alone is no loss.
fn is_in_vain(error: &StoreError) -> bool {
    match error {
        StoreError::Unavailable(sqlx::Error::PoolTimedOut) => true,
        StoreError::Unavailable(sqlx::Error::Io(error)) => error.kind() == io::ErrorKind::TimedOut,
        _ => false,
    }
}

/// Whether the server says anything, be it that it has no connection left: others may have one, and keep it.
async fn answers(pool: &PgPool) -> bool {
    let options = pool.connect_options();
    match tokio::time::timeout(ANSWER_MAX, options.connect()).await {
        Ok(Ok(connection)) => {
            // It has answered; how it takes the farewell is no matter.
            let _ = connection.close().await;
            true
        }
        Ok(Err(sqlx::Error::Database(refusal))) => refusal.code().as_deref() != Some(CANNOT_CONNECT_NOW),
        Ok(Err(_)) | Err(_) => false,
    }
}

/// The primary's connections for requests.
pub(super) struct Primary {
    pool: PgPool,
    reach: Arc<Reach>,
}

impl Primary {
    pub(super) const fn new(pool: PgPool, reach: Arc<Reach>) -> Self {
        Self { pool, reach }
    }

    /// Its connections, unless there are none to be had.
    pub(super) fn pool(&self) -> Result<&PgPool, StoreError> {
        if self.reach.is_lost() {
            let lost = io::Error::new(io::ErrorKind::NotConnected, "the primary cannot be reached");
            return Err(StoreError::Unavailable(lost.into()));
        }
        Ok(&self.pool)
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}
