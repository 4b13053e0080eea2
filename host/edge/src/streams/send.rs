//! Sending a player, or whoever downloads, to a target for one file of an asset.

use wayside_decide::{status::RedirectStatus, target::Target};

use super::request::{Request, unsigned};
use crate::{caching::Caching, pipeline::Answer, refusal::Refusal};

/// To the target that the session gets, for the file at this path below the asset.
pub(super) async fn to_target(request: &Request<'_>, file: &str) -> Result<Answer, Refusal> {
    let ask = request.ask(request.session_bytes(), None);
    let chosen = request.pool.choose(&ask, 1).map_err(|error| request.nobody(error))?;
    let copy = chosen.order.iter().next().and_then(|first| chosen.copies.get(first));
    let copy = copy.ok_or(Refusal::NotFound)?;
    let base = copy.base(request.visit.is_secure);
    // A path that leads out of the asset's folder is none of its files.
    let below = base.join(file).map_err(|_| Refusal::NotFound)?;
    let target: Target = match request.visit.head.query {
        Some(query) if !query.is_empty() => below.with_query(query).map_err(Refusal::LocationRefused)?,
        _ => below,
    };
    let pass = copy.pass(request).await.map_err(|error| unsigned(copy, &error))?;
    let target = pass.sign(target).map_err(|error| unsigned(copy, &error.into()))?;
    Ok(Answer::StreamRedirect {
        status: RedirectStatus::Found,
        target,
        caching: Caching::NOT_KEPT,
    })
}
