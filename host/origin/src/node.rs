//! Nodes: invited once, enrolled with a key of their own, revoked for good.

use std::fmt;

use wayside_decide::name::Name;
use wayside_upstream::identity::{NodeId, PublicKey};

use crate::{
    secret::{Secret, random},
    store::StoreError,
};

const PREFIX: &str = "wi_";

/// What an operator hands to a new node: `wi_`, the digits of its id, `_`, a secret. It serves once.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    node: NodeId,
    secret: Secret,
}

/// A node as it is recorded: never a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// Its number.
    pub id: NodeId,
    /// What the operator calls it.
    pub name: Name,
    /// SHA-256 of the invitation's secret.
    pub invitation_hash: [u8; 32],
    /// When it was invited, in seconds since 1970 UTC.
    pub invited_at: u64,
    /// Until when the invitation holds, in seconds since 1970 UTC.
    pub expires_at: u64,
    /// Its key and when it came with it, in seconds since 1970 UTC; none before it has enrolled.
    pub enrolled: Option<(PublicKey, u64)>,
    /// When it was revoked, in seconds since 1970 UTC.
    pub revoked_at: Option<u64>,
}

/// Where a node is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// Its invitation waits.
    Invited,
    /// Its invitation was not used in time.
    Expired,
    /// It has shown its key.
    Enrolled,
    /// It gets nothing more.
    Revoked,
}

impl NodeState {
    /// The state's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Expired => "expired",
            Self::Enrolled => "enrolled",
            Self::Revoked => "revoked",
        }
    }
}

impl NodeRecord {
    /// Where it is at `now_s`, in seconds since 1970 UTC.
    #[must_use]
    pub const fn state(&self, now_s: u64) -> NodeState {
        match self {
            Self {
                revoked_at: Some(_), ..
            } => NodeState::Revoked,
            Self { enrolled: Some(_), .. } => NodeState::Enrolled,
            _ if now_s >= self.expires_at => NodeState::Expired,
            _ => NodeState::Invited,
        }
    }
}

impl fmt::Debug for Invitation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Invitation({}, …)", self.node)
    }
}

impl Invitation {
    /// An invitation for a new node, made at `now_s`, and what is recorded of it.
    ///
    /// # Errors
    /// [`StoreError`] when the system gives no randomness.
    pub fn mint(name: Name, now_s: u64, valid_for_s: u64) -> Result<(Self, NodeRecord), StoreError> {
        let invitation = Self {
            node: NodeId::of(random()?),
            secret: Secret::generate()?,
        };
        let record = NodeRecord {
            id: invitation.node.clone(),
            name,
            invitation_hash: invitation.secret.hash(),
            invited_at: now_s,
            expires_at: now_s.saturating_add(valid_for_s),
            enrolled: None,
            revoked_at: None,
        };
        Ok((invitation, record))
    }

    /// Reads an invitation as its node sends it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (digits, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        Some(Self {
            node: NodeId::parse(&format!("node_{digits}")).ok()?,
            secret: Secret::parse(secret)?,
        })
    }

    /// Whom it invites.
    #[must_use]
    pub const fn node(&self) -> &NodeId {
        &self.node
    }

    /// The invitation's text.
    #[must_use]
    pub fn expose(&self) -> String {
        let digits = self.node.as_str().trim_start_matches("node_");
        format!("{PREFIX}{digits}_{}", self.secret.expose())
    }

    /// Whether `record` is this invitation's.
    #[must_use]
    pub fn fits(&self, record: &NodeRecord) -> bool {
        self.secret.fits(&record.invitation_hash) && self.node == record.id
    }
}

#[cfg(test)]
mod tests {
    use wayside_decide::name::Name;
    use wayside_upstream::identity::NodeKey;

    use super::{Invitation, NodeState};

    #[test]
    fn an_invitation_fits_its_node_and_no_other() {
        let mint = || Invitation::mint(Name::parse("node", "fra-1").expect("a name"), 100, 10).expect("randomness");
        let ((invitation, record), (other, _)) = (mint(), mint());
        let read = Invitation::parse(&invitation.expose()).expect("an invitation");
        assert!(read.fits(&record) && !other.fits(&record));
        for bad in [
            "",
            "wi_",
            "wi_0123456789abcdef",
            "wi_0123456789abcdef_",
            "ws_0123456789ab_x",
            "wi_x_y",
        ] {
            assert!(Invitation::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_node_is_invited_enrolled_and_revoked() {
        let (_, mut record) = Invitation::mint(Name::parse("node", "fra-1").expect("a name"), 100, 10).expect("node");
        assert_eq!(record.state(109), NodeState::Invited);
        assert_eq!(record.state(110), NodeState::Expired);
        let key = NodeKey::generate().expect("randomness").public();
        record.enrolled = Some((key, 105));
        assert_eq!(record.state(200), NodeState::Enrolled);
        record.revoked_at = Some(150);
        assert_eq!(record.state(200), NodeState::Revoked);
    }
}
