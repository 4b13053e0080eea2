//! How every HTTP client of ours is begun: no proxy, no redirects, and which certificates are believed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use reqwest::{Certificate, ClientBuilder, redirect};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

/// The file of certificate authorities cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: expected the certificates of authorities in PEM, found: {found}", path.display())]
pub struct RootsError {
    path: PathBuf,
    found: String,
}

/// Whose certificates a client believes.
#[derive(Debug, Clone, Default)]
pub enum Roots {
    /// Those that the system believes.
    #[default]
    System,
    /// These alone: a private authority's.
    Only(Vec<Certificate>),
}

impl Roots {
    /// Reads authorities from a PEM file.
    ///
    /// # Errors
    /// [`RootsError`] when it cannot be read or holds none.
    pub fn read(path: &Path) -> Result<Self, RootsError> {
        let unfit = |found: String| RootsError {
            path: path.to_owned(),
            found,
        };
        let text = fs::read(path).map_err(|error| unfit(error.to_string()))?;
        let certificates = Certificate::from_pem_bundle(&text).map_err(|error| unfit(error.to_string()))?;
        if certificates.is_empty() {
            return Err(unfit("none".to_owned()));
        }
        Ok(Self::Only(certificates))
    }
}

/// Begins a client for `url`, which is read only for whether it needs TLS.
pub fn client(url: &str, roots: &Roots) -> ClientBuilder {
    // The one of the process, for there is no other; it stays when it is there.
    let _ = ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        // A proxy from the environment would see the token, and does not lead to 127.0.0.1.
        .no_proxy()
        // Nobody we ask redirects; what shows who we are must not be led astray.
        .redirect(redirect::Policy::none());
    if !url.starts_with("https:") {
        // Reading the system's authorities takes longer than starting all the rest.
        let nobody = ClientConfig::builder().with_root_certificates(RootCertStore::empty());
        return builder.tls_backend_preconfigured(nobody.with_no_client_auth());
    }
    match roots {
        Roots::System => builder,
        Roots::Only(certificates) => builder.tls_certs_only(certificates.iter().cloned()),
    }
}
