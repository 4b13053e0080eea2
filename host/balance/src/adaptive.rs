//! By a score of load, latency and bandwidth together.

use std::time::Duration;

use crate::{peak_ewma, random::Random};

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
    /// How much of what it can carry is used, from 0 to 1.
    pub load: f64,
    /// How long it takes.
    pub latency: Duration,
    /// How much of its bandwidth is used, from 0 to 1.
    pub bandwidth: f64,
}

/// Takes targets by their scores.
#[derive(Debug, Clone, Copy, Default)]
pub struct Adaptive {
    weights: Weights,
}

impl Adaptive {
    /// A balancer that weighs so.
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
        let quickness = if target.latency <= quickest {
            1.0
        } else {
            quickest.as_secs_f64() / target.latency.as_secs_f64()
        };
        let sum = load * free(target.load) + latency * quickness + bandwidth * free(target.bandwidth);
        sum / (load + latency + bandwidth)
    }

    /// The better of two available targets taken at random: signals are always a little old, and whoever looked best
    /// then would get everything until the next. None when none is available.
    pub fn pick(
        &self,
        targets: &[Signals],
        is_available: impl Fn(usize) -> bool,
        random: &mut Random,
    ) -> Option<usize> {
        let available = targets.iter().enumerate().filter(|(index, _)| is_available(*index));
        let quickest = available.map(|(_, target)| target.latency).min()?;
        let cost = |index: usize| -self.score(&targets[index], quickest);
        peak_ewma::pick(targets.len(), cost, &is_available, random)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::{Adaptive, Signals, Weights};
    use crate::random::Random;

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

    proptest! {
        #[test]
        fn a_target_worse_than_all_is_taken_only_alone(
            targets in proptest::collection::vec((0.0..0.9_f64, 1_u64..500, 0.0..0.9_f64, any::<bool>()), 0..10),
            seed in any::<u64>(),
        ) {
            let mut seen: Vec<Signals> = targets.iter().map(|(load, ms, used, _)| signals(*load, *ms, *used)).collect();
            seen.push(signals(1.0, 1_000, 1.0));
            let is_available = |target: usize| targets.get(target).is_none_or(|target| target.3);
            let take = || Adaptive::default().pick(&seen, is_available, &mut Random::new(seed));
            prop_assert_eq!(take(), take(), "the seed decides");
            let taken = take().expect("the worst is available");
            let is_alone = !targets.iter().any(|target| target.3);
            prop_assert!(is_available(taken));
            prop_assert_eq!(taken == targets.len(), is_alone);
        }
    }
}
