//! Plans who serves a stream: one CDN, a share of one country on a second, and others behind them.
//!
//! | setting | meaning |
//! |---|---|
//! | `first` | the target that serves by itself; without it nothing is planned |
//! | `second` | the target that takes over when the first is down, and serves its share before |
//! | `country`, `percent` | of which country the second serves how much, from 0 to 100 |
//! | `behind` | the targets that serve when both are down, separated by commas |
//! | a continent in lower case (`eu`) | the region to take first for visitors from there, instead of the nearest |
//!
//! The share is of viewers, not of bytes, and a viewer stays where it began. Decisions are remembered by country and
//! continent, not by viewer.

use wayside::{Plan, settings, visitor};

#[wayside::stream_policy]
fn plan() -> Option<Plan> {
    let first = settings::get("first")?;
    let plan = match (settings::get("second"), percent()) {
        (Some(second), Some(percent)) => Plan::new().tier([(first, 100.0 - percent), (second, percent)]),
        (Some(second), None) => Plan::new().tier([(first, 1.0)]).tier([(second, 1.0)]),
        (None, _) => Plan::new().tier([(first, 1.0)]),
    };
    let behind = settings::get("behind").unwrap_or_default();
    let behind: Vec<&str> = behind
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    let plan = if behind.is_empty() {
        plan
    } else {
        plan.tier(behind.into_iter().map(|name| (name, 1.0)))
    };
    Some(match region() {
        Some(region) => plan.prefer_region(region),
        None => plan,
    })
}

/// The second's share of this visitor's country.
fn percent() -> Option<f64> {
    let country = settings::get("country")?;
    let percent: u32 = settings::parsed("percent")?;
    (visitor::country()? == country).then_some(percent.into())
}

fn region() -> Option<String> {
    settings::get(&visitor::continent()?.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_passes_its_tests() {
        wayside::testing::check_stream(include_str!("../tests.toml"), super::plan);
    }
}
