//! Who this node is: its identity's file, or what it is invited with, or an operator's token.

use std::{fs, io, path::Path, time::Duration};

use anyhow::{Context as _, bail};
use wayside_edge::{causes::told, files};
use wayside_edge_config::{
    config::{Config, Upstream},
    url::ServiceUrl,
};
use wayside_upstream::{
    access::Access,
    enrol::Candidate,
    http::Roots,
    identity::{Identity, NodeKey},
};

use crate::{cli::Globals, client::access, settings};

/// The file in the node's folder.
const FILE: &str = "identity";
/// The ending of the file beside it that holds the key of a node that has not enrolled.
const CANDIDATE: &str = "candidate";
const NOBODY: &str = "this node has nothing to show the origin: set `upstream.invitation_file` to what `wayside node \
                      invite` prints, or `upstream.token_file`, or WAYSIDE_TOKEN_FILE or WAYSIDE_TOKEN";
/// How long to wait between attempts to enrol while no origin answers.
const ENROL_REST: Duration = Duration::from_secs(1);

/// What the node shows its origin. Enrols, when the node is invited and has no identity yet.
pub(crate) async fn access(config: &Config, globals: &Globals) -> anyhow::Result<Access> {
    let upstream = &config.upstream;
    let roots = upstream.ca_file.as_deref().map(Roots::read).transpose();
    let roots = roots.context("upstream.ca_file")?.unwrap_or_default();
    for origin in upstream.all_regions().iter().flat_map(|region| &region.origins) {
        if origin.is_in_the_open() {
            let origin = origin.as_str();
            tracing::warn!(
                origin,
                "plain HTTP: who is on the way reads links and secrets of sites; use https"
            );
        }
    }
    let file = config.edge.data.as_deref().map(|data| data.join(FILE));
    match file.as_deref().map(read) {
        Some(Ok(Some(identity))) => return Ok(Access::by_identity(identity, roots)),
        // Visitors have done nothing wrong, and what is held is there.
        Some(Err(error)) => {
            let error = format!("{error:#}");
            tracing::error!(
                error,
                "this node no longer knows who it is: it serves what it holds and learns of no change. Remove the file, and \
                 invite the node anew"
            );
            return Ok(Access::by_nothing(roots));
        }
        Some(Ok(None)) | None => {}
    }
    if let Some(invitation) = settings::invitation(upstream)? {
        let file = file.context("edge.data: expected a folder, in which an invited node keeps its identity")?;
        // Kept before it is shown: whatever ends this process, the invitation is used up for a key that is there.
        let candidate = file.with_added_extension(CANDIDATE);
        let identity = enrol(upstream, &roots, invitation, candidate_key(&candidate)?).await?;
        keep(&file, &identity.to_text())?;
        fs::remove_file(&candidate).with_context(|| format!("remove {}", candidate.display()))?;
        return Ok(Access::by_identity(identity, roots));
    }
    let token = access::token(globals, Some(upstream), None)?.context(NOBODY)?;
    Ok(Access::by_token(&token, roots)?)
}

fn read(file: &Path) -> anyhow::Result<Option<Identity>> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("read {}", file.display())),
    };
    let identity = Identity::from_text(&text).with_context(|| format!("read {}", file.display()))?;
    Ok(Some(identity))
}

/// The key to enrol with: that of the last attempt, or a new one.
fn candidate_key(file: &Path) -> anyhow::Result<NodeKey> {
    match fs::read_to_string(file) {
        Ok(text) => NodeKey::from_text(&text).with_context(|| format!("read {}", file.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = NodeKey::generate()?;
            keep(file, &key.to_text())?;
            Ok(key)
        }
        Err(error) => Err(error).with_context(|| format!("read {}", file.display())),
    }
}

fn keep(file: &Path, secret: &str) -> anyhow::Result<()> {
    let written = files::replace(file, |out| out.write_all(secret.as_bytes()));
    written.with_context(|| format!("write {}", file.display()))
}

/// Shows the invitation until an origin answers: it may start after its nodes.
async fn enrol(upstream: &Upstream, roots: &Roots, invitation: String, key: NodeKey) -> anyhow::Result<Identity> {
    let regions = upstream.all_regions();
    let origins: Vec<&str> = regions
        .iter()
        .flat_map(|region| region.origins.iter().map(ServiceUrl::as_str))
        .collect();
    let candidate = Candidate::new(&origins, roots, invitation, key)?;
    let mut has_told = false;
    loop {
        match candidate.enrol().await {
            Ok(id) => {
                tracing::info!(node = %id, "enrolled");
                return Ok(candidate.into_identity(id));
            }
            Err(error) if error.is_own_refusal() => bail!(error),
            Err(error) if has_told => tracing::debug!(error = told(&error), "not enrolled yet"),
            Err(error) => {
                tracing::warn!(error = told(&error), "not enrolled yet; trying again");
                has_told = true;
            }
        }
        tokio::time::sleep(ENROL_REST).await;
    }
}
