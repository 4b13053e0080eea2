//! Large manifests on their way to players, who may read them slowly.

use tokio::sync::OwnedSemaphorePermit;

/// Up to which weight a manifest is written however many others are, in bytes.
pub(super) const LIGHT_BYTES_MAX: usize = 256 * 1024;
/// What heavier ones may take together until their players have read them, in KiB.
pub(super) const HEAVY_KIB_MAX: usize = 64 * 1024;

/// A heavy manifest on its way to a player.
pub(super) struct Heavy {
    pub(super) bytes: Vec<u8>,
    pub(super) _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Heavy {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
