//! Randomness from a seed.

use std::time::Duration;

/// A generator after SplitMix64: good enough to spread load, and quick. Not for secrets.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The generator of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.state)
    }

    /// A number below `end`; 0 when that is 0.
    pub const fn below(&mut self, end: usize) -> usize {
        // The high half of a product: its bias is 2⁻⁶⁴ times `end`, and there is no division.
        ((self.bits() as u128 * end as u128) >> 64) as usize
    }

    /// A number from 0 to below 1.
    pub const fn share(&mut self) -> f64 {
        // As many bits as a float has.
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A time from nothing to `longest`: full jitter.
    pub fn up_to(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.share())
    }
}

/// Spreads what differs in a few bits over all of them.
pub(crate) const fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn a_seed_gives_the_published_sequence() {
        let mut random = Random::new(1_234_567);
        assert_eq!(random.bits(), 6_457_827_717_110_365_317);
        assert_eq!(random.bits(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn numbers_keep_below_their_end_and_reach_all_of_it() {
        let mut random = Random::new(7);
        let mut met = [0; 10];
        for _ in 0..10_000 {
            met[random.below(10)] += 1;
            assert!((0.0..1.0).contains(&random.share()));
        }
        assert!(met.iter().all(|count| (850..1_150).contains(count)), "{met:?}");
        assert_eq!(random.below(0), 0);
    }
}
