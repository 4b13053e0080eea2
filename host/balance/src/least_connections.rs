//! The target with the least to do for its weight.

use crate::random::Random;

/// How busy a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy {
    /// Requests under way.
    pub open: u32,
    /// How much it can carry beside others; 0 stands for a target that is never taken.
    pub weight: u32,
}

/// The available target that would have the fewest requests for its weight with one more; one of those at random when
/// there are several, so that many nodes that see the same do not all take the same. None when none is available.
pub fn pick(targets: &[Busy], is_available: impl Fn(usize) -> bool, random: &mut Random) -> Option<usize> {
    let (mut least, mut equals) = (None::<(usize, Busy)>, 0);
    for (index, target) in targets.iter().enumerate() {
        if target.weight == 0 || !is_available(index) {
            continue;
        }
        match least.map(|(_, least)| crowd(target, &least).cmp(&crowd(&least, target))) {
            Some(std::cmp::Ordering::Greater) => continue,
            Some(std::cmp::Ordering::Equal) => {
                equals += 1;
                // Each of n equals ends up taken with a chance of 1 in n.
                if random.below(equals) > 0 {
                    continue;
                }
            }
            Some(std::cmp::Ordering::Less) | None => equals = 1,
        }
        least = Some((index, *target));
    }
    least.map(|(index, _)| index)
}

/// Requests with one more, in units in which `target` and `other` compare without a division.
fn crowd(target: &Busy, other: &Busy) -> u64 {
    (u64::from(target.open) + 1) * u64::from(other.weight)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::{Busy, pick};
    use crate::random::Random;

    #[test]
    fn equals_are_taken_alike() {
        let targets = [Busy { open: 3, weight: 1 }; 4];
        let (mut random, mut had) = (Random::new(1), [0; 4]);
        for _ in 0..4_000 {
            had[pick(&targets, |_| true, &mut random).expect("available")] += 1;
        }
        assert!(had.iter().all(|had| (850..1_150).contains(had)), "{had:?}");
    }

    proptest! {
        #[test]
        fn no_available_target_has_less_to_do_than_the_one_taken(
            targets in proptest::collection::vec((0_u32..50, 0_u32..5, any::<bool>()), 0..12),
            seed in any::<u64>(),
        ) {
            let busy: Vec<Busy> = targets.iter().map(|(open, weight, _)| Busy { open: *open, weight: *weight }).collect();
            let is_available = |target: usize| targets[target].2;
            let picked = pick(&busy, is_available, &mut Random::new(seed));
            prop_assert_eq!(picked, pick(&busy, is_available, &mut Random::new(seed)), "the seed decides");
            let able: Vec<usize> = (0..busy.len()).filter(|at| is_available(*at) && busy[*at].weight > 0).collect();
            prop_assert_eq!(picked.is_some(), !able.is_empty());
            if let Some(picked) = picked {
                prop_assert!(able.contains(&picked));
                let crowd = |at: usize| f64::from(busy[at].open + 1) / f64::from(busy[at].weight);
                prop_assert!(able.iter().all(|other| crowd(*other) >= crowd(picked) - 1e-9));
            }
        }
    }
}
