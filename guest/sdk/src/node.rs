//! What can be asked about the node that answers.

use crate::contract::node as contract;

/// Its region.
#[must_use]
pub fn region() -> Option<String> {
    contract::region()
}

/// Its point of presence.
#[must_use]
pub fn pop() -> Option<String> {
    contract::pop()
}
