//! What a node asks of all origins about streams.

use std::sync::Arc;

use bytes::Bytes;
use wayside_balance::fleet::attempt::Read;
use wayside_decide::{digest::Digest, site::SiteId};

use super::Origins;
use crate::{
    client::{OriginClient, OriginError, streams::Lookup},
    protocol::{
        Position,
        streams::{LoadsElsewhere, LoadsTold},
    },
};

impl Origins {
    /// As [`OriginClient::asset`].
    ///
    /// # Errors
    /// As [`Self::directory`].
    pub async fn asset(&self, site: SiteId, id: &str, known: Option<Position>) -> Result<Lookup, OriginError> {
        let id: Arc<str> = id.into();
        let ask = move |origin: OriginClient| {
            let id = Arc::clone(&id);
            async move { origin.asset(site, &id, known).await }
        };
        self.read(Read::Small, ask).await
    }

    /// As [`OriginClient::loads`].
    ///
    /// # Errors
    /// As [`Self::directory`].
    pub async fn loads(&self, told: LoadsTold) -> Result<LoadsElsewhere, OriginError> {
        let told = Arc::new(told);
        let ask = move |origin: OriginClient| {
            let told = Arc::clone(&told);
            async move { origin.loads(&told).await }
        };
        self.read(Read::Large, ask).await
    }

    /// As [`OriginClient::zones`].
    ///
    /// # Errors
    /// As [`Self::directory`].
    pub async fn zones(&self, digest: Digest) -> Result<Bytes, OriginError> {
        self.read(Read::Large, move |origin| async move { origin.zones(digest).await })
            .await
    }
}
