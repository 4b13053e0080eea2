//! The process's configuration: the one place that reads the file, the environment and the files of secrets.

use std::{collections::HashMap, env, fs, path::Path};

use anyhow::Context as _;
use wayside_edge::streams::secrets::Variable;
use wayside_edge_config::{
    config::{Config, Upstream},
    read::VARIABLE_PREFIX,
};

/// The configuration of this process: `file`, when there is one, under the environment's variables.
pub(crate) fn load(file: Option<&Path>) -> anyhow::Result<Config> {
    let text = file.map(read).transpose()?;
    let name = file.map(|file| file.display().to_string());
    let source = name.as_deref().zip(text.as_deref());
    Ok(Config::from_sources(source, variables(VARIABLE_PREFIX)?)?)
}

/// The text of a configuration file.
pub(crate) fn read(file: &Path) -> anyhow::Result<String> {
    fs::read_to_string(file).with_context(|| format!("read configuration {}", file.display()))
}

/// The token an edge node sends its origin: `upstream.token`, or what `upstream.token_file` holds.
pub(crate) fn upstream_token(upstream: &Upstream) -> anyhow::Result<Option<String>> {
    match &upstream.token_file {
        Some(file) => secret(file).map(Some),
        None => Ok(upstream.token.as_ref().map(|token| token.reveal().to_owned())),
    }
}

/// What an edge node enrols with: `upstream.invitation`, or what `upstream.invitation_file` holds.
pub(crate) fn invitation(upstream: &Upstream) -> anyhow::Result<Option<String>> {
    match &upstream.invitation_file {
        Some(file) => secret(file).map(Some),
        None => Ok(upstream.invitation.as_ref().map(|text| text.reveal().to_owned())),
    }
}

/// The secret a file holds, without the white space around it.
pub(crate) fn secret(file: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(file).with_context(|| format!("read secret {}", file.display()))?;
    let token = text.trim();
    anyhow::ensure!(!token.is_empty(), "read secret {}: the file is empty", file.display());
    Ok(token.to_owned())
}

/// The keys for signed URLs in variables whose names begin with `prefix`, by what follows it.
pub(crate) fn secret_variables(prefix: &str) -> anyhow::Result<HashMap<String, Variable>> {
    let found = variables(prefix)?.into_iter();
    let named = |(name, value): (String, String)| (name[prefix.len()..].to_owned(), Variable::new(value));
    Ok(found.map(named).collect())
}

/// The variables whose names begin with `prefix`. Others may hold anything and are not looked at.
fn variables(prefix: &str) -> anyhow::Result<Vec<(String, String)>> {
    let mut variables = Vec::new();
    for (name, value) in env::vars_os() {
        let Some(name) = name.to_str().filter(|name| name.starts_with(prefix)) else {
            continue;
        };
        let value = value
            .into_string()
            .ok()
            .with_context(|| format!("{name}: expected text in UTF-8"))?;
        variables.push((name.to_owned(), value));
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{load, upstream_token};

    #[test]
    fn a_file_is_named_in_what_is_wrong_with_it() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("wayside.toml");
        let missing = format!("{:#}", load(Some(&file)).expect_err("missing"));
        assert!(
            missing.starts_with("read configuration ") && missing.contains("wayside.toml: "),
            "{missing}"
        );
        fs::write(&file, "[edge]\nlisen = 1\n").expect("write");
        let typo = load(Some(&file)).expect_err("typo").to_string();
        assert!(typo.contains("wayside.toml:2:1: unknown field `lisen`"), "{typo}");
    }

    #[test]
    fn a_token_may_stand_in_a_file() {
        let folder = tempfile::tempdir().expect("folder");
        let (file, token) = (folder.path().join("wayside.toml"), folder.path().join("token"));
        fs::write(&file, format!("[upstream]\ntoken_file = {token:?}\n")).expect("write");
        let config = load(Some(&file)).expect("configuration");
        assert!(upstream_token(&config.upstream).is_err(), "no such file");
        fs::write(&token, "\n").expect("write");
        assert!(upstream_token(&config.upstream).is_err(), "empty");
        fs::write(&token, "ws_1_2\n").expect("write");
        assert_eq!(
            upstream_token(&config.upstream).expect("token").as_deref(),
            Some("ws_1_2")
        );
    }
}
