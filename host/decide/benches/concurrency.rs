//! How threads might share what a binding remembers, measured: prints a table in Markdown.
//!
//! Four ways, each with the real tree behind it: one tree that a graft replaces (`arc-swap`, as it is), one behind a
//! read-write lock, some behind a lock each of which every thread has its own (sharded), and one tree a thread. Three
//! kinds of traffic: everybody to one leaf, to 250 leaves, and to these with a new path now and then.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench prints, and reads what the system counts"
)]

use std::{
    collections::BTreeMap,
    hint::black_box,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use wayside_decide::{
    decision::Decision,
    facts::Facts,
    question::{Answer, Question},
    trace::{Recorder, Trace},
    tree::{Decided, Tree, TreeLimits, Walk, memory::Memory},
};

/// How long each cell of the table is measured at a time, and how often; it shows the median.
const TIME: Duration = Duration::from_millis(100);
const TIMES: usize = 5;
const THREADS: [usize; 3] = [1, 2, 4];
const LEAVES: u64 = 250;
const DEPTH: u32 = 3;
/// One walk in so many comes with answers that nobody had.
const NEW_PATH_EVERY: u64 = 2_000;
const SHARDS: usize = 2;
/// All paths fit, so that every walk finds a leaf.
const LIMITS: TreeLimits = TreeLimits {
    leaves_max: usize::MAX,
    bytes_max: usize::MAX,
    answers_max: usize::MAX,
    answers_kept: usize::MAX,
};

/// A visitor who answers every question with the same text.
struct Visitor(BTreeMap<u32, Answer>);

impl Visitor {
    fn new(number: u64) -> Self {
        Self(
            (0..DEPTH)
                .map(|level| (level, Answer::Text(format!("{level}-{number}").into())))
                .collect(),
        )
    }
}

impl Facts for Visitor {
    fn answer(&self, question: &Question) -> Answer {
        match question {
            Question::Segment(index) => self.0.get(index).cloned().unwrap_or(Answer::Absent),
            _ => Answer::Absent,
        }
    }

    fn now_s(&self) -> u64 {
        0
    }
}

fn trace(number: u64) -> Trace {
    let mut recorder = Recorder::new(Arc::new(Visitor::new(number)));
    for index in 0..DEPTH {
        let _ = recorder.ask(Question::Segment(index));
    }
    recorder.into_trace()
}

fn grafted(tree: &Tree, number: u64) -> Tree {
    let trace = trace(number);
    let decided = Arc::new(Decided::new(&trace, Ok(Decision::Proceed)));
    match tree.graft(&trace, decided, &LIMITS) {
        Ok((tree, _)) => tree,
        Err(contradiction) => unreachable!("{contradiction}"),
    }
}

fn first_tree() -> Tree {
    (0..LEAVES).fold(Tree::default(), |tree, number| grafted(&tree, number))
}

/// A way of sharing trees between threads.
trait Shared: Sync {
    fn walk(&self, thread: usize, visitor: &Visitor) -> Walk;
    fn graft(&self, thread: usize, number: u64);
}

/// One tree, replaced by a graft; walks take the current one without a lock.
impl Shared for Memory {
    fn walk(&self, _: usize, visitor: &Visitor) -> Walk {
        Self::walk(self, visitor)
    }

    fn graft(&self, _: usize, number: u64) {
        let _ = Self::graft(self, &trace(number), Ok(Decision::Proceed));
    }
}

/// One tree behind each lock; a thread always takes the same. One lock is the plain read-write lock.
struct Locked(Vec<RwLock<Tree>>);

impl Locked {
    fn new(locks: usize) -> Self {
        Self((0..locks).map(|_| RwLock::new(first_tree())).collect())
    }
}

impl Shared for Locked {
    fn walk(&self, thread: usize, visitor: &Visitor) -> Walk {
        let lock = &self.0[thread % self.0.len()];
        lock.read().unwrap_or_else(PoisonError::into_inner).walk(visitor)
    }

    fn graft(&self, thread: usize, number: u64) {
        let lock = &self.0[thread % self.0.len()];
        // Made aside, so that walks wait for the exchange only.
        let next = grafted(&lock.read().unwrap_or_else(PoisonError::into_inner).clone(), number);
        *lock.write().unwrap_or_else(PoisonError::into_inner) = next;
    }
}

/// A tree a thread. The lock is never waited for and stands for the cell a thread would have.
struct Own(Vec<Padded>);

/// On cache lines of its own.
#[repr(align(128))]
struct Padded(Mutex<Tree>);

impl Shared for Own {
    fn walk(&self, thread: usize, visitor: &Visitor) -> Walk {
        self.0[thread]
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .walk(visitor)
    }

    fn graft(&self, thread: usize, number: u64) {
        let mut tree = self.0[thread].0.lock().unwrap_or_else(PoisonError::into_inner);
        *tree = grafted(&tree, number);
    }
}

#[derive(Clone, Copy)]
enum Traffic {
    OneLeaf,
    ManyLeaves,
    WithNewPaths,
}

/// Nanoseconds of processor time for one walk, as a rule.
fn median(way: &str, threads: usize, traffic: Traffic) -> f64 {
    let mut took = [0.0; TIMES];
    took.fill_with(|| measure(&*shared(way, threads), threads, traffic));
    took.sort_by(f64::total_cmp);
    took[TIMES / 2]
}

/// Nanoseconds of processor time for one walk.
fn measure(shared: &dyn Shared, threads: usize, traffic: Traffic) -> f64 {
    let (is_over, walks, paths) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(LEAVES));
    let spent_ns = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (is_over, walks, paths, spent_ns) = (&is_over, &walks, &paths, &spent_ns);
            scope.spawn(move || {
                let leaves = if matches!(traffic, Traffic::OneLeaf) { 1 } else { LEAVES };
                let visitors: Vec<Visitor> = (0..leaves).map(Visitor::new).collect();
                let (mut done, began_ns) = (0_u64, on_processor_ns());
                while !is_over.load(Ordering::Relaxed) {
                    for visitor in &visitors {
                        let found = black_box(shared.walk(thread, visitor));
                        // What the pipeline does with it, but for keeping the few that are wanted.
                        black_box(matches!(&found, Walk::Found(hit) if hit.wanted.is_some()));
                        done += 1;
                        if matches!(traffic, Traffic::WithNewPaths) && done.is_multiple_of(NEW_PATH_EVERY) {
                            shared.graft(thread, paths.fetch_add(1, Ordering::Relaxed));
                        }
                    }
                }
                walks.fetch_add(done, Ordering::Relaxed);
                spent_ns.fetch_add(on_processor_ns() - began_ns, Ordering::Relaxed);
            });
        }
        std::thread::sleep(TIME);
        is_over.store(true, Ordering::Relaxed);
    });
    spent_ns.load(Ordering::Relaxed) as f64 / walks.load(Ordering::Relaxed).max(1) as f64
}

