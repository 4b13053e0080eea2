//! Sending a player, or whoever downloads, to a target for one file of an asset.

use std::borrow::Cow;

use wayside_decide::{name::Name, status::RedirectStatus, target::Target};

use super::{
    assets::{Copies, Copy},
    request::{Request, unsigned},
};
use crate::{caching::Caching, pipeline::Answer, refusal::Refusal};

/// The parameter of the query that names the session: for nodes, and no business of a target's.
const SESSION: &str = "session=";

/// To the target that the session gets, for the file at this path below the asset. One for which the node cannot sign is
/// passed over.
pub(super) async fn to_target(request: &Request<'_>, file: &str) -> Result<Answer, Refusal> {
    let mut passed: Vec<Name> = Vec::new();
    let mut problem = None;
    loop {
        let among = |copies: &Copies| match passed.is_empty() {
            true => copies.of,
            false => copies.but(&passed),
        };
        let ask = request.ask(request.session_bytes(), None, &among);
        let speaker = ask.speaker;
        let chosen = match (request.pool.choose(&ask, 1), problem.take()) {
            (Ok(chosen), before) => {
                problem = before;
                chosen
            }
            // What kept the node from signing says more than that nobody is left.
            (Err(_), Some(problem)) => return Err(problem),
            (Err(nobody), None) => return Err(request.nobody(nobody)),
        };
        let (index, copy) = chosen.first().ok_or(Refusal::NotFound)?;
        match on(request, copy, file).await {
            Ok(target) => {
                request.pool.see(&chosen.targets, speaker, index);
                return Ok(Answer::StreamRedirect {
                    status: RedirectStatus::Found,
                    target,
                    caching: Caching::NOT_KEPT,
                });
            }
            Err(refusal @ Refusal::StreamUnavailable(_)) => {
                problem = problem.or(Some(refusal));
                passed.push(copy.name.clone());
            }
            Err(refusal) => return Err(refusal),
        }
    }
}

/// The file's URL on a target.
async fn on(request: &Request<'_>, copy: &Copy, file: &str) -> Result<Target, Refusal> {
    let base = copy.base(request.visit.is_secure);
    let pass = copy.pass(request).await;
    let session = request.session.map(|(text, _)| text);
    let query = query_for_target(request.visit.head.query, session);
    if let (None, Ok(pass)) = (&query, &pass)
        && let Some(signed) = pass.below(base, file)
    {
        return Ok(signed);
    }
    // A path that leads out of the asset's folder is none of its files.
    let below = base.join(file).map_err(|_| Refusal::NotFound)?;
    let pass = pass.map_err(|error| unsigned(copy, &error))?;
    if let Some(query) = query {
        let with_query = below.with_query(&query).map_err(Refusal::LocationRefused)?;
        // A query that names what a token names cannot be signed: then the file is what was meant.
        if let Ok(signed) = pass.sign(with_query) {
            return Ok(signed);
        }
    }
    pass.sign(below).map_err(|error| unsigned(copy, &error.into()))
}

/// The request's query without the session, when that was one of ours.
fn query_for_target<'q>(query: Option<&'q str>, session: Option<&str>) -> Option<Cow<'q, str>> {
    let query = query.filter(|query| !query.is_empty())?;
    let Some(session) = session else {
        return Some(Cow::Borrowed(query));
    };
    let is_ours = |pair: &str| pair.strip_prefix(SESSION) == Some(session);
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_ours(pair)).collect();
    (!kept.is_empty()).then(|| Cow::Owned(kept.join("&")))
}

#[cfg(test)]
mod tests {
    use super::query_for_target;

    #[test]
    fn a_session_of_ours_stays_here() {
        for (query, expected) in [
            (None, None),
            (Some(""), None),
            (Some("session=b"), None),
            (Some("a=1&session=b&c"), Some("a=1&c")),
            (Some("sessions=b"), Some("sessions=b")),
            (Some("session=c"), Some("session=c")),
        ] {
            assert_eq!(query_for_target(query, Some("b")).as_deref(), expected, "{query:?}");
        }
        assert_eq!(query_for_target(Some("session=b"), None).as_deref(), Some("session=b"));
    }
}
