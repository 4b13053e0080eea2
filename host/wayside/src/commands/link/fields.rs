//! What a link says: as the command line gives it, and as the API takes it.

use clap::{ArgAction, Args};
use serde::{Deserialize, Serialize};

use crate::{
    commands::values::{name, setting, status},
    dates,
};

/// A link as the command line gives it and as the API takes it. What else the API tells of a link is not sent back.
#[derive(Debug, PartialEq, Eq, Args, Serialize, Deserialize)]
pub(crate) struct Content {
    /// The site's name
    #[arg(value_parser = name)]
    pub(super) site: String,
    /// The exact path, such as `/sale`
    pub(super) path: String,
    /// Where it leads: an absolute http or https URL
    target: String,
    /// The status of the redirect: 301, 302, 303, 307 or 308
    #[arg(long, value_name = "CODE", default_value_t = 302, value_parser = status)]
    status: u16,
    /// A label of yours; repeat for more
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// What else there is to say of it, for policies to read; repeat for more
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = setting)]
    #[serde(with = "attributes")]
    attributes: Vec<(String, String)>,
    /// Add the request's query to the target
    #[arg(long)]
    forward_query: bool,
    /// Live from: RFC 3339, or seconds since 1970
    #[arg(long, value_name = "INSTANT", value_parser = dates::parse)]
    starts_at: Option<u64>,
    /// Live until: RFC 3339, or seconds since 1970
    #[arg(long, value_name = "INSTANT", value_parser = dates::parse)]
    expires_at: Option<u64>,
    /// Where it leads before and after that; without it, the link is not found then
    #[arg(long, value_name = "URL")]
    fallback: Option<String>,
}

/// What may change about a link.
#[derive(Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Changes {
    /// Where it leads
    #[arg(long, value_name = "URL")]
    target: Option<String>,
    /// The status of the redirect: 301, 302, 303, 307 or 308
    #[arg(long, value_name = "CODE", value_parser = status)]
    status: Option<u16>,
    /// A label, in place of those before; repeat for more
    #[arg(long = "tag", value_name = "TAG", conflicts_with = "no_tags")]
    tags: Vec<String>,
    /// Take all labels off
    #[arg(long)]
    no_tags: bool,
    /// An attribute, in place of all before; repeat for more
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = setting, conflicts_with = "no_attributes")]
    attributes: Vec<(String, String)>,
    /// Take all attributes off
    #[arg(long)]
    no_attributes: bool,
    /// Whether the request's query is added to the target
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        action = ArgAction::Set)]
    forward_query: Option<bool>,
    /// Live from: RFC 3339, seconds since 1970, or `none`
    #[arg(long, value_name = "INSTANT", value_parser = instant_or_none)]
    starts_at: Option<Setting<u64>>,
    /// Live until: RFC 3339, seconds since 1970, or `none`
    #[arg(long, value_name = "INSTANT", value_parser = instant_or_none)]
    expires_at: Option<Setting<u64>>,
    /// Where it leads before and after that; `none` for nowhere
    #[arg(long, value_name = "URL", value_parser = url_or_none)]
    fallback: Option<Setting<String>>,
}

/// A field that may be set to nothing.
#[derive(Clone)]
struct Setting<T>(Option<T>);

impl Changes {
    /// Changes what was named.
    pub(super) fn apply(self, link: &mut Content) {
        link.target = self.target.unwrap_or_else(|| std::mem::take(&mut link.target));
        link.status = self.status.unwrap_or(link.status);
        link.forward_query = self.forward_query.unwrap_or(link.forward_query);
        if self.no_tags || !self.tags.is_empty() {
            link.tags = self.tags;
        }
        if self.no_attributes || !self.attributes.is_empty() {
            link.attributes = self.attributes;
        }
        if let Some(Setting(instant)) = self.starts_at {
            link.starts_at = instant;
        }
        if let Some(Setting(instant)) = self.expires_at {
            link.expires_at = instant;
        }
        if let Some(Setting(target)) = self.fallback {
            link.fallback = target;
        }
    }
}

/// The API takes an object; the command line gives pairs.
mod attributes {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(pairs: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(reader: D) -> Result<Vec<(String, String)>, D::Error> {
        Ok(BTreeMap::deserialize(reader)?.into_iter().collect())
    }
}

fn instant_or_none(text: &str) -> Result<Setting<u64>, String> {
    if text == "none" {
        return Ok(Setting(None));
    }
    let instant = dates::parse(text).map_err(|error| format!("{error}, or `none`"))?;
    Ok(Setting(Some(instant)))
}

fn url_or_none(text: &str) -> Result<Setting<String>, String> {
    Ok(Setting(Some(text.to_owned()).filter(|text| text != "none")))
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};
    use serde_json::json;

    use super::{Changes, Content};

    fn changed(words: &[&str]) -> Content {
        let mut link: Content = serde_json::from_value(json!({
            "site": "s", "path": "/a", "target": "https://a.example/", "status": 302, "tags": ["x"], "attributes": {"a": "1"},
            "forward_query": true, "starts_at": 1, "expires_at": 2, "fallback": "https://b.example/",
            "created_at": 9, "updated_at": 9,
        }))
        .expect("link");
        let command = Changes::augment_args(clap::Command::new("set").no_binary_name(true));
        let matches = command.try_get_matches_from(words).expect("words");
        Changes::from_arg_matches(&matches).expect("changes").apply(&mut link);
        link
    }

    #[test]
    fn only_what_is_named_changes() {
        let expected = Content {
            target: "https://c.example/".into(),
            ..changed(&["--status", "302"])
        };
        assert_eq!(changed(&["--target", "https://c.example/"]), expected);
        let link = changed(&[
            "--expires-at",
            "none",
            "--fallback",
            "none",
            "--forward-query=false",
            "--no-tags",
            "--no-attributes",
        ]);
        assert!(link.attributes.is_empty());
        assert_eq!((link.starts_at, link.expires_at, link.fallback), (Some(1), None, None));
        assert_eq!((link.forward_query, link.tags.len()), (false, 0));
        assert_eq!(changed(&["--tag", "y", "--tag", "z"]).tags, ["y", "z"]);
        let attributes = changed(&["--attribute", "b=2"]).attributes;
        assert_eq!(attributes, [("b".to_owned(), "2".to_owned())]);
        assert!(changed(&["--forward-query"]).forward_query);
    }
}
