//! Keys that URLs are signed with: where the node has them, and what is made of them.
//!
//! In: a tenant, and what a target says of its signing: the key's name. Out: a signer. Keys stand in files,
//! `FOLDER/TENANT/NAME`, or in variables of the environment; a file that changes is read again. Tenants say names and never
//! paths; no key and no path is in a log, an error or `Debug`.

use std::{
    collections::HashMap,
    fmt, fs,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwapOption;
use tokio::{sync::Mutex as Turn, task::spawn_blocking};
use wayside_decide::{
    name::Name,
    stream::signing::{Scheme, SigningSpec},
};
use wayside_stream::sign::{
    self, Signing,
    akamai::Akamai,
    cat::Cat,
    cloudflare::Cloudflare,
    cloudfront::{CloudFront, Hash},
    fastly::Fastly,
    hmac::{Placement, PlainHmac},
    secret::Secret,
    validity::Validity,
};

/// What the names of variables begin with that hold keys.
pub const VARIABLE_PREFIX: &str = "WAYSIDE_SECRET_";
/// How often files are looked at.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// Longest file of a key, in bytes: an RSA key of 4096 bits has about 3,300.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// The value of a variable. Nothing shows it.
#[derive(Clone)]
pub struct Variable(String);

impl Variable {
    /// A value that is secret.
    #[must_use]
    pub const fn new(value: String) -> Self {
        Self(value)
    }
}

impl fmt::Debug for Variable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Variable(not shown)")
    }
}

/// A key cannot be used. Says whose and which, and nothing of what or where it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("secret {name} of tenant {tenant}: {problem}")]
pub(crate) struct SecretError {
    tenant: Name,
    name: Name,
    problem: Arc<str>,
}

/// What signs.
#[derive(Debug)]
pub(crate) struct Signer {
    pub(crate) signing: Signing,
    pub(crate) validity: Validity,
    /// No other has it, of the same key or of another.
    pub(crate) id: u64,
}

/// A signer or why there is none.
type Outcome = Result<Arc<Signer>, SecretError>;

/// One target's signer, which changes with its key.
#[derive(Debug)]
pub(crate) struct LiveSigner {
    tenant: Name,
    spec: SigningSpec,
    read: ArcSwapOption<Reading>,
    /// Whoever reads it first, and says what is wrong.
    first: Turn<()>,
    keys: Arc<Keys>,
}

/// What was read, and what it was read from.
#[derive(Debug)]
struct Reading {
    stamp: Stamp,
    outcome: Outcome,
}

/// What tells one content of a file from the next without reading it; none when there is no such file.
type Stamp = Option<(SystemTime, u64, u64)>;

/// Where keys are.
#[derive(Debug)]
struct Keys {
    folder: Option<PathBuf>,
    variables: HashMap<String, Variable>,
    signers: AtomicU64,
}

/// All signers that are in use.
#[derive(Debug)]
pub(crate) struct Signers {
    keys: Arc<Keys>,
    live: Mutex<HashMap<(Name, SigningSpec), Weak<LiveSigner>>>,
}

impl Signers {
    /// Signers whose keys are in `folder` or among `variables`, by what follows [`VARIABLE_PREFIX`] in their names.
    pub(crate) fn new(folder: Option<PathBuf>, variables: HashMap<String, Variable>) -> Self {
        Self {
            keys: Arc::new(Keys {
                folder,
                variables,
                signers: AtomicU64::new(0),
            }),
            live: Mutex::default(),
        }
    }

    /// The signer of a tenant's target. Nothing is read yet. It follows its key for as long as somebody has it.
    pub(crate) fn of(&self, tenant: &Name, spec: &SigningSpec) -> Arc<LiveSigner> {
        let mut live = self.lock();
        let key = (tenant.clone(), spec.clone());
        if let Some(signer) = live.get(&key).and_then(Weak::upgrade) {
            return signer;
        }
        let signer = Arc::new(LiveSigner {
            tenant: tenant.clone(),
            spec: spec.clone(),
            read: ArcSwapOption::empty(),
            first: Turn::default(),
            keys: Arc::clone(&self.keys),
        });
        live.insert(key, Arc::downgrade(&signer));
        signer
    }

