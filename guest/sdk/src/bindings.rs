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

/// The world of streams: what it shares with the other is the other's.
pub mod stream {
    wit_bindgen::generate!({
        path: "wit",
        world: "stream-policy",
        pub_export_macro: true,
        export_macro_name: "export_stream",
        with: {
            "wayside:policy/request@1.0.0": super::wayside::policy::request,
            "wayside:policy/visitor@1.0.0": super::wayside::policy::visitor,
            "wayside:policy/link@1.0.0": super::wayside::policy::link,
            "wayside:policy/clock@1.0.0": super::wayside::policy::clock,
            "wayside:policy/node@1.0.0": super::wayside::policy::node,
            "wayside:policy/settings@1.0.0": super::wayside::policy::settings,
            "wayside:policy/log@1.0.0": super::wayside::policy::log,
            "wayside:policy/decisions@1.0.0": super::wayside::policy::decisions,
        },
    });
}
