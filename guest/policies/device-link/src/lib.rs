//! One link for an app: phones and tablets go to their store, computers to the site.
//!
//! | setting | meaning |
//! |---|---|
//! | `ios`, `android` | where devices of this system go |
//! | `desktop` | where computers go |
//!
//! Everybody else, and whoever has no place set, goes on to the link.

use wayside::{
    Decision, settings,
    visitor::{self, Device},
};

#[wayside::policy]
fn decide() -> Option<Decision> {
    let os = visitor::os();
    let setting = match os.as_str() {
        "ios" | "android" => os.as_str(),
        _ if visitor::device() == Device::Desktop => "desktop",
        _ => return None,
    };
    settings::get(setting).map(Decision::redirect)
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_passes_its_tests() {
        wayside::testing::check(include_str!("../tests.toml"), super::decide);
    }
}
