//! Bodies of requests: which are read, how far, and how many at a time.
//!
//! In: a method and a path, a body that arrives. Out: the whole body, or the [`Refusal`] that its sender gets. Only the
//! paths of streams at which something is posted have one; everything else is answered without. It must not know what is
//! in a body.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use wayside_decide::{invalid::Invalid, path};
use wayside_stream::cmcd;

use crate::refusal::Refusal;

/// Where players report to.
const REPORTS: &str = "/.wayside/cmcd/";
/// Where recorders ask for a place to send a stream to.
const INGEST: &str = "/.wayside/ingest/";
/// Longest description of a session that a recorder sends (SDP), in bytes.
const SDP_BYTES_MAX: usize = 64 * 1024;
/// How long a body may take.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Most bodies that one thread reads at the same time: 32 MiB of the longest.
const AT_ONCE_MAX: usize = 128;

/// How long the body of a request may be, in bytes; none when it is not read at all.
pub(super) fn bytes_max(method: &str, path: &str) -> Option<usize> {
    if method != "POST" {
        return None;
    }
    let path = path::normalise(path);
    if path.starts_with(REPORTS) {
        Some(cmcd::BATCH_BYTES_MAX)
    } else if path.starts_with(INGEST) {
        Some(SDP_BYTES_MAX)
    } else {
        None
    }
}

/// The bodies that one thread reads.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    at_once: Cell<usize>,
}

impl Bodies {
    /// Reads a body of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// [`Refusal`] for one that is longer, does not come in time, or breaks off; and when too many others are read.
    pub(super) async fn read(&self, body: Incoming, bytes_max: usize) -> Result<Bytes, Refusal> {
        self.read_within(body, bytes_max, TIME_MAX)
            .await
            .map_err(Refusal::of_stream)
    }

    async fn read_within(&self, body: Incoming, bytes_max: usize, time_max: Duration) -> Result<Bytes, Refusal> {
        // What says that it is too long need not be read.
        if body.size_hint().lower() > bytes_max as u64 {
            return Err(too_large(bytes_max));
        }
        let _one = self.begin_one()?;
        let began = Instant::now();
        let read = Limited::new(body, bytes_max).collect();
        let broken = |found: String| Refusal::Malformed(Invalid::other("body", found, "all of it"));
        match tokio::time::timeout(time_max, read).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(bytes_max)),
            Ok(Err(_)) => Err(broken("one that breaks off".to_owned())),
            Err(_) => Err(broken(format!("less after {} s", began.elapsed().as_secs()))),
        }
    }

    fn begin_one(&self) -> Result<One<'_>, Refusal> {
        let before = self.at_once.get();
        if before >= AT_ONCE_MAX {
            return Err(Refusal::Shed(format!("{before} bodies are being read by this thread")));
        }
        self.at_once.set(before + 1);
        Ok(One(&self.at_once))
    }
}

const fn too_large(bytes_max: usize) -> Refusal {
    Refusal::TooLarge {
        most: bytes_max,
        unit: "bytes",
    }
}

/// A body that is being read; no more when this is dropped, as with a connection that ends.
struct One<'b>(&'b Cell<usize>);

impl Drop for One<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::{SDP_BYTES_MAX, bytes_max};

    #[test]
    fn only_what_is_posted_about_streams_is_read() {
        for (method, path, expected) in [
            ("POST", "/.wayside/cmcd/film", Some(256 * 1024)),
            ("POST", "/%2Ewayside/cmcd/film", Some(256 * 1024)),
            ("POST", "/.wayside/ingest/show", Some(SDP_BYTES_MAX)),
            ("GET", "/.wayside/cmcd/film", None),
            ("PUT", "/.wayside/ingest/show", None),
            ("POST", "/.wayside/steer/film", None),
            ("POST", "/.wayside/cmcd", None),
            ("POST", "/a", None),
        ] {
            assert_eq!(bytes_max(method, path), expected, "{method} {path}");
        }
    }
}
