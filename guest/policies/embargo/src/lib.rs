//! Refuses visitors from some countries with 451 (RFC 7725).
//!
//! | setting | meaning |
//! |---|---|
//! | `countries` | ISO 3166-1 alpha-2: `xa, xb`; without it everybody is refused with 503 |
//! | `unknown` | `refuse` or `pass`: those of whom nobody knows where they are; refused when left out |
//!
//! Bind it with `--on-failure closed`: where the law demands a refusal, a failure must not become a way around it.

use wayside::{Decision, settings, visitor};

#[wayside::policy]
fn decide() -> Option<Decision> {
    // An embargo that somebody believes in and that is not there would be worse than a site that is closed.
    let Some(countries) = settings::get("countries") else {
        return Some(Decision::deny(503));
    };
    let mut listed = countries.split(',').map(str::trim);
    let is_refused = match visitor::country() {
        Some(country) => listed.any(|other| other.eq_ignore_ascii_case(&country)),
        None => refuses_unknown(),
    };
    is_refused.then(|| Decision::deny(451))
}

fn refuses_unknown() -> bool {
    match settings::get("unknown").as_deref() {
        None | Some("refuse") => true,
        Some("pass") => false,
        Some(other) => panic!("the setting `unknown` is {other:?}, expected `refuse` or `pass`"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_passes_its_tests() {
        wayside::testing::check(include_str!("../tests.toml"), super::decide);
    }
}
