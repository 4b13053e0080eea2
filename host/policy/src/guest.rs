//! A guest: a compiled component that decides.
//!
//! In: a recorder. Out: a checked decision or a failure, and what the guest wrote to its log. Each run has a fresh
//! instance, so that nothing of one request is there at the next.

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use wasmtime::{
    PoolConcurrencyLimitError, Store, Trap, UpdateDeadline,
    component::{Component, InstancePre},
};
use wayside_decide::{
    decision::{Decider, Decision, Failure},
    digest::Digest,
    invalid::Invalid,
    trace::Recorder,
};

use crate::{
    bindings::{StreamPolicyPre, redirect::RedirectPolicyPre},
    conv,
    engine::Engine,
    limits::{Class, HOSTCALL_BYTES_MAX, PATIENCE, SLOW, SLOW_AGAIN, SLOW_FOR, STACK_BYTES_MAX, TRIALS_MAX},
    note::Note,
    sandbox::{HostMemory, Sandbox},
    world::World,
};

/// A compiled policy. Made by [`Admission`](crate::admission::Admission) only, which checks it first.
pub struct Guest {
    engine: Engine,
    program: Program,
    digest: Digest,
    class: Class,
    made: Instant,
    slowness: Slowness,
}

/// A compiled component by what it implements.
enum Program {
    Redirect(RedirectPolicyPre<Sandbox>),
    Stream(StreamPolicyPre<Sandbox>),
}

impl Program {
    fn link(engine: &Engine, compiled: &Component) -> wasmtime::Result<Self> {
        let is_stream = compiled.get_export_index(None, World::Stream.export()).is_some();
        let instance: InstancePre<Sandbox> = engine.linker().instantiate_pre(compiled)?;
        Ok(match is_stream {
            true => Self::Stream(StreamPolicyPre::new(instance)?),
            false => Self::Redirect(RedirectPolicyPre::new(instance)?),
        })
    }

    /// The decision of a fresh instance. The outer error is wasmtime's.
    fn run(&self, store: &mut Store<Sandbox>) -> wasmtime::Result<Result<Decision, Invalid>> {
        Ok(match self {
            Self::Redirect(program) => conv::decision(&program.instantiate(&mut *store)?.call_decide(store)?),
            Self::Stream(program) => conv::stream_decision(program.instantiate(&mut *store)?.call_plan(store)?),
        })
    }
}

/// What came of one run.
pub struct Run {
    /// The decision, or why there is none.
    pub result: Result<Decision, Failure>,
    /// The recorder the guest asked through; its trace holds everything the result depends on.
    pub recorder: Recorder,
    /// What the guest wrote to its log.
    pub log: Vec<Note>,
    /// What the run took.
    pub cost: Cost,
}

/// What a run took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Processor time, the sandbox's making and its end included.
    pub cpu: Duration,
    /// The most memory it had, in bytes.
    pub memory_bytes: u64,
    /// The WebAssembly instructions it executed, which are the same for the same answers on every machine. None on an
    /// engine that does not count them.
    pub fuel: Option<u64>,
}

impl Guest {
    /// Links what was compiled of the component `digest`, which has the length of `class`. The error is wasmtime's.
    pub(crate) fn link(engine: &Engine, compiled: &Component, digest: Digest, class: Class) -> wasmtime::Result<Self> {
        // Here rather than at the first run, whose deadline an image of 9 MB would take the better part of.
        compiled.initialize_copy_on_write_image()?;
        Ok(Self {
            engine: engine.clone(),
            program: Program::link(engine, compiled)?,
            digest,
            class,
            made: Instant::now(),
            slowness: Slowness::default(),
        })
    }

