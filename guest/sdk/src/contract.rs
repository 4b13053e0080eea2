//! The contract's functions: the host's in a component, a test's facts everywhere else.

#[cfg(target_arch = "wasm32")]
pub(crate) use crate::bindings::{
    stream::wayside::policy::streams,
    wayside::policy::{clock, link, log, node, request, settings, visitor},
};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::testing::contract::{clock, link, log, node, request, settings, streams, visitor};
