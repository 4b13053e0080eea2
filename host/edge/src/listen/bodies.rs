//! Bodies of requests: how far they are read, and how many at a time.
//!
//! In: a body that arrives, of what kind it is, whose. Out: the whole body, or the [`Refusal`] that its sender gets. It must
//! not know what is in a body, nor which are worth reading.
//!
//! Whoever sends slowly holds a place for as long as a body may take. So an address has a few, and reports, which anybody
//! may send, take none of those of recorders, who have shown a key.

use std::{
    cell::RefCell,
    net::IpAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use wayside_decide::invalid::Invalid;
use wayside_stream::quality::home_of;

use crate::{refusal::Refusal, streams::posted::Posted};

/// How long a body may take.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Most bodies of a kind that one thread reads at the same time: 32 MiB of the longest.
const AT_ONCE_MAX: usize = 128;
/// Most of those of one address, of IPv6 of one /48 network.
const OF_ADDRESS_MAX: usize = 8;

/// The bodies that one thread reads.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    /// Of each which kind it is, and from which home. Few enough to be looked through.
    being_read: RefCell<Vec<(Posted, u64)>>,
}

impl Bodies {
    /// Reads a body of this kind, which somebody at this address sends.
    ///
    /// # Errors
    /// [`Refusal`] for one that is too long, does not come in time, or breaks off; and when too many others are read.
    pub(super) async fn read(&self, body: Incoming, kind: Posted, address: IpAddr) -> Result<Bytes, Refusal> {
        self.read_within(body, kind, address, TIME_MAX)
            .await
            .map_err(Refusal::of_stream)
    }

    async fn read_within(
        &self,
        body: Incoming,
        kind: Posted,
        address: IpAddr,
        time_max: Duration,
    ) -> Result<Bytes, Refusal> {
        let bytes_max = kind.bytes_max();
        // What says that it is too long need not be read.
        if body.size_hint().lower() > bytes_max as u64 {
            return Err(too_large(bytes_max));
        }
        let _one = self.begin_one(kind, address)?;
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

    fn begin_one(&self, kind: Posted, address: IpAddr) -> Result<One<'_>, Refusal> {
        let what = (kind, home_of(address));
        let mut being_read = self.being_read.borrow_mut();
        let of_kind = being_read.iter().filter(|(of, _)| *of == kind).count();
        if of_kind >= AT_ONCE_MAX {
            return Err(Refusal::Shed(format!("{of_kind} bodies are being read by this thread")));
        }
        let of_address = being_read.iter().filter(|other| **other == what).count();
        if of_address >= OF_ADDRESS_MAX {
            let reason = format!("{of_address} bodies from {address} are being read by this thread");
            return Err(Refusal::Shed(reason));
        }
        being_read.push(what);
        drop(being_read);
        Ok(One { of: self, what })
    }
}

const fn too_large(bytes_max: usize) -> Refusal {
    Refusal::TooLarge {
        most: bytes_max,
        unit: "bytes",
    }
}

/// A body that is being read; no more when this is dropped, as with a connection that ends.
struct One<'b> {
    of: &'b Bodies,
    what: (Posted, u64),
}

impl Drop for One<'_> {
    fn drop(&mut self) {
        let mut being_read = self.of.being_read.borrow_mut();
        if let Some(place) = being_read.iter().position(|other| *other == self.what) {
            being_read.swap_remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{AT_ONCE_MAX, Bodies, OF_ADDRESS_MAX};
    use crate::streams::posted::Posted;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_has_a_few_places_and_gets_them_back() {
        let bodies = Bodies::default();
        let begin = |kind, text: &str| bodies.begin_one(kind, address(text)).ok();
        for (one, same, other) in [
            ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
            ("2001:db8:1::1", "2001:db8:1:ffff::2", "2001:db8:2::1"),
        ] {
            let mut held: Vec<_> = (0..OF_ADDRESS_MAX).map(|_| begin(Posted::Reports, one)).collect();
            assert!(held.iter().all(Option::is_some));
            assert!(begin(Posted::Reports, one).is_none() && begin(Posted::Reports, same).is_none());
            assert!(begin(Posted::Reports, other).is_some());
            assert!(
                begin(Posted::Recording, one).is_some(),
                "who has a key has its own places"
            );
            held.pop();
            assert!(begin(Posted::Reports, same).is_some());
        }
        assert!(bodies.being_read.borrow().is_empty());
    }

    #[test]
    fn reports_from_everywhere_take_no_place_of_recorders() {
        let bodies = Bodies::default();
        let begin = |kind, number: usize| bodies.begin_one(kind, address(&format!("192.0.2.{number}"))).ok();
        let held: Vec<_> = (0..AT_ONCE_MAX).map(|number| begin(Posted::Reports, number)).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(begin(Posted::Reports, 200).is_none());
        assert!(begin(Posted::Recording, 200).is_some());
    }
}