    /// Reads again what changed. Ends never.
    pub(crate) async fn watch(&self) {
        let mut ticks = tokio::time::interval(CHECK_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.check().await;
        }
    }

    pub(super) async fn check(&self) {
        let mut live = Vec::new();
        self.lock().retain(|_, signer| {
            let signer = signer.upgrade();
            live.extend(signer.clone());
            signer.is_some()
        });
        let checking = spawn_blocking(move || live.iter().for_each(|signer| signer.check()));
        if let Err(error) = checking.await {
            tracing::error!(%error, "looking whether keys have changed panicked");
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Name, SigningSpec), Weak<LiveSigner>>> {
        // The map is never left half changed, so a panic elsewhere does not spoil it.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LiveSigner {
    /// The signer as of now; none before its key was read.
    pub(crate) fn current(&self) -> Option<Outcome> {
        self.read.load().as_ref().map(|read| read.outcome.clone())
    }

    /// Whether its key was read, and cannot be used.
    pub(crate) fn is_unusable(&self) -> bool {
        let read = self.read.load();
        read.as_ref().is_some_and(|read| read.outcome.is_err())
    }

    /// The signer as of now. Reads its key when nobody has.
    pub(crate) async fn read(self: &Arc<Self>) -> Outcome {
        if let Some(outcome) = self.current() {
            return outcome;
        }
        let _one = self.first.lock().await;
        if let Some(outcome) = self.current() {
            return outcome;
        }
        let signer = Arc::clone(self);
        let read = spawn_blocking(move || signer.reload()).await;
        let outcome = read.unwrap_or_else(|_| Err(self.error("reading it panicked")));
        if let Err(error) = &outcome {
            // Here and where it changes, and not for each player: its target is left out meanwhile.
            tracing::warn!(%error, "a key cannot be used: nobody is sent to targets that need it");
        }
        outcome
    }

    /// Reads the key again when it has changed.
    fn check(&self) {
        let Some(before) = self.read.load_full() else { return };
        let path = self.keys.path(&self.tenant, &self.spec.secret);
        if path.and_then(|path| stamp(&path).ok().flatten()) == before.stamp {
            return;
        }
        let outcome = self.reload();
        let (tenant, secret) = (&self.tenant, &self.spec.secret);
        match outcome {
            Ok(_) => tracing::info!(%tenant, %secret, "read a key that had changed"),
            Err(error) => tracing::warn!(%error, "a key that had changed cannot be used"),
        }
    }

    /// A key that has become unreadable does not take the place of a good one; one that is gone does.
    fn reload(&self) -> Outcome {
        let (stamp, outcome) = match self.keys.find(&self.tenant, &self.spec.secret) {
            Ok((stamp, text)) => (stamp, self.signer(&text).map_err(|problem| self.error(&problem))),
            Err(Missing::Unreadable(stamp, problem)) => (stamp, Err(self.error(&problem))),
            Err(Missing::Gone) => {
                let outcome = Err(self.error("found none, expected a file or a variable of the node's"));
                self.keep(None, outcome.clone());
                return outcome;
            }
        };
        let before = self.read.load_full().map(|before| before.outcome.clone());
        match (&outcome, before) {
            (Err(_), Some(Ok(good))) => self.keep(stamp, Ok(good)),
            _ => self.keep(stamp, outcome.clone()),
        }
        outcome
    }

    fn keep(&self, stamp: Stamp, outcome: Outcome) {
        self.read.store(Some(Arc::new(Reading { stamp, outcome })));
    }

    fn signer(&self, text: &str) -> Result<Arc<Signer>, String> {
        let spec = &self.spec;
        let (valid_s, window_s) = (u64::from(spec.valid_s), u64::from(spec.window_s));
        let validity = Validity::new(valid_s, window_s, spec.skew_s.into(), spec.has_start);
        let validity = validity.map_err(|error| error.to_string())?;
        // Neither says what the key is.
        let signing = signing(&spec.scheme, text).map_err(|error| error.to_string())?;
        Ok(Arc::new(Signer {
            signing,
            validity,
            id: self.keys.signers.fetch_add(1, Ordering::Relaxed),
        }))
    }

    fn error(&self, problem: &str) -> SecretError {
        SecretError {
            tenant: self.tenant.clone(),
            name: self.spec.secret.clone(),
            problem: problem.into(),
        }
    }
}

fn signing(scheme: &Scheme, text: &str) -> Result<Signing, sign::Error> {
    Ok(match scheme {
        Scheme::CloudFront { key_pair_id, is_sha256 } => {
            let hash = if *is_sha256 { Hash::Sha256 } else { Hash::Sha1 };
            Signing::CloudFront(CloudFront::new(key_pair_id, text, hash)?)
        }
        Scheme::Akamai => Signing::Akamai(Akamai::new(Secret::from_hex(text)?)),
        Scheme::Fastly => Signing::Fastly(Fastly::new(Secret::from_base64(text)?)),
        Scheme::Cloudflare => Signing::Cloudflare(Cloudflare::new(Secret::from_bytes(text.as_bytes())?)),
        Scheme::Cat { key_id, issuer } => Signing::Cat(Cat::new(Secret::from_hex(text)?, key_id, issuer)?),
        Scheme::Hmac { is_in_path } => {
            let placement = if *is_in_path { Placement::Path } else { Placement::Query };
            Signing::Hmac(PlainHmac::new(Secret::from_hex(text)?, placement))
        }
    })
}

/// Why there is no text of a key.
enum Missing {
    /// There is neither a file nor a variable.
    Gone,
    /// There is one that cannot be read.
    Unreadable(Stamp, String),
}

impl Keys {
    /// Where the file of a key is, if there is one.
    fn path(&self, tenant: &Name, name: &Name) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?;
        Some(folder.join(tenant.as_str()).join(name.as_str()))
    }

    /// The text of a key without the white space around it: of its file, else of its variable.
    fn find(&self, tenant: &Name, name: &Name) -> Result<(Stamp, String), Missing> {
        let text = match &self.folder {
            Some(folder) => match read(folder, tenant, name) {
                Ok(found) => Some(found),
                Err(Missing::Gone) => None,
                Err(unreadable) => return Err(unreadable),
            },
            None => None,
        };
        let variable = || {
            let variable = self.variables.get(&variable(tenant, name)?)?;
            Some((None, variable.0.trim().to_owned()))
        };
        text.or_else(variable).ok_or(Missing::Gone)
    }
}

/// The variable of a key, behind the prefix. No two keys have the same one: names that would be ambiguous have none, for
/// otherwise a tenant could name a key so that it is another's.
fn variable(tenant: &Name, name: &Name) -> Option<String> {
    let part = |name: &Name| {
        let text = name.as_str();
        let is_plain = text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        let is_single = !text.contains("--") && !text.ends_with('-');
        (is_plain && is_single).then(|| text.to_ascii_uppercase().replace('-', "_"))
    };
    Some(format!("{}__{}", part(tenant)?, part(name)?))
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some((metadata.modified()?, metadata.len(), metadata.ino()))),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Reads a file of a key. Links may lead about within the folder, as orchestrators' do, and not out of it; nor from a
/// tenant's folder.
fn read(folder: &Path, tenant: &Name, name: &Name) -> Result<(Stamp, String), Missing> {
    let of_tenant = folder.join(tenant.as_str());
    let path = of_tenant.join(name.as_str());
    // Before it is read, so that a change in between is seen.
    let stamp = stamp(&path).ok().flatten();
    let failed = |error: io::Error| match is_absence(&error) {
        true => Missing::Gone,
        false => Missing::Unreadable(stamp, format!("found a file that cannot be read: {}", error.kind())),
    };
    let (root, of_tenant) = (
        folder.canonicalize().map_err(failed)?,
        of_tenant.canonicalize().map_err(failed)?,
    );
    let path = path.canonicalize().map_err(failed)?;
    let refuse =
        |found: &str, expected: &str| Missing::Unreadable(stamp, format!("found {found}, expected {expected}"));
    if !of_tenant.starts_with(&root) || of_tenant == root || !path.starts_with(&of_tenant) {
        return Err(refuse("a link that leads elsewhere", "a file in the tenant's folder"));
    }
    let metadata = fs::metadata(&path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(refuse("something that is no file", "a file"));
    }
    let mut text = String::new();
    let file = fs::File::open(&path).map_err(failed)?;
    file.take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(refuse("a file of more than 16384 bytes", "a key"));
    }
    Ok((stamp, text.trim().to_owned()))
}

#[cfg(test)]
mod tests;
