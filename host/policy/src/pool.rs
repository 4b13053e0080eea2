//! Runs guests off the threads that serve requests, and no tenant at another's cost.
//!
//! In: a tenant, a guest and a recorder. Out: what came of the run, or that the tenant's share is used up. A fixed
//! number of threads takes turns between the tenants that wait; one tenant holds at most half of them at a time, and
//! waits in a queue of its own.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, time};
use wayside_decide::{
    decision::{Decision, Failure},
    name::Name,
    trace::Recorder,
};

use crate::{
    background,
    guest::{Cost, Guest, Run},
    note::Note,
    queue::{Full, Queue},
};

/// What can be chosen about a pool.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// Threads that run guests.
    pub workers: usize,
    /// Runs of one tenant that may wait.
    pub tenant_queue_max: usize,
    /// Runs of all tenants together that may wait.
    pub queue_max: usize,
    /// How long a run may wait to begin.
    pub wait_max: Duration,
}

impl Default for PoolOptions {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(2, usize::from);
        Self {
            // At least two, so that one tenant never holds them all.
            workers: cores.clamp(2, 8),
            tenant_queue_max: 64,
            queue_max: 4_096,
            wait_max: Duration::from_millis(50),
        }
    }
}

/// What came of asking for a run.
pub struct PolicyRun {
    /// The decision, or why there is none.
    pub result: Result<Decision, Failure>,
    /// The recorder that was handed in. Its trace holds what was asked, and it can go on asking: a redirect's template
    /// is filled in through it.
    pub recorder: Recorder,
    /// What the guest wrote to its log.
    pub log: Vec<Note>,
    /// How long the run waited to begin.
    pub waited: Duration,
    /// How long the guest ran; zero when it did not.
    pub took: Duration,
    /// What the run took; nothing when there was none.
    pub cost: Cost,
}

/// Threads that run guests. Dropping it finishes the runs in progress, refuses those that wait, and joins the threads.
pub struct Pool {
    quick: Arc<Queue<Job>>,
    /// For guests of which a run took long of late: their threads stop as soon as anybody else wants the processor. Others'
    /// threads do not, for that costs a run that is over in 20 µs as much again.
    slow: Arc<Queue<Job>>,
    workers: Vec<JoinHandle<()>>,
    wait_max: Duration,
    queue_max: usize,
}

/// A run that waits.
struct Job {
    guest: Arc<Guest>,
    /// Whoever takes it decides: a worker that the run begins, the waiting side that it was too late.
    recorder: Arc<Mutex<Option<Recorder>>>,
    done: oneshot::Sender<Finished>,
}

struct Finished {
    run: Run,
    began: Instant,
    took: Duration,
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the operating system does not give them.
    pub fn new(options: &PoolOptions) -> io::Result<Self> {
        let workers = options.workers.max(1);
        let queue = |workers: usize| {
            let share = (workers / 2).max(1);
            Arc::new(Queue::new(share, options.tenant_queue_max, options.queue_max))
        };
        let slow_workers = (workers / 2).max(1);
        let mut pool = Self {
            quick: queue(workers),
            slow: queue(slow_workers),
            workers: Vec::with_capacity(workers + slow_workers),
            wait_max: options.wait_max,
            queue_max: options.queue_max,
        };
        for number in 0..workers {
            let queue = Arc::clone(&pool.quick);
            let worker = thread::Builder::new().name(format!("policy-{number}"));
            // Should one fail, dropping the pool joins those before it.
            pool.workers.push(worker.spawn(move || work(&queue))?);
        }
        for number in 0..slow_workers {
            let queue = Arc::clone(&pool.slow);
            let worker = thread::Builder::new().name(format!("policy-slow-{number}"));
            pool.workers.push(worker.spawn(move || {
                if let Err(error) = background::step_back() {
                    tracing::warn!(%error, "slow policies run like everything else");
                }
                work(&queue);
            })?);
        }
        Ok(pool)
    }

