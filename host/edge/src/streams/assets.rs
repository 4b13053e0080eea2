//! Assets as a node uses them: what their owners say, and where each target's copy is.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use wayside_cache::{
    assets::{Known, LoadAsset, Loading},
    load::{LoadError, Seen},
};
use wayside_decide::{
    name::Name,
    site::SiteId,
    stream::{
        asset::Asset,
        base::BaseUrl,
        signing::{Scheme, SigningSpec},
    },
};
use wayside_stream::select::set::{TargetIndex, TargetSet};
use wayside_upstream::{
    client::streams::Lookup,
    origins::Origins,
    protocol::{Epoch, Position, streams::EdgeAsset},
};

use super::{
    manifests::Kind,
    pools::targets::Targets,
    request::Request,
    tokens::{Pass, SigningError, TokenSource},
};
use crate::{causes::told, facts::AssetFacts, metrics::Metrics};

/// An asset that players may ask for.
#[derive(Debug)]
pub(crate) struct LiveAsset {
    pub(crate) asset: Asset,
    /// Worked out when it is first asked for, and again when the targets change.
    copies: ArcSwapOption<Copies>,
}

/// Where an asset's copies are, by targets as of one moment.
#[derive(Debug)]
pub(crate) struct Copies {
    /// Of which targets.
    version: u64,
    /// Those that have one.
    pub(crate) of: TargetSet,
    /// What policies are told of the asset and of them.
    pub(crate) facts: Arc<AssetFacts>,
    /// For each target its copy, if it has one.
    list: Box<[Option<Copy>]>,
}

/// A target's copy of an asset.
#[derive(Debug)]
pub(crate) struct Copy {
    /// The target's name.
    pub(crate) name: Name,
    /// Where it begins for players that came by `https`, and for the others.
    secure: BaseUrl,
    plain: BaseUrl,
    /// Since when there is one, in milliseconds since 1970 UTC.
    pub(crate) since_ms: u64,
    signing: Option<SigningSpec>,
    /// Where the tokens of the two folders come from, once one was needed.
    tokens: [OnceLock<Arc<TokenSource>>; 2],
}

impl LiveAsset {
    pub(crate) const fn new(asset: Asset) -> Self {
        Self {
            asset,
            copies: ArcSwapOption::const_empty(),
        }
    }

    /// Where the copies on `targets` are.
    pub(crate) fn copies(&self, targets: &Targets) -> Arc<Copies> {
        let known = self.copies.load();
        if let Some(known) = known.as_ref().filter(|known| known.version == targets.version) {
            return Arc::clone(known);
        }
        let copies = Arc::new(Copies::of(&self.asset, targets));
        self.copies.store(Some(Arc::clone(&copies)));
        copies
    }
}

impl Copies {
    fn of(asset: &Asset, targets: &Targets) -> Self {
        let mut of = TargetSet::EMPTY;
        let list = targets.iter().map(|(index, target)| {
            let (folder, since_ms) = asset.pathway(target)?;
            let folder = |is_secure| target.url(is_secure)?.folder(folder).ok();
            let (secure, plain) = (folder(true)?, folder(false)?);
            of.set(index, true);
            Some(Copy {
                name: target.name.clone(),
                secure,
                plain,
                since_ms,
                signing: target.signing.clone(),
                tokens: Default::default(),
            })
        });
        let list = list.collect();
        Self {
            version: targets.version,
            of,
            facts: Arc::new(AssetFacts::of(asset, targets.iter().map(|(_, target)| target))),
            list,
        }
    }

    /// The copy of a target.
    pub(crate) fn get(&self, index: TargetIndex) -> Option<&Copy> {
        self.list.get(index.place())?.as_ref()
    }

    /// All of them, in the order of the targets.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (TargetIndex, &Copy)> {
        self.of.iter().filter_map(|index| Some((index, self.get(index)?)))
    }
}

impl Copy {
    /// Where it begins.
    pub(crate) const fn base(&self, is_secure: bool) -> &BaseUrl {
        if is_secure { &self.secure } else { &self.plain }
    }

    /// Whether a manifest can name it. The error is why not.
    pub(crate) fn carried(&self, kind: Kind) -> Result<(), String> {
        kind.carries(self.signing.as_ref())
    }

    /// Whether its tokens stand in the path, where nothing replaces them.
    pub(crate) fn is_signed_in_path(&self) -> bool {
        let scheme = self.signing.as_ref().map(|signing| &signing.scheme);
        matches!(scheme, Some(Scheme::Hmac { is_in_path: true }))
    }

    /// What to put on its URLs. Waits where a token has to be made.
    pub(crate) async fn pass(&self, request: &Request<'_>) -> Result<Pass, SigningError> {
        let Some(spec) = &self.signing else {
            return Ok(Pass::Open);
        };
        let is_secure = request.visit.is_secure;
        let source = self.tokens[usize::from(is_secure)].get_or_init(|| {
            let tokens = &request.edge.streams.tokens;
            tokens.source(&request.site.site.tenant, spec, self.base(is_secure))
        });
        source.pass(request.visit.now.unix_s).await
    }
}

/// Loads assets from the origin, and counts the requests.
pub(crate) struct OriginAssets {
    pub(crate) origins: Origins,
    pub(crate) metrics: Arc<Metrics>,
}

impl LoadAsset<LiveAsset> for OriginAssets {
    fn load<'a>(&'a self, site: SiteId, id: &'a str, seen: Option<Seen>) -> Loading<'a, LiveAsset> {
        Box::pin(async move {
            let known = seen.map(|Seen { epoch, cursor }| Position {
                epoch: Epoch(epoch),
                cursor,
            });
            let answered = self.origins.asset(site, id, known).await;
            self.metrics.count_origin_request("asset", answered.is_ok());
            match answered.map_err(|error| LoadError::Failed(told(&error)))? {
                Lookup::Found(wire) => read(*wire),
                Lookup::Gone => Ok(Known::Gone),
                Lookup::Missing => Ok(Known::Missing),
            }
        })
    }
}

/// An asset that this node cannot read is none that it could serve; who waits for it is told so.
fn read(wire: EdgeAsset) -> Result<Known<LiveAsset>, LoadError> {
    let asset = Asset::try_from(wire).map_err(|error| LoadError::Failed(error.to_string()))?;
    Ok(Known::There(Arc::new(LiveAsset::new(asset))))
}
