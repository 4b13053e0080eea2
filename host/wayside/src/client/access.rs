//! Where the origin is, and which token opens it.

use std::{net::IpAddr, path::Path};

use anyhow::bail;
use reqwest::Url;
use wayside_decide::name::Name;
use wayside_edge_config::url::ServiceUrl;

use crate::settings;

/// Reads a service's URL.
pub(crate) fn service_url(text: &str) -> Result<ServiceUrl, String> {
    ServiceUrl::new(text).ok_or_else(|| format!("expected {}", ServiceUrl::EXPECTED))
}

/// Reads a tenant's name.
pub(crate) fn tenant(text: &str) -> Result<String, String> {
    let name = Name::parse("tenant", text).map_err(|invalid| format!("expected {}", invalid.expected))?;
    Ok(name.as_str().to_owned())
}

/// The token: the one given, or else the file's that is named, or else what `dev_file` holds when it is there.
pub(super) fn token(given: Option<&str>, file: Option<&Path>, dev_file: Option<&Path>) -> anyhow::Result<String> {
    // A variable that is set to nothing counts as not set.
    if let Some(token) = given.map(str::trim).filter(|token| !token.is_empty()) {
        return Ok(token.to_owned());
    }
    let named = file.filter(|file| !file.as_os_str().is_empty());
    match named.or_else(|| dev_file.filter(|file| file.exists())) {
        Some(file) => settings::secret(file),
        None => bail!(
            "there is no token: set WAYSIDE_TOKEN or WAYSIDE_TOKEN_FILE, or run this where `wayside dev` runs, which \
             keeps its token in .wayside/token"
        ),
    }
}

/// Whether a URL names this machine.
pub(super) fn is_loopback(url: &ServiceUrl) -> bool {
    let Ok(url) = Url::parse(url.as_str()) else {
        return false;
    };
    let Some(host) = url.host_str() else { return false };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or_else(|_| host == "localhost", |address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{is_loopback, service_url, token};

    #[test]
    fn the_token_that_is_given_goes_before_files() {
        let root = tempfile::tempdir().expect("directory");
        let [named, dev] = ["named", "dev"].map(|name| root.path().join(name));
        let error = token(None, None, Some(&dev)).expect_err("none").to_string();
        assert!(error.contains("WAYSIDE_TOKEN_FILE"), "{error}");
        fs::write(&dev, "ws_dev\n").expect("write");
        let error = token(None, Some(&named), Some(&dev))
            .expect_err("not there")
            .to_string();
        assert!(error.contains("named"), "{error}");
        fs::write(&named, "ws_named\n").expect("write");
        let resolve = |given, file| token(given, file, Some(&dev)).expect("token");
        assert_eq!(resolve(Some(" ws_given "), Some(&*named)), "ws_given");
        assert_eq!(resolve(Some(""), Some(&*named)), "ws_named");
        assert_eq!(resolve(None, None), "ws_dev");
        assert!(
            token(None, None, None).is_err(),
            "another machine's origin gets no token unasked"
        );
    }

    #[test]
    fn this_machine_is_known_by_its_addresses() {
        let check = |text| is_loopback(&service_url(text).expect("URL"));
        for here in [
            "http://127.0.0.1:7070",
            "http://localhost",
            "http://[::1]:1",
            "http://127.9.9.9",
        ] {
            assert!(check(here), "{here}");
        }
        for elsewhere in [
            "http://10.0.0.1",
            "http://localhost.example",
            "http://[::2]",
            "http://127.0.0.1.example",
        ] {
            assert!(!check(elsewhere), "{elsewhere}");
        }
    }
}
