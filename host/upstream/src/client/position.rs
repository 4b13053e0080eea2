//! Requests that name a position of the record: the answer is no older than what the node was told by the feed, whichever
//! origin gives it; and all links, a part at a time.

use wayside_decide::site::SiteId;

use super::{DIRECTORY_BYTES_MAX, Feed, OriginClient, OriginError, accept, read_json};
use crate::protocol::{
    DIRECTORY_PATH, EdgeDirectory, EdgeLink, FEED_PATH, LINK_PATH, Position, SNAPSHOT_LINKS_MAX, SNAPSHOT_PATH,
    SnapshotPage,
};

/// Largest part of a snapshot, in bytes.
const SNAPSHOT_BYTES_MAX: usize = 64 * 1024 * 1024;

impl OriginError {
    /// Whether the origin's record is no longer the one that was named: restored, or another one.
    #[must_use]
    pub const fn is_another_record(&self) -> bool {
        matches!(self, Self::Refused { status: 409, .. })
    }
}

impl OriginClient {
    /// As [`Self::directory`], no older than `position`.
    ///
    /// # Errors
    /// [`OriginError`] when there is no usable answer.
    pub async fn directory_since(&self, position: Position) -> Result<EdgeDirectory, OriginError> {
        let operation = "read the directory";
        let request = self.ask(DIRECTORY_PATH).query(&position);
        let response = self.send(operation, request).await?;
        read_json(operation, accept(operation, response).await?, DIRECTORY_BYTES_MAX).await
    }

    /// As [`Self::link`], no older than `position`: what the feed told up to there is in the answer.
    ///
    /// # Errors
    /// [`OriginError`] when there is no usable answer.
    pub async fn link_since(
        &self,
        site: SiteId,
        path: &str,
        position: Position,
    ) -> Result<Option<EdgeLink>, OriginError> {
        let request = self.ask(LINK_PATH);
        let request = request.query(&[("site_id", &*site.to_string()), ("path", path)]);
        self.read_link(request.query(&position)).await
    }

    /// As [`Self::feed`], from a position of a record that may be no longer there: then the first event is a resync.
    ///
    /// # Errors
    /// [`OriginError`] when the feed cannot be opened.
    pub async fn feed_from(&self, position: Position) -> Result<Feed, OriginError> {
        self.open_feed(self.get(FEED_PATH).query(&position)).await
    }

    /// A part of all links: the first, or the one that `after` (the `next` of the part before) names. `first` is the
    /// position of the first part: later parts are no older, and of the same record.
    ///
    /// # Errors
    /// [`OriginError`] when there is no usable answer; [`OriginError::is_another_record`] when everything is to be read
    /// anew.
    pub async fn snapshot(&self, after: Option<&str>, first: Option<Position>) -> Result<SnapshotPage, OriginError> {
        let operation = "read a snapshot";
        let request = self.ask(SNAPSHOT_PATH);
        let request = request.query(&[("limit", SNAPSHOT_LINKS_MAX)]);
        let request = request.query(&after.map(|key| [("after", key)])).query(&first);
        let response = self.send(operation, request).await?;
        read_json(operation, accept(operation, response).await?, SNAPSHOT_BYTES_MAX).await
    }
}
