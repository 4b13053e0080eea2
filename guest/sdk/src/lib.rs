//! Write a Wayside policy as one function.
//!
//! In: questions about a request, its visitor, the link, the time and the binding's settings. Out: a [`Decision`]. A
//! policy never receives the request: it asks, and each question it asks is part of what its decision is remembered
//! by. So ask for what you need and nothing more: a policy that reads only the country is run once for each country,
//! one that reads a raw header once for each value of that header.
//!
//! ```ignore
//! use wayside::{Decision, settings, visitor};
//!
//! #[wayside::policy]
//! fn decide() -> Decision {
//!     match visitor::country().as_deref() {
//!         Some("DE" | "AT") => Decision::redirect("https://de.example.com{path}{?query}"),
//!         Some("KP") => Decision::deny(451),
//!         _ => Decision::proceed(),
//!     }
//! }
//! ```
//!
//! A policy of streams plans who serves an asset, in the same way: see [`stream_policy`] and [`Plan`].
//!
//! ```ignore
//! use wayside::{Plan, stream_policy, visitor};
//!
//! #[wayside::stream_policy]
//! fn plan() -> Option<Plan> {
//!     (visitor::country()? == "DE").then(|| Plan::new().tier([("cdn-a", 3.0), ("cdn-b", 1.0)]).tier([("own", 1.0)]))
//! }
//! ```
//!
//! A policy has no clock, no randomness, no files and no network. It runs in a fresh sandbox each time, for at most
//! 10 ms and in at most 16 MiB of memory, and may ask 64 different questions.

#[doc(hidden)]
pub mod bindings;
pub mod clock;
mod contract;
mod decision;
pub mod link;
pub mod log;
pub mod node;
mod plan;
pub mod request;
pub mod settings;
pub mod streams;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod visitor;

pub use decision::Decision;
pub use plan::{Plan, StreamDecision};
pub use wayside_sdk_macros::{policy, stream_policy};

/// What `#[wayside::policy]` expands to; not for use by hand.
#[doc(hidden)]
pub mod __export {
    pub use crate::bindings::{Guest, export, wayside::policy::decisions::Decision};

    /// Runs a policy.
    pub fn run(decide: impl FnOnce() -> crate::Decision) -> Decision {
        tell_of_panics();
        decide().into_contract()
    }

    /// The message of a panic goes to the log before the sandbox ends.
    pub(crate) fn tell_of_panics() {
        std::panic::set_hook(Box::new(|panic| crate::log::error(panic.to_string())));
    }
}

/// What `#[wayside::stream_policy]` expands to; not for use by hand.
#[doc(hidden)]
pub mod __export_stream {
    pub use crate::bindings::stream::{Guest, export_stream, wayside::policy::plans::StreamDecision as Decision};

    /// Runs a policy of streams.
    pub fn run(plan: impl FnOnce() -> crate::StreamDecision) -> Decision {
        crate::__export::tell_of_panics();
        plan().into_contract()
    }
}
