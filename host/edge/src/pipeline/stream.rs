//! The step of a stream: the asset, its policy, and then who serves it.

use std::sync::Arc;

use super::{Answer, Edge};
use crate::{
    directory::LiveSite,
    refusal::Refusal,
    streams::{
        self,
        way::{Asked, Way},
    },
    visit::Visit,
};

/// What a request about an asset gets; none when there is no such asset, and the path may be that of a link.
pub(super) async fn answer(
    edge: &Arc<Edge>,
    visit: &Visit<'_>,
    site: &Arc<LiveSite>,
    asked: Asked<'_>,
) -> Result<Option<Answer>, Refusal> {
    let found = streams::find(edge, site, asked.asset, visit.now.instant).await;
    let found = match (found, asked.way) {
        // A player that is told so once reports nothing any more, also of what it plays next.
        (Err(Refusal::Gone), Way::Report) => Ok(None),
        (found, _) => found.map_err(Refusal::of_stream),
    };
    let asset = match found? {
        Some(asset) => asset,
        None if matches!(asked.way, Way::File(_)) => return Ok(None),
        None => return Err(Refusal::NotFound.of_stream()),
    };
    if visit.head.method == "OPTIONS" {
        return Ok(Some(Answer::StreamOptions));
    }
    if !asked.way.takes(visit.head.method) {
        return Err(Refusal::MethodNotAllowed.of_stream());
    }
    let answer = streams::answer(edge, visit, site, asked, asset, None).await;
    answer.map(Some).map_err(Refusal::of_stream)
}
