//! Why a request gets no redirect: a closed list, whose labels are the metric's.

use wayside_decide::{decision::Failure, invalid::Invalid, status::DenyStatus};

/// A request that ends without a redirect.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The request cannot be read.
    Malformed(Invalid),
    /// The request's target is longer than the edge reads.
    UriTooLong,
    /// The request's header fields are more or larger than the edge reads.
    HeadersTooLarge,
    /// The node has not heard of any site yet.
    NotReady,
    /// No site answers for the host.
    UnknownHost {
        /// Whether the connection is bound to its authority: then the request was misdirected.
        misdirected: bool,
    },
    /// The method is none that is answered there.
    MethodNotAllowed {
        /// Those that are, as `Allow` lists them.
        allow: &'static str,
    },
    /// Nothing stands at the path.
    NotFound,
    /// A policy decided to refuse.
    Denied(DenyStatus),
    /// A policy gave no decision and its binding fails closed.
    PolicyFailed(Failure),
    /// The link is not held, and its origin cannot be asked.
    OriginAway(String),
    /// The link is not held, and the node loads nothing now.
    Shed(String),
    /// The decision's location is none that may be sent.
    LocationRefused(Invalid),
    /// The location is the URL that was asked for.
    Loop,
    /// What was there has been deleted.
    Gone,
    /// No key, or not the right one.
    NoKey,
    /// The body is longer than the edge reads.
    TooLarge {
        /// How much there may be.
        most: usize,
        /// Of what.
        unit: &'static str,
    },
    /// The body is of another type than is read there.
    UnsupportedMedia {
        /// What is read.
        expected: &'static str,
    },
    /// An asset of which nothing can be played yet.
    NotYet {
        /// When to come back, in seconds.
        retry_after_s: u32,
    },
    /// No target of a stream may serve it, or what is needed for that is not there.
    StreamUnavailable(String),
    /// No manifest can carry the tokens of any target of a stream.
    TokensNotCarried(String),
    /// The site's own server gave something else than a playlist.
    SourceBroken(String),
    /// Any of the above in answer to a request about a stream: pages of other sites may read it.
    OfStream(Box<Self>),
}

impl Refusal {
    /// The same in answer to a request about a stream.
    pub(crate) fn of_stream(self) -> Self {
        match self {
            Self::OfStream(_) => self,
            other => Self::OfStream(Box::new(other)),
        }
    }

