//! Why a component is not admitted, in words for its author: what was found, what was expected, what to do.

use wayside_decide::{decision::Failure, invalid::quote, limits::COMPONENT_BYTES_MAX};

use crate::{limits::Class, vectors::Mismatch};

/// A component is not admitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bytes are no component at all.
    #[error("found {found}, expected a WebAssembly component; {remedy}")]
    NotAComponent {
        /// What they are.
        found: String,
        /// What to do.
        remedy: &'static str,
    },
    /// It is longer than any component may be.
    #[error("the component has {found} bytes, expected at most {COMPONENT_BYTES_MAX}; build it for size, or strip it")]
    TooLong {
        /// Its length, in bytes.
        found: usize,
    },
    /// It goes past a limit that is checked before it is compiled.
    #[error("the component has {what} {found}, expected at most {limit} in one of its class ({})", .class.as_str())]
    Limit {
        /// What there is too much of: `functions`.
        what: &'static str,
        /// How much there is.
        found: u64,
        /// How much there may be.
        limit: u64,
        /// The class, by the component's length.
        class: Class,
    },
    /// It is malformed, or uses what is switched off here.
    #[error("the component is not valid here: {reason}")]
    Invalid {
        /// What the validator says, with the place in the file.
        reason: String,
    },
    /// It imports what the contract does not have.
    #[error(
        "the component imports {}, expected nothing but the interfaces of `wayside:policy`; {remedy}", quote(.import)
    )]
    Import {
        /// The import, as it is written in the component.
        import: String,
        /// What to do.
        remedy: &'static str,
    },
    /// It does not export the function that decides, or more than one.
    #[error(
        "the component exports {found}, expected one function: `decide` of `wayside:policy/redirect-policy` or `plan` of \
         `wayside:policy/stream-policy`; write `#[wayside::policy]` over the function that decides, or \
         `#[wayside::stream_policy]` over the one that plans"
    )]
    Export {
        /// The exports it has, the first few, quoted.
        found: String,
    },
    /// Compiling it takes more than it may.
    #[error("compiling the component takes {0}; split its longest functions, or leave out what it does not need")]
    Costly(Costly),
    /// It could not be compiled; this says nothing about the component.
    #[error("the compiler of policies failed: {0}; try again")]
    NoCompiler(String),
    /// It fits the contract's names, but not its types.
    #[error("the component does not fit the contract: {reason}; build it against this version's SDK")]
    Contract {
        /// What the linker says.
        reason: String,
    },
    /// It fails when nothing is known about the request.
    #[error(
        "the component was tried with a request about which nothing is known, and failed: {failure}; a policy must \
         answer then too, for example with `proceed`{}", remedy(.failure)
    )]
    Trial {
        /// How.
        failure: Failure,
    },
    /// The tests it brings along cannot be read.
    #[error("the component's own tests cannot be read: {reason}; correct its tests.toml and build it again")]
    UnreadableTests {
        /// What is wrong with them.
        reason: String,
    },
    /// It does not pass the tests it brings along.
    #[error("the component does not pass its own tests: {0}; `wayside policy test` shows them all")]
    Tests(Mismatch),
    /// The trial could not be made; this says nothing about the component.
    #[error("the component could not be tried: {0}; try again")]
    Untried(Failure),
}

impl Refusal {
    /// Whether the same component would be refused again.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        !matches!(self, Self::NoCompiler(_) | Self::Untried(_))
    }
}

/// What compiling takes too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Costly {
    /// Memory.
    #[error("more than {limit_mib} MiB of memory")]
    Memory {
        /// What there is of it, in MiB.
        limit_mib: u64,
    },
    /// Processor time.
    #[error("more than {limit_s} s of processor time")]
    Cpu {
        /// What there is of it, in seconds.
        limit_s: u64,
    },
}

fn remedy(failure: &Failure) -> &'static str {
    match failure {
        Failure::DeadlineExceeded { .. } => {
            ". A loop that does not end, or too much work before `decide`, is the cause"
        }
        Failure::QuestionLimit => ". Ask coarser questions: one `visitor.in-network` with all networks, not one each",
        _ => "",
    }
}
