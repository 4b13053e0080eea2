//! RFC 9457 problems: the one shape of every error.

use std::fmt::Display;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;
use wayside_decide::invalid::Invalid;

use crate::store::StoreError;

/// When to try again what cannot be done now, in seconds.
const RETRY_AFTER_S: &str = "1";

/// An error as the API tells it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// A name of the kind of problem that never changes.
    #[serde(rename = "type")]
    kind: &'static str,
    /// What went wrong, the same for every problem of the kind.
    title: &'static str,
    /// The status code.
    status: u16,
    /// What went wrong this time.
    detail: Box<str>,
    /// The field that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<Box<str>>,
    /// What stood there.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<Box<str>>,
    /// What would have been right.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<Box<str>>,
}

impl Problem {
    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<Box<str>>) -> Self {
        let (status, detail) = (status.as_u16(), detail.into());
        Self {
            kind,
            title,
            status,
            detail,
            field: None,
            found: None,
            expected: None,
        }
    }

    /// A field that cannot be what it says.
    pub(crate) fn invalid(field: impl Into<Box<str>>, invalid: Invalid) -> Self {
        Self::wrong(field, invalid.found, invalid.expected)
    }

    /// A field that holds one thing where another should stand.
    pub(crate) fn wrong(field: impl Into<Box<str>>, found: String, expected: String) -> Self {
        let field = field.into();
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid-field",
            "A field is invalid",
            format!("{field}: found {found}, expected {expected}"),
        );
        problem.field = Some(field);
        problem.found = Some(found.into());
        problem.expected = Some(expected.into());
        problem
    }

    /// A component that was not admitted.
    pub(crate) fn refused_component(reason: &impl Display) -> Self {
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "policy-refused",
            "The policy is refused",
            reason.to_string(),
        );
        problem.field = Some("component".into());
        problem
    }

    /// A body or query that cannot be read at all.
    pub(crate) fn unreadable(status: StatusCode, detail: impl Into<Box<str>>) -> Self {
        Self::new(status, "unreadable-request", "The request cannot be read", detail)
    }

    /// A body past the limit.
    pub(crate) fn too_large(bytes_max: usize) -> Self {
        let detail = format!("body: expected at most {bytes_max} bytes, found more");
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body-too-large",
            "The body is too large",
            detail,
        )
    }

    /// No token, or one that is not ours.
    pub(crate) fn unauthorized(detail: &str) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "A valid token is needed",
            detail,
        )
    }

    /// A token that does not reach this far.
    pub(crate) fn forbidden(detail: impl Into<Box<str>>) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "The token does not allow this",
            detail,
        )
    }

    pub(crate) fn missing_route() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no-such-route",
            "There is no such route",
            "see /v1/openapi.json",
        )
    }

    pub(crate) fn wrong_method() -> Self {
        let detail = "see /v1/openapi.json";
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "wrong-method",
            "The route has no such method",
            detail,
        )
    }

    /// Something failed here; the log says what.
    pub(crate) fn internal(error: &impl Display) -> Self {
        tracing::error!(%error, "the origin failed");
        let detail = "the request is not at fault";
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The origin failed",
            detail,
        )
    }

    /// The origin cannot do this right now.
    pub(crate) fn unavailable(error: &impl Display) -> Self {
        tracing::error!(%error, "the origin cannot do this now");
        Self::not_now()
    }

    /// The record is away for a while. The store says so once in the log, not for each request.
    fn busy(error: &impl Display) -> Self {
        tracing::debug!(%error, "the record is away");
        Self::not_now()
    }

    /// Too many ask for what costs much. Not 503: nodes are to hold nothing against this origin, and not to ask another.
    pub(crate) fn crowded() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "crowded",
            "Others are served first",
            "many nodes ask for this at once; try again shortly",
        )
    }

    /// Whether it is this origin that is at fault.
    pub(crate) const fn is_failure(&self) -> bool {
        self.status >= 500
    }

    fn not_now() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "Not now",
            "try again shortly",
        )
    }
}

/// The response to the request of this id. A failure of the origin's names it, for whoever can read the log.
pub(super) fn name_request(mut response: Response, id: &str) -> Response {
    let Some(mut problem) = response.extensions_mut().remove::<Problem>() else {
        return response;
    };
    problem.detail = format!("{}; the origin's log says more of request {id}", problem.detail).into();
    problem.into_response()
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unfit { field, invalid } => Self::invalid(*field, invalid.clone()),
            StoreError::Missing { .. } => Self::new(
                StatusCode::NOT_FOUND,
                "not-found",
                "There is no such thing",
                error.to_string(),
            ),
            StoreError::Gone { .. } => Self::new(StatusCode::GONE, "gone", "It was deleted", error.to_string()),
            StoreError::Conflict { what, name, .. } => {
                let mut problem = Self::new(
                    StatusCode::CONFLICT,
                    "conflict",
                    "Something is in the way",
                    error.to_string(),
                );
                problem.field = Some((*what).into());
                problem.found = Some(name.as_str().into());
                problem
            }
            StoreError::AnotherRecord { .. } => Self::new(
                StatusCode::CONFLICT,
                "another-record",
                "The record is another one",
                error.to_string(),
            ),
            StoreError::Full(_) => {
                tracing::error!(%error, "nothing can be written");
                let detail = "nothing was written; the origin's operator must make room";
                Self::new(
                    StatusCode::INSUFFICIENT_STORAGE,
                    "out-of-space",
                    "The origin's disk is full",
                    detail,
                )
            }
            StoreError::Unavailable(_) | StoreError::Behind { .. } => Self::busy(&error),
            StoreError::Damaged(_) | StoreError::NoRandomness(_) | StoreError::Database(_) => Self::internal(&error),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response = (status, [(header::CONTENT_TYPE, kind)], body).into_response();
        if status.is_server_error() {
            response.extensions_mut().insert(self);
        }
        if matches!(
            status,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::INSUFFICIENT_STORAGE | StatusCode::TOO_MANY_REQUESTS
        ) {
            let wait = HeaderValue::from_static(RETRY_AFTER_S);
            response.headers_mut().insert(header::RETRY_AFTER, wait);
        }
        if status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
