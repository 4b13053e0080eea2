//! `/v1/feed`: what changed, as it changes, one JSON value a line, without end.
//!
//! A feed reads pages of the record in sequence order and waits for the head to move when it has caught up, so it
//! skips nothing, and a slow reader costs a page of memory and no more.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderName, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::watch;
use tracing::{Instrument as _, Span};
use utoipa::IntoParams;
use wayside_upstream::protocol::{Change, Cursor, EPOCH_HEADER, Epoch, FeedEvent, Position};

use super::{Api, auth::Node, extract::Parameters, problem::Problem};
use crate::store::{FeedPage, Store};

/// Changes read at once.
const PAGE_CHANGES: u32 = 1_000;

/// Where to begin.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct From {
    /// The last change already seen.
    cursor: Cursor,
    /// Which record it is of.
    #[param(value_type = Option<String>)]
    epoch: Option<Epoch>,
}

/// Follows the changes after a cursor.
#[utoipa::path(get, path = "/v1/feed", params(From), responses((status = 200, content_type = "application/x-ndjson")))]
pub(crate) async fn follow(
    State(api): State<Api>,
    _: Node,
    Parameters(from): Parameters<From>,
) -> Result<Response, Problem> {
    let head = api.store.head();
    let page = api.store.changes(from.epoch, from.cursor, PAGE_CHANGES).await?;
    let epoch = match &page {
        FeedPage::Changes(epoch, _) => *epoch,
        FeedPage::Resync(position) => position.epoch,
    };
    let feed = Feed {
        head,
        store: api.store,
        heartbeat: api.heartbeat,
        is_draining: api.is_draining,
        epoch,
        cursor: from.cursor,
        first: Some(page),
        is_greeted: false,
    };
    // The body is written after the handler has returned, and is of the same request.
    let span = Span::current();
    let chunks = stream::unfold(feed, move |mut feed| {
        let next = async move { feed.next().await.map(|chunk| (Ok::<_, Infallible>(chunk), feed)) };
        next.instrument(span.clone())
    });
    let body = Body::from_stream(chunks);
    Ok((
        [
            (header::CONTENT_TYPE, "application/x-ndjson".to_owned()),
            (header::CACHE_CONTROL, "no-store".to_owned()),
            (HeaderName::from_static(EPOCH_HEADER), epoch.to_string()),
        ],
        body,
    )
        .into_response())
}

struct Feed {
    store: Arc<dyn Store>,
    head: watch::Receiver<Position>,
    heartbeat: Duration,
    is_draining: watch::Receiver<bool>,
    /// Which record the feed is of: it ends where another one begins.
    epoch: Epoch,
    cursor: Cursor,
    /// What was read before the response began.
    first: Option<FeedPage>,
    /// Whether anything was said yet: the first word comes at once, so that a node knows that it is heard.
    is_greeted: bool,
}

impl Feed {
    /// The next lines; none when the feed ends, which a node takes as a reason to come again.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if *self.is_draining.borrow() {
                return None;
            }
            // Marked before the record is read: what is committed meanwhile wakes the wait below.
            self.head.mark_unchanged();
            let page = match self.first.take() {
                Some(page) => Ok(page),
                None => {
                    let epoch = Some(self.epoch);
                    self.store.changes(epoch, self.cursor, PAGE_CHANGES).await
                }
            };
            match page {
                Ok(FeedPage::Changes(_, events)) if events.is_empty() => {}
                Ok(FeedPage::Changes(_, events)) => return self.say(&events),
                Ok(FeedPage::Resync(position)) if position.epoch == self.epoch => {
                    return self.say(&[FeedEvent {
                        seq: position.cursor,
                        change: Change::Resync,
                    }]);
                }
                // The node comes again and learns which record it is.
                Ok(FeedPage::Resync(_)) => return None,
                Err(error) => {
                    tracing::error!(%error, "a feed cannot read the record");
                    return None;
                }
            }
            if !self.is_greeted {
                return self.say_heartbeat();
            }
            let is_silent = tokio::select! {
                changed = self.head.changed() => { changed.ok()?; false }
                () = tokio::time::sleep(self.heartbeat) => true,
                _ = self.is_draining.wait_for(|draining| *draining) => return None,
            };
            if is_silent {
                return self.say_heartbeat();
            }
        }
    }

    fn say_heartbeat(&mut self) -> Option<Bytes> {
        self.say(&[FeedEvent {
            seq: self.cursor,
            change: Change::Heartbeat,
        }])
    }

    fn say(&mut self, events: &[FeedEvent]) -> Option<Bytes> {
        let mut lines = Vec::new();
        for event in events {
            serde_json::to_writer(&mut lines, event).ok()?;
            lines.push(b'\n');
            self.cursor = event.seq;
        }
        self.is_greeted = true;
        Some(lines.into())
    }
}
