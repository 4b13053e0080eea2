//! The WebAssembly engine: one for the whole process, configured for many short runs that must not differ.
//!
//! In: options. Out: what guests are compiled and run on. Every setting that matters to soundness or to a limit is
//! written down here, whatever wasmtime's default is.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle, Thread},
    time::Duration,
};

use wasmtime::{
    Config, Enabled, OptLevel, PoolingAllocationConfig, Strategy,
    component::{HasSelf, Linker},
};

use crate::{
    bindings::StreamPolicy,
    limits::{Class, DEADLINE, MODULES_MAX, STACK_BYTES_MAX, TICK},
    sandbox::Sandbox,
};

/// What can be chosen about an engine.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// How much processor time a run may take before it is cut off.
    pub deadline: Duration,
    /// How many guests can run at the same time. Each reserves address space, but memory only while it runs.
    pub sandboxes: u32,
    /// Whether runs count their instructions ([`Cost::fuel`](crate::guest::Cost::fuel)). For authors: such an engine
    /// compiles quickly to slow code, and runs nothing that was compiled for another.
    pub counts_fuel: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            deadline: DEADLINE,
            sandboxes: 32,
            counts_fuel: false,
        }
    }
}

/// The engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Wasmtime refuses this machine or could not reserve address space.
    #[error("start the WebAssembly engine: {0}")]
    Wasmtime(String),
    /// The thread that counts time could not be started.
    #[error("start the thread of the policies' deadlines: {0}")]
    Ticker(#[from] io::Error),
}

/// Compiles and runs guests. Cheap to clone; the last clone to go stops the engine's thread.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    wasmtime: wasmtime::Engine,
    linker: Linker<Sandbox>,
    ticker: Ticker,
    deadline: Duration,
    counts_fuel: bool,
}

impl Engine {
    /// Starts an engine.
    ///
    /// # Errors
    /// [`EngineError`] when the machine cannot run one.
    pub fn new(options: &EngineOptions) -> Result<Self, EngineError> {
        let failed = |error: wasmtime::Error| EngineError::Wasmtime(format!("{error:#}"));
        let mut config = config();
        config.allocation_strategy(pooling(options));
        if options.counts_fuel {
            config.consume_fuel(true).cranelift_opt_level(OptLevel::None);
        }
        let wasmtime = wasmtime::Engine::new(&config).map_err(failed)?;
        let mut linker = Linker::new(&wasmtime);
        // The contract and nothing else: a guest that imports more cannot be instantiated. The world of streams has all of
        // the other's.
        StreamPolicy::add_to_linker::<_, HasSelf<_>>(&mut linker, |sandbox| sandbox).map_err(failed)?;
        Ok(Self {
            inner: Arc::new(Inner {
                ticker: Ticker::start(wasmtime.clone())?,
                wasmtime,
                linker,
                deadline: options.deadline,
                counts_fuel: options.counts_fuel,
            }),
        })
    }

    /// How much processor time a run may take.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.inner.deadline
    }

    /// Whether runs count their instructions.
    pub(crate) fn counts_fuel(&self) -> bool {
        self.inner.counts_fuel
    }

    /// Names what an artefact must have been compiled by and for to run here: wasmtime's version, these settings and this
    /// processor's features.
    #[must_use]
    pub fn artefact_key(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.inner.wasmtime.precompile_compatibility_hash().hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner.wasmtime
    }

    pub(crate) fn linker(&self) -> &Linker<Sandbox> {
        &self.inner.linker
    }

    /// Time passes for guests as long as one of these is held.
    pub(crate) fn begin_run(&self) -> Running<'_> {
        self.inner.ticker.begin()
    }

    /// The deadline in ticks. The first tick may come at once, so there is one more than the time needs.
    pub(crate) fn deadline_ticks(&self) -> u64 {
        let ticks = self.inner.deadline.as_micros().div_ceil(TICK.as_micros().max(1));
        u64::try_from(ticks).unwrap_or(u64::MAX).saturating_add(1)
    }
}

