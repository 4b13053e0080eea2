//! The contract as types and traits, generated from `wit/`. `conv` turns them into the domain's, and nothing else
//! sees them.

#![allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    elided_lifetimes_in_paths,
    clippy::all,
    reason = "generated: the documentation is in wit/policy.wit"
)]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "redirect-policy",
    imports: { default: trappable },
});
