//! What an asset says in the API, and how that becomes one of the domain.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wayside_decide::{
    invalid::{Invalid, quote},
    name::Name,
    stream::{
        asset::{Asset, RelativePath},
        target::StreamTarget,
    },
};
use wayside_upstream::protocol::streams::{EdgeAsset, EdgePathway, defaults};

use crate::api::{
    labels::{check_attributes, check_tags},
    problem::Problem,
};

/// What is said of an asset.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssetContent {
    /// The site's name. In a batch, which names it for all, this may be absent.
    #[serde(default)]
    site: Option<String>,
    /// What it is called at its site.
    id: String,
    /// The URL of the folder at the site's own origin in which its manifests are; needed when it has any.
    #[serde(default)]
    source: Option<String>,
    /// The HLS multivariant playlist, below the source.
    #[serde(default)]
    hls: Option<String>,
    /// The MPD, below the source.
    #[serde(default)]
    dash: Option<String>,
    /// The targets that have a copy; when empty, all of the tenant's have one, in a folder of the asset's id.
    #[serde(default)]
    pathways: Vec<PathwayContent>,
    /// `ready` or `transcoding`.
    #[serde(default = "defaults::state")]
    state: String,
    /// How one of its targets is picked: `adaptive`, `round-robin`, `smooth-weighted`, `least-connections`, `peak-ewma`,
    /// `consistent-hash` or `nearest`.
    #[serde(default = "defaults::balancer")]
    balancer: String,
    /// How often players ask where to play from, in seconds: up to an hour.
    #[serde(default = "defaults::ttl_s")]
    ttl_s: u32,
    /// What becomes of steering that its manifests have already: `replace` or `refuse`.
    #[serde(default = "defaults::existing")]
    existing: String,
    /// The owner's labels.
    #[serde(default)]
    tags: Vec<String>,
    /// What else the owner says of it.
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

/// A target that has a copy of an asset.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PathwayContent {
    /// The target's name.
    target: String,
    /// Where below the target's URL the copy is; the asset's id when absent.
    #[serde(default)]
    folder: Option<String>,
    /// Since when it is a pathway, in milliseconds since 1970 UTC; 0 when it is one since the target is there. What is
    /// written here is not read.
    #[serde(default)]
    since_ms: u64,
}

impl AssetContent {
    /// The site that it names.
    pub(super) fn site(&self) -> Result<&str, Problem> {
        let nothing = || Problem::wrong("site", "nothing".to_owned(), "a value".to_owned());
        self.site.as_deref().ok_or_else(nothing)
    }

    /// Its id, when it names other targets than these.
    pub(super) fn names_others(&self, targets: &[StreamTarget]) -> Option<Name> {
        let is_one = |name: &str| targets.iter().any(|target| target.name.as_str() == name);
        let has_others = self.pathways.iter().any(|pathway| !is_one(&pathway.target));
        Name::parse("asset id", &self.id).ok().filter(|_| has_others)
    }

    /// The asset that is meant, or the field that is wrong: `prefix` comes before its name. `of` is the site of a batch;
    /// `targets` are the tenant's, and `held` are those that it has already, which may have ended since.
    pub(super) fn read(
        self,
        of: Option<&str>,
        targets: &[StreamTarget],
        held: &[Name],
        prefix: &str,
    ) -> Result<Asset, Problem> {
        let refuse = |field: String, invalid: Invalid| Problem::invalid(format!("{prefix}{field}"), invalid);
        if let (Some(own), Some(of)) = (&self.site, of)
            && own != of
        {
            let invalid = Invalid::text("site", own, format!("the batch's, {}, or nothing", quote(of)));
            return Err(refuse("site".to_owned(), invalid));
        }
        check_tags(&self.tags, prefix)?;
        check_attributes(&self.attributes, prefix)?;
        let has_manifests = self.hls.is_some() || self.dash.is_some();
        for (index, pathway) in self.pathways.iter().enumerate() {
            let at = |field: &str| format!("pathways[{index}].{field}");
            if let Some(folder) = &pathway.folder {
                RelativePath::parse("folder", folder).map_err(|invalid| refuse(at("folder"), invalid))?;
            }
            let checked = check_target(&pathway.target, targets, held, has_manifests);
            checked.map_err(|invalid| refuse(at("target"), invalid))?;
        }
        let asset = Asset::try_from(EdgeAsset {
            id: self.id,
            source: self.source,
            hls: self.hls,
            dash: self.dash,
            pathways: self.pathways.into_iter().map(EdgePathway::from).collect(),
            all_since_ms: 0,
            named_before: Vec::new(),
            state: self.state,
            balancer: self.balancer,
            ttl_s: self.ttl_s,
            existing: self.existing,
            ingest_key: None,
            tags: self.tags,
            attributes: self.attributes,
        });
        asset.map_err(|invalid| refuse(field(invalid.what).to_owned(), invalid))
    }

    /// What an asset of a site says.
    pub(super) fn of(site: &str, wire: EdgeAsset) -> Self {
        Self {
            site: Some(site.to_owned()),
            id: wire.id,
            source: wire.source,
            hls: wire.hls,
            dash: wire.dash,
            pathways: wire.pathways.into_iter().map(PathwayContent::from).collect(),
            state: wire.state,
            balancer: wire.balancer,
            ttl_s: wire.ttl_s,
            existing: wire.existing,
            tags: wire.tags,
            attributes: wire.attributes,
        }
    }
}

/// Whether there is a target of this name, or one is held already, and players that have a manifest of the asset's can fetch all else from it.
fn check_target(name: &str, targets: &[StreamTarget], held: &[Name], has_manifests: bool) -> Result<(), Invalid> {
    let name = Name::parse("target name", name)?;
    let Some(target) = targets.iter().find(|target| target.name == name) else {
        if held.contains(&name) {
            return Ok(());
        }
        let known: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        let expected = match &*known {
            [] => "one of the tenant's targets, of which there are none".to_owned(),
            known => format!("one of the tenant's targets: {}", known.join(", ")),
        };
        return Err(Invalid::text("target", name.as_str(), expected));
    };
    match &target.signing {
        Some(signing) if has_manifests && signing.scheme.is_for_one_url() => {
            let scheme = signing.scheme.as_str();
            let found = format!("{name}, which signs by `{scheme}`: each of its tokens is for one URL");
            let expected =
                "a target whose tokens hold for the segments below a playlist, too; or no `hls` and no `dash`";
            Err(Invalid::other("target", found, expected))
        }
        _ => Ok(()),
    }
}

/// The field in which something stands that the domain calls so.
fn field(what: &'static str) -> &'static str {
    match what {
        "asset id" => "id",
        "base URL" | "target" => "source",
        "asset state" => "state",
        "existing steering" => "existing",
        what => what,
    }
}

impl From<PathwayContent> for EdgePathway {
    fn from(content: PathwayContent) -> Self {
        Self {
            target: content.target,
            folder: content.folder,
            since_ms: 0,
        }
    }
}

impl From<EdgePathway> for PathwayContent {
    fn from(wire: EdgePathway) -> Self {
        Self {
            target: wire.target,
            folder: wire.folder,
            since_ms: wire.since_ms,
        }
    }
}
