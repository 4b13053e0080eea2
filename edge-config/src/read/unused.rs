//! Settings that are right in themselves and beside the others have no effect. Who wrote them expects one.

use crate::{
    config::{Config, SharedCache},
    error::ConfigError,
};

/// Refuses what would be passed over in silence.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let (one_ms, all_ms) = (config.upstream.timeout_ms.get(), config.cache.load_timeout_ms.get());
    let regions = config.upstream.all_regions();
    let origins: usize = regions.iter().map(|region| region.origins.len()).sum();
    if origins > 1 && one_ms >= all_ms {
        let problem = format!(
            "{one_ms}, expected less than cache.load_timeout_ms, which is {all_ms}: no time would be left to ask another \
             origin"
        );
        return wrong("upstream.timeout_ms", problem);
    }
    if config.origin.replica.is_some() && config.origin.replica == config.origin.store {
        let problem = "found the URL of origin.store, expected that of a replica of it, or none".to_owned();
        return wrong("origin.replica", problem);
    }
    shared_cache(&config.shared_cache)
}

fn shared_cache(config: &SharedCache) -> Result<(), ConfigError> {
    let count = config.urls.len();
    if count > 1 && !config.cluster {
        let problem = format!("found {count} servers, expected one, or `cluster = true`");
        return wrong("shared_cache.urls", problem);
    }
    let of_none = [
        (config.cluster, "shared_cache.cluster"),
        (config.user.is_some(), "shared_cache.user"),
        (config.password.is_some(), "shared_cache.password"),
        (config.password_file.is_some(), "shared_cache.password_file"),
    ];
    match of_none.into_iter().find(|(is_set, _)| *is_set && count == 0) {
        Some((_, one)) => {
            let other = "shared_cache.urls";
            Err(ConfigError::Alone { one, other })
        }
        None => Ok(()),
    }
}

fn wrong(field: &str, problem: String) -> Result<(), ConfigError> {
    let field = field.to_owned();
    Err(ConfigError::Field { field, problem })
}
