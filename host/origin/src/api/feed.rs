//! `/v1/feed`: what changed, as it changes, one JSON value a line, without end.
//!
//! A feed is told in order what the tail knows, and reads the record itself while it is further behind, so it skips
//! nothing, and a slow reader costs a page of memory and no more.

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
use wayside_upstream::protocol::{Change, Cursor, EPOCH_HEADER, Epoch, FeedEvent};

use super::{Api, auth::Node, extract::Parameters, problem::Problem, welcome::Welcome};
use crate::{
    store::{FeedPage, Store},
    tail::{Following, Next, PAGE_CHANGES, Reach, Run, write_line},
};

/// How long to wait for a replica that is behind.
const BEHIND_WAIT: Duration = Duration::from_millis(50);
/// Heartbeats in a row of which one asks whether the node is still welcome: they tell nothing, and thousands of idle feeds
/// are to cost the record little.
const HEARTBEATS_PER_CHECK: u32 = 5;

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
    node: Node,
    Parameters(from): Parameters<From>,
) -> Result<Response, Problem> {
    let (reach, run) = (api.following.tail().reach(), api.following.tail().run());
    let page = api.store.changes(from.epoch, from.cursor, PAGE_CHANGES).await?;
    let epoch = match &page {
        FeedPage::Changes(epoch, _) => *epoch,
        FeedPage::Resync(position) => position.epoch,
    };
    let feed = Feed {
        reach,
        run,
        following: api.following,
        node,
        welcome: api.welcome,
        store: api.store,
        heartbeat: api.heartbeat,
        is_draining: api.is_draining,
        epoch,
        cursor: from.cursor,
        read: Some(page),
        is_greeted: false,
        heartbeats: 0,
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
    node: Node,
    welcome: Arc<Welcome>,
    store: Arc<dyn Store>,
    following: Arc<Following>,
    reach: watch::Receiver<Reach>,
    /// Which run of changes it was told.
    run: Run,
    heartbeat: Duration,
    is_draining: watch::Receiver<bool>,
    /// Which record the feed is of: it ends where another one begins.
    epoch: Epoch,
    cursor: Cursor,
    /// What was read from the record and not told yet.
    read: Option<FeedPage>,
    /// Whether anything was said yet: the first word comes at once, so that a node knows that it is heard.
    is_greeted: bool,
    /// How many were said since a change was told.
    heartbeats: u32,
}

impl Feed {
    /// The next lines; none when the feed ends, which a node takes as a reason to come again.
    async fn next(&mut self) -> Option<Bytes> {
        let lines = self.lines().await?;
        // It may have been revoked since it came.
        let is_due = self.heartbeats.is_multiple_of(HEARTBEATS_PER_CHECK);
        if is_due && !self.node.is_welcome(&self.welcome).await {
            return None;
        }
        Some(lines)
    }

    async fn lines(&mut self) -> Option<Bytes> {
        loop {
            if *self.is_draining.borrow() {
                return None;
            }
            if let Some(page) = self.read.take()
                && let Some(lines) = self.say_page(page)?
            {
                return Some(lines);
            }
            // Marked before the tail is asked: what it learns meanwhile wakes the wait below.
            match *self.reach.borrow_and_update() {
                // The node comes again and learns which record it is.
                Reach::To(head) if head.epoch != self.epoch => return None,
                Reach::To(_) => {}
                Reach::Nowhere => {
                    tracing::info!("a feed cannot read the record; its node may find an origin that can");
                    return None;
                }
            }
            match self.following.tail().after(self.cursor, self.run) {
                Next::Lines(lines, last) => {
                    self.cursor = last;
                    (self.is_greeted, self.heartbeats) = (true, 0);
                    return Some(lines);
                }
                Next::InRecord => {
                    let epoch = Some(self.epoch);
                    match self.store.changes(epoch, self.cursor, PAGE_CHANGES).await {
                        // A replica that has not come as far as what was told here.
                        Ok(FeedPage::Changes(_, events)) if events.is_empty() => tokio::time::sleep(BEHIND_WAIT).await,
                        Ok(page) => self.read = Some(page),
                        Err(error) => {
                            tracing::info!(%error, "a feed cannot read the record");
                            return None;
                        }
                    }
                    continue;
                }
                Next::Lost(head, run) => {
                    self.run = run;
                    self.read = Some(FeedPage::Resync(head));
                    continue;
                }
                Next::Nothing => {}
            }
            if !self.is_greeted {
                return self.say_heartbeat();
            }
            let is_silent = tokio::select! {
                changed = self.reach.changed() => { changed.ok()?; false }
                () = tokio::time::sleep(self.heartbeat) => true,
                _ = self.is_draining.wait_for(|draining| *draining) => return None,
            };
            if is_silent {
                return self.say_heartbeat();
            }
        }
    }

    /// What was read from the record; nothing when it has nothing newer. None when the feed ends with it.
    fn say_page(&mut self, page: FeedPage) -> Option<Option<Bytes>> {
        match page {
            FeedPage::Changes(epoch, _) if epoch != self.epoch => None,
            FeedPage::Changes(_, events) if events.is_empty() => Some(None),
            FeedPage::Changes(_, events) => Some(Some(self.say(&events)?)),
            FeedPage::Resync(head) if head.epoch == self.epoch => Some(Some(self.say(&[FeedEvent {
                seq: head.cursor,
                change: Change::Resync,
            }])?)),
            FeedPage::Resync(_) => None,
        }
    }

    fn say_heartbeat(&mut self) -> Option<Bytes> {
        let heartbeats = self.heartbeats.wrapping_add(1);
        let said = self.say(&[FeedEvent {
            seq: self.cursor,
            change: Change::Heartbeat,
        }]);
        self.heartbeats = heartbeats;
        said
    }

    fn say(&mut self, events: &[FeedEvent]) -> Option<Bytes> {
        let mut lines = Vec::new();
        for event in events {
            write_line(&mut lines, event).ok()?;
            self.cursor = event.seq;
        }
        (self.is_greeted, self.heartbeats) = (true, 0);
        Some(lines.into())
    }
}
