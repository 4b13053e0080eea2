//! A server's certificate: read from files, and read again when they change.
//!
//! TLS 1.2 and 1.3 with HTTP/2 or HTTP/1.1, as the client likes. Connections keep what they began with.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
    time::{Duration, SystemTime},
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Where a certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// PEM: the server's certificate, then those between it and the root.
    pub certificate: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is no PEM of the kind that is expected.
    #[error("{}: expected {expected}, found: {found}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What is wrong.
        found: String,
    },
    /// The certificate and the key cannot be used together.
    #[error("{} and {}: {source}", certificate.display(), key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What the TLS library says.
        source: rustls::Error,
    },
}

/// A certificate in use. Cheap to clone: clones share everything.
#[derive(Clone)]
pub struct Tls {
    current: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Tls {
    /// Reads the certificate, and goes on looking whether its files have changed, on the current tokio runtime. One that
    /// turns out bad is refused and logged, and the one before stays.
    ///
    /// # Errors
    /// [`TlsError`], which names the file.
    pub fn watch(files: CertificateFiles) -> Result<Self, TlsError> {
        let stamp = stamp(&files);
        let tls = Self {
            current: Arc::new(RwLock::new(read(&files)?)),
        };
        tokio::spawn(keep(Arc::downgrade(&tls.current), files, stamp));
        Ok(tls)
    }

    /// What takes a connection that comes now.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.read();
        // Nothing is done under this lock that could panic.
        let current = current.unwrap_or_else(std::sync::PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current))
    }
}

async fn keep(current: std::sync::Weak<RwLock<Arc<ServerConfig>>>, files: CertificateFiles, mut seen: Stamp) {
    loop {
        tokio::time::sleep(WATCH_INTERVAL).await;
        let Some(current) = current.upgrade() else { return };
        let now = stamp(&files);
        if now == seen {
            continue;
        }
        // A pair is changed one file after the other: what does not fit yet is tried again when the other comes.
        seen = now;
        match read(&files) {
            Ok(config) => {
                *current.write().unwrap_or_else(std::sync::PoisonError::into_inner) = config;
                tracing::info!(certificate = %files.certificate.display(), "took a new certificate");
            }
            Err(error) => tracing::error!(%error, "kept the certificate that was there before"),
        }
    }
}

type Stamp = [Option<(SystemTime, u64)>; 2];

/// Tells whether files are those that were read.
fn stamp(files: &CertificateFiles) -> Stamp {
    [&files.certificate, &files.key].map(|path| {
        let about = fs::metadata(path).ok()?;
        Some((about.modified().ok()?, about.len()))
    })
}

fn read(files: &CertificateFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(&files.certificate)?;
    let key =
        PrivateKeyDer::from_pem_file(&files.key).map_err(|error| unfit(&files.key, "a private key in PEM", &error))?;
    let pair = |source| TlsError::Pair {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        source,
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(pair)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    const EXPECTED: &str = "certificates in PEM";
    let read = CertificateDer::pem_file_iter(path).map_err(|error| unfit(path, EXPECTED, &error))?;
    let chain: Vec<_> = read
        .collect::<Result<_, _>>()
        .map_err(|error| unfit(path, EXPECTED, &error))?;
    if chain.is_empty() {
        return Err(unfit(path, EXPECTED, &io::Error::other("none")));
    }
    Ok(chain)
}

fn unfit(path: &Path, expected: &'static str, found: &dyn std::fmt::Display) -> TlsError {
    TlsError::File {
        path: path.to_owned(),
        expected,
        found: found.to_string(),
    }
}
