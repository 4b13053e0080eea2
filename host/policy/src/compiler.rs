//! Compiling, in a process of its own with limits: what a compiler does with a component is the one step whose cost its
//! author decides.
//!
//! In: a component that was inspected. Out: an [`Artefact`], or a [`Refusal`]. The child is the same program, told so by
//! its first argument ([`CHILD_ARGUMENT`]); it reads the component from its input and writes the artefact to its output.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{Command, ExitCode, ExitStatus, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    param::page_size,
    process::{Resource, Rlimit, nice, setrlimit},
};
use wayside_decide::name::Name;

use crate::{
    artefact::Artefact,
    engine::{self, Engine},
    limits::Class,
    refusal::{Costly, Refusal},
    turns::{Turns, Whose},
};

/// The argument that makes the program a compiler: [`compile_for_parent`] is what it has to call then.
pub const CHILD_ARGUMENT: &str = "compile-policy";

/// The child refuses the component; its output says why.
const REFUSED: u8 = 2;
/// The child took too long by the clock on the wall.
const TOO_SLOW: u8 = 3;
/// The child took too much memory.
const TOO_LARGE: u8 = 4;
/// How often the child looks how much memory it has.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// What the child may reserve beyond its memory: allocators and threads reserve address space that they never touch.
/// An allocation past that fails, and ends it.
const RESERVED_BYTES_MAX: u64 = 4 << 30;
/// How much lower than its parent's the child's priority is: visitors go first.
const NICE: i32 = 10;

/// Where components are compiled.
#[derive(Debug, Clone)]
pub struct Compiler {
    place: Place,
    /// For the children that there may be at a time.
    turns: Arc<Turns>,
    /// For whom it compiles.
    whose: Whose,
}

#[derive(Debug, Clone)]
enum Place {
    Here,
    Child(PathBuf),
}

impl Compiler {
    /// Compiles in this process, without limits on memory and time: for components one has written oneself.
    #[must_use]
    pub fn here() -> Self {
        Self::at(Place::Here)
    }

    /// Compiles in children of this process, for one tenant as many at the same time as there are cores. `program` must call
    /// [`compile_for_parent`] when its first argument is [`CHILD_ARGUMENT`].
    #[must_use]
    pub fn in_child(program: PathBuf) -> Self {
        Self::at(Place::Child(program))
    }

    fn at(place: Place) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self {
            place,
            turns: Arc::new(Turns::new(cores)),
            whose: None,
        }
    }

    /// The same compiler, which takes turns for this tenant: no other's components wait for its.
    #[must_use]
    pub fn for_tenant(&self, tenant: &Name) -> Self {
        Self {
            whose: Some(tenant.clone()),
            ..self.clone()
        }
    }

    /// Compiles a component that was inspected. Blocks for as long as that takes, and for as long as others do.
    pub(crate) fn compile(&self, engine: &Engine, component: &[u8]) -> Result<Artefact, Refusal> {
        match &self.place {
            Place::Here => compile(engine.wasmtime(), component),
            Place::Child(program) => {
                let _turn = self.turns.take(self.whose.clone());
                let mut command = Command::new(program);
                // Nothing of this process's secrets is in reach of what reads a stranger's file.
                command.arg(CHILD_ARGUMENT).env_clear().current_dir("/");
                converse(command, component)
            }
        }
    }
}

fn compile(engine: &wasmtime::Engine, component: &[u8]) -> Result<Artefact, Refusal> {
    let compiled = engine.precompile_component(component);
    compiled.map(Artefact::of_compiler).map_err(|error| Refusal::Invalid {
        reason: format!("{error:#}"),
    })
}

/// The parent's side.
fn converse(mut command: Command, component: &[u8]) -> Result<Artefact, Refusal> {
    let away = |error: io::Error| Refusal::NoCompiler(error.to_string());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(away)?;
    if let Some(mut input) = child.stdin.take() {
        // The child reads all of it before it writes anything. One that ends early says why by its status.
        match input.write_all(component) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(away(error)),
            _ => {}
        }
    }
    let output = child.wait_with_output().map_err(away)?;
    let said = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
    match verdict(output.status, Class::of(component.len())) {
        Verdict::Compiled => Ok(Artefact::of_compiler(output.stdout)),
        Verdict::Refused => Err(Refusal::Invalid {
            reason: String::from_utf8_lossy(&output.stdout).into_owned(),
        }),
        Verdict::Costly(costly) => Err(Refusal::Costly(costly)),
        Verdict::Failed => {
            tracing::error!(status = %output.status, said = said(), "the compiler of policies failed");
            Err(Refusal::NoCompiler(format!("it ended with {}", output.status)))
        }
    }
}

