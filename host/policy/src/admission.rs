//! Who may in: decides whether a component may run here, when it is uploaded and again at the node.
//!
//! In: bytes from anybody. Out: what was admitted, or a [`Refusal`] that its author can act on. Nothing is compiled
//! before it was inspected, and nothing is admitted before it was tried.

use std::{path::Path, sync::Arc};

use wayside_decide::{decision::Failure, digest::Digest, name::Name, trace::Recorder};

use crate::{
    artefact::{self, Artefact, ArtefactError},
    compiler::Compiler,
    encode,
    engine::Engine,
    facts::NoFacts,
    guest::Guest,
    inspect,
    limits::{Class, TESTS_BYTES_MAX},
    refusal::Refusal,
    vectors::Vectors,
    world::World,
};

/// A component that may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// The digest of its bytes, which names this version.
    pub digest: Digest,
    /// The world it implements.
    pub world: World,
    /// The interfaces it imports: everything it can ask.
    pub imports: Vec<String>,
    /// Its length.
    pub bytes: usize,
    /// Which limits hold for it.
    pub class: Class,
    /// How many tests it brought along and passed.
    pub tests: usize,
}

/// Checks components against an engine.
#[derive(Clone)]
pub struct Admission {
    engine: Engine,
    compiler: Compiler,
}

impl Admission {
    /// Admission to this engine of what this compiler makes.
    #[must_use]
    pub const fn new(engine: Engine, compiler: Compiler) -> Self {
        Self { engine, compiler }
    }

    /// The same, compiling in this tenant's turns: see [`Compiler::for_tenant`].
    #[must_use]
    pub fn for_tenant(&self, tenant: &Name) -> Self {
        Self {
            engine: self.engine.clone(),
            compiler: self.compiler.for_tenant(tenant),
        }
    }

    /// The engine.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Inspects, compiles and tries a component; for the origin, at upload; the
    /// guest is what was tried. Takes as long as compiling does, so it
    /// must not run on a thread that serves requests.
    ///
    /// # Errors
    /// [`Refusal`], written for the component's author.
    pub fn admit(&self, component: &[u8]) -> Result<(Admitted, Guest), Refusal> {
        let inspected = inspect::inspect(component)?;
        let guest = self.link(component)?;
        try_out(&guest)?;
        let tests = run_own_tests(&guest, component).map_err(|refusal| match refusal {
            // Here nobody waits for visitors: a test that takes so long takes too long.
            Refusal::Untried(failure @ Failure::DeadlineExceeded { .. }) => Refusal::Trial { failure },
            other => other,
        })?;
        let admitted = Admitted {
            digest: guest.digest(),
            world: inspected.world,
            imports: inspected.imports,
            bytes: component.len(),
            class: guest.class(),
            tests,
        };
        Ok((admitted, guest))
    }

    /// Inspects and compiles a component that the origin has admitted; for a node. Takes as long as compiling does.
    ///
    /// # Errors
    /// [`Refusal`]: what an origin admits, an older or newer node can still refuse.
    pub fn load(&self, component: &[u8]) -> Result<Guest, Refusal> {
        inspect::inspect(component)?;
        self.link(component)
    }

    /// As [`Admission::load`], and gives what to keep for [`Admission::open`] too.
    ///
    /// # Errors
    /// As for [`Admission::load`].
    pub fn compile(&self, component: &[u8]) -> Result<(Guest, Artefact), Refusal> {
        inspect::inspect(component)?;
        let artefact = self.compiler.compile(&self.engine, component)?;
        let guest = self.guest_of(&artefact, component)?;
        run_own_tests(&guest, component)?;
        Ok((guest, artefact))
    }

    /// Maps a kept artefact of the component `component`, which has the length of `class`. `digest` is what the artefact
    /// had when it was written ([`Artefact::digest`]). Takes as long as reading the file once.
    ///
    /// # Errors
    /// [`ArtefactError`] when the file is not what was written, or was compiled for another engine.
    pub fn open(&self, file: &Path, digest: Digest, component: Digest, class: Class) -> Result<Guest, ArtefactError> {
        let compiled = artefact::open(&self.engine, file, digest)?;
        Guest::link(&self.engine, &compiled, component, class)
            .map_err(|error| ArtefactError::Foreign(format!("{error:#}")))
    }

    fn link(&self, component: &[u8]) -> Result<Guest, Refusal> {
        let artefact = self.compiler.compile(&self.engine, component)?;
        self.guest_of(&artefact, component)
    }

    fn guest_of(&self, artefact: &Artefact, component: &[u8]) -> Result<Guest, Refusal> {
        let link = || {
            let compiled = artefact.component(&self.engine)?;
            Guest::link(
                &self.engine,
                &compiled,
                Digest::of(component),
                Class::of(component.len()),
            )
        };
        link().map_err(|error| Refusal::Contract {
            reason: format!("{error:#}"),
        })
    }
}

/// Runs the tests that a component brings along; how many there were.
fn run_own_tests(guest: &Guest, component: &[u8]) -> Result<usize, Refusal> {
    let Some(text) = encode::tests(component) else {
        return Ok(0);
    };
    let unreadable = |reason| Refusal::UnreadableTests { reason };
    if text.len() > TESTS_BYTES_MAX {
        let reason = format!("found {} bytes, expected at most {TESTS_BYTES_MAX}", text.len());
        return Err(unreadable(reason));
    }
    let tests = Vectors::parse(text).map_err(|error| unreadable(error.to_string()))?;
    match tests.first_mismatch(guest) {
        Ok(None) => Ok(tests.len()),
        Ok(Some(mismatch)) => Err(Refusal::Tests(mismatch)),
        Err(failure) => Err(Refusal::Untried(failure)),
    }
}

/// Runs a guest with nothing known: one that traps or never ends shows it here and not to a visitor.
fn try_out(guest: &Guest) -> Result<(), Refusal> {
    match guest.trial(&Recorder::new(Arc::new(NoFacts))).result {
        Ok(_) => Ok(()),
        Err(failure) if failure.is_deterministic() => Err(Refusal::Trial { failure }),
        Err(failure @ Failure::DeadlineExceeded { .. }) => Err(Refusal::Trial { failure }),
        Err(failure) => Err(Refusal::Untried(failure)),
    }
}
