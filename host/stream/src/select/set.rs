//! Sets of targets, a bit each.
//!
//! A filter over 64 targets is then one instruction, and nothing on the way to a choice allocates.

/// Most targets among which one is chosen.
pub const TARGETS_MAX: usize = 64;

/// A target: its place in the list of its pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetIndex(u8);

impl TargetIndex {
    /// The target at this place; none past the most there may be.
    #[must_use]
    pub fn new(place: usize) -> Option<Self> {
        u8::try_from(place)
            .ok()
            .filter(|place| usize::from(*place) < TARGETS_MAX)
            .map(Self)
    }

    /// The place.
    #[must_use]
    pub const fn place(self) -> usize {
        self.0 as usize
    }
}

/// A set of targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TargetSet(u64);

impl TargetSet {
    /// No target.
    pub const EMPTY: Self = Self(0);

    /// All targets that there can be.
    pub const ALL: Self = Self(u64::MAX);

    /// The first `count` targets.
    #[must_use]
    pub const fn first(count: usize) -> Self {
        match 1_u64.checked_shl(count as u32) {
            Some(past) => Self(past - 1),
            None => Self(u64::MAX),
        }
    }

    /// Whether `target` is one of them.
    #[must_use]
    pub const fn has(self, target: TargetIndex) -> bool {
        self.0 >> target.0 & 1 == 1
    }

    /// Whether the target at this place is one of them.
    #[must_use]
    pub const fn has_place(self, place: usize) -> bool {
        place < TARGETS_MAX && self.0 >> place & 1 == 1
    }

    /// Puts `target` in, or takes it out.
    pub const fn set(&mut self, target: TargetIndex, is_in: bool) {
        let bit = 1 << target.0;
        self.0 = if is_in { self.0 | bit } else { self.0 & !bit };
    }

    /// Those in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those in one of the two.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of this set that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many there are.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// They, in the order of their places.
    pub fn iter(self) -> impl Iterator<Item = TargetIndex> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let place = left.trailing_zeros() as u8;
            // Clears the lowest bit; there is none when all are cleared.
            left &= left.checked_sub(1)?;
            Some(TargetIndex(place))
        })
    }
}

impl FromIterator<TargetIndex> for TargetSet {
    fn from_iter<I: IntoIterator<Item = TargetIndex>>(targets: I) -> Self {
        targets.into_iter().fold(Self::EMPTY, |mut set, target| {
            set.set(target, true);
            set
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::{TARGETS_MAX, TargetIndex, TargetSet};

    #[test]
    fn a_set_has_its_ends() {
        assert_eq!(TargetSet::first(TARGETS_MAX).len(), TARGETS_MAX);
        assert_eq!(TargetSet::first(0), TargetSet::EMPTY);
        assert_eq!(TargetIndex::new(TARGETS_MAX), None);
        let last = TargetIndex::new(63).expect("a place");
        assert!(TargetSet::first(64).has(last) && !TargetSet::first(63).has(last));
        assert!(!TargetSet::first(64).has_place(64));
    }

    proptest! {
        #[test]
        fn a_set_is_what_was_put_in(places in proptest::collection::btree_set(0_usize..64, 0..64), out in any::<usize>()) {
            let mut set = TargetSet::EMPTY;
            for place in &places {
                set.set(TargetIndex::new(*place).expect("a place"), true);
            }
            prop_assert_eq!(set.iter().map(TargetIndex::place).collect::<Vec<_>>(), places.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!((set.len(), set.is_empty()), (places.len(), places.is_empty()));
            let out = TargetIndex::new(out % 64).expect("a place");
            set.set(out, false);
            prop_assert_eq!(set.has(out), false);
            prop_assert_eq!(set.len(), places.iter().filter(|place| **place != out.place()).count());
        }
    }
}
