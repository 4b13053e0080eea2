//! In which order targets are offered to a recorder.
//!
//! In: the targets, and a policy's plan over them. Out: those that are able, best first, the same on every node. It must
//! not know what the recorder had before, nor how targets do.

use wayside_balance::consistent_hash::{Member, Ring};
use wayside_decide::{invalid::Invalid, limits::TARGET_WEIGHT_MAX, stream::plan::StreamPlan};
use wayside_stream::select::{
    plan::Plan,
    set::{TargetIndex, TargetSet},
    target::Pool,
};

/// The largest part of the ring that one target has, and the points of one part: few, for a ring is made for each recorder
/// that asks.
const PARTS_MAX: u32 = 10;
const POINTS: u32 = 160;

/// What a plan says of who takes a stream.
pub(super) struct Order {
    /// Who may.
    pub(super) permitted: TargetSet,
    /// Who comes first.
    tiers: Vec<TargetSet>,
    ring: Ring,
}

impl Order {
    /// The order that a plan wants. Without tiers each target has as much of the ring: a recorder that moves costs more
    /// than one that sends a little farther.
    ///
    /// # Errors
    /// [`Invalid`] for a plan that cannot be carried out.
    pub(super) fn of(plan: Option<&StreamPlan>, pool: &Pool) -> Result<Self, Invalid> {
        let mut order = Self {
            permitted: pool.all(),
            tiers: vec![pool.all()],
            ring: ring(pool, |_| 1),
        };
        let Some(wanted) = plan else {
            return Ok(order);
        };
        let plan = Plan::new(wanted, pool)?;
        order.permitted = plan.permitted();
        if !wanted.tiers().is_empty() {
            order.tiers = plan.tiers().to_vec();
            order.ring = ring(pool, |place| {
                (plan.weight(place) * PARTS_MAX).div_ceil(TARGET_WEIGHT_MAX)
            });
        }
        Ok(order)
    }

    /// Of those that are `able`, the best for `key`.
    pub(super) fn best(&self, key: &str, able: TargetSet) -> Option<TargetIndex> {
        let of_tier = |tier: &TargetSet| {
            let able = able.and(*tier);
            self.ring.pick(key.as_bytes(), |_| 0, |place| able.has_place(place))
        };
        self.tiers.iter().find_map(of_tier).and_then(TargetIndex::new)
    }
}

fn ring(pool: &Pool, parts: impl Fn(usize) -> u32) -> Ring {
    let members = pool.targets().iter().enumerate().map(|(place, target)| Member {
        name: target.name.as_str(),
        weight: parts(place),
        points: parts(place) * POINTS,
    });
    Ring::new(&members.collect::<Vec<_>>(), f64::INFINITY)
}

#[cfg(test)]
mod tests {
    use wayside_decide::{
        name::Name,
        stream::plan::{PlanSpec, StreamPlan},
    };
    use wayside_stream::select::{
        set::TargetIndex,
        target::{Pool, TargetSpec},
    };

    use super::Order;

    fn name(text: &str) -> Name {
        Name::parse("name", text).expect("a name")
    }

    fn pool() -> Pool {
        let target = |called| TargetSpec::new(name(called), name("eu"));
        Pool::new(["a", "b", "c"].map(target).into()).expect("a pool")
    }

    /// How often each target comes first for a thousand recorders.
    fn firsts(order: &Order, pool: &Pool, without: &[usize]) -> [u32; 3] {
        let mut able = pool.all();
        for place in without {
            able.set(TargetIndex::new(*place).expect("a place"), false);
        }
        let mut firsts = [0; 3];
        for key in 0..1_000 {
            let best = order.best(&format!("1/show{key}"), able).expect("one is able");
            firsts[best.place()] += 1;
        }
        firsts
    }

    #[test]
    fn a_plan_says_who_comes_first_and_how_often() {
        let pool = pool();
        let all = Order::of(None, &pool).expect("an order");
        assert!(firsts(&all, &pool, &[]).iter().all(|count| (200..470).contains(count)));
        let share = |target: &str, weight| (target.to_owned(), weight);
        let plan = StreamPlan::new(PlanSpec {
            tiers: vec![vec![share("c", 1.0)], vec![share("a", 4.0), share("b", 1.0)]],
            ..PlanSpec::default()
        });
        let planned = Order::of(Some(&plan.expect("a plan")), &pool).expect("an order");
        assert_eq!(firsts(&planned, &pool, &[]), [0, 0, 1_000], "the first tier");
        let [a, b, c] = firsts(&planned, &pool, &[2]);
        assert!(
            (650..920).contains(&a) && a + b == 1_000 && c == 0,
            "the second, by weights: {a}, {b}"
        );
        let plan = StreamPlan::new(PlanSpec {
            deny: vec!["a".to_owned()],
            ..PlanSpec::default()
        });
        let denied = Order::of(Some(&plan.expect("a plan")), &pool).expect("an order");
        assert_eq!(denied.permitted.len(), 2);
        assert_eq!(firsts(&denied, &pool, &[0])[0], 0);
    }
}
