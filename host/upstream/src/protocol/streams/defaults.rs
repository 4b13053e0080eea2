//! What fields of targets and assets are that nobody set, on the wire and in the API.

use wayside_decide::stream::{
    asset::{Asset, AssetState, Balancer, Existing},
    probe::Probe,
    signing::SigningSpec,
    target::Service,
};

/// How much a target carries beside others.
#[must_use]
pub const fn weight() -> u32 {
    1
}

/// What the operator says of a target.
#[must_use]
pub fn service() -> String {
    Service::default().as_str().to_owned()
}

/// How long between two probes, in milliseconds.
#[must_use]
pub const fn probe_interval_ms() -> u32 {
    Probe::INTERVAL_MS
}

/// How long the answer to a probe may take, in milliseconds.
#[must_use]
pub const fn probe_timeout_ms() -> u32 {
    Probe::TIMEOUT_MS
}

/// The status of a good answer to a probe.
#[must_use]
pub const fn probe_status() -> u16 {
    200
}

/// How long a token holds at least, in seconds.
#[must_use]
pub const fn valid_s() -> u32 {
    SigningSpec::VALID_S
}

/// How long the same token is given out, in seconds.
#[must_use]
pub const fn window_s() -> u32 {
    SigningSpec::WINDOW_S
}

/// How far clocks may differ, in seconds.
#[must_use]
pub const fn skew_s() -> u32 {
    SigningSpec::SKEW_S
}

/// How far an asset is.
#[must_use]
pub fn state() -> String {
    AssetState::default().as_str().to_owned()
}

/// How one of an asset's targets is picked.
#[must_use]
pub fn balancer() -> String {
    Balancer::default().as_str().to_owned()
}

/// How often players ask where to play from, in seconds.
#[must_use]
pub const fn ttl_s() -> u32 {
    Asset::TTL_S
}

/// What becomes of steering that an asset's manifests have already.
#[must_use]
pub fn existing() -> String {
    Existing::default().as_str().to_owned()
}
