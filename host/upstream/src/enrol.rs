//! Becoming a node: an invitation and a new key for an id.

use std::time::Duration;

use crate::{
    client::{OriginError, accept, read_json},
    http::{self, Roots},
    identity::{Identity, NodeId, NodeKey},
    protocol::{ENROL_PATH, Enrolled, Enrolment},
};

const OPERATION: &str = "enrol this node";
/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 4 * 1024;

/// A node that has an invitation and no id yet.
pub struct Candidate {
    origins: Vec<(reqwest::Client, String)>,
    enrolment: Enrolment,
    key: NodeKey,
}

impl Candidate {
    /// A candidate with this key, for the origins of one record.
    ///
    /// # Errors
    /// [`OriginError::Unusable`] when there can be no client.
    pub fn new(origins: &[&str], roots: &Roots, invitation: String, key: NodeKey) -> Result<Self, OriginError> {
        let unusable = |url: &str, reason: String| OriginError::Unusable {
            url: url.to_owned(),
            reason,
        };
        let client = |base: &&str| {
            let http = http::client(base, roots).timeout(TIMEOUT).build();
            let http = http.map_err(|error| unusable(base, error.to_string()))?;
            Ok((http, format!("{}{ENROL_PATH}", base.trim_end_matches('/'))))
        };
        Ok(Self {
            origins: origins.iter().map(client).collect::<Result<_, _>>()?,
            enrolment: Enrolment {
                invitation,
                public_key: key.public().to_string(),
            },
            key,
        })
    }

    /// Brings the key to the first origin that answers. An attempt whose answer was lost is made again with the same
    /// key, and the origin says the same.
    ///
    /// # Errors
    /// [`OriginError`], the last one's, when there is no usable answer. What [an origin refuses](OriginError::is_own_refusal) is the
    /// origins' last word.
    pub async fn enrol(&self) -> Result<NodeId, OriginError> {
        let nobody = OriginError::Unusable {
            url: String::new(),
            reason: "there is no origin".to_owned(),
        };
        let mut last = Err(nobody);
        for (http, url) in &self.origins {
            last = self.enrol_at(http, url).await;
            if last.as_ref().map_or_else(OriginError::is_own_refusal, |_| true) {
                break;
            }
        }
        last
    }

    async fn enrol_at(&self, http: &reqwest::Client, url: &str) -> Result<NodeId, OriginError> {
        let sent = http.post(url).json(&self.enrolment).send().await;
        let response = sent.map_err(|source| OriginError::Unreachable {
            operation: OPERATION,
            source,
        })?;
        let enrolled: Enrolled = read_json(OPERATION, accept(OPERATION, response).await?, ANSWER_BYTES_MAX).await?;
        NodeId::parse(&enrolled.node).map_err(|invalid| OriginError::Malformed {
            operation: OPERATION,
            reason: invalid.to_string(),
        })
    }

    /// The node that the candidate became.
    #[must_use]
    pub fn into_identity(self, id: NodeId) -> Identity {
        Identity::new(id, self.key)
    }
}
