//! The contract, as functions and types: generated from `wit/`, used by the other modules only.

#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    reason = "generated: calls over the component boundary are unsafe, and the documentation is on the modules that wrap them"
)]

wit_bindgen::generate!({
    path: "wit",
    world: "redirect-policy",
    pub_export_macro: true,
    export_macro_name: "export",
});
