//! Sends visitors to the nearest of several places.
//!
//! | setting | meaning |
//! |---|---|
//! | `places` | name, degrees north and degrees east of each: `fra 50.11 8.68, nyc 40.71 -74.01` |
//! | a place's name (`fra`) | where those go who are nearest to it |
//! | `default` | where those go of whom nobody knows where they are; without it they go on to the link |
//!
//! Decisions are remembered by the place that is nearest, not by where the visitor is.

use wayside::{Decision, settings, visitor};

#[wayside::policy]
fn decide() -> Option<Decision> {
    let places = settings::get("places")?;
    let points: Vec<(&str, f64, f64)> = places.split(',').map(point).collect();
    let nearest = visitor::nearest(&points);
    let place = settings::get(nearest.as_deref().unwrap_or("default"))?;
    Some(Decision::redirect(place))
}

fn point(text: &str) -> (&str, f64, f64) {
    let words: Vec<&str> = text.split_whitespace().collect();
    let found = match words.as_slice() {
        [name, north, east] => north
            .parse()
            .ok()
            .zip(east.parse().ok())
            .map(|(north, east)| (*name, north, east)),
        _ => None,
    };
    found.unwrap_or_else(|| panic!("places: found `{text}`, expected a name, degrees north and degrees east"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_passes_its_tests() {
        wayside::testing::check(include_str!("../tests.toml"), super::decide);
    }
}
