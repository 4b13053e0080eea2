//! Panic: when most of everything looks bad, it is likelier that we look wrongly, or that the few left would be crushed.
//! Then nobody is left out. There is always somebody to ask.

/// Whether so much of a group looks bad that what is left cannot carry it: more than half.
#[must_use]
pub const fn is_mostly_bad(bad: usize, all: usize) -> bool {
    bad * 2 > all
}

/// Whether there is panic.
#[derive(Debug, Clone, Default)]
pub struct Panic {
    is_on: bool,
}

impl Panic {
    /// Whether there is panic.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.is_on
    }

    /// Looks at groups as pairs of how many are bad and how many there are: there is panic while each group is mostly
    /// bad. True when that changed.
    pub fn update(&mut self, groups: impl IntoIterator<Item = (usize, usize)>) -> bool {
        let is_on = groups.into_iter().all(|(bad, all)| is_mostly_bad(bad, all));
        std::mem::replace(&mut self.is_on, is_on) != is_on
    }
}

#[cfg(test)]
mod tests {
    use super::Panic;

    #[test]
    fn there_is_panic_while_more_than_half_of_every_group_is_bad() {
        let mut panic = Panic::default();
        assert!(
            !panic.update([(1, 2), (2, 2)]) && !panic.is_on(),
            "half is not more than half"
        );
        assert!(panic.update([(2, 2), (2, 3)]) && panic.is_on());
        assert!(!panic.update([(2, 2), (3, 3)]), "as it was");
        assert!(panic.update([(2, 2), (1, 3)]) && !panic.is_on());
    }
}