    /// The status code.
    pub(crate) const fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::UriTooLong => 414,
            Self::HeadersTooLarge => 431,
            Self::NotReady
            | Self::PolicyFailed(_)
            | Self::OriginAway(_)
            | Self::Shed(_)
            | Self::NotYet { .. }
            | Self::TokensNotCarried(_)
            | Self::StreamUnavailable(_) => 503,
            Self::UnknownHost { misdirected: true } => 421,
            Self::UnknownHost { misdirected: false } | Self::NotFound => 404,
            Self::MethodNotAllowed { .. } => 405,
            Self::Denied(status) => status.code(),
            Self::LocationRefused(_) | Self::SourceBroken(_) => 502,
            Self::Loop => 508,
            Self::Gone => 410,
            Self::NoKey => 401,
            Self::TooLarge { .. } => 413,
            Self::UnsupportedMedia { .. } => 415,
            Self::OfStream(refusal) => refusal.status(),
        }
    }

    /// A fixed word for metrics and logs.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::UriTooLong => "uri_too_long",
            Self::HeadersTooLarge => "headers_too_large",
            Self::NotReady => "not_ready",
            Self::UnknownHost { .. } => "unknown_host",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::NotFound => "not_found",
            Self::Denied(_) => "denied",
            Self::PolicyFailed(_) => "policy_failed",
            Self::OriginAway(_) => "origin_away",
            Self::Shed(_) => "shed",
            Self::LocationRefused(_) => "location_refused",
            Self::Loop => "loop",
            Self::Gone => "gone",
            Self::NoKey => "no_key",
            Self::TooLarge { .. } => "too_large",
            Self::UnsupportedMedia { .. } => "unsupported_media",
            Self::NotYet { .. } => "not_yet",
            Self::StreamUnavailable(_) => "stream_unavailable",
            Self::TokensNotCarried(_) => "tokens_not_carried",
            Self::SourceBroken(_) => "source_broken",
            Self::OfStream(refusal) => refusal.label(),
        }
    }

    /// Every label, for metrics that show a zero from the start.
    pub(crate) const LABELS: [&str; 21] = [
        "malformed",
        "uri_too_long",
        "headers_too_large",
        "not_ready",
        "unknown_host",
        "method_not_allowed",
        "not_found",
        "denied",
        "policy_failed",
        "origin_away",
        "shed",
        "location_refused",
        "loop",
        "gone",
        "no_key",
        "too_large",
        "unsupported_media",
        "not_yet",
        "stream_unavailable",
        "tokens_not_carried",
        "source_broken",
    ];

    /// What the visitor reads: written for them, nothing of the inside.
    pub(crate) fn public_message(&self) -> String {
        match self {
            Self::Malformed(invalid) => format!("The request cannot be read. {invalid}."),
            Self::UriTooLong => {
                format!(
                    "The address is longer than {} bytes.",
                    wayside_decide::limits::URI_BYTES_MAX
                )
            }
            Self::HeadersTooLarge => format!(
                "The header fields are larger than {} bytes or more than {}.",
                wayside_decide::limits::HEADER_BYTES_MAX,
                wayside_decide::limits::HEADER_COUNT_MAX
            ),
            Self::NotReady => "This node is starting. Try again shortly.".to_owned(),
            Self::UnknownHost { .. } => "No site answers for this host here.".to_owned(),
            Self::MethodNotAllowed { .. } => "Requests of this method are not answered here.".to_owned(),
            Self::NotFound => "There is no link at this address.".to_owned(),
            Self::Denied(_) => "The site does not serve this address to you.".to_owned(),
            Self::PolicyFailed(_) | Self::OriginAway(_) | Self::Shed(_) | Self::StreamUnavailable(_) => {
                "The site cannot answer right now. Try again shortly.".to_owned()
            }
            Self::LocationRefused(_) => "The site wants to redirect to an address that is not valid.".to_owned(),
            Self::Loop => "The site redirects this address to itself.".to_owned(),
            Self::Gone => "What was at this address has been deleted.".to_owned(),
            Self::NoKey => "The key of this stream is needed, as `Authorization: Bearer KEY`.".to_owned(),
            Self::TooLarge { most, unit } => format!("The body has more than {most} {unit}."),
            Self::UnsupportedMedia { expected } => {
                format!("The body is of a type that is not read here: {expected} is.")
            }
            Self::NotYet { .. } => "This is still being made. Try again shortly.".to_owned(),
            Self::TokensNotCarried(_) => {
                "The servers of this stream ask for tokens that no playlist can carry. Its files can be \
                                          fetched one by one."
                    .to_owned()
            }
            Self::SourceBroken(_) => "The site's own server does not give what is expected of it.".to_owned(),
            Self::OfStream(refusal) => match **refusal {
                Self::NotFound => "There is no stream at this address.".to_owned(),
                _ => refusal.public_message(),
            },
        }
    }

    /// What the operator reads in the log, where there is more to say than the label; visitors never see it.
    pub(crate) fn detail(&self) -> Option<String> {
        match self {
            Self::PolicyFailed(failure) => Some(failure.to_string()),
            Self::OriginAway(reason)
            | Self::Shed(reason)
            | Self::StreamUnavailable(reason)
            | Self::TokensNotCarried(reason)
            | Self::SourceBroken(reason) => Some(reason.clone()),
            Self::LocationRefused(invalid) => Some(invalid.to_string()),
            Self::OfStream(refusal) => refusal.detail(),
            _ => None,
        }
    }

    /// Whether something is wrong on this side, so that it belongs in the log.
    pub(crate) const fn is_ours(&self) -> bool {
        match self {
            Self::PolicyFailed(_)
            | Self::OriginAway(_)
            | Self::LocationRefused(_)
            | Self::Loop
            | Self::StreamUnavailable(_)
            | Self::TokensNotCarried(_)
            | Self::SourceBroken(_) => true,
            Self::OfStream(refusal) => refusal.is_ours(),
            _ => false,
        }
    }
}
