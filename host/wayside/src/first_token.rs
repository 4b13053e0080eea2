//! Tokens that are made without the API: the first one, which every other needs, and a node's in the same process.

use std::{fs, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

use anyhow::Context as _;
use wayside_origin::{
    origin::Origin,
    token::{Scope, Token},
};

/// The operator's token in `file`, which nobody else may read; made, when there is none or the origin no longer knows
/// it.
pub(crate) async fn keep(origin: &Origin, file: &Path, scope: Scope, name: &str) -> anyhow::Result<String> {
    if let Ok(text) = fs::read_to_string(file)
        && let Some(token) = Token::parse(text.trim())
        && origin.knows(&token).await?
    {
        return Ok(token.expose());
    }
    let token = origin.mint_token(None, scope, name).await?.expose();
    let write = || {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(file)?;
        writeln!(file, "{token}")?;
        file.sync_all()
    };
    write().with_context(|| format!("write the token {}", file.display()))?;
    Ok(token)
}
