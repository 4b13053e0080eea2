//! What is wrong about regions as a whole, each of whose values is right.

use std::collections::HashSet;

use crate::{config::Upstream, error::ConfigError};

/// Refuses what leaves nobody to ask, and whatever is there twice.
pub(super) fn check(upstream: &Upstream) -> Result<(), ConfigError> {
    let Some(regions) = &upstream.regions else {
        return Ok(());
    };
    if upstream.url.is_some() {
        return Err(ConfigError::Conflict {
            one: "upstream.url",
            other: "upstream.regions",
        });
    }
    let wrong = |field: String, problem: &str| {
        Err(ConfigError::Field {
            field,
            problem: problem.to_owned(),
        })
    };
    if regions.is_empty() {
        return wrong(
            "upstream.regions".to_owned(),
            "found an empty list, expected at least one region",
        );
    }
    let (mut names, mut urls) = (HashSet::new(), HashSet::new());
    for (index, region) in regions.iter().enumerate() {
        let field = format!("upstream.regions[{index}]");
        if !names.insert(region.name.as_str()) {
            let problem = format!(
                "found `{}` again, expected another name for each region",
                region.name.as_str()
            );
            return wrong(format!("{field}.name"), &problem);
        }
        if region.origins.is_empty() {
            return wrong(
                format!("{field}.origins"),
                "found an empty list, expected the URL of at least one origin",
            );
        }
        for (place, url) in region.origins.iter().enumerate() {
            if !urls.insert(url.as_str()) {
                let problem = format!("found `{}` again, expected each origin once", url.as_str());
                return wrong(format!("{field}.origins[{place}]"), &problem);
            }
        }
    }
    Ok(())
}
