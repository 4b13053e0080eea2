//! In proportion to weights, and without bursts: nginx's smooth weighted round robin.
//!
//! Every pick adds its weight to each target's credit; the richest is taken and pays the sum of all weights. Weights of
//! 5, 1 and 1 give a a b a c a a, not a a a a a b c.

/// Takes targets in proportion to their weights.
#[derive(Debug, Clone)]
pub struct SmoothWeighted {
    targets: Vec<Credit>,
}

#[derive(Debug, Clone)]
struct Credit {
    weight: u32,
    credit: i64,
}

impl SmoothWeighted {
    /// Targets with these weights. One of weight 0 is never taken.
    #[must_use]
    pub fn new(weights: &[u32]) -> Self {
        let target = |weight: &u32| Credit {
            weight: *weight,
            credit: 0,
        };
        Self {
            targets: weights.iter().map(target).collect(),
        }
    }

    /// The next target that is available; none when none is. Over as many picks as the weights add up to, each is taken
    /// as often as its weight says.
    pub fn pick(&mut self, is_available: impl Fn(usize) -> bool) -> Option<usize> {
        let (mut sum, mut richest) = (0, None::<(usize, i64)>);
        for (index, target) in self.targets.iter_mut().enumerate() {
            if target.weight == 0 || !is_available(index) {
                continue;
            }
            target.credit += i64::from(target.weight);
            sum += i64::from(target.weight);
            // The first of equals, so that the order of the list decides.
            if richest.is_none_or(|(_, credit)| target.credit > credit) {
                richest = Some((index, target.credit));
            }
        }
        let (index, _) = richest?;
        self.targets[index].credit -= sum;
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::SmoothWeighted;

    #[test]
    fn a_heavy_target_is_taken_often_and_never_in_one_burst() {
        let mut weighted = SmoothWeighted::new(&[5, 1, 1]);
        let picks: Vec<_> = (0..7).filter_map(|_| weighted.pick(|_| true)).collect();
        assert_eq!(picks, [0, 0, 1, 0, 2, 0, 0]);
    }

    proptest! {
        #[test]
        fn a_cycle_respects_weights_exactly(weights in proptest::collection::vec(0_u32..50, 1..12), cycles in 1..4_u32) {
            let mut weighted = SmoothWeighted::new(&weights);
            for _ in 0..cycles {
                let mut had = vec![0; weights.len()];
                for _ in 0..weights.iter().sum() {
                    had[weighted.pick(|_| true).expect("a weight above 0")] += 1;
                }
                prop_assert_eq!(&had, &weights);
            }
        }

        #[test]
        fn after_any_change_of_availability_a_cycle_of_the_rest_is_exact_in_the_long_run(
            weights in proptest::collection::vec(1_u32..20, 2..8),
            outages in proptest::collection::vec(any::<u8>(), 0..30),
        ) {
            let mut weighted = SmoothWeighted::new(&weights);
            for outage in outages {
                let is_available = |target: usize| outage >> target & 1 == 1;
                let picked = weighted.pick(is_available);
                prop_assert!(picked.is_none_or(is_available));
                prop_assert_eq!(picked.is_none(), !(0..weights.len()).any(is_available));
            }
            // What outages left in credits is bounded by the sum of weights: over many cycles it vanishes.
            let (sum, cycles) = (weights.iter().sum::<u32>(), 50);
            let mut had = vec![0_u32; weights.len()];
            for _ in 0..sum * cycles {
                had[weighted.pick(|_| true).expect("all are available")] += 1;
            }
            for (had, weight) in had.iter().zip(&weights) {
                prop_assert!(had.abs_diff(weight * cycles) <= 2 * sum, "{had} for {weight} of {sum}");
            }
        }
    }
}
