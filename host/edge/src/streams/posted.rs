//! What may be posted about an asset: of which requests the body is worth reading.
//!
//! In: a request's fields and the asset that it is about. Out: what kind of body it has, and how long that may be. It must
//! not know how a body is read.

use wayside_stream::cmcd;

use super::{assets::LiveAsset, ingest, way::Way};
use crate::head::Fields;

/// Longest description of a session that a recorder sends (SDP), in bytes.
const SDP_BYTES_MAX: usize = 64 * 1024;

/// A kind of body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Posted {
    /// What players report.
    Reports,
    /// What a recorder with the asset's key will send.
    Recording,
}

impl Posted {
    /// What the body of a POST request is; none when the request is answered alike without it.
    pub(crate) fn of(way: Way<'_>, fields: Fields<'_>, asset: &LiveAsset) -> Option<Self> {
        match way {
            Way::Report => Some(Self::Reports),
            Way::Ingest => ingest::check_key(fields, &asset.asset)
                .is_ok()
                .then_some(Self::Recording),
            Way::File(_) | Way::Steer | Way::Play => None,
        }
    }

    /// How long it may be, in bytes.
    pub(crate) const fn bytes_max(self) -> usize {
        match self {
            Self::Reports => cmcd::BATCH_BYTES_MAX,
            Self::Recording => SDP_BYTES_MAX,
        }
    }
}
