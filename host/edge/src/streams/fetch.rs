//! The one client for what tenants name: their playlists, and what says whether a target serves.
//!
//! In: a URL that a tenant chose. Out: its body, bounded, or its status. Whoever chose it may be hostile: only public
//! addresses are connected to and those that the operator names ([`reach`]), redirects are an error, and everything has an
//! end. It must not know what playlists mean.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use ipnet::IpNet;
use reqwest::{
    Client, Response,
    header::{
        ACCEPT_ENCODING, CONTENT_ENCODING, ETAG, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH,
        LAST_MODIFIED, LOCATION,
    },
};
use tokio::{sync::OnceCell, time::timeout};
use wayside_decide::{invalid::quote, target::Target};
use wayside_stream::splice::PLAYLIST_BYTES_MAX;
use wayside_upstream::http::{self as clients, Roots};

use self::{
    reach::{Reach, TENANT},
    turns::{Most, Turns},
};
use super::room::{Extent, Part, Room};
use crate::causes::told;

mod connect;
mod freshness;
mod reach;
mod turns;

/// How long a connection may take to be there.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// How long an answer may take from the first step to its last byte.
const TOTAL_MAX: Duration = Duration::from_secs(10);
/// How long a connection that nobody uses is kept: longer than most probes' intervals.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// How many of those for one host.
const IDLE_CONNECTIONS_MAX: usize = 2;
/// What is read of the body of a probe, so that its connection can be used again.
const PROBE_BYTES_MAX: usize = 16 * 1024;
/// For how long.
const PROBE_BODY_MAX: Duration = Duration::from_millis(100);
/// Fetches at the same time for one tenant, and of those from one host and port.
const OF_TENANT: usize = 16;
const OF_HOST: usize = 8;
/// What files on their way may take together beyond what small ones do, in bytes: of small ones there are as many as
/// fetches.
const BODIES_BYTES_MAX: usize = 128 * 1024 * 1024;
/// What of each is small, in bytes: most are smaller.
const SMALL_BYTES: usize = 64 * 1024;
/// How many times as much as a tenant's files take it leaves for those of others.
const LEFT_FOR_OTHERS: usize = 4;
/// What is made ready for the first bytes of a file.
const FIRST_BYTES: usize = 8 * 1024;
/// Longest validator that is kept, in bytes.
const VALIDATOR_BYTES_MAX: usize = 512;

/// Why there is nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The host is none that a tenant may have the node connect to.
    #[error("{0}")]
    Private(String),
    /// It answered with a redirect.
    #[error("found status {status} with the location {location}, expected the file itself: redirects are not followed")]
    Redirect {
        /// The status.
        status: u16,
        /// Where to, shortened.
        location: String,
    },
    /// It answered with another status than that of the file.
    #[error("found status {0}, expected 200")]
    Status(u16),
    /// The body is coded.
    #[error("found a body in the coding {0}, expected one without: the node asks for `identity`")]
    Coded(String),
    /// The body is too long.
    #[error("found more than {most} bytes, expected {most} at most")]
    Size {
        /// How long it may be.
        most: usize,
    },
    /// Files on their way take too much memory, of this tenant or of all.
    #[error("found no room for {0} bytes on their way, expected it: too much comes at the same time")]
    Room(usize),
    /// It took too long.
    #[error("found no whole answer after {0:?}, expected one by then")]
    Time(Duration),
    /// There is no connection, or it broke.
    #[error("{0}")]
    Broken(String),
}

/// What tells one content of a file from the next without its body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Validators {
    /// `ETag`.
    pub(crate) etag: Option<Box<str>>,
    /// `Last-Modified`.
    pub(crate) last_modified: Option<Box<str>>,
}

/// What came.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// The file.
    Whole {
        /// Its bytes.
        body: Bytes,
        /// What to ask with the next time.
        validators: Validators,
        /// For how long it is fresh.
        fresh: Duration,
        /// What it takes of what all files may that are on their way. To be kept until it counts elsewhere.
        part: Part,
    },
    /// The file is what the validators say.
    Unchanged {
        /// For how long it is fresh.
        fresh: Duration,
    },
}

/// The client.
#[derive(Debug)]
pub(crate) struct Fetcher {
    reach: Reach,
    roots: Roots,
    plain: Client,
    /// Made when it is first needed: the system's authorities take a while to read.
    secure: OnceCell<Client>,
    turns: Turns,
    room: Room,
    total_max: Duration,
}

impl Fetcher {
    /// A client that reaches the public, and `private` networks beside, and fetches so many files at the same time.
    ///
    /// # Errors
    /// [`FetchError::Broken`] when there can be no client at all.
    pub(crate) fn new(private: Vec<IpNet>, roots: Roots, fetches_max: usize) -> Result<Self, FetchError> {
        let reach = Reach::new(private);
        let plain = client("http:", &roots, &reach)?;
        Ok(Self {
            reach,
            roots,
            plain,
            secure: OnceCell::new(),
            turns: Turns::new(Most {
                of_host: OF_HOST,
                of_tenant: OF_TENANT,
                of_all: fetches_max,
            }),
            room: room(BODIES_BYTES_MAX),
            total_max: TOTAL_MAX,
        })
    }

    /// Fetches a file for a tenant, or learns that it is still what `known` says.
    ///
    /// # Errors
    /// [`FetchError`], which does not name the URL.
    pub(crate) async fn fetch(&self, tenant: &str, url: &Target, known: &Validators) -> Result<Fetched, FetchError> {
        let fetching = async {
            let _turn = self.turns.take(tenant, url.authority()).await;
            let response = self.get(tenant, url, known).await?;
            read(response, known, self.room.part(tenant)).await
        };
        let limit = self.total_max;
        timeout(limit, fetching).await.map_err(|_| FetchError::Time(limit))?
    }

