//! What the site's owner set when binding the policy (`wayside policy bind … --set name=value`).

use std::str::FromStr;

use crate::contract::settings as contract;

/// The setting of this name.
#[must_use]
pub fn get(name: &str) -> Option<String> {
    contract::get(name)
}

/// The setting of this name as a number, a flag (`true`, `false`) or anything else that can be read from text.
///
/// # Panics
/// When it is set to something else. The policy then fails with a message that names the setting, and the binding's
/// failure mode holds: a setting that cannot be read is a mistake, and going on with a default would hide it.
#[must_use]
pub fn parsed<T: FromStr>(name: &str) -> Option<T> {
    let text = get(name)?;
    match text.parse() {
        Ok(value) => Some(value),
        Err(_) => panic!(
            "the setting `{name}` is {text:?}, expected {}",
            std::any::type_name::<T>()
        ),
    }
}
