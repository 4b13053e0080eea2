//! What can be asked about the request.

use crate::contract::request as contract;

/// The method in upper case.
#[must_use]
pub fn method() -> String {
    contract::method()
}

/// `http` or `https`, as the visitor sees it.
#[must_use]
pub fn scheme() -> String {
    contract::scheme()
}

/// The host in lower case, without port.
#[must_use]
pub fn host() -> String {
    contract::host()
}

/// The path in normal form, however the visitor wrote it: no escape where none is needed, `%2F` in upper case, UTF-8
/// escaped. Costly: one remembered decision for each path. To pass the path on, write `{path}` in the redirect's
/// location instead.
#[must_use]
pub fn path() -> String {
    contract::path()
}

/// The segment of that path at this index, counted from 0.
#[must_use]
pub fn segment(index: u32) -> Option<String> {
    contract::segment(index)
}

/// The first value of this query parameter, decoded.
#[must_use]
pub fn query(name: &str) -> Option<String> {
    contract::query(name)
}

/// This header field's value; repeated fields are joined by `, `. Costly: one remembered decision for each value.
#[must_use]
pub fn header(name: &str) -> Option<String> {
    contract::header(name)
}

/// This cookie's value. Costly: one remembered decision for each value.
#[must_use]
pub fn cookie(name: &str) -> Option<String> {
    contract::cookie(name)
}

/// Which of these languages the visitor prefers by `Accept-Language`; none when none fits.
#[must_use]
pub fn prefers(languages: &[&str]) -> Option<String> {
    let languages: Vec<String> = languages.iter().map(|&language| language.to_owned()).collect();
    contract::prefers(&languages)
}
