//! The edge's side of the conversation: one client, one HTTP/2 connection, requests and the feed beside each other.
//!
//! A request that names a [`Position`] is answered with nothing older, whichever origin of the record answers.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use reqwest::{RequestBuilder, Response, StatusCode, header};
use serde::de::DeserializeOwned;
use wayside_decide::{digest::Digest, limits::COMPONENT_BYTES_MAX, site::SiteId};

use crate::{
    access::{Access, Showing, Shown},
    http,
    protocol::{
        Cursor, DIRECTORY_PATH, EPOCH_HEADER, EdgeDirectory, EdgeLink, Epoch, FEED_PATH, FeedEvent, HEARTBEAT_S,
        LINK_PATH, POLICY_PATH, Position, SNAPSHOT_LINKS_MAX, SNAPSHOT_PATH, SnapshotPage,
    },
};

pub mod streams;

/// How long an answer may take to begin. How long the whole may take depends on what it is: who asks knows.
const BEGIN_MAX: Duration = Duration::from_secs(10);
/// How long an answer that has begun may pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the feed may be silent before it counts as dead.
const FEED_SILENCE_MAX: Duration = Duration::from_secs(3 * HEARTBEAT_S);
/// Longest line of the feed, in bytes.
const FEED_LINE_BYTES_MAX: usize = 64 * 1024;
/// Largest directory a node reads, in bytes.
const DIRECTORY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Largest answer about one link, in bytes.
const LINK_BYTES_MAX: usize = 64 * 1024;
/// Largest part of a snapshot, in bytes.
const SNAPSHOT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What is attempted, as a verb phrase.
const READ_DIRECTORY: &str = "read the directory";
/// How much of a refusal's text an error repeats, in bytes.
const REFUSAL_BYTES_MAX: usize = 4 * 1024;

/// Why the origin gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// The URL, the token or the client cannot be used at all.
    #[error("origin {url}: {reason}")]
    Unusable {
        /// The URL as it was given.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// No connection, or it broke. Why stands in the source, and in the sources below it.
    #[error("{operation}: the origin cannot be reached")]
    Unreachable {
        /// What was attempted, as a verb phrase.
        operation: &'static str,
        /// What the HTTP client says.
        source: reqwest::Error,
    },
    /// The origin answered, and the answer is a refusal.
    #[error("{operation}: the origin answered {status}: {detail}")]
    Refused {
        /// What was attempted, as a verb phrase.
        operation: &'static str,
        /// The status code.
        status: u16,
        /// Whether these are an origin's own words: anything between may refuse, too.
        is_own: bool,
        /// The start of the answer's text.
        detail: String,
    },
    /// The origin took too long.
    #[error("no answer of the origin within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The origin answered with something that is not this protocol.
    #[error("{operation}: the origin's answer cannot be read: {reason}")]
    Malformed {
        /// What was attempted, as a verb phrase.
        operation: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The origin's answer is older than what the node was told, or of another record.
    #[error("{operation}: expected the record at {expected} or later, found it at {found}")]
    Outdated {
        /// What was attempted, as a verb phrase.
        operation: &'static str,
        /// What the request named.
        expected: Position,
        /// What the answer is of.
        found: Position,
    },
    /// The origin's record is another one than the node's, and behind it.
    #[error("follow the feed: the origin's record, at {0}, is an older one than this node's")]
    OlderRecord(Position),
    /// The origin whose feed is followed fails other requests.
    #[error("follow the feed: the origin fails other requests")]
    Failing,
    /// The feed said nothing for too long.
    #[error("follow the feed: silent for more than {} s", FEED_SILENCE_MAX.as_secs())]
    Silent,
}

impl OriginError {
    /// Whether the origin's record is no longer the one that was named: restored, or another one.
    #[must_use]
    pub const fn is_another_record(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                status: 409,
                is_own: true,
                ..
            }
        )
    }

    /// Whether the origin serves others first: it is to be asked again a little later.
    #[must_use]
    pub const fn is_crowded(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                status: 429,
                is_own: true,
                ..
            }
        )
    }

    /// Whether an origin refused the request in its own words.
    #[must_use]
    pub const fn is_own_refusal(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                status: 400..=499,
                is_own: true,
                ..
            }
        )
    }

    /// Whether the origin did its part, and another would say the same. Whom it believes (401, 403) and of which record it
    /// is (409) may be wrong with this origin alone: by its clock, by a replica that lags, by a database that is another.
    pub(crate) const fn is_answer(&self) -> bool {
        self.is_own_refusal()
            && !matches!(
                self,
                Self::Refused {
                    status: 401 | 403 | 409,
                    ..
                }
            )
    }
}

