//! What an asset says, as the command line gives it.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Value, json};
use wayside_decide::stream::asset::{AssetState, Balancer, Existing};

use crate::commands::{
    fields::{Fields, set, text_or_none},
    values::{name, setting},
};

/// What is said of an asset. What is not named stays, or is as the API has it.
#[derive(Args, PartialEq, Default)]
pub(crate) struct Content {
    /// The URL of the folder at the site's own origin in which its manifests are; `none` for nowhere
    #[arg(long, value_name = "URL", value_parser = text_or_none)]
    source: Option<Value>,
    /// The HLS multivariant playlist, below the source; `none` for none
    #[arg(long, value_name = "PATH", value_parser = text_or_none)]
    hls: Option<Value>,
    /// The MPD, below the source; `none` for none
    #[arg(long, value_name = "PATH", value_parser = text_or_none)]
    dash: Option<Value>,
    /// A target that has a copy, and where below its URL if not in a folder of the asset's id; repeat for more, in
    /// place of those before; `all` for every target
    #[arg(long = "pathway", value_name = "TARGET[=FOLDER]", value_parser = pathway)]
    pathways: Vec<Value>,
    /// `ready`, or `transcoding` while renditions are still to come
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Option<String>,
    /// How a target is picked: `adaptive`, `round-robin`, `smooth-weighted`, `least-connections`, `peak-ewma`,
    /// `consistent-hash` or `nearest`
    #[arg(long, value_name = "NAME", value_parser = balancer)]
    balancer: Option<String>,
    /// How often players ask where to play from
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u32>,
    /// What becomes of steering that its manifests have already: `replace` or `refuse`
    #[arg(long, value_name = "WHAT", value_parser = existing)]
    existing: Option<String>,
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
}

impl Content {
    /// Whether nothing is named.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Changes what was named.
    pub(super) fn apply(self, asset: &mut Fields) {
        set(asset, "source", self.source);
        set(asset, "hls", self.hls);
        set(asset, "dash", self.dash);
        if !self.pathways.is_empty() {
            let named = self.pathways.into_iter().filter(|pathway| !pathway.is_null());
            asset.insert("pathways".to_owned(), named.collect());
        }
        set(asset, "state", self.state);
        set(asset, "balancer", self.balancer);
        set(asset, "ttl_s", self.ttl);
        set(asset, "existing", self.existing);
        if self.no_tags || !self.tags.is_empty() {
            asset.insert("tags".to_owned(), json!(self.tags));
        }
        if self.no_attributes || !self.attributes.is_empty() {
            let attributes: BTreeMap<String, String> = self.attributes.into_iter().collect();
            asset.insert("attributes".to_owned(), json!(attributes));
        }
    }
}

/// Reads `TARGET`, `TARGET=FOLDER` or `all`, which is none in particular.
fn pathway(text: &str) -> Result<Value, String> {
    if text == "all" {
        return Ok(Value::Null);
    }
    let (target, folder) = match text.split_once('=') {
        Some((target, folder)) => (target, Some(folder)),
        None => (text, None),
    };
    Ok(json!({ "target": name(target)?, "folder": folder }))
}

fn state(text: &str) -> Result<String, String> {
    let state = AssetState::parse(text).map_err(|invalid| format!("expected {}", invalid.expected))?;
    Ok(state.as_str().to_owned())
}

fn balancer(text: &str) -> Result<String, String> {
    let balancer = Balancer::parse(text).map_err(|invalid| format!("expected {}", invalid.expected))?;
    Ok(balancer.as_str().to_owned())
}

fn existing(text: &str) -> Result<String, String> {
    let existing = Existing::parse(text).map_err(|invalid| format!("expected {}", invalid.expected))?;
    Ok(existing.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};
    use serde_json::{Value, json};

    use super::{Content, Fields};

    fn changed(before: Value, words: &[&str]) -> Value {
        let mut asset: Fields = serde_json::from_value(before).expect("fields");
        let command = Content::augment_args(clap::Command::new("set").no_binary_name(true));
        let matches = command.try_get_matches_from(words).expect("words");
        let content = Content::from_arg_matches(&matches).expect("content");
        assert_eq!(content.is_empty(), words.is_empty());
        content.apply(&mut asset);
        asset.into()
    }

    #[test]
    fn all_that_an_asset_says_can_be_said() {
        let words = "--source https://o.example/ --hls a.m3u8 --dash a.mpd --pathway a --pathway b=x/y \
            --state transcoding --balancer nearest --ttl 5 --existing refuse --tag t --attribute k=v";
        let words: Vec<&str> = words.split_whitespace().collect();
        let expected = json!({
            "source": "https://o.example/", "hls": "a.m3u8", "dash": "a.mpd",
            "pathways": [{"target": "a", "folder": null}, {"target": "b", "folder": "x/y"}], "state": "transcoding",
            "balancer": "nearest", "ttl_s": 5, "existing": "refuse", "tags": ["t"], "attributes": {"k": "v"},
        });
        assert_eq!(changed(json!({}), &words), expected);
        assert_eq!(changed(expected.clone(), &[]), expected);
        let words = "--source none --hls none --dash none --pathway all --no-tags --no-attributes";
        let words: Vec<&str> = words.split_whitespace().collect();
        let bare = json!({
            "source": null, "hls": null, "dash": null, "pathways": [], "state": "transcoding", "balancer": "nearest",
            "ttl_s": 5, "existing": "refuse", "tags": [], "attributes": {},
        });
        assert_eq!(changed(expected, &words), bare);
    }
}
