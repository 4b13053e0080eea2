//! Sends each country's visitors to a place of its own.
//!
//! | setting | meaning |
//! |---|---|
//! | a country in lower case (`de`) | where its visitors go |
//! | `default` | where everybody else goes; without it they go on to the link |
//!
//! Places may be templates: `https://{country}.example.com{path}{?query}`.

use wayside::{Decision, settings, visitor};

#[wayside::policy]
fn decide() -> Decision {
    let own = visitor::country().and_then(|country| settings::get(&country.to_ascii_lowercase()));
    own.or_else(|| settings::get("default")).map(Decision::redirect).into()
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_passes_its_tests() {
        wayside::testing::check(include_str!("../tests.toml"), super::decide);
    }
}