    /// The digest of the component.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Which limits hold for it.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.class
    }

    /// Whether one of its last runs took longer than a policy should: see [`SLOW`].
    pub(crate) fn is_slow(&self) -> bool {
        self.slowness.is_slow_at(self.made.elapsed())
    }

    /// Runs the guest once, on this thread, for at most the engine's deadline of processor time.
    #[must_use]
    pub fn run(&self, recorder: Recorder) -> Run {
        let deadline = Deadline::begin(self.engine.deadline());
        let mut store = Store::new(self.engine.wasmtime(), Sandbox::new(recorder, self.class));
        store.limiter(|sandbox| &mut sandbox.limiter);
        store.set_hostcall_fuel(HOSTCALL_BYTES_MAX);
        if self.engine.counts_fuel() {
            // Only an engine that counts none refuses it.
            let _ = store.set_fuel(u64::MAX);
        }
        let running = self.engine.begin_run();
        store.set_epoch_deadline(self.engine.deadline_ticks());
        store.epoch_deadline_callback(move |_| Ok(deadline.judge()));
        let outcome = self.program.run(&mut store);
        drop(running);
        let left = self.engine.counts_fuel().then(|| store.get_fuel().ok());
        let sandbox = store.into_data();
        let cost = Cost {
            cpu: deadline.used(),
            memory_bytes: sandbox.limiter.memory_peak_bytes as u64,
            fuel: left.flatten().map(|left| u64::MAX - left),
        };
        let result = match outcome {
            Ok(decision) => decision.map_err(Failure::InvalidDecision),
            Err(error) => Err(self.failure(&error, &sandbox, cost.cpu)),
        };
        let is_over = result.as_ref().err().is_none_or(Failure::is_deterministic);
        self.slowness.note(cost.cpu, is_over, self.made.elapsed());
        Run {
            result,
            recorder: sandbox.recorder,
            log: sandbox.notes.into_inner(),
            cost,
        }
    }

    /// Runs the guest, and again when it was cut off: a busy machine is no fault of the policy's, and its first run
    /// fetches what later ones find.
    pub(crate) fn trial(&self, recorder: &Recorder) -> Run {
        let mut run = self.run(recorder.clone());
        for _ in 1..TRIALS_MAX {
            if run.result.as_ref().err().is_none_or(Failure::is_deterministic) {
                break;
            }
            run = self.run(recorder.clone());
        }
        run
    }

    /// What an error of wasmtime's means for the policy, after a run that had so much processor time.
    fn failure(&self, error: &wasmtime::Error, sandbox: &Sandbox, cpu: Duration) -> Failure {
        if let Some(failure) = error.downcast_ref::<Failure>() {
            return failure.clone();
        }
        if let Some(error) = error.downcast_ref::<HostMemory>() {
            return Failure::Unavailable(error.to_string());
        }
        if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
            return Failure::Unavailable("every sandbox of this node is in use".to_owned());
        }
        let reason = match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) if cpu < self.engine.deadline() => {
                return Failure::Unavailable("the node was too busy to give it its time".to_owned());
            }
            Some(Trap::Interrupt) => {
                let deadline_ms = u64::try_from(self.engine.deadline().as_millis()).unwrap_or(u64::MAX);
                return Failure::DeadlineExceeded { deadline_ms };
            }
            Some(Trap::StackOverflow) => format!("it used more than {} kB of stack", STACK_BYTES_MAX / 1024),
            Some(Trap::UnreachableCodeReached) => match sandbox.notes.last_error() {
                Some(message) => one_line(message),
                None => "it panicked or gave up".to_owned(),
            },
            Some(Trap::MemoryOutOfBounds) => {
                // A Rust guest keeps its larger values on a stack inside its memory.
                "it went out of the bounds of its memory, as endless recursion does too".to_owned()
            }
            Some(trap) => trap.to_string(),
            None => error.root_cause().to_string(),
        };
        Failure::Trapped(match sandbox.limiter.was_refused_memory {
            true => format!(
                "{reason} (it was refused memory past {} MiB)",
                self.class.memory_bytes_max() >> 20
            ),
            false => reason,
        })
    }
}

