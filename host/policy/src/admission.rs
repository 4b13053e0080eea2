//! Who may in: decides whether a component may run here, when it is uploaded and again at the node.
//!
//! In: bytes from anybody. Out: what was admitted, or a [`Refusal`] that its author can act on. Nothing is compiled
//! before it was inspected, and nothing is admitted before it was tried.

use std::sync::Arc;

use wayside_decide::{decision::Failure, digest::Digest, trace::Recorder};

use crate::{engine::Engine, facts::NoFacts, guest::Guest, inspect, limits::Class, refusal::Refusal};

/// How often a guest that is cut off is tried again: a busy machine is no fault of the policy's.
const TRIALS_MAX: usize = 3;

/// A component that may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// The digest of its bytes, which names this version.
    pub digest: Digest,
    /// The world it implements.
    pub world: String,
    /// The interfaces it imports: everything it can ask.
    pub imports: Vec<String>,
    /// Its length.
    pub bytes: usize,
    /// Which limits hold for it.
    pub class: Class,
}

/// Checks components against an engine.
#[derive(Clone)]
pub struct Admission {
    engine: Engine,
}

impl Admission {
    /// Admission to this engine.
    #[must_use]
    pub const fn new(engine: Engine) -> Self {
        Self { engine }
    }

    /// Inspects, compiles and tries a component; for the origin, at upload. Takes as long as compiling does, so it
    /// must not run on a thread that serves requests.
    ///
    /// # Errors
    /// [`Refusal`], written for the component's author.
    pub fn admit(&self, component: &[u8]) -> Result<Admitted, Refusal> {
        let imports = inspect::imports(component)?;
        let guest = self.compile(component)?;
        try_out(&guest)?;
        Ok(Admitted {
            digest: guest.digest(),
            world: inspect::WORLD.to_owned(),
            imports,
            bytes: component.len(),
            class: guest.class(),
        })
    }

    /// Inspects and compiles a component that the origin has admitted; for a node. Takes as long as compiling does.
    ///
    /// # Errors
    /// [`Refusal`]: what an origin admits, an older or newer node can still refuse.
    pub fn load(&self, component: &[u8]) -> Result<Guest, Refusal> {
        inspect::imports(component)?;
        self.compile(component)
    }

    fn compile(&self, component: &[u8]) -> Result<Guest, Refusal> {
        Guest::compile(&self.engine, component).map_err(|error| Refusal::Contract {
            reason: format!("{error:#}"),
        })
    }
}

/// Runs a guest with nothing known: one that traps or never ends shows it here and not to a visitor.
fn try_out(guest: &Guest) -> Result<(), Refusal> {
    let mut failure = None;
    for _ in 0..TRIALS_MAX {
        match guest.run(Recorder::new(Arc::new(NoFacts))).result {
            Ok(_) => return Ok(()),
            Err(error) if error.is_deterministic() => return Err(Refusal::Trial { failure: error }),
            Err(error) => failure = Some(error),
        }
    }
    Err(match failure {
        Some(failure @ Failure::DeadlineExceeded { .. }) => Refusal::Trial { failure },
        other => Refusal::Untried(other.unwrap_or(Failure::Overloaded)),
    })
}
