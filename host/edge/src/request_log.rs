//! A line in the log for each request, where the configuration asks for it.
//!
//! In: a request that was answered. Out: one event of the target `wayside::request`. The query is left out: visitors'
//! secrets travel in it.

use std::{borrow::Cow, time::Duration};

use http::StatusCode;

use crate::{head::Head, request_id::RequestId};

/// Writes the line. `id` is the one that a refusal has told the visitor; any other answer gets its id here.
pub(crate) fn write(id: Option<RequestId>, head: &Head<'_>, status: StatusCode, duration: Duration) {
    // As text, not by `Display`: the log then escapes what a visitor could write into it.
    tracing::info!(
        target: "wayside::request",
        request_id = %id.unwrap_or_else(RequestId::next),
        method = head.method,
        host = &*host(head),
        path = head.path,
        status = status.as_u16(),
        duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
    );
}

fn host<'r>(head: &Head<'r>) -> Cow<'r, str> {
    let host = head.authority.map(str::as_bytes).or_else(|| head.fields.first("host"));
    String::from_utf8_lossy(host.unwrap_or_default())
}
