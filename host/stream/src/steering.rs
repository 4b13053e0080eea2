//! Content steering: what the server tells players, and what they say when they ask.
//!
//! HLS (draft-pantos-content-steering, rfc8216bis §7) and DASH (ETSI TS 103 998) share the body of the manifest; the
//! parameters of a request differ in their names and forms.

pub mod manifest;
pub mod request;