enum Verdict {
    Compiled,
    Refused,
    Costly(Costly),
    Failed,
}

/// What the child's end means.
fn verdict(status: ExitStatus, class: Class) -> Verdict {
    let cpu = Costly::Cpu {
        limit_s: class.compile_cpu_s_max(),
    };
    let memory = Costly::Memory {
        limit_mib: class.compile_memory_bytes_max() >> 20,
    };
    match (status.code(), status.signal()) {
        (Some(0), _) => Verdict::Compiled,
        (Some(code), _) if code == i32::from(REFUSED) => Verdict::Refused,
        (Some(code), _) if code == i32::from(TOO_SLOW) => Verdict::Costly(cpu),
        (Some(code), _) if code == i32::from(TOO_LARGE) => Verdict::Costly(memory),
        (_, Some(libc_signal::XCPU)) => Verdict::Costly(cpu),
        // An allocation that fails aborts.
        (_, Some(libc_signal::ABRT)) => Verdict::Costly(memory),
        // Killed from outside, or the compiler's own fault.
        _ => Verdict::Failed,
    }
}

/// Signals by their number on Linux and the BSDs.
mod libc_signal {
    use rustix::process::Signal;

    pub(super) const ABRT: i32 = Signal::ABORT.as_raw();
    pub(super) const XCPU: i32 = Signal::XCPU.as_raw();
}

/// The child's side: all that a process does that was started as a compiler.
#[must_use]
pub fn compile_for_parent() -> ExitCode {
    match compile_limited() {
        Ok(Ok(artefact)) => match io::stdout()
            .write_all(artefact.bytes())
            .and_then(|()| io::stdout().flush())
        {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Ok(Err(refusal)) => {
            let reason = match refusal {
                Refusal::Invalid { reason } => reason,
                other => other.to_string(),
            };
            // The parent may be gone; then nobody asks.
            let _ = io::stdout().write_all(reason.as_bytes());
            ExitCode::from(REFUSED)
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn compile_limited() -> Result<Result<Artefact, Refusal>, Box<dyn std::error::Error>> {
    let mut component = Vec::new();
    io::stdin().lock().read_to_end(&mut component)?;
    let class = Class::of(component.len());
    limit(class)?;
    let engine = engine::for_compiling()?;
    Ok(compile(&engine, &component))
}

/// Takes from this process what it does not need.
fn limit(class: Class) -> io::Result<()> {
    let most = |limit: u64| Rlimit {
        current: Some(limit),
        maximum: Some(limit),
    };
    let (cpu_s, memory) = (class.compile_cpu_s_max(), class.compile_memory_bytes_max());
    setrlimit(Resource::As, most(memory.saturating_add(RESERVED_BYTES_MAX)))?;
    // The system says so first, and kills a little later.
    let cpu = Rlimit {
        current: Some(cpu_s),
        maximum: Some(cpu_s.saturating_add(2)),
    };
    setrlimit(Resource::Cpu, cpu)?;
    // It opens nothing, writes no file, starts nobody and leaves no core behind.
    setrlimit(Resource::Fsize, most(0))?;
    setrlimit(Resource::Core, most(0))?;
    nice(NICE)?;
    // Whoever waits uses no processor time: on a machine that is out of memory it may wait for ever.
    let wall = Duration::from_secs(cpu_s.saturating_mul(4));
    thread::Builder::new().spawn(move || watch(memory, wall))?;
    Ok(())
}

/// Ends this process when it has more memory or more time than it may.
fn watch(memory: u64, wall: Duration) -> ! {
    let begun = Instant::now();
    loop {
        if resident_bytes().is_some_and(|resident| resident > memory) {
            std::process::exit(i32::from(TOO_LARGE));
        }
        if begun.elapsed() > wall {
            std::process::exit(i32::from(TOO_SLOW));
        }
        thread::sleep(LOOK_INTERVAL);
    }
}

/// The memory this process has; none where the system does not tell, and the limit on address space is all there is.
fn resident_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages.saturating_mul(page_size() as u64))
}