    /// Runs that wait in the longer of the two queues, and how many may. One whose visitor has given up counts until its
    /// turn comes: until then it takes another's place.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        (self.quick.waiting().max(self.slow.waiting()), self.queue_max)
    }

    /// Runs a guest once for a tenant. Returns [`Failure::Overloaded`] when the tenant's queue is full or the run could
    /// not begin in time, without having run the guest. A caller that goes away takes its waiting run with it.
    ///
    /// Needs a tokio runtime with its timer.
    pub async fn run(&self, tenant: &Name, guest: Arc<Guest>, recorder: Recorder) -> PolicyRun {
        let asked = Instant::now();
        let recorder = Arc::new(Mutex::new(Some(recorder)));
        let mut waiting = Waiting(Arc::clone(&recorder));
        let (done, mut finished) = oneshot::channel();
        let queue = if guest.is_slow() { &self.slow } else { &self.quick };
        let job = Job { guest, recorder, done };
        match queue.push(tenant, job) {
            Ok(()) => {}
            Err(Full(job)) => {
                let recorder = take(&job.recorder);
                return refused(recorder.unwrap_or_else(nothing_known), Failure::Overloaded, asked);
            }
        }
        let outcome = match time::timeout(self.wait_max, &mut finished).await {
            Ok(outcome) => outcome,
            Err(_) => match waiting.take() {
                Some(recorder) => return refused(recorder, Failure::Overloaded, asked),
                // It has begun, and its own deadline ends it.
                None => finished.await,
            },
        };
        match outcome {
            Ok(Finished { run, began, took }) => PolicyRun {
                result: run.result,
                recorder: run.recorder,
                log: run.log,
                cost: run.cost,
                waited: began.saturating_duration_since(asked),
                took,
            },
            // The pool is shutting down.
            Err(_) => {
                let recorder = waiting.take().unwrap_or_else(nothing_known);
                refused(recorder, Failure::Unavailable("the node is stopping".to_owned()), asked)
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.quick.close();
        self.slow.close();
        for worker in self.workers.drain(..) {
            // Guests' panics are caught; there is nobody to tell of another.
            let _ = worker.join();
        }
    }
}

/// The waiting side's hold on a run that has not begun: letting go takes the run out.
struct Waiting(Arc<Mutex<Option<Recorder>>>);

impl Waiting {
    fn take(&mut self) -> Option<Recorder> {
        take(&self.0)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.take());
    }
}

fn take(recorder: &Mutex<Option<Recorder>>) -> Option<Recorder> {
    lock(recorder).take()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is whole between any two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stands in for a recorder that a run took with it.
fn nothing_known() -> Recorder {
    Recorder::new(Arc::new(crate::facts::NoFacts))
}

fn refused(recorder: Recorder, failure: Failure, asked: Instant) -> PolicyRun {
    PolicyRun {
        result: Err(failure),
        recorder,
        log: Vec::new(),
        cost: Cost::default(),
        waited: asked.elapsed(),
        took: Duration::ZERO,
    }
}

/// One worker's life.
fn work(queue: &Queue<Job>) {
    while let Some(turn) = queue.next() {
        let Job { guest, recorder, done } = turn.job;
        // Nothing there: the waiting side gave up.
        if let Some(recorder) = take(&recorder) {
            let began = Instant::now();
            let run = run_guarded(&guest, recorder);
            let took = began.elapsed();
            // The other side may be gone by now.
            let _ = done.send(Finished { run, began, took });
        }
        queue.finished(&turn.tenant);
    }
}

/// Runs a guest; a panic of the host's own code ends the run and not the worker.
fn run_guarded(guest: &Guest, recorder: Recorder) -> Run {
    let spare = recorder.clone();
    catch_unwind(AssertUnwindSafe(|| guest.run(recorder))).unwrap_or_else(|_| {
        tracing::error!(policy = %guest.digest(), "the host panicked while running a policy");
        Run {
            result: Err(Failure::Unavailable("the host failed while running it".to_owned())),
            recorder: spare,
            log: Vec::new(),
            cost: Cost::default(),
        }
    })
}
