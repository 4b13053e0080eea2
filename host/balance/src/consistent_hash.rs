//! Consistent hashing with bounded loads: a key keeps its target while targets come and go, and no target carries much
//! more than its share.
//!
//! Targets stand at many points of a ring; a key belongs to the first target from its own point on that is available
//! and below its bound. The order of hashes is part of what nodes agree on: it must not change between versions.

use crate::{hash::fnv1a, random::mix};

/// Most points of one target, so that a typing error does not fill the memory.
const POINTS_MAX: u32 = 1 << 16;
/// The bits of a point that say whose it is; the others say where it is.
const TARGET_BITS: u32 = 16;

/// A target on the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// What it is known by on all nodes. Its place in the list does not count.
    pub name: &'a str,
    /// How much it carries beside others: its bound goes by this.
    pub weight: u32,
    /// At how many points it stands, 65,536 at most: its part of the keys goes by this, the more evenly the more there are
    /// (160 leave parts that differ by a tenth or so). With 0 it is never taken. A target has the same points whatever else
    /// is on the ring, and more of them beside those when it has more.
    pub points: u32,
}

/// A ring of targets: 8 bytes a point.
#[derive(Debug, Clone)]
pub struct Ring {
    /// Where targets stand, in order, each with the target in its lowest bits.
    points: Vec<u64>,
    /// Of each target; 0 for one that is never taken.
    weights: Vec<u32>,
    /// How far above its share a target may be loaded: 1.25 is a quarter above.
    bound: f64,
}

impl Ring {
    /// A ring of these targets, of which there are fewer than 65,536. `bound` is how much of its fair share a target may
    /// carry; below 1 it counts as 1.
    #[must_use]
    pub fn new(members: &[Member<'_>], bound: f64) -> Self {
        let mut points = Vec::with_capacity(members.iter().map(|member| member.points as usize).sum());
        for (index, member) in members.iter().enumerate() {
            let hash = hash(member.name.as_bytes());
            let of_member = (0..member.points.min(POINTS_MAX)).map(|point| mix(hash ^ mix(u64::from(point))));
            points.extend(of_member.map(|at| at >> TARGET_BITS << TARGET_BITS | index as u64));
        }
        points.sort_unstable();
        Self {
            points,
            weights: members
                .iter()
                .map(|member| if member.points > 0 { member.weight } else { 0 })
                .collect(),
            bound: bound.max(1.0),
        }
    }

    /// The target of `key`, when `open` says how many requests each has under way. None when no target is available.
    pub fn pick(&self, key: &[u8], open: impl Fn(usize) -> u32, is_available: impl Fn(usize) -> bool) -> Option<usize> {
        let able = |target: usize| self.weights[target] > 0 && is_available(target);
        let (mut carried, mut weight) = (1_u64, 0_u64);
        for target in (0..self.weights.len()).filter(|target| able(*target)) {
            carried += u64::from(open(target));
            weight += u64::from(self.weights[target]);
        }
        if weight == 0 {
            return None;
        }
        let at = hash(key);
        let start = self.points.partition_point(|point| *point < at);
        let clockwise = self.points[start..].iter().chain(&self.points[..start]);
        clockwise
            .map(|point| (*point & ((1 << TARGET_BITS) - 1)) as usize)
            .find(|target| {
                able(*target) && u64::from(open(*target)) < self.most(self.weights[*target], weight, carried)
            })
    }

    /// What its points take in memory, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        size_of_val(&*self.points) + size_of_val(&*self.weights)
    }

    /// How many requests a target of `weight` may have. Rounded up, so that they all find a place somewhere.
    fn most(&self, weight: u32, weights: u64, carried: u64) -> u64 {
        let share = f64::from(weight) / weights as f64;
        (self.bound * share * carried as f64).ceil() as u64
    }
}

fn hash(bytes: &[u8]) -> u64 {
    mix(fnv1a(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::{Member, Ring};

    const UNBOUNDED: f64 = f64::INFINITY;

    fn member(name: &str, weight: u32) -> Member<'_> {
        let points = 160 * weight;
        Member { name, weight, points }
    }

    fn ring(names: &[String], bound: f64) -> Ring {
        let members: Vec<Member<'_>> = names.iter().map(|name| member(name, 1)).collect();
        Ring::new(&members, bound)
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("target-{index}")).collect()
    }

    /// The name that each of a thousand keys leads to.
    fn map(names: &[String], is_available: impl Fn(usize) -> bool) -> Vec<Option<String>> {
        let ring = ring(names, UNBOUNDED);
        let pick = |key: u32| ring.pick(&key.to_be_bytes(), |_| 0, &is_available);
        (0..1_000)
            .map(|key| pick(key).map(|target| names[target].clone()))
            .collect()
    }

    #[test]
    fn a_key_leads_where_it_always_has() {
        let names = names(4);
        let ring = ring(&names, 1.25);
        let picks: Vec<_> = ["/a", "/b", "/c", "/d"]
            .map(|key| ring.pick(key.as_bytes(), |_| 0, |_| true))
            .into();
        assert_eq!(picks, [Some(0), Some(2), Some(2), Some(0)]);
    }

    #[test]
    fn heavier_targets_hold_more_keys() {
        let members = [1, 3, 0].map(|weight| member(["a", "b", "c"][weight as usize % 3], weight));
        let ring = Ring::new(&members, UNBOUNDED);
        let mut had = [0; 3];
        for key in 0..8_000_u32 {
            had[ring.pick(&key.to_be_bytes(), |_| 0, |_| true).expect("available")] += 1;
        }
        assert!((1_600..2_400).contains(&had[0]) && had[2] == 0, "{had:?}");
    }

    proptest! {
        #[test]
        fn only_the_keys_of_a_target_that_leaves_move(count in 2_usize..12, leaves in any::<usize>()) {
            let all = names(count);
            let leaves = leaves % count;
            let rest: Vec<String> = all.iter().filter(|name| **name != all[leaves]).cloned().collect();
            let (with, without) = (map(&all, |_| true), map(&rest, |_| true));
            for (with, without) in with.iter().zip(&without) {
                prop_assert!(with == without || with.as_ref() == Some(&all[leaves]));
            }
            // One that is away for a while is as one that is not there, and the other way round: joining moves to itself only.
            prop_assert_eq!(&map(&all, |target| target != leaves), &without);
            let moved = with.iter().zip(&without).filter(|(with, without)| with != without).count();
            prop_assert!(moved <= 2 * 1_000 / count, "{moved} of 1,000 keys for one of {count}");
        }

        #[test]
        fn no_target_passes_its_bound_and_every_key_finds_one(
            count in 1_usize..8, bound in 1.0..2.0_f64, keys in proptest::collection::vec(0_u8..4, 1..300),
            away in any::<u8>(),
        ) {
            let ring = ring(&names(count), bound);
            let is_available = |target: usize| away >> target & 1 == 0;
            let available = (0..count).filter(|target| is_available(*target)).count();
            let mut open = vec![0_u32; count];
            for (carried, key) in keys.iter().enumerate() {
                let picked = ring.pick(&[*key], |target| open[target], is_available);
                prop_assert_eq!(picked.is_some(), available > 0);
                let Some(picked) = picked else { break };
                prop_assert!(is_available(picked));
                open[picked] += 1;
                let most = (bound * (carried + 1) as f64 / available as f64).ceil();
                prop_assert!(f64::from(open[picked]) <= most, "{open:?} with a bound of {bound}");
            }
        }
    }
}