/// Speaks to one origin. Cheap to clone.
#[derive(Clone, Debug)]
pub struct OriginClient {
    http: reqwest::Client,
    base: String,
    shown: Shown,
}

impl OriginClient {
    /// A client for the origin at `base` (`https://origin.example:7070`).
    ///
    /// # Errors
    /// [`OriginError::Unusable`] when the URL or the certificates to believe cannot be used.
    pub fn new(base: &str, access: &Access) -> Result<Self, OriginError> {
        let unusable = |reason: String| OriginError::Unusable {
            url: base.to_owned(),
            reason,
        };
        let base_url = reqwest::Url::parse(base).map_err(|error| unusable(error.to_string()))?;
        if !matches!(base_url.scheme(), "http" | "https") || base_url.host_str().is_none_or(str::is_empty) {
            return Err(unusable(
                "expected `http://HOST[:PORT]` or `https://HOST[:PORT]`".to_owned(),
            ));
        }
        let http = http::client(base, &access.roots)
            .http2_prior_knowledge()
            .http2_keep_alive_interval(Duration::from_secs(10))
            .http2_keep_alive_timeout(Duration::from_secs(5))
            // A connection through a network that broke is found out before it is wanted, not by a request.
            .http2_keep_alive_while_idle(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        Ok(Self {
            http,
            base: base.trim_end_matches('/').to_owned(),
            shown: Shown::by(access),
        })
    }

    /// Everything small about every site, as of `known` or later.
    ///
    /// # Errors
    /// [`OriginError`] when there is no usable answer.
    pub async fn directory(&self, known: Option<Position>) -> Result<EdgeDirectory, OriginError> {
        let request = self.get(DIRECTORY_PATH).query(&known);
        read_directory(self.send(READ_DIRECTORY, request).await?, known).await
    }

    /// As [`Self::directory`], for who holds one with this tag; none when that is still what it would be.
    ///
    /// # Errors
    /// [`OriginError`] when there is no usable answer.
    pub async fn changed_directory(
        &self,
        known: Option<Position>,
        tag: &str,
    ) -> Result<Option<EdgeDirectory>, OriginError> {
        let request = self.get(DIRECTORY_PATH).query(&known);
        let request = request.header(header::IF_NONE_MATCH, tag);
        let response = self.send(READ_DIRECTORY, request).await?;
        if response.status() == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        read_directory(response, known).await.map(Some)
    }

    /// The link at `path` (in normal form) of `site`, as of `known` or later; none when the origin is sure that there is
    /// none.
    ///
    /// # Errors
    /// [`OriginError`] when there is no usable answer.
    pub async fn link(
        &self,
        site: SiteId,
        path: &str,
        known: Option<Position>,
    ) -> Result<Option<EdgeLink>, OriginError> {
        let operation = "read a link";
        let request = self
            .get(LINK_PATH)
            .query(&[("site_id", &*site.to_string()), ("path", path)]);
        let response = self.send(operation, request.query(&known)).await?;
        // A 404 counts only in the origin's own words: anything between may answer one, too.
        if response.status() == StatusCode::NOT_FOUND && is_problem(&response) {
            return Ok(None);
        }
        read_json(operation, accept(operation, response).await?, LINK_BYTES_MAX)
            .await
            .map(Some)
    }

    /// A part of all links: the first, or the one that `after` (the `next` of the part before) names. `first` is the
    /// position of the first part: later parts are no older, and of the same record.
    ///
    /// # Errors
    /// [`OriginError`] when there is no usable answer; [`OriginError::is_another_record`] when everything is to be read
    /// anew.
    pub async fn snapshot(&self, after: Option<&str>, first: Option<Position>) -> Result<SnapshotPage, OriginError> {
        let operation = "read a snapshot";
        let request = self.get(SNAPSHOT_PATH);
        let request = request.query(&[("limit", SNAPSHOT_LINKS_MAX)]);
        let request = request.query(&after.map(|key| [("after", key)])).query(&first);
        let response = self.send(operation, request).await?;
        let response = accept(operation, response).await?;
        let page: SnapshotPage = read_json(operation, response, SNAPSHOT_BYTES_MAX).await?;
        check_age(operation, first, page.position)?;
        Ok(page)
    }

    /// The bytes of the policy version named by `digest`, checked against it.
    ///
    /// # Errors
    /// [`OriginError`] when there is no usable answer, or the bytes are others.
    pub async fn policy(&self, digest: Digest) -> Result<Bytes, OriginError> {
        let operation = "read a policy";
        let request = self.get(&format!("{POLICY_PATH}/{digest}"));
        let response = accept(operation, self.send(operation, request).await?).await?;
        let bytes = read_body(operation, response, COMPONENT_BYTES_MAX).await?;
        streams::check_digest(operation, digest, &bytes)?;
        Ok(bytes)
    }

    /// The changes after `cursor`, as they happen. When the record is not that of `epoch`, the first is a resync.
    ///
    /// # Errors
    /// [`OriginError`] when the feed cannot be opened.
    pub async fn feed(&self, cursor: Cursor, epoch: Option<Epoch>) -> Result<Feed, OriginError> {
        let operation = "follow the feed";
        let request = self.get(FEED_PATH).query(&[("cursor", cursor)]);
        let request = request.query(&epoch.map(|epoch| [("epoch", epoch)]));
        let response = accept(operation, self.send(operation, request).await?).await?;
        let epoch = response.headers().get(EPOCH_HEADER);
        let epoch = epoch.and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Feed {
            epoch,
            chunks: Box::pin(response.bytes_stream()),
            pending: BytesMut::new(),
        })
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.base))
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.base))
    }

    /// Sends a request and shows who asks. Once more, when the origin's clock turns out to be another.
    async fn send(&self, operation: &'static str, request: RequestBuilder) -> Result<Response, OriginError> {
        let (again, showing) = (request.try_clone(), self.shown.now());
        let response = send_once(operation, request, &showing).await?;
        // In its own words: a proxy's clock is none of ours.
        let is_refused = response.status() == StatusCode::UNAUTHORIZED && is_problem(&response);
        match again {
            Some(again) if is_refused && self.shown.learn_clock(&showing, response.headers().get(header::DATE)) => {
                send_once(operation, again, &self.shown.now()).await
            }
            _ => Ok(response),
        }
    }
}

