//! What can be asked about the link at the request's path.

use crate::contract::link as contract;

/// Whether there is one and it is live.
#[must_use]
pub fn exists() -> bool {
    contract::exists()
}

/// Its path in normal form.
#[must_use]
pub fn key() -> Option<String> {
    contract::key()
}

/// Where it leads by itself. To pass it on, write `{link.target}` as the redirect's location instead.
#[must_use]
pub fn target() -> Option<String> {
    contract::target()
}

/// Its owner's labels; none when there is no link.
#[must_use]
pub fn tags() -> Vec<String> {
    contract::tags()
}

/// What the link's owner wrote down about it under this name (`--attribute campaign=spring`).
#[must_use]
pub fn attribute(name: &str) -> Option<String> {
    contract::attribute(name)
}

/// Whether it carries this label. Asks for all of them.
#[must_use]
pub fn has_tag(tag: &str) -> bool {
    tags().iter().any(|carried| carried == tag)
}
