//! Who compiles next: a compiler takes seconds and sometimes minutes, and no tenant's components keep another's waiting.
//!
//! In: who wants a turn. Out: a turn, when it is theirs. It must not know what is compiled.

use std::{
    collections::HashMap,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use wayside_decide::name::Name;

/// A tenant, or nobody's: what belongs to no tenant has one turn after another, too.
pub(crate) type Whose = Option<Name>;

/// Turns at something that only a few can do at a time.
#[derive(Debug)]
pub(crate) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// How many one tenant may have at a time.
    share: usize,
    /// Who waits, in the order they came.
    waiting: Vec<(u64, Whose)>,
    tenants: HashMap<Whose, Tenant>,
    /// Counts who came, and who was given a turn.
    count: u64,
}

#[derive(Debug, Default)]
struct Tenant {
    has: usize,
    /// When it was last given a turn.
    given: u64,
}

/// One turn; letting go gives it back.
pub(crate) struct Turn<'t> {
    turns: &'t Turns,
    whose: Whose,
}

impl Turns {
    /// `share` turns for each tenant, and one more for all together: one tenant never has them all.
    pub(crate) fn new(share: usize) -> Self {
        let share = share.max(1);
        Self {
            state: Mutex::new(State {
                free: share + 1,
                share,
                waiting: Vec::new(),
                tenants: HashMap::new(),
                count: 0,
            }),
            changed: Condvar::new(),
        }
    }

    /// Waits for a turn.
    pub(crate) fn take(&self, whose: Whose) -> Turn<'_> {
        let mut state = self.lock();
        state.count += 1;
        let ticket = state.count;
        state.waiting.push((ticket, whose.clone()));
        while state.next() != Some(ticket) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.give(ticket, &whose);
        drop(state);
        // The next may have one, too.
        self.changed.notify_all();
        Turn { turns: self, whose }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing between two statements here can panic and leave half a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whose turn it is: among those with the fewest, who has waited longest since the last; then who came first.
    fn next(&self) -> Option<u64> {
        if self.free == 0 {
            return None;
        }
        let ranks = self.waiting.iter().filter_map(|(ticket, whose)| {
            let tenant = self.tenants.get(whose);
            let (has, given) = tenant.map_or((0, 0), |tenant| (tenant.has, tenant.given));
            (has < self.share).then_some((has, given, *ticket))
        });
        ranks.min().map(|(_, _, ticket)| ticket)
    }

    fn give(&mut self, ticket: u64, whose: &Whose) {
        self.waiting.retain(|(waiting, _)| *waiting != ticket);
        self.free -= 1;
        self.count += 1;
        let given = self.count;
        let tenant = self.tenants.entry(whose.clone()).or_default();
        tenant.has += 1;
        tenant.given = given;
    }

    fn give_back(&mut self, whose: &Whose) {
        self.free += 1;
        if let Some(tenant) = self.tenants.get_mut(whose) {
            tenant.has -= 1;
        }
        // Nobody waits who could be kept waiting by what is remembered.
        if self.waiting.is_empty() {
            self.tenants.retain(|_, tenant| tenant.has > 0);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.lock().give_back(&self.whose);
        self.turns.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use wayside_decide::name::Name;

    use super::{State, Turns, Whose};

    fn whose(text: &str) -> Whose {
        Some(Name::parse("tenant", text).expect("a name"))
    }

    fn wait(state: &mut State, tenant: &str) {
        state.count += 1;
        let ticket = state.count;
        state.waiting.push((ticket, whose(tenant)));
    }

    /// Gives the next turn; whose it is.
    fn give(state: &mut State) -> Option<Whose> {
        let ticket = state.next()?;
        let at = state.waiting.iter().position(|(waiting, _)| *waiting == ticket)?;
        let whose = state.waiting[at].1.clone();
        state.give(ticket, &whose);
        Some(whose)
    }

    #[test]
    fn who_brings_a_hundred_keeps_nobody_waiting() {
        let turns = Turns::new(2);
        let mut state = turns.lock();
        (0..100).for_each(|_| wait(&mut state, "greedy"));
        assert_eq!(
            [give(&mut state), give(&mut state)],
            [Some(whose("greedy")), Some(whose("greedy"))]
        );
        assert_eq!(give(&mut state), None, "one is left for others");
        wait(&mut state, "small");
        assert_eq!(give(&mut state), Some(whose("small")));
        wait(&mut state, "other");
        wait(&mut state, "small");
        // Whatever comes free goes to who has least, and among these to who had one longest ago.
        state.give_back(&whose("small"));
        assert_eq!(give(&mut state), Some(whose("other")));
        state.give_back(&whose("greedy"));
        assert_eq!(give(&mut state), Some(whose("small")));
        state.give_back(&whose("greedy"));
        assert_eq!(give(&mut state), Some(whose("greedy")));
    }

    #[test]
    fn turns_are_given_back_and_waited_for() {
        let turns = Turns::new(1);
        let most = std::sync::Mutex::new((0, 0));
        std::thread::scope(|scope| {
            for number in 0..12 {
                let (turns, most) = (&turns, &most);
                scope.spawn(move || {
                    let _turn = turns.take(whose(["a", "b", "c"][number % 3]));
                    let mut counted = most.lock().expect("lock");
                    counted.0 += 1;
                    counted.1 = counted.1.max(counted.0);
                    drop(counted);
                    std::thread::yield_now();
                    most.lock().expect("lock").0 -= 1;
                });
            }
        });
        assert_eq!(most.lock().expect("lock").0, 0);
        assert!(most.lock().expect("lock").1 <= 2);
        assert!(turns.lock().tenants.is_empty() && turns.lock().free == 2);
    }
}
