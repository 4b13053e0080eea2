//! Who may be asked for at the admin endpoint: nobody's name but this machine's own.
//!
//! A page in a browser may have its own name lead to the loopback address, and would then read what the endpoint says as if
//! it were the page's own server. Such a request names the page's host.

use std::net::IpAddr;

use axum::{
    extract::{Request, State},
    http::{StatusCode, header, uri::Authority},
    middleware::Next,
    response::Response,
};

use super::refuse;

/// Lets a request pass to an endpoint that, if `is_loopback`, only this machine can reach.
pub(super) async fn check(State(is_loopback): State<bool>, request: Request, next: Next) -> Response {
    let field = request.headers().get(header::HOST).map(|value| value.to_str());
    let named = match (request.uri().authority(), field) {
        (Some(authority), _) => Some(authority.as_str()),
        (None, Some(field)) => Some(field.unwrap_or_default()),
        (None, None) => None,
    };
    if is_loopback && !named.is_none_or(is_own) {
        let expected = "expected a Host that is an address or localhost: this endpoint is for this machine only";
        return refuse(StatusCode::MISDIRECTED_REQUEST, expected.to_owned());
    }
    next.run(request).await
}

/// Whether no name of others is meant.
fn is_own(named: &str) -> bool {
    let Ok(authority) = named.parse::<Authority>() else {
        return false;
    };
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    address.parse::<IpAddr>().is_ok() || host.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::is_own;

    #[test]
    fn addresses_and_localhost_are_own() {
        for own in ["localhost", "LOCALHOST:9090", "127.0.0.1:1", "[::1]:9090", "192.0.2.1"] {
            assert!(is_own(own), "{own}");
        }
        for other in [
            "evil.example",
            "evil.example:9090",
            "localhost.evil.example",
            "",
            "127.0.0.1.evil.example",
        ] {
            assert!(!is_own(other), "{other}");
        }
    }
}
