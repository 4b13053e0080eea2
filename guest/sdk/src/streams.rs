//! What can be asked about the asset that is asked for, and about the targets that can serve it.
//!
//! For a policy of streams: [`stream_policy`](crate::stream_policy). How targets do cannot be asked: that changes by the
//! moment, and the host applies it after the plan.

use crate::contract::streams as contract;

/// The asset's id; none when the request is for no asset. Costly: one remembered decision for each asset. Labels and
/// attributes that many assets share are better.
#[must_use]
pub fn asset() -> Option<String> {
    contract::asset()
}

/// Its owner's labels.
#[must_use]
pub fn tags() -> Vec<String> {
    contract::tags()
}

/// Whether it carries this label. Asks for all of them.
#[must_use]
pub fn has_tag(tag: &str) -> bool {
    tags().iter().any(|carried| carried == tag)
}

/// What the asset's owner wrote down about it under this name.
#[must_use]
pub fn attribute(name: &str) -> Option<String> {
    contract::attribute(name)
}

/// The names of the targets that have a copy of it, in order of names.
#[must_use]
pub fn targets() -> Vec<String> {
    contract::targets()
}

/// The region of the target of this name; none when it has no copy.
#[must_use]
pub fn region(target: &str) -> Option<String> {
    contract::region(target)
}