/// An engine that only compiles, for [`Engine`]s. It reserves no address space for guests.
pub(crate) fn for_compiling() -> Result<wasmtime::Engine, EngineError> {
    wasmtime::Engine::new(&config()).map_err(|error| EngineError::Wasmtime(format!("{error:#}")))
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        // Decisions are remembered by what was read, so a run must not depend on anything else: a NaN's bits do.
        .cranelift_nan_canonicalization(true)
        // Cuts off loops at 0.06 µs a run; fuel would cost as much and say less about time.
        .epoch_interruption(true)
        .consume_fuel(false)
        .max_wasm_stack(STACK_BYTES_MAX)
        // Nobody reads a guest's backtrace here, and its maps take memory for as long as the guest is loaded.
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false)
        .native_unwind_info(false)
        .debug_info(false)
        // Address space, not memory: as much as the largest guest may have, so that `wayside` starts under a limit on
        // virtual memory. Bounds are then checked by code instead of by 4 GiB of empty pages for each sandbox.
        .memory_reservation(Class::Large.memory_bytes_max() as u64)
        .memory_reservation_for_growth(0)
        .memory_guard_size(64 * 1024)
        .guard_before_linear_memory(true)
        .memory_may_move(false)
        // A fresh memory is mapped from the component's image, not written.
        .memory_init_cow(true)
        // A guest is called and returns; nothing runs beside it.
        .concurrency_support(false);
    switch_features(&mut config);
    config
}

/// Off is what a guest of the contract has no use for: each is code of the compiler that an attacker could reach.
fn switch_features(config: &mut Config) {
    config
        .wasm_component_model(true)
        // What LLVM puts into every module of today.
        .wasm_bulk_memory(true)
        .wasm_multi_value(true)
        .wasm_extended_const(true)
        // Would let a run depend on timing.
        .shared_memory(false)
        // Differs between processors.
        .wasm_relaxed_simd(false)
        .wasm_simd(false)
        // Would go around the cap on memory, or the cost of checking it.
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_custom_page_sizes(false)
        .wasm_tail_call(false)
        .wasm_wide_arithmetic(false);
}

fn pooling(options: &EngineOptions) -> PoolingAllocationConfig {
    let sandboxes = options.sandboxes.max(1);
    let tables = 4;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(sandboxes)
        .max_core_instances_per_component(MODULES_MAX)
        .total_core_instances(sandboxes.saturating_mul(MODULES_MAX))
        .max_memories_per_component(1)
        .max_memories_per_module(1)
        .total_memories(sandboxes)
        .max_memory_size(Class::Large.memory_bytes_max())
        .max_tables_per_component(tables)
        .max_tables_per_module(tables)
        .total_tables(sandboxes.saturating_mul(tables))
        .table_elements(Class::Large.table_elements_max())
        // The first pages are overwritten instead of given back: most runs touch no others.
        .linear_memory_keep_resident(64 * 1024)
        .table_keep_resident(16 * 1024)
        // Where the kernel can tell which pages were touched, only those are.
        .pagemap_scan(Enabled::Auto)
        // Slots that hold another guest's mapping cost memory, so few wait for its return.
        .max_unused_warm_slots(sandboxes.min(16));
    pool
}

/// Counts time while guests run, and sleeps while none does.
struct Ticker {
    shared: Arc<Shared>,
    handle: Option<JoinHandle<()>>,
    thread: Thread,
}

struct Shared {
    running: AtomicUsize,
    is_stopped: AtomicBool,
}

impl Ticker {
    fn start(engine: wasmtime::Engine) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            running: AtomicUsize::new(0),
            is_stopped: AtomicBool::new(false),
        });
        let seen = Arc::clone(&shared);
        let handle = thread::Builder::new().name("policy-ticker".to_owned()).spawn(move || {
            while !seen.is_stopped.load(Ordering::Acquire) {
                if seen.running.load(Ordering::Acquire) == 0 {
                    // An unpark between the look and here makes this return at once.
                    thread::park();
                } else {
                    thread::sleep(TICK);
                    engine.increment_epoch();
                }
            }
        })?;
        Ok(Self {
            shared,
            thread: handle.thread().clone(),
            handle: Some(handle),
        })
    }

    fn begin(&self) -> Running<'_> {
        if self.shared.running.fetch_add(1, Ordering::AcqRel) == 0 {
            self.thread.unpark();
        }
        Running(&self.shared.running)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::Release);
        self.thread.unpark();
        if let Some(handle) = self.handle.take() {
            // It cannot panic, and there is nobody to tell.
            let _ = handle.join();
        }
    }
}

/// A run in progress.
pub(crate) struct Running<'t>(&'t AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
