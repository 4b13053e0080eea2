//! The cheaper of two targets taken at random: what is nearly as good as knowing the cheapest, without everybody running
//! to the same one. With [`crate::latency::PeakEwma::cost`] it is the balancer of Finagle and Linkerd.

use crate::random::Random;

/// Two of the available targets at random, and of these the one with the lower `cost`; the only one when there is one,
/// none when there is none.
pub fn pick(
    count: usize,
    cost: impl Fn(usize) -> f64,
    is_available: impl Fn(usize) -> bool,
    random: &mut Random,
) -> Option<usize> {
    let available = (0..count).filter(|target| is_available(*target)).count();
    let nth = |index: usize| (0..count).filter(|target| is_available(*target)).nth(index);
    match available {
        0 => None,
        1 => nth(0),
        _ => {
            let first = random.below(available);
            // Another one: those from the first on move up by one.
            let second = random.below(available - 1);
            let second = if second >= first { second + 1 } else { second };
            let (first, second) = (nth(first)?, nth(second)?);
            Some(if cost(second) < cost(first) { second } else { first })
        }
    }
}

/// The cheapest of the available targets, the first of equals.
pub fn cheapest(count: usize, cost: impl Fn(usize) -> f64, is_available: impl Fn(usize) -> bool) -> Option<usize> {
    (0..count)
        .filter(|target| is_available(*target))
        .min_by(|one, other| cost(*one).total_cmp(&cost(*other)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::{cheapest, pick};
    use crate::random::Random;

    #[test]
    fn the_dearest_of_many_is_taken_by_nobody_and_the_cheapest_most() {
        let (mut random, mut had) = (Random::new(3), [0; 5]);
        for _ in 0..10_000 {
            had[pick(5, |target| target as f64, |_| true, &mut random).expect("available")] += 1;
        }
        // Of 10 pairs the cheapest wins 4, the next 3, and so on.
        for (had, pairs) in had.iter().zip([4, 3, 2, 1, 0]) {
            assert!(
                (pairs * 1_000 - 150..=pairs * 1_000 + 150).contains(had),
                "{had} for {pairs}"
            );
        }
    }

    proptest! {
        #[test]
        fn only_available_targets_are_taken_and_the_seed_decides(
            targets in proptest::collection::vec((0.0..100.0_f64, any::<bool>()), 0..10),
            seed in any::<u64>(),
        ) {
            let take = || pick(targets.len(), |at| targets[at].0, |at| targets[at].1, &mut Random::new(seed));
            let available = targets.iter().filter(|target| target.1).count();
            prop_assert_eq!(take(), take());
            prop_assert_eq!(take().is_some(), available > 0);
            let dearest = targets.iter().filter(|target| target.1).map(|target| target.0).fold(0.0, f64::max);
            if let Some(taken) = take() {
                prop_assert!(targets[taken].1);
                let equals = targets.iter().filter(|target| target.1 && target.0 >= dearest).count();
                prop_assert!(available == 1 || equals > 1 || targets[taken].0 < dearest, "the dearest beats nobody");
            }
            let least = cheapest(targets.len(), |at| targets[at].0, |at| targets[at].1);
            prop_assert_eq!(least.is_some(), available > 0);
            let is_least = |at: usize| targets.iter().filter(|target| target.1).all(|other| other.0 >= targets[at].0);
            prop_assert!(least.is_none_or(|at| targets[at].1 && is_least(at)));
        }
    }
}
