//! What no single weight of a score can be wrong about: without any there is no score.

use crate::{config::Streams, error::ConfigError};

impl Streams {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let weights = [self.score_load, self.score_latency, self.score_bandwidth];
        if weights.iter().any(|weight| weight.get() > 0) {
            return Ok(());
        }
        Err(ConfigError::Field {
            field: "streams.score_load".to_owned(),
            problem: "0, expected more than 0 here, in score_latency or in score_bandwidth, which are 0 too".to_owned(),
        })
    }
}
