//! Sends visitors to the page in the language they prefer.
//!
//! | setting | meaning |
//! |---|---|
//! | `languages` | the languages there are, the best first: `en, de, pt-BR` |
//! | a language (`de`) | where its readers go |
//! | `default` | where those go who read none of them; without it they go on to the link |
//!
//! Asks which of these the visitor prefers, never what exactly the browser sent: the answers are as many as there are
//! languages.

use wayside::{Decision, request, settings};

#[wayside::policy]
fn decide() -> Option<Decision> {
    let languages = settings::get("languages")?;
    let offered: Vec<&str> = languages.split(',').map(str::trim).collect();
    let preferred = request::prefers(&offered);
    let place = settings::get(preferred.as_deref().unwrap_or("default"))?;
    Some(Decision::redirect(place))
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_passes_its_tests() {
        wayside::testing::check(include_str!("../tests.toml"), super::decide);
    }
}
