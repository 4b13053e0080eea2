//! All that this node remembers of its policies' decisions, within one bound.
//!
//! In: what bindings remember, each for its tenant. Out: when all together take more than the node has for it, whoever has
//! most gives up what it uses least, until there is some room again. No tenant that has less than another gives anything
//! up, however many bindings the other has. It must not know what is decided.

use std::{
    collections::{BinaryHeap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use wayside_decide::{name::Name, tree::meter::Meter};

use crate::remembered::Remembered;

/// Which part of that is free afterwards when something had to go.
const SHARE_FREED: usize = 32;

/// What the bindings of a node remember.
#[derive(Debug)]
pub(crate) struct Memories {
    meter: Meter,
    bytes_max: usize,
    kept: Mutex<Vec<Kept>>,
}

#[derive(Debug)]
struct Kept {
    tenant: Name,
    remembered: Weak<Remembered>,
}

impl Memories {
    /// All bindings together may remember so many bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            meter: Meter::default(),
            bytes_max,
            kept: Mutex::default(),
        }
    }

    /// For a binding of `tenant`, of which nothing is remembered yet.
    pub(crate) fn begin(&self, tenant: &Name) -> Arc<Remembered> {
        let remembered = Arc::new(Remembered::new(&self.meter));
        let mut kept = self.lock();
        // Whenever it would grow: so that those which are no more are swept out now and then.
        if kept.len() == kept.capacity() {
            kept.retain(|kept| kept.remembered.strong_count() > 0);
        }
        kept.push(Kept {
            tenant: tenant.clone(),
            remembered: Arc::downgrade(&remembered),
        });
        remembered
    }

    /// What all take, in bytes, by estimate.
    pub(crate) fn bytes(&self) -> usize {
        self.meter.bytes()
    }

    /// Keeps what all take within the bound. To be called after something was added; nearly always one comparison.
    pub(crate) fn keep_within(&self) {
        if self.meter.bytes() > self.bytes_max {
            self.make_room();
        }
    }

    #[cold]
    fn make_room(&self) {
        // One at a time: who comes meanwhile has added little, and looks again with what it adds next.
        let Ok(kept) = self.kept.try_lock() else {
            return;
        };
        let goal = self.bytes_max - self.bytes_max / SHARE_FREED;
        let living: Vec<(&Name, Arc<Remembered>)> = kept
            .iter()
            .filter_map(|kept| Some((&kept.tenant, kept.remembered.upgrade()?)))
            .collect();
        let mut tenants = by_tenant(&living);
        let mut largest: BinaryHeap<(usize, &Name)> = tenants
            .iter()
            .map(|(name, bindings)| (bindings.iter().map(|(bytes, _)| bytes).sum(), *name))
            .collect();
        while self.meter.bytes() > goal
            && let Some((total, name)) = largest.pop()
        {
            let bindings = tenants.entry(name).or_default();
            let Some((bytes, at)) = bindings.pop() else {
                continue;
            };
            let remembered = &living[at].1;
            remembered.shrink();
            let left = remembered.bytes();
            if left < bytes {
                bindings.push((left, at));
            }
            largest.push((total.saturating_sub(bytes) + left, name));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Kept>> {
        // What is behind this lock is whole between any two statements.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bindings of each tenant, as what they take and their place in `living`; the largest is on top.
fn by_tenant<'k>(living: &[(&'k Name, Arc<Remembered>)]) -> HashMap<&'k Name, BinaryHeap<(usize, usize)>> {
    let mut tenants: HashMap<&Name, BinaryHeap<_>> = HashMap::new();
    for (at, (name, remembered)) in living.iter().enumerate() {
        tenants.entry(name).or_default().push((remembered.bytes(), at));
    }
    tenants
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wayside_decide::{
        decision::{Decision, Failure},
        facts::Facts,
        name::Name,
        question::{Answer, Question},
        trace::Recorder,
    };

    use super::Memories;
    use crate::remembered::Remembered;

    /// A visitor of this number, who is told something long.
    struct Visitor(u64);

    impl Facts for Visitor {
        fn answer(&self, _: &Question) -> Answer {
            Answer::Number(self.0)
        }

        fn now_s(&self) -> u64 {
            0
        }
    }

    fn decide(memories: &Memories, remembered: &Remembered, visitor: u64) {
        let mut recorder = Recorder::new(Arc::new(Visitor(visitor)));
        recorder.ask(Question::Asn).expect("an answer");
        let outcome: Result<Decision, Failure> = Err(Failure::Trapped(format!("{visitor}{}", "x".repeat(1_000))));
        remembered.memory.graft(recorder.trace(), outcome).expect("a leaf");
        memories.keep_within();
    }

    fn name(text: &str) -> Name {
        Name::parse("tenant", text).expect("a name")
    }

    #[test]
    fn who_has_most_gives_up_and_who_has_little_keeps_it() {
        const BYTES_MAX: usize = 1 << 20;
        let memories = Memories::new(BYTES_MAX);
        let small = memories.begin(&name("small"));
        (0..100).for_each(|visitor| decide(&memories, &small, visitor));
        let before = small.bytes();
        // Many bindings are no way to more.
        let greedy: Vec<_> = (0..50).map(|_| memories.begin(&name("greedy"))).collect();
        for visitor in 0..5_000 {
            let binding = &greedy[usize::try_from(visitor % 50).expect("small")];
            decide(&memories, binding, visitor);
            assert!(memories.bytes() <= BYTES_MAX, "{} after {visitor}", memories.bytes());
        }
        assert_eq!(small.bytes(), before);
        let sum: usize = greedy.iter().map(|binding| binding.bytes()).sum();
        assert!(
            sum + before == memories.bytes() && sum > BYTES_MAX / 2,
            "{sum} of {BYTES_MAX}"
        );
        // What is gone takes nothing.
        drop(greedy);
        assert_eq!(memories.bytes(), before);
        assert!(memories.lock().capacity() < 200);
    }
}
