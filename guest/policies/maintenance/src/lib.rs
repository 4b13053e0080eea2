//! Closes a part of a site for a while, but not for the office.
//!
//! | setting | meaning |
//! |---|---|
//! | `from`, `until` | when it begins and ends, in seconds since 1970 UTC; at once, and without an end, when left out |
//! | `page` | where visitors go meanwhile; 503 without it |
//! | `office` | networks whose visitors pass: `192.0.2.0/24, 2001:db8::/32` |
//!
//! Caches are told to the second until when a decision holds.

use wayside::{Decision, clock, settings, visitor};

#[wayside::policy]
fn decide() -> Option<Decision> {
    let has_begun = settings::parsed("from").is_none_or(clock::at_or_after);
    let has_ended = settings::parsed("until").is_some_and(clock::at_or_after);
    if !has_begun || has_ended || is_office() {
        return None;
    }
    Some(match settings::get("page") {
        Some(page) => Decision::redirect(page),
        None => Decision::deny(503),
    })
}

fn is_office() -> bool {
    let Some(office) = settings::get("office") else {
        return false;
    };
    let networks: Vec<&str> = office.split(',').map(str::trim).collect();
    visitor::in_network(&networks)
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_passes_its_tests() {
        wayside::testing::check(include_str!("../tests.toml"), super::decide);
    }
}
