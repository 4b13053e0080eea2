//! What every connection of a thread answers with: the pipeline, the thread's clock and its counters.

use std::{net::IpAddr, sync::Arc};

use http::StatusCode;
use wayside_balance::level::Level;

use super::{bodies::Bodies, buffers::Buffers};
use crate::{
    clock::Clock,
    head::Head,
    metrics::Shard,
    pipeline::{self, Edge},
    refusal::Refusal,
    request_id::RequestId,
    request_log,
    respond::{self, Reply},
    streams::posted::Posted,
    warnings::{Warning, Warnings},
};

/// One listening thread's own.
pub(super) struct Worker {
    edge: Arc<Edge>,
    shard: Arc<Shard>,
    pub(super) clock: Clock,
    pub(super) buffers: Buffers,
    pub(super) bodies: Bodies,
    warnings: Warnings,
}

impl Worker {
    pub(super) fn new(edge: Arc<Edge>) -> Self {
        let shard = edge.metrics.shard();
        Self {
            edge,
            shard,
            clock: Clock::new(),
            buffers: Buffers::default(),
            bodies: Bodies::default(),
            warnings: Warnings::default(),
        }
    }

    /// Whether a new connection is to make room for others after its first answer.
    pub(super) fn is_short_of_everything(&self) -> bool {
        self.edge.degradation.level() == Level::Emergency
    }

    /// Whose the body of a request is, and of what kind; none when nobody reads it.
    pub(super) async fn sender(&self, head: &Head<'_>, peer: IpAddr) -> Option<(Posted, IpAddr)> {
        pipeline::stream::sender(&self.edge, head, peer, self.clock.now()).await
    }

    /// One request: read the clock, decide, have the reply written, count. Nothing is logged unless something is wrong
    /// on this side, or the configuration asks for every request.
    pub(super) async fn answer<T>(&self, head: &Head<'_>, peer: IpAddr, write: impl FnOnce(&Reply<'_>) -> T) -> T {
        let now = self.clock.now();
        let (id, status, written) = match pipeline::answer(&self.edge, &self.shard, head, peer, now).await {
            Ok(answer) => {
                let reply = respond::answer(&answer);
                (None, reply.status, write(&reply))
            }
            Err(refusal) => {
                let (id, status, written) = self.refuse_as(&refusal, Some(head), write);
                (Some(id), status, written)
            }
        };
        let duration = now.instant.elapsed();
        self.shard.count(status.as_u16(), duration);
        if self.edge.logs_requests {
            request_log::write(id, head, status, duration);
        }
        written
    }

    /// What cannot be read: not even as a request, when there is no head, or not its body.
    pub(super) fn refuse<T>(
        &self,
        refusal: &Refusal,
        head: Option<&Head<'_>>,
        write: impl FnOnce(&Reply<'_>) -> T,
    ) -> T {
        let now = self.clock.now();
        let (id, status, written) = self.refuse_as(refusal, head, write);
        let duration = now.instant.elapsed();
        self.shard.count(status.as_u16(), duration);
        if let Some(head) = head.filter(|_| self.edge.logs_requests) {
            request_log::write(Some(id), head, status, duration);
        }
        written
    }

    fn refuse_as<T>(
        &self,
        refusal: &Refusal,
        head: Option<&Head<'_>>,
        write: impl FnOnce(&Reply<'_>) -> T,
    ) -> (RequestId, StatusCode, T) {
        let id = RequestId::next();
        self.shard.count_refusal(refusal);
        if let (true, Some(head)) = (refusal.is_ours(), head) {
            self.warn(id, refusal, head);
        }
        let reply = respond::refuse(refusal, id);
        (id, reply.status, write(&reply))
    }

    fn warn(&self, id: RequestId, refusal: &Refusal, head: &Head<'_>) {
        let kind = refusal.label();
        let Warning::Write { left_out } = self.warnings.meet(kind, self.clock.now().unix_s) else {
            return;
        };
        if left_out > 0 {
            tracing::warn!(kind, left_out, "refused more requests than are listed");
        }
        let reason = refusal.detail().unwrap_or_default();
        let host = head.authority.map(str::as_bytes).or_else(|| head.fields.first("host"));
        let host = String::from_utf8_lossy(host.unwrap_or_default());
        tracing::warn!(request_id = %id, kind, %host, path = head.path, reason, "refused a request");
    }
}
