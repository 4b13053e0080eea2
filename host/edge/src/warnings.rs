//! Keeps the log readable while things go wrong for everybody: a few lines a second of each kind, and how many more there
//! were.

use std::cell::Cell;

use crate::refusal::Refusal;

/// Lines of one kind that a thread writes in one second.
const LINES_MAX: u32 = 5;

/// One thread's count of what it has warned of.
#[derive(Debug, Default)]
pub(crate) struct Warnings([Cell<Second>; Refusal::LABELS.len()]);

#[derive(Debug, Clone, Copy, Default)]
struct Second {
    unix_s: u64,
    met: u32,
}

/// What to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Warning {
    /// The line, and before it how many of its kind were left out.
    Write {
        /// Lines left out since the last one.
        left_out: u32,
    },
    /// Nothing: there were enough of its kind.
    LeaveOut,
}

impl Warnings {
    /// Whether a line of this kind is written at this second (since 1970 UTC).
    pub(crate) fn meet(&self, label: &str, unix_s: u64) -> Warning {
        let Some(at) = Refusal::LABELS.iter().position(|known| *known == label) else {
            return Warning::Write { left_out: 0 };
        };
        let second = self.0[at].get();
        let left_out = second.met.saturating_sub(LINES_MAX);
        let (second, warning) = match second.unix_s == unix_s {
            false => (Second { unix_s, met: 1 }, Warning::Write { left_out }),
            true => {
                let met = second.met.saturating_add(1);
                let warning = match met <= LINES_MAX {
                    true => Warning::Write { left_out: 0 },
                    false => Warning::LeaveOut,
                };
                (Second { unix_s, met }, warning)
            }
        };
        self.0[at].set(second);
        warning
    }
}

#[cfg(test)]
mod tests {
    use super::{LINES_MAX, Warning, Warnings};

    #[test]
    fn a_few_lines_a_second_are_written_and_the_others_counted() {
        let warnings = Warnings::default();
        let written = |left_out| Warning::Write { left_out };
        for _ in 0..LINES_MAX {
            assert_eq!(warnings.meet("policy_failed", 7), written(0));
        }
        for _ in 0..3 {
            assert_eq!(warnings.meet("policy_failed", 7), Warning::LeaveOut);
        }
        assert_eq!(warnings.meet("origin_away", 7), written(0), "another kind");
        assert_eq!(warnings.meet("policy_failed", 8), written(3));
        assert_eq!(warnings.meet("policy_failed", 9), written(0));
    }
}
