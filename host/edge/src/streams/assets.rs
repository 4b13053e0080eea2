//! Assets as a node uses them: what their owners say, and where each target's copy is.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;
use wayside_cache::{
    assets::{Held, Known, LoadAsset, Loading},
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
    manifests::kind::Kind,
    pools::targets::Targets,
    signed::Signs,
    tokens::{Pass, SigningError, TokenSource},
};
use crate::{causes::told, facts::AssetFacts, metrics::Metrics};

/// What a copy usually takes, with its URLs, what signs them and what policies are told of it.
const COPY_BYTES: usize = 512;
/// How many copies there usually are of an asset that all targets have.
const USUAL_COPIES: usize = 3;

/// An asset that players may ask for.
#[derive(Debug)]
pub(crate) struct LiveAsset {
    pub(crate) asset: Asset,
    /// Worked out when it is first asked for, and again when the targets change.
    copies: ArcSwapOption<Copies>,
    /// What the best of its renditions takes, in kbit/s; 0 while no player has fetched what lists them.
    needed_kbit_s: AtomicU64,
}

/// Where an asset's copies are, by targets as of one moment.
#[derive(Debug)]
pub(crate) struct Copies {
    /// Of which targets.
    version: u64,
    /// Those that have one.
    pub(crate) of: TargetSet,
    /// Of these, those whose URLs are signed.
    signed: TargetSet,
    /// Those that a manifest of each kind can name.
    carried: [TargetSet; Kind::ALL.len()],
    /// When the last of them became one, in milliseconds since 1970 UTC.
    pub(crate) newest_ms: u64,
    /// What policies are told of the asset and of them, once one asked.
    facts: OnceLock<Arc<AssetFacts>>,
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

/// Two are the same when their owner says the same of them.
impl PartialEq for LiveAsset {
    fn eq(&self, other: &Self) -> bool {
        self.asset == other.asset
    }
}

impl Held for LiveAsset {
    fn weight(&self) -> usize {
        let copies = match self.asset.pathways.len() {
            0 => USUAL_COPIES,
            named => named,
        };
        // Policies have labels and attributes of their own.
        2 * self.asset.weight() + copies * COPY_BYTES
    }
}

impl LiveAsset {
    pub(crate) const fn new(asset: Asset) -> Self {
        Self {
            asset,
            copies: ArcSwapOption::const_empty(),
            needed_kbit_s: AtomicU64::new(0),
        }
    }

    /// What the stream needs, in kbit/s, when that is known.
    pub(crate) fn needed_kbit_s(&self) -> Option<u64> {
        let known = self.needed_kbit_s.load(Ordering::Relaxed);
        (known > 0).then_some(known)
    }

    /// Learns what the stream needs.
    pub(crate) fn set_needed(&self, kbit_s: u64) {
        self.needed_kbit_s.store(kbit_s, Ordering::Relaxed);
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

    /// What policies are told of the asset where these are its tenant's targets.
    pub(crate) fn facts(&self, targets: &Targets) -> Arc<AssetFacts> {
        let of = || Arc::new(AssetFacts::of(&self.asset, targets.list()));
        Arc::clone(self.copies(targets).facts.get_or_init(of))
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
        let list: Box<[Option<Copy>]> = list.collect();
        let of_kind = |kind: Kind| {
            let is_carried = |index: &TargetIndex| {
                let copy = list.get(index.place()).and_then(Option::as_ref);
                copy.is_some_and(|copy| copy.carried(kind).is_ok())
            };
            of.iter().filter(is_carried).collect()
        };
        let is_signed = |index: &TargetIndex| {
            let copy = list.get(index.place()).and_then(Option::as_ref);
            copy.is_some_and(|copy| copy.signing.is_some())
        };
        let since = list.iter().flatten().map(|copy| copy.since_ms);
        Self {
            version: targets.version,
            of,
            signed: of.iter().filter(is_signed).collect(),
            carried: Kind::ALL.map(of_kind),
            newest_ms: since.max().unwrap_or_default(),
            facts: OnceLock::new(),
            list,
        }
    }

    /// Those that a manifest can name.
    pub(crate) const fn carried(&self, kind: Kind) -> TargetSet {
        self.carried[kind as usize]
    }

    /// Of some targets those of which it is known that the node cannot sign for them: their keys were looked at
    /// ([`Copies::read_keys`]). It costs nothing where no target signs.
    pub(super) fn unsignable(&self, among: TargetSet, signs: Signs<'_>) -> TargetSet {
        let keyless = self
            .among(self.signed.and(among))
            .filter(|(_, copy)| copy.is_keyless(signs));
        keyless.map(|(index, _)| index).collect()
    }

    /// Has the keys of all of them looked at, unless that was done.
    pub(super) async fn read_keys(&self, signs: Signs<'_>) {
        for (_, copy) in self.among(self.signed) {
            if let Some(source) = copy.source(signs) {
                source.read_key().await;
            }
        }
    }

    /// Those that there were at an instant, in milliseconds since 1970 UTC.
    pub(crate) fn until(&self, since_ms: u64) -> TargetSet {
        if since_ms >= self.newest_ms {
            return self.of;
        }
        let known = self.iter().filter(|(_, copy)| copy.since_ms <= since_ms);
        known.map(|(index, _)| index).collect()
    }

    /// The copy of a target.
    pub(crate) fn get(&self, index: TargetIndex) -> Option<&Copy> {
        self.list.get(index.place())?.as_ref()
    }

    /// All of them, in the order of the targets.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (TargetIndex, &Copy)> {
        self.among(self.of)
    }

    /// Those of some targets, in the order of the targets.
    pub(crate) fn among(&self, targets: TargetSet) -> impl Iterator<Item = (TargetIndex, &Copy)> {
        targets.iter().filter_map(|index| Some((index, self.get(index)?)))
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
    pub(super) async fn pass(&self, signs: Signs<'_>) -> Result<Pass, SigningError> {
        match self.source(signs) {
            None => Ok(Pass::Open),
            Some(source) => source.pass(signs.now_s).await,
        }
    }

    /// What to put on its URLs, when that is there.
    pub(super) fn ready(&self, signs: Signs<'_>) -> Option<Pass> {
        match self.source(signs) {
            None => Some(Pass::Open),
            Some(source) => source.ready(signs.now_s)?.ok(),
        }
    }

    fn is_keyless(&self, signs: Signs<'_>) -> bool {
        self.source(signs).is_some_and(|source| source.is_keyless())
    }

    fn source(&self, signs: Signs<'_>) -> Option<&Arc<TokenSource>> {
        let Signs {
            tokens,
            tenant,
            is_secure,
            ..
        } = signs;
        let spec = self.signing.as_ref()?;
        let source = || tokens.source(tenant, spec, self.base(is_secure));
        Some(self.tokens[usize::from(is_secure)].get_or_init(source))
    }

    /// A copy that begins here however the player came.
    #[cfg(test)]
    pub(super) fn on(name: Name, base: BaseUrl, signing: Option<SigningSpec>) -> Self {
        Self {
            name,
            secure: base.clone(),
            plain: base,
            since_ms: 0,
            signing,
            tokens: Default::default(),
        }
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
