//! Labels that owners give to links and assets: tags, and attributes by name.

use std::collections::BTreeMap;

use wayside_decide::{
    invalid::Invalid,
    limits::{ATTRIBUTE_VALUE_BYTES_MAX, LINK_ATTRIBUTES_MAX, LINK_TAGS_MAX, TAG_BYTES_MAX},
    name::Name,
};

use super::problem::Problem;

/// Whether these can be tags; `prefix` comes before the field's name.
pub(super) fn check_tags(tags: &[String], prefix: &str) -> Result<(), Problem> {
    let is_tag = |tag: &String| !tag.is_empty() && tag.len() <= TAG_BYTES_MAX && !tag.chars().any(char::is_control);
    if tags.len() > LINK_TAGS_MAX || !tags.iter().all(is_tag) {
        let expected = format!("at most {LINK_TAGS_MAX} tags of 1 to {TAG_BYTES_MAX} bytes");
        let invalid = Invalid::text("tags", &tags.join(", "), expected);
        return Err(Problem::invalid(format!("{prefix}tags"), invalid));
    }
    Ok(())
}

/// Whether these can be attributes; `prefix` comes before the field's name.
pub(super) fn check_attributes(attributes: &BTreeMap<String, String>, prefix: &str) -> Result<(), Problem> {
    let refuse = |name: &str| {
        let field = format!("{prefix}attributes{name}");
        move |invalid| Problem::invalid(field, invalid)
    };
    if attributes.len() > LINK_ATTRIBUTES_MAX {
        let expected = format!("at most {LINK_ATTRIBUTES_MAX} attributes");
        let found = attributes.len().to_string();
        return Err(refuse("")(Invalid::other("attributes", found, expected)));
    }
    for (name, value) in attributes {
        Name::parse("attribute", name).map_err(refuse(""))?;
        if value.len() > ATTRIBUTE_VALUE_BYTES_MAX || value.chars().any(char::is_control) {
            let expected = format!("at most {ATTRIBUTE_VALUE_BYTES_MAX} bytes without control characters");
            return Err(refuse(&format!(".{name}"))(Invalid::text("attribute", value, expected)));
        }
    }
    Ok(())
}
