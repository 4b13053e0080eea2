//! What chooses for a tenant, by balancer and by the plan of a policy.
//!
//! In: plans, as policies return them. Out: for each a selector, whose turns go on from request to request. It must not know
//! which targets have a copy of what is asked for: that shapes no selector.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;
use wayside_decide::{
    invalid::Invalid,
    stream::{asset::Balancer, plan::StreamPlan},
};
use wayside_stream::select::{Selector, plan::Plan, target::Pool};

/// Plans of which selectors are kept for a tenant. They can be made again; only turns begin anew.
const PLANS_MAX: usize = 1_024;
/// What those take at most, in bytes: a policy may give each visitor other weights, and hashing has a ring for each.
const PLANS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What one takes of which the plan cannot be carried out.
const REFUSED_BYTES: usize = 512;

/// A selector, or what is wrong with the plan.
pub(super) type Made = Result<Selector, Invalid>;

/// What a selector is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selection<'a> {
    pub(super) plan: Option<&'a Arc<StreamPlan>>,
    pub(super) balancer: Balancer,
}

/// The selectors of a tenant.
#[derive(Debug, Default)]
pub(super) struct Selectors {
    /// Without a plan, by balancer.
    plain: [Option<Made>; Balancer::ALL.len()],
    /// A tenant's assets rarely have many balancers.
    planned: HashMap<Arc<StreamPlan>, Vec<(Balancer, Made)>, RandomState>,
    planned_bytes: usize,
}

impl Selection<'_> {
    /// Makes the selector. The ring of one that hashes takes milliseconds.
    pub(super) fn make(self, pool: &Pool) -> Made {
        let plan = match self.plan {
            Some(plan) => Plan::new(plan, pool)?,
            None => Plan::of_all(pool),
        };
        Ok(Selector::new(pool, plan, self.balancer))
    }
}

impl Selectors {
    /// The selector, when it was made.
    pub(super) fn get(&mut self, selection: Selection<'_>) -> Option<&mut Made> {
        let Some(plan) = selection.plan else {
            return self.plain[selection.balancer as usize].as_mut();
        };
        let of_plan = self.planned.get_mut(&**plan)?.iter_mut();
        let mut of_balancer = of_plan.filter(|(balancer, _)| *balancer == selection.balancer);
        of_balancer.next().map(|(_, made)| made)
    }

    /// Takes a selector, unless there is one by now. Whether there was none.
    pub(super) fn insert(&mut self, selection: Selection<'_>, made: Made) -> bool {
        if self.get(selection).is_some() {
            return false;
        }
        let Some(plan) = selection.plan else {
            self.plain[selection.balancer as usize] = Some(made);
            return true;
        };
        let bytes = plan.heap_bytes() + made.as_ref().map_or(REFUSED_BYTES, Selector::weight);
        if self.planned.len() >= PLANS_MAX || self.planned_bytes + bytes > PLANS_BYTES_MAX {
            self.planned.clear();
            self.planned_bytes = 0;
        }
        self.planned_bytes += bytes;
        let of_plan = self.planned.entry(Arc::clone(plan)).or_default();
        of_plan.push((selection.balancer, made));
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wayside_decide::{
        name::Name,
        stream::{
            asset::Balancer,
            plan::{PlanSpec, StreamPlan},
        },
    };
    use wayside_stream::select::target::{Pool, TargetSpec};

    use super::{PLANS_BYTES_MAX, Selection, Selectors};

    fn pool() -> Pool {
        let name = |text| Name::parse("name", text).expect("a name");
        let spec = |called| TargetSpec::new(name(called), name("r"));
        Pool::new(["a", "b"].map(spec).into()).expect("a pool")
    }

    fn plan(weights: [f64; 2]) -> Arc<StreamPlan> {
        let [a, b] = weights;
        let spec = PlanSpec {
            tiers: vec![vec![("a".to_owned(), a), ("b".to_owned(), b)]],
            ..PlanSpec::default()
        };
        Arc::new(StreamPlan::new(spec).expect("a plan"))
    }

    #[test]
    fn each_plan_and_balancer_has_its_own_and_equal_plans_share_one() {
        let (pool, mut selectors) = (pool(), Selectors::default());
        let (one, alike, other) = (plan([1.0, 2.0]), plan([1.0, 2.0]), plan([2.0, 1.0]));
        for (plan, is_new) in [
            (None, true),
            (None, false),
            (Some(&one), true),
            (Some(&alike), false),
            (Some(&other), true),
        ] {
            for balancer in Balancer::ALL {
                let selection = Selection { plan, balancer };
                assert_eq!(selectors.get(selection).is_none(), is_new, "{balancer:?}");
                assert_eq!(selectors.insert(selection, selection.make(&pool)), is_new);
                assert!(selectors.get(selection).is_some());
            }
        }
    }

    #[test]
    fn plans_without_number_take_only_so_much() {
        let (pool, mut selectors) = (pool(), Selectors::default());
        for weight in 0..200 {
            let plan = plan([1_000.0 + f64::from(weight), 7.0]);
            let selection = Selection {
                plan: Some(&plan),
                balancer: Balancer::ConsistentHash,
            };
            assert!(selectors.insert(selection, selection.make(&pool)));
            assert!(selectors.get(selection).is_some());
            assert!(selectors.planned_bytes <= PLANS_BYTES_MAX);
        }
        assert!(selectors.planned.len() < 200, "some had to go");
    }
}
