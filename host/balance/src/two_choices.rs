//! The better of two drawn at random: nearly as good as knowing the best, without everybody running to the same one.
//!
//! In: weights, which say how often each is drawn, and costs, which say who of two is taken. Where costs are equal, targets
//! are taken by their weights; where they are not, the cheaper one is taken whenever both are drawn. With
//! [`crate::latency::PeakEwma::cost`] it is the balancer of Finagle and Linkerd.

use crate::random::Random;

/// Two different targets, each drawn in proportion to its weight, and of these the one with the lower `cost`: the first
/// drawn of equals, the only one when there is one, none when there is none. A weight of 0 stands for a target that is not
/// available.
pub fn pick(
    count: usize,
    weight: impl Fn(usize) -> u32,
    cost: impl Fn(usize) -> f64,
    random: &mut Random,
) -> Option<usize> {
    let all: usize = (0..count).map(|target| weight(target) as usize).sum();
    let first = at(count, &weight, random.below(all))?;
    let others = |target: usize| if target == first { 0 } else { weight(target) };
    let Some(second) = at(count, others, random.below(all - weight(first) as usize)) else {
        return Some(first);
    };
    Some(if cost(second) < cost(first) { second } else { first })
}

/// A target drawn in proportion to its weight; none when there is none that is available.
pub fn drawn(count: usize, weight: impl Fn(usize) -> u32, random: &mut Random) -> Option<usize> {
    let all: usize = (0..count).map(|target| weight(target) as usize).sum();
    at(count, weight, random.below(all))
}

/// The target in whose part of all weights, laid end to end, `at` lies.
fn at(count: usize, weight: impl Fn(usize) -> u32, at: usize) -> Option<usize> {
    let mut end = 0;
    (0..count).find(|target| {
        end += weight(*target) as usize;
        at < end
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::pick;
    use crate::random::Random;

    fn taken<const N: usize>(weights: [u32; N], cost: impl Fn(usize) -> f64) -> [u32; N] {
        let (mut random, mut had) = (Random::new(3), [0; N]);
        for _ in 0..10_000 {
            had[pick(N, |target| weights[target], &cost, &mut random).expect("available")] += 1;
        }
        had
    }

    #[test]
    fn the_dearest_of_many_is_taken_by_nobody_and_the_cheapest_most() {
        // Of 10 pairs the cheapest wins 4, the next 3, and so on.
        let had = taken([1; 5], |target| target as f64);
        for (had, pairs) in had.iter().zip([4, 3, 2, 1, 0_u32]) {
            assert!(had.abs_diff(pairs * 1_000) <= 150, "{had} for {pairs}");
        }
    }

    #[test]
    fn equals_are_taken_by_their_weights() {
        let had = taken([8, 1, 0, 1], |_| 0.0);
        for (had, weight) in had.iter().zip([8, 1, 0, 1_u32]) {
            assert!(had.abs_diff(weight * 1_000) <= 150, "{had} for {weight}");
        }
    }

    proptest! {
        #[test]
        fn only_available_targets_are_taken_and_the_seed_decides(
            targets in proptest::collection::vec((0.0..100.0_f64, 0_u32..4), 0..10), seed in any::<u64>(),
        ) {
            let take = || pick(targets.len(), |at| targets[at].1, |at| targets[at].0, &mut Random::new(seed));
            let available: Vec<f64> = targets.iter().filter(|target| target.1 > 0).map(|target| target.0).collect();
            prop_assert_eq!(take(), take());
            prop_assert_eq!(take().is_some(), !available.is_empty());
            if let Some(taken) = take() {
                prop_assert!(targets[taken].1 > 0);
                let dearer = available.iter().filter(|cost| **cost >= targets[taken].0).count();
                prop_assert!(available.len() == 1 || dearer > 1, "the dearest beats nobody");
            }
        }
    }
}
