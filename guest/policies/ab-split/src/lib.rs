//! Splits visitors between two places, each visitor always to the same one, without a cookie.
//!
//! | setting | meaning |
//! |---|---|
//! | `percent` | how many of a hundred visitors are in B; 50 when not set |
//! | `a`, `b` | where the visitors of each go; a side without a place goes on to the link |
//! | `salt` | another salt draws the sides anew; `ab-split` when not set |
//!
//! Raising `percent` moves visitors from A to B and none the other way.

use wayside::{Decision, settings, visitor};

#[wayside::policy]
fn decide() -> Option<Decision> {
    let percent: u32 = settings::parsed("percent").unwrap_or(50);
    assert!(percent <= 100, "the setting `percent` is {percent}, expected 0 to 100");
    let salt = settings::get("salt");
    let bucket = visitor::bucket(salt.as_deref().unwrap_or("ab-split"), 100);
    let side = if bucket < percent { "b" } else { "a" };
    settings::get(side).map(Decision::redirect)
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_passes_its_tests() {
        wayside::testing::check(include_str!("../tests.toml"), super::decide);
    }
}
