//! Leads some visitors of a link elsewhere, the same ones every time: a new version that not everybody gets yet.
//!
//! The link says so itself: it carries the tag `canary`, and in its attribute `canary` where the few go.
//!
//! | setting | meaning |
//! |---|---|
//! | `percent` | how many of a hundred visitors go there; 5 when left out |
//! | `to` | where they go from links without that attribute |

use wayside::{Decision, link, settings, visitor};

#[wayside::policy]
fn decide() -> Option<Decision> {
    if !link::has_tag("canary") {
        return None;
    }
    let percent: u32 = settings::parsed("percent").unwrap_or(5);
    assert!(percent <= 100, "the setting `percent` is {percent}, expected 0 to 100");
    if visitor::bucket("canary", 100) >= percent {
        return None;
    }
    let place = link::attribute("canary").or_else(|| settings::get("to"))?;
    Some(Decision::redirect(place))
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_passes_its_tests() {
        wayside::testing::check(include_str!("../tests.toml"), super::decide);
    }
}
