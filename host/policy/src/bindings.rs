//! The contract as types and traits, generated from `wit/`. `conv` turns them into the domain's, and nothing else
//! sees them. A stream's policy may ask all that there is, so what can be asked is generated once, for its world.

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
    world: "stream-policy",
    imports: { default: trappable },
});

pub mod redirect {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "redirect-policy",
        imports: { default: trappable },
        with: {
            "wayside:policy/request": super::wayside::policy::request,
            "wayside:policy/visitor": super::wayside::policy::visitor,
            "wayside:policy/link": super::wayside::policy::link,
            "wayside:policy/clock": super::wayside::policy::clock,
            "wayside:policy/node": super::wayside::policy::node,
            "wayside:policy/settings": super::wayside::policy::settings,
            "wayside:policy/log": super::wayside::policy::log,
            "wayside:policy/decisions": super::wayside::policy::decisions,
        },
    });
}
