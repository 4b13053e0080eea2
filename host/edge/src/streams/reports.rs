//! Players' reports: in the query or the headers of any request about an asset, and posted in batches.
//!
//! In: a request whose asset is known. Out: what [`super::pools`] hears of sessions that this site's key has signed. What
//! nobody believes is counted and left out: a report is never a reason to refuse a player something. It must not know how
//! targets are judged.

use std::{borrow::Cow, slice};

use wayside_decide::invalid::Invalid;
use wayside_stream::{
    cmcd::{self, Refused, Report},
    select::session_key,
};

use super::request::{Request, believe};
use crate::{metrics::Reported, pipeline::Answer, refusal::Refusal};

/// Takes what was posted, a batch of events. One of which nothing can be read is refused, so that whoever writes a player
/// notices.
pub(super) fn take(request: &Request<'_>) -> Result<Answer, Refusal> {
    let head = request.visit.head;
    if head.method != "POST" {
        // What it said has been noted.
        return Ok(Answer::Reported);
    }
    let batch = cmcd::from_body(head.body).map_err(|refused| {
        count(request, outcome(&refused), 1);
        refuse(refused)
    })?;
    if batch.refused > 0 {
        count(request, Reported::Malformed, batch.refused);
    }
    match batch.first {
        Some(refused) if batch.reports.is_empty() => Err(refuse(refused)),
        _ => {
            hear(request, &batch.reports);
            Ok(Answer::Reported)
        }
    }
}

/// Notes what a request says besides what it asks for.
pub(super) fn note(request: &Request<'_>) {
    match said(request) {
        Ok(None) => {}
        Ok(Some(report)) => hear(request, slice::from_ref(&report)),
        Err(refused) => count(request, outcome(&refused), 1),
    }
}

/// The report in a request's query, else in its headers.
fn said(request: &Request<'_>) -> Result<Option<Report>, Refused> {
    let head = request.visit.head;
    let query = head.query.filter(|query| query.contains("CMCD="));
    if let Some(report) = query.map(cmcd::from_query).transpose()?.flatten() {
        return Ok(Some(report));
    }
    let fields = head.fields.0.iter().filter(|field| {
        let name = field.name.as_bytes();
        name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"cmcd-"))
    });
    let texts = fields.map(|field| (field.name, String::from_utf8_lossy(field.value)));
    let texts: Vec<(&str, Cow<'_, str>)> = texts.collect();
    if texts.is_empty() {
        return Ok(None);
    }
    cmcd::from_headers(texts.iter().map(|(name, value)| (*name, &**value)))
}

/// Has the pool hear those reports whose session is one of ours.
fn hear(request: &Request<'_>, reports: &[Report]) {
    let targets = request.pool.targets();
    let mut last: Option<(&str, Option<u64>)> = None;
    let mut heard = 0;
    for report in reports {
        let text = report.session.as_deref().unwrap_or_default();
        // Nearly all of a batch are of one session.
        let session = match last {
            Some((known, session)) if known == text => session,
            _ => {
                let session = session_of(request, text);
                last = Some((text, session));
                session
            }
        };
        let Some(session) = session else { continue };
        let named = report.url.as_deref().and_then(|url| targets.bases.target_of(url));
        let player = request.player(session);
        // Who reports of nobody's session need not be looked up.
        let networks = request.networks();
        request
            .pool
            .hear(&targets, player, networks.as_slice(), |reporter, quality| {
                reporter.report(report, named, quality)
            });
        heard += 1;
    }
    count(request, Reported::Heard, heard);
    count(request, Reported::NoSession, reports.len() - heard);
}

/// By what the session of a report is known: what it says itself, when that is one of ours, else what the request's query
/// says. Players make up one of their own when nobody tells them.
fn session_of(request: &Request<'_>, text: &str) -> Option<u64> {
    let id = request.asset.asset.id.as_str();
    let own = believe(request.visit, request.site, id, text).map(|_| text);
    let of_query = || request.session.map(|(text, _)| text);
    own.or_else(of_query).map(|text| session_key(text.as_bytes()))
}

fn count(request: &Request<'_>, outcome: Reported, count: usize) {
    request.shard.count_reports(outcome, count);
}

const fn outcome(refused: &Refused) -> Reported {
    match refused {
        Refused::Malformed { .. } => Reported::Malformed,
        Refused::TooLong { .. } => Reported::TooLong,
    }
}

fn refuse(refused: Refused) -> Refusal {
    match refused {
        Refused::TooLong { unit, most, .. } => Refusal::TooLarge { most, unit },
        Refused::Malformed { at, found, expected } => {
            let expected = format!("{expected} at byte {at} of an event");
            Refusal::Malformed(Invalid::other("report", found, expected))
        }
    }
}
