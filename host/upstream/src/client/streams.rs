//! What a node asks of an origin about streams.

use bytes::Bytes;
use reqwest::{StatusCode, header};
use wayside_decide::{digest::Digest, site::SiteId};

use super::{OriginClient, OriginError, accept, is_problem, read_body, read_json};
use crate::protocol::{
    Position,
    streams::{ASSET_PATH, EdgeAsset, LOADS_BYTES_MAX, LOADS_PATH, LoadsElsewhere, LoadsTold, ZONES_PATH},
    zones::ZONES_BYTES_MAX,
};

/// Largest answer about one asset, in bytes.
const ASSET_BYTES_MAX: usize = 1024 * 1024;

/// What an origin knows of an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// What it is.
    Found(Box<EdgeAsset>),
    /// There was one, and it was deleted.
    Gone,
    /// There never was one.
    Missing,
}

impl OriginClient {
    /// The asset `id` of `site`, as of `known` or later.
    ///
    /// # Errors
    /// [`OriginError`] when there is no usable answer.
    pub async fn asset(&self, site: SiteId, id: &str, known: Option<Position>) -> Result<Lookup, OriginError> {
        let operation = "read an asset";
        let request = self.get(ASSET_PATH);
        let request = request.query(&[("site_id", &*site.to_string()), ("id", id)]);
        let response = self.send(operation, request.query(&known)).await?;
        // Only in the origin's own words: anything between may answer so, too.
        match response.status() {
            StatusCode::NOT_FOUND if is_problem(&response) => Ok(Lookup::Missing),
            StatusCode::GONE if is_problem(&response) => Ok(Lookup::Gone),
            _ => {
                let response = accept(operation, response).await?;
                let asset = read_json(operation, response, ASSET_BYTES_MAX).await?;
                Ok(Lookup::Found(Box::new(asset)))
            }
        }
    }

    /// Tells what this node counts on targets; what is known elsewhere comes back.
    ///
    /// # Errors
    /// [`OriginError`] when there is no usable answer.
    pub async fn loads(&self, told: &LoadsTold) -> Result<LoadsElsewhere, OriginError> {
        let operation = "tell loads";
        let body = serde_json::to_vec(told).map_err(|error| OriginError::Malformed {
            operation,
            reason: error.to_string(),
        })?;
        let request = self.post(LOADS_PATH).header(header::CONTENT_TYPE, "application/json");
        let response = accept(operation, self.send(operation, request.body(body)).await?).await?;
        read_json(operation, response, LOADS_BYTES_MAX).await
    }

    /// The coverage zones named by `digest`, checked against it.
    ///
    /// # Errors
    /// [`OriginError`] when there is no usable answer, or the text is another.
    pub async fn zones(&self, digest: Digest) -> Result<Bytes, OriginError> {
        let operation = "read coverage zones";
        let request = self.get(&format!("{ZONES_PATH}/{digest}"));
        let response = accept(operation, self.send(operation, request).await?).await?;
        let bytes = read_body(operation, response, ZONES_BYTES_MAX).await?;
        check_digest(operation, digest, &bytes)?;
        Ok(bytes)
    }
}

/// That bytes are those that a digest names.
pub(super) fn check_digest(operation: &'static str, expected: Digest, bytes: &[u8]) -> Result<(), OriginError> {
    let found = Digest::of(bytes);
    if found == expected {
        return Ok(());
    }
    let reason = format!("expected the bytes of {expected}, found those of {found}");
    Err(OriginError::Malformed { operation, reason })
}