async fn send_once(
    operation: &'static str,
    request: RequestBuilder,
    showing: &Showing,
) -> Result<Response, OriginError> {
    let request = match &showing.authorization {
        Some(field) => request.header(header::AUTHORIZATION, field),
        None => request,
    };
    let sent = tokio::time::timeout(BEGIN_MAX, request.send()).await;
    let sent = sent.map_err(|_| OriginError::TimedOut(BEGIN_MAX))?;
    sent.map_err(|source| OriginError::Unreachable { operation, source })
}

/// The change feed of one connection.
pub struct Feed {
    epoch: Option<Epoch>,
    chunks: std::pin::Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
    pending: BytesMut,
}

impl Feed {
    /// Which record the changes are of; none when the origin does not say.
    #[must_use]
    pub const fn epoch(&self) -> Option<Epoch> {
        self.epoch
    }

    /// The next event, heartbeats included; none when the origin ended the feed.
    ///
    /// # Errors
    /// [`OriginError`] when the connection broke, a line cannot be read, or nothing came for three heartbeats.
    pub async fn next(&mut self) -> Result<Option<FeedEvent>, OriginError> {
        let operation = "follow the feed";
        let malformed = |reason: String| OriginError::Malformed { operation, reason };
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line = self.pending.split_to(end + 1);
                let event = serde_json::from_slice(&line).map_err(|error| malformed(error.to_string()))?;
                return Ok(Some(event));
            }
            if self.pending.len() > FEED_LINE_BYTES_MAX {
                return Err(malformed(format!("a line of more than {FEED_LINE_BYTES_MAX} bytes")));
            }
            let chunk = tokio::time::timeout(FEED_SILENCE_MAX, self.chunks.next());
            match chunk.await.map_err(|_| OriginError::Silent)? {
                Some(Ok(chunk)) => self.pending.extend_from_slice(&chunk),
                Some(Err(source)) => return Err(OriginError::Unreachable { operation, source }),
                None => return Ok(None),
            }
        }
    }
}

