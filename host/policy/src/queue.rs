//! Who is next: a queue for each tenant, and turns between them.
//!
//! In: jobs of tenants. Out: one job at a time for whoever works, never more of one tenant at once than its share. It
//! must not know what a job is.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use wayside_decide::name::Name;

/// Jobs of many tenants, served in turn.
pub(crate) struct Queue<J> {
    state: Mutex<State<J>>,
    changed: Condvar,
    share: usize,
    tenant_max: usize,
    total_max: usize,
}

struct State<J> {
    tenants: HashMap<Name, Tenant<J>>,
    /// The tenants with waiting jobs, the one whose turn it is first.
    turns: VecDeque<Name>,
    waiting: usize,
    is_closed: bool,
}

struct Tenant<J> {
    jobs: VecDeque<J>,
    running: usize,
}

/// The queue takes no more; here is the job again.
pub(crate) struct Full<J>(pub(crate) J);

/// A job whose turn it is. [`Queue::finished`] must follow.
pub(crate) struct Turn<J> {
    pub(crate) tenant: Name,
    pub(crate) job: J,
}

impl<J> Queue<J> {
    pub(crate) fn new(share: usize, tenant_max: usize, total_max: usize) -> Self {
        Self {
            state: Mutex::new(State {
                tenants: HashMap::new(),
                turns: VecDeque::new(),
                waiting: 0,
                is_closed: false,
            }),
            changed: Condvar::new(),
            share,
            tenant_max,
            total_max,
        }
    }

    /// Puts a job at the end of its tenant's queue.
    pub(crate) fn push(&self, tenant: &Name, job: J) -> Result<(), Full<J>> {
        let mut state = self.lock();
        let waiting = state.tenants.get(tenant).map_or(0, |tenant| tenant.jobs.len());
        if state.is_closed || waiting >= self.tenant_max || state.waiting >= self.total_max {
            return Err(Full(job));
        }
        if waiting == 0 {
            state.turns.push_back(tenant.clone());
        }
        let queue = state.tenants.entry(tenant.clone()).or_insert_with(|| Tenant {
            jobs: VecDeque::new(),
            running: 0,
        });
        queue.jobs.push_back(job);
        state.waiting += 1;
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for a job; none when the queue is closed. Jobs that wait then are dropped.
    pub(crate) fn next(&self) -> Option<Turn<J>> {
        let mut state = self.lock();
        loop {
            if state.is_closed {
                return None;
            }
            if let Some(turn) = state.take(self.share) {
                return Some(turn);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Jobs that wait, of all tenants.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting
    }

    /// Gives back a tenant's share after its job. Wakes nobody: the worker that calls this asks for the next job
    /// itself, and there is at most one more that can begin.
    pub(crate) fn finished(&self, name: &Name) {
        let mut state = self.lock();
        if let Some(tenant) = state.tenants.get_mut(name) {
            tenant.running = tenant.running.saturating_sub(1);
            if tenant.running == 0 && tenant.jobs.is_empty() {
                state.tenants.remove(name);
            }
        }
    }

    /// Wakes everybody who waits, for the last time, and drops what waits.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        let dropped = std::mem::take(&mut state.tenants);
        state.turns.clear();
        state.waiting = 0;
        drop(state);
        drop(dropped);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        // Nothing between two statements here can panic and leave half a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J> State<J> {
    /// The first job of the first tenant that has some of its share left; the tenant goes to the end of the line.
    fn take(&mut self, share: usize) -> Option<Turn<J>> {
        let is_free = |name: &Name| self.tenants.get(name).is_some_and(|tenant| tenant.running < share);
        let place = self.turns.iter().position(is_free)?;
        let name = self.turns.remove(place)?;
        let tenant = self.tenants.get_mut(&name)?;
        let job = tenant.jobs.pop_front()?;
        tenant.running += 1;
        self.waiting = self.waiting.saturating_sub(1);
        if !tenant.jobs.is_empty() {
            self.turns.push_back(name.clone());
        }
        Some(Turn { tenant: name, job })
    }
}

#[cfg(test)]
mod tests {
    use wayside_decide::name::Name;

    use super::{Full, Queue};

    fn name(text: &str) -> Name {
        Name::parse("tenant", text).expect("name")
    }

    /// Pushes `a3` for tenant `a`.
    fn push(queue: &Queue<&'static str>, job: &'static str) -> bool {
        queue.push(&name(&job[..1]), job).is_ok()
    }

    fn next(queue: &Queue<&'static str>) -> &'static str {
        let mut state = queue.lock();
        state.take(queue.share).map_or("none", |turn| turn.job)
    }

    #[test]
    fn tenants_take_turns() {
        let queue = Queue::new(10, 10, 100);
        for job in ["a1", "a2", "a3", "b1", "c1", "b2"] {
            assert!(push(&queue, job));
        }
        let order: Vec<_> = (0..7).map(|_| next(&queue)).collect();
        assert_eq!(order, ["a1", "b1", "c1", "a2", "b2", "a3", "none"]);
    }

    #[test]
    fn a_tenant_runs_no_more_than_its_share_at_once() {
        let queue = Queue::new(1, 10, 100);
        for job in ["a1", "a2", "b1"] {
            assert!(push(&queue, job));
        }
        assert_eq!([next(&queue), next(&queue), next(&queue)], ["a1", "b1", "none"]);
        queue.finished(&name("a"));
        assert_eq!(next(&queue), "a2");
    }

    #[test]
    fn a_queue_has_an_end_for_each_tenant_and_for_all() {
        let queue = Queue::new(1, 2, 3);
        assert!(push(&queue, "a1") && push(&queue, "a2") && !push(&queue, "a3"));
        assert!(push(&queue, "b1") && !push(&queue, "c1"));
        assert_eq!(next(&queue), "a1");
        assert!(push(&queue, "a3"));
    }

    #[test]
    fn what_is_done_is_forgotten() {
        let queue = Queue::new(1, 2, 3);
        assert!(push(&queue, "a1"));
        assert_eq!(next(&queue), "a1");
        queue.finished(&name("a"));
        assert!(queue.lock().tenants.is_empty() && queue.lock().turns.is_empty());
    }

    #[test]
    fn a_closed_queue_gives_and_takes_nothing() {
        let queue = Queue::new(1, 2, 3);
        assert!(push(&queue, "a1"));
        queue.close();
        assert!(queue.next().is_none());
        assert!(matches!(queue.push(&name("a"), "a2"), Err(Full("a2"))));
    }
}