    /// Asks whether something answers: the status, and how long its head took.
    ///
    /// # Errors
    /// [`FetchError`] when there is no answer within `limit`. A redirect is one.
    pub(crate) async fn probe(
        &self,
        tenant: &str,
        url: &Target,
        limit: Duration,
    ) -> Result<(StatusCode, Duration), FetchError> {
        let started = Instant::now();
        let nothing = Validators::default();
        let mut response = timeout(limit, self.get(tenant, url, &nothing))
            .await
            .map_err(|_| FetchError::Time(limit))??;
        let took = started.elapsed();
        // What is wrong with the body is not what was asked.
        let reading = async {
            let mut left = PROBE_BYTES_MAX;
            while let Ok(Some(chunk)) = response.chunk().await
                && chunk.len() < left
            {
                left -= chunk.len();
            }
        };
        let _ = timeout(PROBE_BODY_MAX, reading).await;
        Ok((response.status(), took))
    }

    async fn get(&self, tenant: &str, url: &Target, known: &Validators) -> Result<Response, FetchError> {
        let private = |error: reach::Private| FetchError::Private(error.to_string());
        self.reach.check_literal(url.host()).map_err(private)?;
        let client = self.client(url).await?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let conditions = [(IF_NONE_MATCH, &known.etag), (IF_MODIFIED_SINCE, &known.last_modified)];
        for (name, value) in conditions {
            if let Some(value) = value.as_deref().and_then(|text| HeaderValue::from_str(text).ok()) {
                headers.insert(name, value);
            }
        }
        let sending = client.get(url.as_str()).headers(headers).send();
        // The caller knows the URL.
        TENANT
            .scope(tenant.into(), sending)
            .await
            .map_err(|error| FetchError::Broken(told(&error.without_url())))
    }

    async fn client(&self, url: &Target) -> Result<&Client, FetchError> {
        if url.scheme() != "https" {
            return Ok(&self.plain);
        }
        let (roots, reach) = (self.roots.clone(), self.reach.clone());
        let making = || async move {
            let made = tokio::task::spawn_blocking(move || client("https:", &roots, &reach)).await;
            made.map_err(|panicked| FetchError::Broken(panicked.to_string()))?
        };
        self.secure.get_or_try_init(making).await
    }
}

fn client(scheme: &str, roots: &Roots, reach: &Reach) -> Result<Client, FetchError> {
    let builder = clients::client(scheme, roots)
        .dns_resolver(reach.clone())
        .connect_timeout(CONNECT_MAX)
        .pool_idle_timeout(IDLE_MAX)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .user_agent(concat!("Wayside/", env!("CARGO_PKG_VERSION")));
    builder.build().map_err(|error| FetchError::Broken(told(&error)))
}

/// So many bytes beside those of small files.
fn room(bytes_max: usize) -> Room {
    Room::new(Extent {
        bytes_max,
        uncounted_bytes: SMALL_BYTES,
        left_for_others: LEFT_FOR_OTHERS,
    })
}

async fn read(mut response: Response, known: &Validators, mut part: Part) -> Result<Fetched, FetchError> {
    let fresh = freshness::of(response.headers());
    let status = response.status();
    if status == StatusCode::NOT_MODIFIED && *known != Validators::default() {
        return Ok(Fetched::Unchanged { fresh });
    }
    if status.is_redirection() {
        let location = text(response.headers(), LOCATION.as_str()).unwrap_or_default();
        return Err(FetchError::Redirect {
            status: status.as_u16(),
            location: quote(&location),
        });
    }
    if status != StatusCode::OK {
        return Err(FetchError::Status(status.as_u16()));
    }
    if let Some(coding) =
        text(response.headers(), CONTENT_ENCODING.as_str()).filter(|coding| !coding.eq_ignore_ascii_case("identity"))
    {
        return Err(FetchError::Coded(quote(&coding)));
    }
    let most = PLAYLIST_BYTES_MAX;
    if response.content_length().is_some_and(|length| length > most as u64) {
        return Err(FetchError::Size { most });
    }
    let validator = |name: &str| text(response.headers(), name).filter(|text| text.len() <= VALIDATOR_BYTES_MAX);
    let validators = Validators {
        etag: validator(ETAG.as_str()),
        last_modified: validator(LAST_MODIFIED.as_str()),
    };
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| FetchError::Broken(told(&error.without_url())))?
    {
        let bytes = body.len() + chunk.len();
        if bytes > most {
            return Err(FetchError::Size { most });
        }
        if bytes > body.capacity() {
            // Doubled here and not where it grows, so that what is made ready is what was counted.
            let ready = bytes.next_power_of_two().clamp(FIRST_BYTES, most);
            if !part.grow_to(ready) {
                return Err(FetchError::Room(ready));
            }
            body.reserve_exact(ready - body.len());
        }
        body.extend_from_slice(&chunk);
    }
    // It may be kept for long, and counts for its length then.
    body.shrink_to_fit();
    Ok(Fetched::Whole {
        body: Bytes::from(body),
        validators,
        fresh,
        part,
    })
}

fn text(headers: &HeaderMap, name: &str) -> Option<Box<str>> {
    headers.get(name)?.to_str().ok().map(Into::into)
}

#[cfg(test)]
mod tests;
