//! What share of all traffic something is true of, judged by a few requests of each leaf.
//!
//! In: for each leaf how many requests ended there, how many of them were looked at, and of how many it was true. Out: a
//! share of the whole, and the interval in which it lies with 95 % confidence.

/// The normal distribution's quantile of 97.5 %: 95 % lie between its negative and it.
const Z: f64 = 1.959_963_984_540_054;

/// The requests of one leaf, and the uniform sample of them that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stratum {
    /// All of them.
    pub requests: u64,
    /// Those that were looked at.
    pub sampled: u64,
    /// Those of the sample it is true of.
    pub counted: u64,
}

/// A share of the whole, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The most likely.
    pub share: f64,
    /// The least it is, with 95 % confidence together with `high`.
    pub low: f64,
    /// The most it is.
    pub high: f64,
}

impl Estimate {
    /// The share of `total` requests. Leaves without a sample count as if it were true of none: what is known of them
    /// has to be told apart from this.
    ///
    /// Each leaf has Wilson's interval for a proportion (Wilson 1927), narrowed where the sample is a large part of its
    /// requests, down to a point where it is all of them. The leaves' distances to their limits add up by their squares,
    /// as independent errors do (the "method of variance estimates recovery", Zou and Donner 2008).
    #[must_use]
    pub fn of(strata: impl IntoIterator<Item = Stratum>, total: u64) -> Self {
        let (mut share, mut below, mut above) = (0.0, 0.0, 0.0);
        for stratum in strata {
            let Some((proportion, low, high)) = stratum.wilson() else {
                continue;
            };
            let weight = ratio(stratum.requests, total);
            share += weight * proportion;
            below += (weight * (proportion - low)).powi(2);
            above += (weight * (high - proportion)).powi(2);
        }
        Self {
            share: share.min(1.0),
            low: (share - below.sqrt()).clamp(0.0, 1.0),
            high: (share + above.sqrt()).clamp(0.0, 1.0),
        }
    }
}

impl Stratum {
    /// The sample's proportion and its limits.
    fn wilson(&self) -> Option<(f64, f64, f64)> {
        let Self {
            requests,
            sampled,
            counted,
        } = *self;
        if sampled == 0 {
            return None;
        }
        let proportion = ratio(counted, sampled);
        if sampled >= requests {
            return Some((proportion, proportion, proportion));
        }
        // As large a sample of endlessly many requests would say as much as this one does of so few.
        let size = float(sampled) * float(requests - 1) / float(requests - sampled);
        let scale = 1.0 + Z * Z / size;
        let centre = (proportion + Z * Z / (2.0 * size)) / scale;
        let spread = proportion * (1.0 - proportion) / size + Z * Z / (4.0 * size * size);
        let half = Z / scale * spread.sqrt();
        // Rounding must not put the proportion outside its interval.
        let (low, high) = ((centre - half).min(proportion), (centre + half).max(proportion));
        Some((proportion, low.max(0.0), high.min(1.0)))
    }
}

/// A part of a whole; 0 where there is no whole.
#[must_use]
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { float(part) / float(whole) }
}

#[allow(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
const fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::{Estimate, Stratum};

    fn stratum(requests: u64, sampled: u64, counted: u64) -> Stratum {
        Stratum {
            requests,
            sampled,
            counted,
        }
    }

    fn is_near(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 0.000_5
    }

    #[test]
    fn one_leaf_has_wilsons_interval() {
        // Of endlessly many: the table of Newcombe 1998 for 81 of 263, 15 of 148, 0 of 20 and 1 of 29.
        for (counted, sampled, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let all = 1_000_000_000;
            let found = Estimate::of([stratum(all, sampled, counted)], all);
            assert!(is_near(found.low, low) && is_near(found.high, high), "{found:?}");
        }
    }

    #[test]
    fn what_was_looked_at_whole_is_known() {
        let found = Estimate::of([stratum(60, 60, 0), stratum(30, 30, 30), stratum(10, 0, 0)], 100);
        assert!(is_near(found.share, 0.3) && is_near(found.low, 0.3) && is_near(found.high, 0.3));
        assert_eq!(
            Estimate::of([], 0),
            Estimate {
                share: 0.0,
                low: 0.0,
                high: 0.0
            }
        );
    }

    #[test]
    fn a_leaf_weighs_what_ends_there() {
        let found = Estimate::of([stratum(900_000, 64, 0), stratum(100_000, 64, 64)], 1_000_000);
        assert!(is_near(found.share, 0.1), "{found:?}");
        // The large leaf's uncertainty is nearly all: 0.9 of Wilson's upper limit for 0 of 64.
        assert!(
            found.low < 0.1 && found.low > 0.09 && is_near(found.high, 0.1 + 0.9 * 0.056_6),
            "{found:?}"
        );
    }

    /// Draws samples from known traffic and counts how often the interval holds the truth.
    #[test]
    fn the_interval_holds_the_truth_as_often_as_it_says() {
        let mut state = 7_u64;
        let mut random = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        // Requests of each leaf, how many of them are looked at, and in how many of a hundred it is true.
        let leaves: [&[(u64, u64, u64)]; 5] = [
            &[(10_000, 64, 30)],
            &[(600, 64, 0), (300, 64, 100), (100, 64, 50)],
            &[(5_000, 64, 2), (100, 64, 90), (20, 20, 50), (4_000, 64, 10)],
            &[
                (1_000, 2, 20),
                (1_000, 2, 70),
                (1_000, 2, 40),
                (1_000, 2, 5),
                (1_000, 2, 100),
                (1_000, 2, 60),
            ],
            &[(300, 100, 5)],
        ];
        for leaves in leaves {
            let total = leaves.iter().map(|(requests, ..)| requests).sum();
            let truth: u64 = leaves
                .iter()
                .map(|(requests, _, percent)| requests * percent / 100)
                .sum();
            let truth = super::ratio(truth, total);
            let runs = 4_000;
            let held = (0..runs).filter(|_| {
                let strata = leaves.iter().map(|&(requests, sampled, percent)| {
                    // Without putting back.
                    let (mut left, mut true_ones, mut counted) = (requests, requests * percent / 100, 0);
                    for _ in 0..sampled {
                        let is_true = random() % left < true_ones;
                        left -= 1;
                        true_ones -= u64::from(is_true);
                        counted += u64::from(is_true);
                    }
                    stratum(requests, sampled, counted)
                });
                let found = Estimate::of(strata.collect::<Vec<_>>(), total);
                (found.low - 1e-9..=found.high + 1e-9).contains(&truth)
            });
            let held = held.count();
            assert!(held * 1_000 >= runs * 935, "{held} of {runs} for {leaves:?}");
        }
    }
}
