//! Sending a player, or whoever downloads, to a target for one file of an asset.

use wayside_decide::{status::RedirectStatus, target::Target};

use super::{
    assets::Copy,
    request::{Request, unsigned},
};
use crate::{caching::Caching, pipeline::Answer, refusal::Refusal};

/// Targets that are tried where the first ones cannot be signed for.
const TRIED_MAX: usize = 4;
/// The parameter of the query that names the session: for nodes, and no business of a target's.
const SESSION: &str = "session=";

/// To the target that the session gets, for the file at this path below the asset. One for which the node cannot sign is
/// passed over.
pub(super) async fn to_target(request: &Request<'_>, file: &str) -> Result<Answer, Refusal> {
    let ask = request.ask(request.session_bytes(), None);
    let mut chosen = request.pool.choose(&ask, 1).map_err(|error| request.nobody(error))?;
    let mut refused = None;
    for nth in 0..TRIED_MAX {
        let Some(copy) = chosen.order.iter().nth(nth).and_then(|index| chosen.copies.get(index)) else {
            break;
        };
        match on(request, copy, file).await {
            Ok(target) => {
                return Ok(Answer::StreamRedirect {
                    status: RedirectStatus::Found,
                    target,
                    caching: Caching::NOT_KEPT,
                });
            }
            Err(refusal @ Refusal::StreamUnavailable(_)) => {
                if nth == 0 {
                    let ordered = request.pool.choose(&ask, TRIED_MAX);
                    chosen = ordered.map_err(|error| request.nobody(error))?;
                }
                refused = refused.or(Some(refusal));
            }
            Err(refusal) => return Err(refusal),
        }
    }
    Err(refused.unwrap_or(Refusal::NotFound))
}

/// The file's URL on a target.
async fn on(request: &Request<'_>, copy: &Copy, file: &str) -> Result<Target, Refusal> {
    let base = copy.base(request.visit.is_secure);
    // A path that leads out of the asset's folder is none of its files.
    let below = base.join(file).map_err(|_| Refusal::NotFound)?;
    let pass = copy.pass(request).await.map_err(|error| unsigned(copy, &error))?;
    if let Some(query) = query_for_target(request.visit.head.query) {
        let with_query = below.with_query(&query).map_err(Refusal::LocationRefused)?;
        // A query that names what a token names cannot be signed: then the file is what was meant.
        if let Ok(signed) = pass.sign(with_query) {
            return Ok(signed);
        }
    }
    pass.sign(below).map_err(|error| unsigned(copy, &error.into()))
}

/// The request's query without what is for this node.
fn query_for_target(query: Option<&str>) -> Option<String> {
    let query = query.filter(|query| !query.is_empty())?;
    let kept: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with(SESSION)).collect();
    (!kept.is_empty()).then(|| kept.join("&"))
}

#[cfg(test)]
mod tests {
    use super::query_for_target;

    #[test]
    fn a_session_stays_here() {
        for (query, expected) in [
            (None, None),
            (Some(""), None),
            (Some("session=a"), None),
            (Some("a=1&session=b&c"), Some("a=1&c")),
            (Some("sessions=1"), Some("sessions=1")),
        ] {
            assert_eq!(query_for_target(query).as_deref(), expected, "{query:?}");
        }
    }
}
