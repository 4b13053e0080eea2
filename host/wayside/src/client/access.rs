//! Where the origin is, and which token opens it.

use std::{net::IpAddr, path::Path};

use reqwest::Url;
use wayside_decide::name::Name;
use wayside_edge_config::{config::Upstream, url::ServiceUrl};

use crate::{cli::Globals, settings};

/// Reads a service's URL.
pub(crate) fn service_url(text: &str) -> Result<ServiceUrl, String> {
    ServiceUrl::new(text).ok_or_else(|| format!("expected {}", ServiceUrl::EXPECTED))
}

/// Reads a tenant's name.
pub(crate) fn tenant(text: &str) -> Result<String, String> {
    let name = Name::parse("tenant", text).map_err(|invalid| format!("expected {}", invalid.expected))?;
    Ok(name.as_str().to_owned())
}

/// The token to show an origin, whoever shows it: what the configuration says, where one is read; else the one given;
/// else the named file's; else what `dev_file` holds when it is there. None when nobody named any.
pub(crate) fn token(
    globals: &Globals,
    upstream: Option<&Upstream>,
    dev_file: Option<&Path>,
) -> anyhow::Result<Option<String>> {
    if let Some(token) = upstream.map(settings::upstream_token).transpose()?.flatten() {
        return Ok(Some(token));
    }
    // A variable that is set to nothing counts as not set.
    let given = globals.token.as_deref().map(str::trim);
    if let Some(token) = given.filter(|token| !token.is_empty()) {
        return Ok(Some(token.to_owned()));
    }
    let file = globals.token_file.as_deref();
    let named = file.filter(|file| !file.as_os_str().is_empty());
    let file = named.or_else(|| dev_file.filter(|file| file.exists()));
    file.map(settings::secret).transpose()
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
    use std::{fs, path::Path};

    use wayside_edge_config::{config::Config, read::parse};

    use super::{is_loopback, service_url, token};
    use crate::{cli::Globals, output::Format};

    fn globals(token: Option<&str>, token_file: Option<&Path>) -> Globals {
        Globals {
            output: Format::default(),
            origin_url: service_url("http://127.0.0.1:1").expect("URL"),
            token: token.map(str::to_owned),
            token_file: token_file.map(Path::to_owned),
            ca_file: None,
            tenant: None,
            admin_url: service_url("http://127.0.0.1:2").expect("URL"),
        }
    }

    #[test]
    fn the_token_that_is_given_goes_before_files() {
        let root = tempfile::tempdir().expect("directory");
        let [named, dev] = ["named", "dev"].map(|name| root.path().join(name));
        let none = token(&globals(None, None), None, Some(&dev)).expect("no error");
        assert_eq!(none, None);
        fs::write(&dev, "ws_dev\n").expect("write");
        let error = token(&globals(None, Some(&named)), None, Some(&dev)).expect_err("not there");
        assert!(error.to_string().contains("named"), "{error}");
        fs::write(&named, "ws_named\n").expect("write");
        let check = |given, file, expected| {
            let found = token(&globals(given, file), None, Some(&dev)).expect("token");
            assert_eq!(found.as_deref(), Some(expected));
        };
        check(Some(" ws_given "), Some(&*named), "ws_given");
        check(Some(""), Some(&*named), "ws_named");
        check(None, None, "ws_dev");
        let none = token(&globals(None, None), None, None).expect("no error");
        assert_eq!(none, None, "another machine's origin gets no token unasked");
    }

    #[test]
    fn an_edge_takes_its_token_from_where_commands_do_unless_its_configuration_names_one() {
        let root = tempfile::tempdir().expect("directory");
        let file = root.path().join("named");
        fs::write(&file, "ws_named\n").expect("write");
        let nothing = Config::default().upstream;
        let found = token(&globals(None, Some(&file)), Some(&nothing), None).expect("token");
        assert_eq!(found.as_deref(), Some("ws_named"));
        let configured = parse("wayside.toml", "upstream.token = \"ws_configured\"").expect("configuration");
        let found = token(
            &globals(Some("ws_given"), Some(&file)),
            Some(&configured.upstream),
            None,
        )
        .expect("token");
        assert_eq!(found.as_deref(), Some("ws_configured"));
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
