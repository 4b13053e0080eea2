//! What a compiler made of a component. It is code that is run without being checked any more, so its way is short: from
//! our own compiler, directly or by a file whose content is known by its digest.

use std::{
    fmt, fs,
    io::{self, Read as _},
    path::Path,
};

use wasmtime::component::Component;
use wayside_decide::digest::Digest;

use crate::engine::Engine;

/// How much of a file is read at a time.
const PART_BYTES: usize = 256 * 1024;

/// A compiled component. Runs only on an engine of the key ([`Engine::artefact_key`]) it was compiled for; on any other
/// it is refused when it is opened.
pub struct Artefact(Vec<u8>);

impl Artefact {
    /// What our own compiler wrote.
    pub(crate) const fn of_compiler(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Its bytes, to keep in a file that [`Admission::open`](crate::admission::Admission::open) reads.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The digest by which its file is known again.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }

    #[expect(
        unsafe_code,
        reason = "wasmtime cannot check machine code; who made it is what counts"
    )]
    pub(crate) fn component(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: an `Artefact` is made by `of_compiler` alone, from the output of wasmtime's own compiler in this
        // process or in a child of the same program. Wasmtime itself refuses another version or configuration.
        unsafe { Component::deserialize(engine.wasmtime(), &self.0) }
    }
}

impl fmt::Debug for Artefact {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Artefact({} bytes)", self.0.len())
    }
}

/// A file of an artefact cannot be used. The component has to be compiled anew.
#[derive(Debug, thiserror::Error)]
pub enum ArtefactError {
    /// It cannot be read.
    #[error("{0}")]
    File(#[from] io::Error),
    /// It is not what was written.
    #[error("found content of the digest {found}, expected {expected}")]
    Damaged {
        /// What its content has.
        found: Digest,
        /// What was written.
        expected: Digest,
    },
    /// It was compiled for another engine.
    #[error("{0}")]
    Foreign(String),
}

/// Maps the artefact in `file` into memory, once its content was found to have the digest it was written with.
#[expect(
    unsafe_code,
    reason = "wasmtime cannot check machine code; who made it is what counts"
)]
pub(crate) fn open(engine: &Engine, file: &Path, expected: Digest) -> Result<Component, ArtefactError> {
    let (mut hasher, mut read) = (Digest::hasher(), fs::File::open(file)?);
    let mut part = vec![0; PART_BYTES];
    let found = loop {
        match read.read(&mut part)? {
            0 => break hasher.finish(),
            length => hasher.update(&part[..length]),
        }
    };
    if found != expected {
        return Err(ArtefactError::Damaged { found, expected });
    }
    // SAFETY: `expected` is the digest of an `Artefact`, so the content is what our own compiler wrote. Files of
    // artefacts are replaced by renaming and never written in place, and lie in a folder that is the node's alone:
    // whoever can change one between the check and the mapping can change the node's program too.
    unsafe { Component::deserialize_file(engine.wasmtime(), file) }
        .map_err(|error| ArtefactError::Foreign(format!("{error:#}")))
}
