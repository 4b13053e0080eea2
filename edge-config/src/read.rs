//! Reading a configuration: a file's text first, then the environment's variables over it.

use serde::Deserialize as _;
use toml::{Table, Value};

use crate::{config::Config, error::ConfigError, store::StoreUrl};

/// What the names of all overriding variables begin with: `WAYSIDE__EDGE__LISTEN` is `listen` under `[edge]`.
pub const VARIABLE_PREFIX: &str = "WAYSIDE__";

/// Reads the text of a configuration file; `file` names it in errors.
///
/// # Errors
/// [`ConfigError`] with file, line and column.
pub fn parse(file: &str, text: &str) -> Result<Config, ConfigError> {
    let config: Config = toml::from_str(text).map_err(|error| ConfigError::in_file(file, text, &error))?;
    config.check().map_err(|error| error.placed(file, text))?;
    Ok(config)
}

impl Config {
    /// The configuration of a process: defaults, over them the file (its name and text) when there is one, over it
    /// those `variables` whose names begin with [`VARIABLE_PREFIX`]; others are passed over.
    ///
    /// # Errors
    /// [`ConfigError`], which names the place in the file or the variable. A variable under the prefix that sets
    /// nothing is an error.
    pub fn from_sources(
        file: Option<(&str, &str)>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut merged = Table::new();
        let mut is_overridden = false;
        if let Some((name, text)) = file {
            let located = |error: toml::de::Error| ConfigError::in_file(name, text, &error);
            // Read as configuration before anything is laid over it: only then do errors know their place.
            toml::from_str::<Self>(text).map_err(located)?;
            merged = toml::from_str(text).map_err(located)?;
        }
        for (variable, text) in variables {
            let Some(path) = variable.strip_prefix(VARIABLE_PREFIX) else {
                continue;
            };
            let (section, key) = split(path).ok_or_else(|| {
                ConfigError::in_variable(&variable, "unknown name, expected one such as WAYSIDE__EDGE__LISTEN")
            })?;
            let value =
                value(&section, &key, &text).map_err(|message| ConfigError::in_variable(&variable, &message))?;
            is_overridden = true;
            let entry = merged.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(section) = entry {
                section.insert(key, value);
            }
        }
        let config =
            Self::deserialize(merged).map_err(|error| ConfigError::in_variable("environment", error.message()))?;
        config.check().map_err(|error| match file {
            // What a variable says has no place in the file.
            Some((name, text)) if !is_overridden => error.placed(name, text),
            _ => error,
        })?;
        Ok(config)
    }

    /// What no single value can be wrong about.
    fn check(&self) -> Result<(), ConfigError> {
        let upstream = &self.upstream;
        let shown = [
            (upstream.token.is_some(), "upstream.token"),
            (upstream.token_file.is_some(), "upstream.token_file"),
            (upstream.invitation.is_some(), "upstream.invitation"),
            (upstream.invitation_file.is_some(), "upstream.invitation_file"),
        ];
        let mut set = shown.iter().filter(|(is_set, _)| *is_set).map(|(_, name)| *name);
        if let (Some(one), Some(other)) = (set.next(), set.next()) {
            return Err(ConfigError::Conflict { one, other });
        }
        let urls = [
            ("origin.store", &self.origin.store),
            ("origin.replica", &self.origin.replica),
        ];
        for (one, url) in urls {
            if self.origin.password_file.is_some() && url.as_ref().is_some_and(StoreUrl::has_password) {
                let other = "origin.password_file";
                return Err(ConfigError::Conflict { one, other });
            }
        }
        if self.shared_cache.password.is_some() && self.shared_cache.password_file.is_some() {
            return Err(ConfigError::Conflict {
                one: "shared_cache.password",
                other: "shared_cache.password_file",
            });
        }
        if self.origin.replica.is_some() && self.origin.store.is_none() {
            return Err(ConfigError::Alone {
                one: "origin.replica",
                other: "origin.store",
            });
        }
        if self.origin.certificate_file.is_some() != self.origin.key_file.is_some() {
            return Err(ConfigError::Apart {
                one: "origin.certificate_file",
                other: "origin.key_file",
            });
        }
        self.degradation.check()?;
        self.streams.check()?;
        regions::check(&self.upstream)?;
        unused::check(self)
    }
}

fn split(path: &str) -> Option<(String, String)> {
    let (section, key) = path.split_once("__")?;
    let is_name = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    (is_name(section) && is_name(key)).then(|| (section.to_ascii_lowercase(), key.to_ascii_lowercase()))
}

/// The value a variable's text stands for under `[section]` `key`: the text itself where text is wanted, else what it
/// says in TOML (`4`, `true`).
fn value(section: &str, key: &str, text: &str) -> Result<Value, String> {
    let as_text = Value::String(text.to_owned());
    let Err(text_problem) = try_out(section, key, as_text.clone()) else {
        return Ok(as_text);
    };
    let Ok(literal) = text.parse::<Value>() else {
        return Err(text_problem);
    };
    match try_out(section, key, literal.clone()) {
        Ok(()) => Ok(literal),
        // That `70000` is out of range says more than that it is a string.
        Err(problem) => Err(problem),
    }
}

/// Whether a configuration with nothing but this value can be read.
fn try_out(section: &str, key: &str, value: Value) -> Result<(), String> {
    let only = Table::from_iter([(key.to_owned(), value)]);
    let config = Table::from_iter([(section.to_owned(), Value::Table(only))]);
    Config::deserialize(config)
        .map(drop)
        .map_err(|error| error.message().to_owned())
}

mod degradation;
mod regions;
mod streams;
mod unused;

#[cfg(test)]
mod tests;
