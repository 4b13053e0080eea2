//! What no single threshold can be wrong about: a worse level's is never below a better one's.

use crate::{config::Degradation, error::ConfigError};

impl Degradation {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let memory = [
            ("memory_reduced_percent", self.memory_reduced_percent.get()),
            ("memory_core_only_percent", self.memory_core_only_percent.get()),
            ("memory_emergency_percent", self.memory_emergency_percent.get()),
        ];
        let latency = [
            ("latency_reduced_ms", self.latency_reduced_ms.get()),
            ("latency_core_only_ms", self.latency_core_only_ms.get()),
            ("latency_emergency_ms", self.latency_emergency_ms.get()),
        ];
        let (reduced, core_only) = (self.policy_queue_reduced_percent, self.policy_queue_core_only_percent);
        let queue = [
            ("policy_queue_reduced_percent", reduced.get()),
            ("policy_queue_core_only_percent", core_only.get()),
        ];
        ascend(&memory)
            .and_then(|()| ascend(&latency))
            .and_then(|()| ascend(&queue))
    }
}

fn ascend(thresholds: &[(&str, u64)]) -> Result<(), ConfigError> {
    match thresholds.windows(2).find(|pair| pair[0].1 > pair[1].1) {
        Some(pair) => {
            let ((better, least), (worse, found)) = (pair[0], pair[1]);
            Err(ConfigError::Field {
                field: format!("degradation.{worse}"),
                problem: format!("{found}, expected no less than {better}, which is {least}"),
            })
        }
        None => Ok(()),
    }
}
