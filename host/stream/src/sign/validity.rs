//! From when until when tokens hold.
//!
//! Time is cut into windows of one length; all tokens of a target and asset that are made within a window are the same,
//! so that they are made once and kept. In: how long tokens hold at least and the instant. Out: a [`Window`]. It must not
//! know the clock.

use wayside_decide::limits::TOKEN_VALID_S_MAX;

use super::Error;

/// How long tokens hold, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    least_s: u64,
    window_s: u64,
    skew_s: u64,
    has_start: bool,
}

/// The times of one token, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// When the window begins: the time of issue, for CDNs that count from it.
    pub issued_s: u64,
    /// Before when the token does not hold yet; none when it says nothing of that.
    pub starts_s: Option<u64>,
    /// From when on it does not hold any more.
    pub expires_s: u64,
    /// When the next window begins, for which another token is to be made.
    pub next_s: u64,
}

impl Validity {
    /// Tokens that hold for `least_s` at least from when a player gets them, made anew every `window_s`, by clocks that
    /// may differ from the CDN's by `skew_s`. `has_start` says whether they name a start, too.
    ///
    /// # Errors
    /// [`Error::Setting`] when a length is 0, or tokens would hold for longer than [`TOKEN_VALID_S_MAX`].
    pub fn new(least_s: u64, window_s: u64, skew_s: u64, has_start: bool) -> Result<Self, Error> {
        let refuse = |field, found: u64, expected| {
            Err(Error::Setting {
                field,
                found: format!("{found} s"),
                expected,
            })
        };
        if least_s == 0 {
            return refuse("valid at least", least_s, "1 s or more");
        }
        if window_s == 0 {
            return refuse("window", window_s, "1 s or more");
        }
        let longest = least_s
            .saturating_add(window_s)
            .saturating_add(skew_s.saturating_mul(2));
        if longest > TOKEN_VALID_S_MAX {
            return refuse(
                "validity, window and skew together",
                longest,
                "604800 s (a week) at most",
            );
        }
        Ok(Self {
            least_s,
            window_s,
            skew_s,
            has_start,
        })
    }

    /// The window in which `now_s` lies. `phase` moves the windows' borders: one number for each target and asset spreads
    /// the work of making tokens over time.
    #[must_use]
    pub const fn window(&self, now_s: u64, phase: u64) -> Window {
        let phase_s = phase % self.window_s;
        let into_s = now_s.saturating_add(phase_s) % self.window_s;
        let issued_s = now_s.saturating_sub(into_s);
        let next_s = now_s.saturating_add(self.window_s - into_s);
        Window {
            issued_s,
            starts_s: if self.has_start {
                Some(issued_s.saturating_sub(self.skew_s))
            } else {
                None
            },
            expires_s: next_s.saturating_add(self.least_s + self.skew_s),
            next_s,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::Validity;

    #[test]
    fn lengths_that_cannot_be_are_named() {
        for ((least_s, window_s, skew_s), expected) in [
            ((0, 60, 0), "valid at least: found 0 s, expected 1 s or more"),
            ((60, 0, 0), "window: found 0 s, expected 1 s or more"),
            (
                (604_000, 601, 100),
                "validity, window and skew together: found 604801 s, expected 604800 s (a week) at most",
            ),
            (
                (u64::MAX, 1, u64::MAX),
                "validity, window and skew together: found 18446744073709551615 s, expected 604800 s (a week) at most",
            ),
        ] {
            let refused = Validity::new(least_s, window_s, skew_s, false).expect_err("refused");
            assert_eq!(refused.to_string(), expected);
        }
        let week = Validity::new(604_000, 600, 100, true).expect("a week");
        // A clock that is far off makes tokens that do not hold, and nothing worse.
        assert_eq!(
            (week.window(u64::MAX, 9).expires_s, week.window(0, 9).issued_s),
            (u64::MAX, 0)
        );
    }

    proptest! {
        #[test]
        fn a_token_always_holds_for_the_least_time_by_any_clock_within_the_skew(
            now_s in 1_000_000_000_u64..10_000_000_000, least_s in 1_u64..86_400, window_s in 1_u64..86_400,
            skew_s in 0_u64..600, phase in any::<u64>(), off_s in -600_i64..=600,
        ) {
            let off_s = off_s.clamp(-(skew_s as i64), skew_s as i64);
            let validity = Validity::new(least_s, window_s, skew_s, true).expect("lengths");
            let window = validity.window(now_s, phase);
            let theirs_s = now_s.saturating_add_signed(off_s);
            prop_assert!(window.expires_s >= theirs_s + least_s, "{window:?}");
            prop_assert!(window.starts_s.expect("a start") <= theirs_s);
            prop_assert!(window.issued_s <= now_s && now_s < window.next_s);
            // What a CDN must grant that counts from the issue.
            prop_assert!(window.issued_s + least_s + window_s + skew_s >= theirs_s + least_s);
            prop_assert!(window.expires_s - window.starts_s.expect("a start") <= super::TOKEN_VALID_S_MAX);
        }

        #[test]
        fn all_of_a_window_is_the_same_and_the_next_begins_where_it_ends(
            now_s in 1_000_000_000_u64..10_000_000_000, window_s in 1_u64..86_400, phase in any::<u64>(), share in 0.0..1.0_f64,
        ) {
            let validity = Validity::new(60, window_s, 5, false).expect("lengths");
            let window = validity.window(now_s, phase);
            let within = window.issued_s + (share * (window.next_s - window.issued_s) as f64) as u64;
            prop_assert_eq!(validity.window(within, phase), window);
            let next = validity.window(window.next_s, phase);
            prop_assert_eq!(next.issued_s, window.next_s);
            prop_assert_eq!((next.expires_s - window.expires_s, next.starts_s), (window_s, None));
        }
    }
}
