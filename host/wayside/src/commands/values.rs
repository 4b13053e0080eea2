//! How words of the command line become values, where more than one command reads them.

use std::time::Duration;

use clap::Args;
use wayside_decide::{name::Name, status::RedirectStatus};

/// The site a list is about.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ListedSite {
    /// The site's name
    #[arg(value_name = "SITE", value_parser = name)]
    positional: Option<String>,
    /// The site's name
    #[arg(long, value_name = "SITE", value_parser = name)]
    site: Option<String>,
}

impl ListedSite {
    /// The name.
    pub(super) fn name(&self) -> &str {
        let name = self.positional.as_deref().or(self.site.as_deref());
        // Clap has seen to it that there is one.
        name.unwrap_or_default()
    }
}

/// Reads the name of a site, a policy or a token. Names stand in URLs: what is none never gets there.
pub(super) fn name(text: &str) -> Result<String, String> {
    let name = Name::parse("name", text).map_err(|invalid| format!("expected {}", invalid.expected))?;
    Ok(name.as_str().to_owned())
}

/// Reads a length of time: a number and `s`, `m`, `h` or `d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(char, u64); 4] = [('s', 1), ('m', 60), ('h', 60 * 60), ('d', 24 * 60 * 60)];
    let read = UNITS.iter().find_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(*unit)?.parse().ok()?;
        number.checked_mul(*seconds)
    });
    read.map(Duration::from_secs)
        .ok_or_else(|| "expected a number and a unit, such as 90s, 30m, 24h or 7d".to_owned())
}

/// Reads the status of a redirect.
pub(super) fn status(text: &str) -> Result<u16, String> {
    let status = text.parse().ok().and_then(|code| RedirectStatus::from_code(code).ok());
    status
        .map(RedirectStatus::code)
        .ok_or_else(|| "expected 301, 302, 303, 307 or 308".to_owned())
}

/// Reads `NAME=VALUE`.
pub(super) fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((self::name(name)?, value.to_owned()))
}
