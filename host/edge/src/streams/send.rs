//! Sending a player, or whoever downloads, to a target for one file of an asset.

use std::borrow::Cow;

use wayside_decide::status::RedirectStatus;

use super::{
    assets::{Copies, Copy},
    request::{Request, SESSION, looks_like_a_session},
    signed::{Signable, file_url},
    tokens::Pass,
};
use crate::{caching::Caching, pipeline::Answer, refusal::Refusal};

/// Targets among which one is looked for when the node cannot sign for the first.
const LISTED_MAX: usize = 64;

/// To the target that the session gets, for the file at this path below the asset. One for which the node cannot sign is
/// passed over.
pub(super) async fn to_target(request: &Request<'_>, file: &str) -> Result<Answer, Refusal> {
    let query = query_for_target(request.visit.head.query);
    let url = |copy: &Copy, pass: Pass| file_url(copy, &pass, request.visit.is_secure, file, query.as_deref());
    let among = |copies: &Copies| copies.of;
    let ask = request.ask(request.session_bytes(), None, &among);
    let mut problem = None;
    // The others are put in order only where the first is not enough.
    for most in [1, LISTED_MAX] {
        let chosen = request.pool.choose(&ask, most);
        let chosen = chosen.map_err(|nobody| request.nobody(nobody))?;
        let mut signable = Signable::of(request.signs(), chosen.copies());
        if let Some((index, _, target)) = signable.next(url).await? {
            request.pool.see(&chosen.targets, ask.speaker, index);
            return Ok(Answer::StreamRedirect {
                status: RedirectStatus::Found,
                target,
                caching: Caching::NOT_KEPT,
            });
        }
        problem = signable.problem();
    }
    Err(problem.unwrap_or(Refusal::NotFound))
}

/// The request's query without what looks like a session of ours: also one of another asset, or too old, would have the
/// target's cache keep the file once for each viewer.
fn query_for_target(query: Option<&str>) -> Option<Cow<'_, str>> {
    let mut rest = query.filter(|query| !query.is_empty())?;
    let is_ours = |pair: &str| pair.strip_prefix(SESSION).is_some_and(looks_like_a_session);
    // It stands at an end of nearly all that have it.
    loop {
        let (first, behind) = rest.split_once('&').unwrap_or((rest, ""));
        let (before, last) = rest.rsplit_once('&').unwrap_or(("", rest));
        rest = match (is_ours(first), is_ours(last)) {
            (true, _) => behind,
            (false, true) => before,
            (false, false) => break,
        };
        if rest.is_empty() {
            return None;
        }
    }
    if !rest.split('&').any(is_ours) {
        return Some(Cow::Borrowed(rest));
    }
    let kept = rest.split('&').filter(|pair| !is_ours(pair));
    let mut text = String::with_capacity(rest.len());
    for pair in kept {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(pair);
    }
    Some(Cow::Owned(text))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::query_for_target;

    #[test]
    fn a_session_of_ours_stays_here() {
        let ours = "b".repeat(53) + "A";
        for (query, expected) in [
            (None, None),
            (Some(""), None),
            (Some("session=b"), None),
            (Some("session=b&session=b"), None),
            (Some("session=b&a=1"), Some("a=1")),
            (Some("a=1&c&session=b"), Some("a=1&c")),
            (Some("session=b&a=1&session=b"), Some("a=1")),
            (Some("a=1&session=b&c"), Some("a=1&c")),
            (Some("a=1&session=b&&session=b&c"), Some("a=1&&c")),
            (Some("sessions=b"), Some("sessions=b")),
            (Some("session=c"), Some("session=c")),
        ] {
            let with_ours = |text: &str| text.replace("=b", &format!("={ours}"));
            let (query, expected) = (query.map(with_ours), expected.map(with_ours));
            let kept = query_for_target(query.as_deref());
            assert_eq!(kept.as_deref(), expected.as_deref(), "{query:?}");
            let is_copied = matches!(kept, Some(Cow::Owned(_)));
            let is_in_the_middle = query
                .as_deref()
                .is_some_and(|query| query.contains(&format!("&session={ours}&c")) || query.contains("&&"));
            assert_eq!(is_copied, is_in_the_middle, "{query:?}");
        }
    }
}
