//! The replica, while there is any use in asking it.
//!
//! In: what somebody wants to read. Out: what the replica says, or nothing: then the primary is asked. A node gives an
//! origin less than a second, so nobody waits long for a replica that is away, hangs, or has no connection left, and once
//! that is known nobody waits at all. This file must not know what is read.

use std::{future::Future, sync::Arc, time::Duration};

use sqlx::{
    ConnectOptions as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::sync::watch;
use wayside_upstream::protocol::Position;

use super::{changes, heads::Heads, took_too_long};
use crate::store::StoreError;

/// How long to wait for a connection to it.
const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(300);
/// How long it may take to read what was asked. One that says nothing any more is noticed sooner.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is asked how far it has come: it sends no notices.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long it may take to say so.
const POLL_TIMEOUT: Duration = Duration::from_millis(500);
/// How often it is tried while it does not answer.
const TRY_INTERVAL: Duration = Duration::from_millis(200);

/// A streaming replica.
pub(super) struct Replica {
    options: PgConnectOptions,
    connections: u32,
    /// Its connections for requests; none while it does not answer. New ones afterwards: what hangs on an old connection
    /// would keep its place for as long as the network says nothing.
    pool: watch::Sender<Option<PgPool>>,
}

impl Replica {
    pub(super) fn new(options: PgConnectOptions, connections: u32) -> Self {
        let replica = Self {
            options,
            connections,
            pool: watch::Sender::new(None),
        };
        replica.found();
        replica
    }

    /// What the replica says; none when it does not answer, fails, or takes too long.
    pub(super) async fn read<T, F>(&self, read: impl FnOnce(PgPool) -> F + Send) -> Option<T>
    where
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        let mut pool = self.pool.subscribe();
        let connections = pool.borrow_and_update().clone()?;
        let ended = tokio::select! {
            ended = read(connections) => ended,
            _ = pool.changed() => Err(took_too_long()),
            () = tokio::time::sleep(READ_TIMEOUT) => Err(took_too_long()),
        };
        let failed = |error: &StoreError| tracing::debug!(%error, "the replica gives no answer; asking the primary");
        ended.inspect_err(failed).ok()
    }

    /// How far it has come, asked on a connection of its own: those for requests may all be in use.
    async fn head(&self, own: &mut Option<PgConnection>) -> Result<Position, StoreError> {
        let connection = match own {
            Some(connection) => connection,
            None => own.insert(self.options.connect().await?),
        };
        changes::position(connection).await
    }

    /// It answers.
    fn found(&self) {
        self.pool.send_if_modified(|pool| {
            let is_news = pool.is_none();
            pool.get_or_insert_with(|| {
                let new = PgPoolOptions::new().max_connections(self.connections);
                new.acquire_timeout(ACQUIRE_TIMEOUT)
                    .connect_lazy_with(self.options.clone())
            });
            is_news
        });
    }

    /// It does not answer: whoever waits for it goes on.
    fn lost(&self) {
        self.pool.send_if_modified(|pool| pool.take().is_some());
    }

    pub(super) async fn close(&self) {
        let pool = self.pool.send_replace(None);
        if let Some(pool) = pool {
            pool.close().await;
        }
    }
}

/// Asks the replica for ever how far it has come.
pub(super) async fn poll(replica: Arc<Replica>, heads: Arc<Heads>) {
    let mut own = None;
    loop {
        let asked = tokio::time::timeout(POLL_TIMEOUT, replica.head(&mut own)).await;
        let pause = match asked.unwrap_or_else(|_| Err(took_too_long())) {
            Ok(head) => {
                replica.found();
                heads.tell_replica(head);
                POLL_INTERVAL
            }
            Err(error) => {
                // What it may still say there answers this question, not the next.
                own = None;
                replica.lost();
                heads.lose_replica(&error);
                TRY_INTERVAL
            }
        };
        tokio::time::sleep(pause).await;
    }
}
