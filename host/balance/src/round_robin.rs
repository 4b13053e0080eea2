//! One after another.

/// Takes targets in turn.
#[derive(Debug, Clone, Default)]
pub struct RoundRobin {
    next: usize,
}

impl RoundRobin {
    /// The next of `count` targets that is available; none when none is.
    pub fn pick(&mut self, count: usize, is_available: impl Fn(usize) -> bool) -> Option<usize> {
        let picked = (0..count)
            .map(|step| (self.next + step) % count)
            .find(|target| is_available(*target))?;
        self.next = (picked + 1) % count;
        Some(picked)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, any, proptest};

    use super::RoundRobin;

    #[test]
    fn every_target_has_its_turn_and_one_that_is_away_none() {
        let mut turn = RoundRobin::default();
        let picks: Vec<_> = (0..5).filter_map(|_| turn.pick(3, |_| true)).collect();
        assert_eq!(picks, [0, 1, 2, 0, 1]);
        let without: Vec<_> = (0..4).filter_map(|_| turn.pick(3, |target| target != 0)).collect();
        assert_eq!(without, [2, 1, 2, 1]);
        assert_eq!(turn.pick(0, |_| true), None);
        assert_eq!(turn.pick(1, |_| true), Some(0), "fewer targets than there were");
    }

    proptest! {
        #[test]
        fn turns_differ_by_one_at_most(
            (available, picks) in proptest::collection::vec(any::<bool>(), 1..20)
                .prop_flat_map(|available| (Just(available), 0..200_usize))
        ) {
            let mut turn = RoundRobin::default();
            let mut had = vec![0; available.len()];
            for _ in 0..picks {
                match turn.pick(available.len(), |target| available[target]) {
                    Some(target) => had[target] += 1,
                    None => assert!(!available.contains(&true)),
                }
            }
            let of_available: Vec<usize> =
                had.iter().zip(&available).filter(|(_, is)| **is).map(|(had, _)| *had).collect();
            let spread = of_available.iter().max().zip(of_available.iter().min());
            assert!(spread.is_none_or(|(most, fewest)| most - fewest <= 1), "{had:?}");
            assert_eq!(had.iter().sum::<usize>(), of_available.iter().sum::<usize>());
        }
    }
}
