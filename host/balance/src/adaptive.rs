//! A score of load, latency and bandwidth together, for [`crate::two_choices`].

use std::time::Duration;

/// What is quicker is as quick: between targets nearby, chance would decide who is twice as quick as whom.
const QUICK_ENOUGH: Duration = Duration::from_millis(10);

/// What counts how much in a score. Only the proportions count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// How much is free of what the target can carry.
    pub load: f64,
    /// How quick it is beside the quickest.
    pub latency: f64,
    /// How much is free of its bandwidth.
    pub bandwidth: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            load: 0.4,
            latency: 0.3,
            bandwidth: 0.3,
        }
    }
}

/// Weights that weigh nothing, or less.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("weights: found {load}, {latency} and {bandwidth}, expected numbers from 0 of which one is above")]
pub struct NoWeights {
    load: f64,
    latency: f64,
    bandwidth: f64,
}

/// What is known of a target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Signals {
    /// How much of what it can carry is used: 1 is all, and more is no worse.
    pub load: f64,
    /// How long it takes.
    pub latency: Duration,
    /// How much of its bandwidth is used: 1 is all, and more is no worse.
    pub bandwidth: f64,
}

/// How targets are scored.
#[derive(Debug, Clone, Copy, Default)]
pub struct Adaptive {
    weights: Weights,
}

impl Adaptive {
    /// Scores that weigh so.
    ///
    /// # Errors
    /// [`NoWeights`] when one is below 0 or no number, or all are 0.
    pub fn new(weights: Weights) -> Result<Self, NoWeights> {
        let Weights {
            load,
            latency,
            bandwidth,
        } = weights;
        let all = [load, latency, bandwidth];
        let is_weight = |weight: &f64| weight.is_finite() && *weight >= 0.0;
        if all.iter().all(is_weight) && all.iter().any(|weight| *weight > 0.0) {
            Ok(Self { weights })
        } else {
            Err(NoWeights {
                load,
                latency,
                bandwidth,
            })
        }
    }

    /// How good a target is beside one that answers in `quickest`: 1 when it is idle and the quickest, 0 when it is full
    /// and answers never.
    #[must_use]
    pub fn score(&self, target: &Signals, quickest: Duration) -> f64 {
        let Weights {
            load,
            latency,
            bandwidth,
        } = self.weights;
        let free = |used: f64| 1.0 - if used.is_nan() { 1.0 } else { used.clamp(0.0, 1.0) };
        let seconds = |latency: Duration| latency.max(QUICK_ENOUGH).as_secs_f64();
        let quickness = (seconds(quickest) / seconds(target.latency)).min(1.0);
        let sum = load * free(target.load) + latency * quickness + bandwidth * free(target.bandwidth);
        sum / (load + latency + bandwidth)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Adaptive, Signals, Weights};

    const fn signals(load: f64, latency_ms: u64, bandwidth: f64) -> Signals {
        Signals {
            load,
            latency: Duration::from_millis(latency_ms),
            bandwidth,
        }
    }

    #[test]
    fn a_score_is_what_its_weights_say() {
        let quickest = Duration::from_millis(10);
        let score = |target| Adaptive::default().score(&target, quickest);
        assert!((score(signals(0.0, 10, 0.0)) - 1.0).abs() < 1e-9);
        assert!((score(signals(1.0, 10, 0.0)) - 0.6).abs() < 1e-9);
        assert!((score(signals(0.0, 20, 0.0)) - 0.85).abs() < 1e-9);
        assert!((score(signals(0.5, 10, 1.0)) - 0.5).abs() < 1e-9);
        let nearby = Adaptive::default().score(&signals(0.0, 2, 0.0), Duration::from_millis(1));
        assert!(
            (nearby - 1.0).abs() < 1e-9,
            "twice as long as the quickest, and quick enough"
        );
        assert!(
            score(signals(f64::NAN, 10, 9.0)) < 0.31,
            "what nobody knows counts as full"
        );
        let by_load = Adaptive::new(Weights {
            load: 2.0,
            latency: 0.0,
            bandwidth: 0.0,
        })
        .expect("weights");
        assert!((by_load.score(&signals(0.25, 900, 1.0), quickest) - 0.75).abs() < 1e-9);
    }

    #[test]
    fn weights_that_weigh_nothing_are_refused() {
        for (load, latency) in [(0.0, 0.0), (-0.1, 1.0), (f64::NAN, 1.0), (f64::INFINITY, 1.0)] {
            let refused = Adaptive::new(Weights {
                load,
                latency,
                bandwidth: 0.0,
            })
            .expect_err("no weights");
            assert!(refused.to_string().starts_with("weights: found "), "{refused}");
        }
    }
}
