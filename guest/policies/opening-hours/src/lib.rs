//! Sends visitors elsewhere while an office is closed: outside its hours, and from Saturday to Sunday.
//!
//! | setting | meaning |
//! |---|---|
//! | `zone` | the office's time zone, an IANA name: `Europe/Berlin` |
//! | `opens`, `closes` | from which hour it is open, and from which no more: 9 and 17 when left out |
//! | `closed` | where visitors go while it is closed |
//!
//! Decisions are remembered by day and hour there, and caches are told until when they hold.

use std::ops::Range;

use wayside::{Decision, clock, settings};

const SATURDAY: u8 = 5;

#[wayside::policy]
fn decide() -> Option<Decision> {
    let zone = settings::get("zone")?;
    let closed = settings::get("closed")?;
    let hours = Range {
        start: hour("opens", 9),
        end: hour("closes", 17),
    };
    let is_open = clock::weekday(&zone) < SATURDAY && hours.contains(&clock::hour(&zone));
    (!is_open).then(|| Decision::redirect(closed))
}

fn hour(setting: &str, otherwise: u8) -> u8 {
    let Some(text) = settings::get(setting) else {
        return otherwise;
    };
    text.parse()
        .unwrap_or_else(|_| panic!("{setting}: found {text}, expected an hour from 0 to 24"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_passes_its_tests() {
        wayside::testing::check(include_str!("../tests.toml"), super::decide);
    }
}
