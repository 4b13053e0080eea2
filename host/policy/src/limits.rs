//! What a guest may take, in one table for the origin that admits it and the node that runs it.

use std::time::Duration;

/// How much processor time a run may take before it is cut off.
pub const DEADLINE: Duration = Duration::from_millis(10);
/// A run that takes more processor time than this is slow, and the guest's next ones run where they hold nobody up. One in
/// JavaScript takes half of it.
pub const SLOW: Duration = Duration::from_millis(2);
/// For how many times its processor time a slow run sends the guest's next ones there, where another was not long before.
pub const SLOW_FOR: u32 = 20;
/// How long before.
pub const SLOW_AGAIN: Duration = Duration::from_secs(10);
/// How many times its deadline a run may take by the clock on the wall, on a machine that has no time for it.
pub const PATIENCE: u32 = 5;
/// How often a run is tried that shows whether a guest is fit, when it is cut off.
pub const TRIALS_MAX: usize = 3;
/// How often running guests look whether their time is up.
pub const TICK: Duration = Duration::from_millis(1);
/// Stack of a guest, in bytes.
pub const STACK_BYTES_MAX: usize = 512 * 1024;
/// What a guest may hand the host in one call, in bytes: all texts of a question, or the decision.
pub const HOSTCALL_BYTES_MAX: usize = 256 * 1024;
/// Log messages kept of one run.
pub const NOTES_MAX: usize = 16;
/// Longest log message, in bytes; a longer one is cut.
pub const NOTE_BYTES_MAX: usize = 1024;
/// A component up to this size, in bytes, is [`Class::Small`].
pub const SMALL_COMPONENT_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Longest text of the tests a component brings along, in bytes.
pub const TESTS_BYTES_MAX: usize = 64 * 1024;
/// Core modules in one component: the guest's own and what joins it to its imports.
pub const MODULES_MAX: u32 = 8;

/// Two sizes of guests: code written for this, and a whole language's engine brought along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Compiled code, such as a Rust policy of 20 kB.
    Small,
    /// An engine and a program for it, such as a JavaScript policy of 12 MB. What componentize-js 0.23 makes of one has
    /// 12,700 functions, the longest of 172 kB, up to 63 core imports, some 200 types and tables of 7,745 elements, and
    /// starts with 9.1 MiB of memory; the limits leave room for engines of two to five times that.
    Large,
}

impl Class {
    /// The class of a component of this many bytes.
    #[must_use]
    pub const fn of(component_bytes: usize) -> Self {
        if component_bytes <= SMALL_COMPONENT_BYTES_MAX {
            Self::Small
        } else {
            Self::Large
        }
    }

    /// `small` or `large`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Large => "large",
        }
    }

    /// Reads `small` or `large`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Small, Self::Large]
            .into_iter()
            .find(|class| class.as_str() == text)
    }

    /// Memory of a guest, in bytes.
    #[must_use]
    pub const fn memory_bytes_max(self) -> usize {
        match self {
            Self::Small => 16 * 1024 * 1024,
            Self::Large => 64 * 1024 * 1024,
        }
    }

    /// Elements in one of a guest's tables.
    #[must_use]
    pub const fn table_elements_max(self) -> usize {
        match self {
            Self::Small => 10_000,
            Self::Large => 40_000,
        }
    }

    /// Core functions with a body, in all modules together.
    #[must_use]
    pub const fn functions_max(self) -> u32 {
        match self {
            Self::Small => 10_000,
            Self::Large => 60_000,
        }
    }

    /// Longest body of one function, in bytes: what a compiler takes for it grows faster than the body.
    #[must_use]
    pub const fn function_bytes_max(self) -> usize {
        match self {
            Self::Small => 128 * 1024,
            Self::Large => 1024 * 1024,
        }
    }

    /// Types, the component's and its modules' together.
    #[must_use]
    pub const fn types_max(self) -> u32 {
        match self {
            Self::Small => 2_000,
            Self::Large => 10_000,
        }
    }

    /// Memory of the process that compiles it, in bytes.
    #[must_use]
    pub const fn compile_memory_bytes_max(self) -> u64 {
        match self {
            Self::Small => 512 << 20,
            Self::Large => 3 << 30,
        }
    }

    /// Processor time of the process that compiles it, in seconds.
    #[must_use]
    pub const fn compile_cpu_s_max(self) -> u64 {
        match self {
            Self::Small => 10,
            Self::Large => 120,
        }
    }

    /// Imports of all core modules together.
    #[must_use]
    pub const fn imports_max(self) -> u32 {
        match self {
            Self::Small => 500,
            Self::Large => 1_000,
        }
    }
}
