//! What any database says to a key that was not taken.

use wayside_upstream::identity::PublicKey;

use super::StoreError;
use crate::node::{NodeRecord, NodeState};

/// Why `node` did not take `key` at `now_s`; nothing, when it is its key already: the answer to the first attempt was lost.
pub(super) fn not_enrolled(node: &NodeRecord, key: &PublicKey, now_s: u64) -> Result<(), StoreError> {
    let state = node.state(now_s);
    if state == NodeState::Enrolled && node.enrolled.as_ref().is_some_and(|(own, _)| own == key) {
        return Ok(());
    }
    let reason = match state {
        NodeState::Expired => "was invited too long ago: its invitation has expired",
        NodeState::Revoked => "is revoked",
        NodeState::Invited | NodeState::Enrolled => "has enrolled with another key: an invitation serves once",
    };
    Err(StoreError::Conflict {
        what: "node",
        name: node.id.to_string(),
        reason: reason.to_owned(),
    })
}