/// Whether a guest counts as slow. Instants are in milliseconds since it was made.
#[derive(Debug, Default)]
struct Slowness {
    /// Whether its last run took long: it may have been its first, for which much has to be fetched.
    was_last: AtomicBool,
    /// When the last run that took long ended; 0 before.
    last_ms: AtomicU64,
    /// Until when it is slow whatever its runs take.
    until_ms: AtomicU64,
}

impl Slowness {
    /// What a run took, and whether it shows what the guest needs: one that was cut off before it had its time does not.
    /// One that takes long again soon makes the guest slow for many times as long: its slow runs have no more than a small
    /// share of the threads for quick ones, also when others come between.
    fn note(&self, cpu: Duration, is_over: bool, since_made: Duration) {
        if cpu <= SLOW {
            if is_over {
                self.was_last.store(false, Ordering::Relaxed);
            }
            return;
        }
        let ms = |instant: Duration| u64::try_from(instant.as_millis()).unwrap_or(u64::MAX).max(1);
        self.was_last.store(true, Ordering::Relaxed);
        let before_ms = self.last_ms.swap(ms(since_made), Ordering::Relaxed);
        if before_ms > 0 && since_made.saturating_sub(Duration::from_millis(before_ms)) < SLOW_AGAIN {
            let until_ms = ms(since_made + cpu.saturating_mul(SLOW_FOR));
            self.until_ms.fetch_max(until_ms, Ordering::Relaxed);
        }
    }

    fn is_slow_at(&self, since_made: Duration) -> bool {
        self.was_last.load(Ordering::Relaxed)
            || since_made < Duration::from_millis(self.until_ms.load(Ordering::Relaxed))
    }
}

/// When a run is cut off. It is given processor time, whatever else the machine does: one that had to wait for the
/// processor has not misbehaved. But nobody waits for it for ever.
#[derive(Debug, Clone, Copy)]
struct Deadline {
    limit: Duration,
    begun_cpu: Duration,
    begun: Instant,
}

impl Deadline {
    /// Begins to count for this thread.
    fn begin(limit: Duration) -> Self {
        Self {
            limit,
            begun_cpu: cpu_time(),
            begun: Instant::now(),
        }
    }

    /// The processor time since then.
    fn used(&self) -> Duration {
        cpu_time().saturating_sub(self.begun_cpu)
    }

    /// Whether the run, whose ticks have passed, goes on.
    fn judge(&self) -> UpdateDeadline {
        if self.used() >= self.limit || self.begun.elapsed() >= self.limit.saturating_mul(PATIENCE) {
            UpdateDeadline::Interrupt
        } else {
            UpdateDeadline::Continue(1)
        }
    }
}

/// The processor time this thread has had.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// A guest's text, fit for a log: it may hold anything.
fn one_line(text: &str) -> String {
    let is_unfit = |character: char| character.is_control();
    text.replace(is_unfit, " ")
}

impl fmt::Debug for Guest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Guest({})", self.digest)
    }
}

impl Decider for Guest {
    fn decide(&self, recorder: &mut Recorder) -> Result<Decision, Failure> {
        let run = self.run(recorder.clone());
        *recorder = run.recorder;
        run.result
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{SLOW_FOR, Slowness};

    #[test]
    fn quick_runs_make_no_slow_guest_quick_but_time_does() {
        let ms = Duration::from_millis;
        let slowness = Slowness::default();
        slowness.note(ms(1), true, ms(5));
        assert!(!slowness.is_slow_at(ms(5)));
        // Once is no habit: a quick run makes it good, but none that was not over.
        slowness.note(ms(10), true, ms(100));
        slowness.note(ms(1), false, ms(101));
        assert!(slowness.is_slow_at(ms(101)));
        slowness.note(ms(1), true, ms(102));
        assert!(!slowness.is_slow_at(ms(102)));
        slowness.note(ms(10), true, ms(200));
        slowness.note(ms(1), true, ms(201));
        let over = ms(200 + u64::from(10 * SLOW_FOR));
        assert!(slowness.is_slow_at(ms(201)) && slowness.is_slow_at(over - ms(1)));
        assert!(!slowness.is_slow_at(over));
    }
}