async fn read_directory(response: Response, known: Option<Position>) -> Result<EdgeDirectory, OriginError> {
    let tag = response.headers().get(header::ETAG);
    let tag = tag.and_then(|tag| tag.to_str().ok()).map(str::to_owned);
    let response = accept(READ_DIRECTORY, response).await?;
    let directory: EdgeDirectory = read_json(READ_DIRECTORY, response, DIRECTORY_BYTES_MAX).await?;
    if let Some(epoch) = directory.epoch {
        let cursor = directory.cursor;
        check_age(READ_DIRECTORY, known, Position { epoch, cursor })?;
    }
    Ok(EdgeDirectory { tag, ..directory })
}

/// That an answer as of `found` is of the record that the request named, and no older.
fn check_age(operation: &'static str, known: Option<Position>, found: Position) -> Result<(), OriginError> {
    match known {
        Some(expected) if expected.epoch != found.epoch || expected.cursor > found.cursor => {
            Err(OriginError::Outdated {
                operation,
                expected,
                found,
            })
        }
        _ => Ok(()),
    }
}

fn is_problem(response: &Response) -> bool {
    let content_type = response.headers().get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/problem+json"))
}

pub(crate) async fn accept(operation: &'static str, response: Response) -> Result<Response, OriginError> {
    let status = response.status();
    if matches!(status, StatusCode::OK | StatusCode::CREATED) {
        return Ok(response);
    }
    let is_own = is_problem(&response);
    let text = read_body(operation, response, REFUSAL_BYTES_MAX)
        .await
        .unwrap_or_default();
    let detail = String::from_utf8_lossy(&text).into_owned();
    Err(OriginError::Refused {
        operation,
        status: status.as_u16(),
        is_own,
        detail,
    })
}

pub(crate) async fn read_json<T: DeserializeOwned>(
    operation: &'static str,
    response: Response,
    bytes_max: usize,
) -> Result<T, OriginError> {
    let bytes = read_body(operation, response, bytes_max).await?;
    let malformed = |error: serde_json::Error| OriginError::Malformed {
        operation,
        reason: error.to_string(),
    };
    serde_json::from_slice(&bytes).map_err(malformed)
}

/// Reads a body no further than `bytes_max`, whatever length it claims.
async fn read_body(operation: &'static str, response: Response, bytes_max: usize) -> Result<Bytes, OriginError> {
    let mut chunks = response.bytes_stream();
    let mut body = BytesMut::new();
    loop {
        let chunk = tokio::time::timeout(PAUSE_MAX, chunks.next()).await;
        let Some(chunk) = chunk.map_err(|_| OriginError::TimedOut(PAUSE_MAX))? else {
            break;
        };
        let chunk = chunk.map_err(|source| OriginError::Unreachable { operation, source })?;
        if body.len() + chunk.len() > bytes_max {
            let reason = format!("it is longer than {bytes_max} bytes");
            return Err(OriginError::Malformed { operation, reason });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