/// How long this thread has been on a processor: whatever else the machine does is not in it.
fn on_processor_ns() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

fn shared(way: &str, threads: usize) -> Box<dyn Shared> {
    match way {
        "arc-swap" => {
            let memory = Memory::new(LIMITS);
            (0..LEAVES).for_each(|number| Shared::graft(&memory, 0, number));
            Box::new(memory)
        }
        "read-write lock" => Box::new(Locked::new(1)),
        "sharded locks" => Box::new(Locked::new(SHARDS)),
        _ => Box::new(Own((0..threads).map(|_| Padded(Mutex::new(first_tree()))).collect())),
    }
}

fn main() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("Nanoseconds of processor time for a walk of {DEPTH} questions, on {cores} cores:\n");
    println!("| way | threads | one leaf | {LEAVES} leaves | with new paths |");
    println!("|---|---|---|---|---|");
    for way in ["arc-swap", "read-write lock", "sharded locks", "a tree a thread"] {
        for threads in THREADS {
            let took = [Traffic::OneLeaf, Traffic::ManyLeaves, Traffic::WithNewPaths]
                .map(|traffic| median(way, threads, traffic));
            println!(
                "| {way} | {threads} | {:.0} | {:.0} | {:.0} |",
                took[0], took[1], took[2]
            );
        }
    }
}
