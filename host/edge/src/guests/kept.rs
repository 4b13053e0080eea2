//! The folder in which a node keeps policies: components, so that it starts without its origin, and what was compiled of
//! them, so that it starts without compiling.
//!
//! A compiled policy's file carries in its name all that decides whether it may be used:
//! `COMPONENT-CLASS-ENGINE-ARTEFACT.cwasm`, with the digest of the component, the key of the engine and the digest of
//! the content. So one renaming puts it there whole.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use wayside_decide::digest::Digest;
use wayside_policy::{artefact::Artefact, limits::Class};

use crate::files;

/// The policies of one folder, for one engine.
pub(super) struct Kept {
    folder: PathBuf,
    /// What a compiled policy must have been compiled for.
    engine: String,
    compiled: Mutex<HashMap<Digest, Compiled>>,
}

/// A file of compiled code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Compiled {
    pub(super) path: PathBuf,
    /// The digest of its content.
    pub(super) artefact: Digest,
    /// The class of its component.
    pub(super) class: Class,
}

impl Kept {
    /// Lists what `folder` holds for an engine of this key, and removes what was compiled for others: a file that cannot
    /// be listed is compiled again.
    pub(super) fn open(folder: PathBuf, engine: String) -> Self {
        let mut compiled = HashMap::new();
        for path in files_in(&folder) {
            match read_name(&path, &engine) {
                Name::Compiled(digest, file) => drop(compiled.insert(digest, file)),
                Name::Foreign => remove(&path),
                Name::Other => {}
            }
        }
        Self {
            folder,
            engine,
            compiled: Mutex::new(compiled),
        }
    }

    /// What was compiled of a component.
    pub(super) fn compiled(&self, component: Digest) -> Option<Compiled> {
        self.lock().get(&component).cloned()
    }

    /// Keeps what was compiled of a component.
    pub(super) fn keep_compiled(&self, component: Digest, class: Class, artefact: &Artefact) -> io::Result<()> {
        let digest = artefact.digest();
        let name = format!("{component}-{}-{}-{digest}.cwasm", class.as_str(), self.engine);
        let path = self.folder.join(name);
        files::replace(&path, |out| out.write_all(artefact.bytes()))?;
        let file = Compiled {
            path,
            artefact: digest,
            class,
        };
        let before = self.lock().insert(component, file.clone());
        if let Some(before) = before.filter(|before| before.path != file.path) {
            remove(&before.path);
        }
        Ok(())
    }

    /// Removes what was compiled of a component.
    pub(super) fn forget(&self, component: Digest) {
        if let Some(file) = self.lock().remove(&component) {
            remove(&file.path);
        }
    }

    /// A kept component whose bytes are still those of its digest.
    pub(super) fn component(&self, digest: Digest) -> Option<Vec<u8>> {
        let bytes = fs::read(self.component_path(digest)).ok()?;
        (Digest::of(&bytes) == digest).then_some(bytes)
    }

    /// Keeps a component.
    pub(super) fn keep_component(&self, digest: Digest, bytes: &[u8]) -> io::Result<()> {
        files::replace(&self.component_path(digest), |out| out.write_all(bytes))
    }

    /// Removes everything that belongs to none of `named`.
    pub(super) fn retain(&self, named: &HashSet<Digest>) {
        self.lock().retain(|component, _| named.contains(component));
        for path in files_in(&self.folder) {
            let stem = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let component = stem.split(['-', '.']).next().map(Digest::parse);
            if let Some(Ok(component)) = component
                && !named.contains(&component)
            {
                remove(&path);
            }
        }
    }

    fn component_path(&self, digest: Digest) -> PathBuf {
        self.folder.join(format!("{digest}.wasm"))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Compiled>> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a file's name says.
#[derive(Debug, PartialEq, Eq)]
enum Name {
    Compiled(Digest, Compiled),
    /// Compiled for another engine.
    Foreign,
    /// A component, or nothing of ours.
    Other,
}

fn read_name(path: &Path, engine: &str) -> Name {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some(stem) = name.strip_suffix(".cwasm") else {
        return Name::Other;
    };
    let parts: Vec<&str> = stem.split('-').collect();
    let read = || {
        let [component, class, key, artefact] = *parts.as_slice() else {
            return None;
        };
        let compiled = Compiled {
            path: path.to_owned(),
            artefact: Digest::parse(artefact).ok()?,
            class: Class::parse(class)?,
        };
        (key == engine).then_some((Digest::parse(component).ok()?, compiled))
    };
    read().map_or(Name::Foreign, |(component, compiled)| {
        Name::Compiled(component, compiled)
    })
}

/// The folder's files; none when it is not there or cannot be read.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.path()).collect()
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "remove a policy's file");
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, fs, path::Path};

    use wayside_decide::digest::Digest;
    use wayside_policy::limits::Class;

    use super::{Compiled, Kept, Name, read_name};

    #[test]
    fn a_name_says_what_the_file_holds_and_for_whom() {
        let (component, artefact) = (Digest::of(b"component"), Digest::of(b"artefact"));
        let name = format!("{component}-large-00ff-{artefact}.cwasm");
        let path = Path::new("/x").join(&name);
        let compiled = Compiled {
            path: path.clone(),
            artefact,
            class: Class::Large,
        };
        assert_eq!(read_name(&path, "00ff"), Name::Compiled(component, compiled));
        assert_eq!(read_name(&path, "00fe"), Name::Foreign);
        for name in ["x.cwasm", &name.replace("large", "huge"), &name[1..]] {
            assert_eq!(read_name(Path::new(name), "00ff"), Name::Foreign, "{name}");
        }
        for name in ["x.wasm", "x", &format!("{component}.wasm")] {
            assert_eq!(read_name(Path::new(name), "00ff"), Name::Other, "{name}");
        }
    }

    #[test]
    fn another_engine_s_code_goes_and_unnamed_policies_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two, artefact) = (Digest::of(b"1"), Digest::of(b"2"), Digest::of(b"a"));
        let write = |name: String| {
            let path = folder.path().join(name);
            fs::write(&path, b"x").expect("write");
            path
        };
        let ours = write(format!("{one}-small-aa-{artefact}.cwasm"));
        let others = write(format!("{one}-small-bb-{artefact}.cwasm"));
        let components = [write(format!("{one}.wasm")), write(format!("{two}.wasm"))];
        let elsewhere = write("notes.txt".to_owned());
        let kept = Kept::open(folder.path().to_owned(), "aa".to_owned());
        assert_eq!(kept.compiled(one).map(|compiled| compiled.path), Some(ours.clone()));
        assert!(ours.exists() && !others.exists() && elsewhere.exists());
        assert_eq!(kept.component(two), None, "its bytes are not those of its digest");
        kept.retain(&HashSet::from([two]));
        let left = [&ours, &components[0], &components[1], &elsewhere].map(|path| path.exists());
        assert_eq!(left, [false, false, true, true]);
        assert_eq!(kept.compiled(one), None);
    }
}
