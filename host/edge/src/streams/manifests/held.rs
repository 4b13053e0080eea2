//! By what manifests are held in memory, and what they weigh there.

use std::{hash::Hash, sync::Arc};

use quick_cache::{
    DefaultHashBuilder, Equivalent, OptionsBuilder, Weighter,
    sync::{Cache, DefaultLifecycle},
};
use wayside_decide::{name::Name, site::SiteId, stream::base::BaseUrl};

use super::{kind::Kind, ready::Ready, slot::Slot};

/// What a manifest usually takes.
const USUAL_BYTES: u64 = 8 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SlotKey {
    pub(super) site: SiteId,
    pub(super) kind: Kind,
    /// The asset's, by which what the manifest names is looked at.
    pub(super) folder: BaseUrl,
    pub(super) path: Box<str>,
}

/// The same, borrowed: a look-up makes no URL and allocates nothing.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct SlotRef<'k> {
    pub(super) site: SiteId,
    pub(super) kind: Kind,
    pub(super) folder: &'k BaseUrl,
    pub(super) path: &'k str,
}

impl Equivalent<SlotKey> for SlotRef<'_> {
    fn equivalent(&self, key: &SlotKey) -> bool {
        (self.site, self.kind, self.path) == (key.site, key.kind, &*key.path) && *self.folder == key.folder
    }
}

impl SlotRef<'_> {
    pub(super) fn to_key(self) -> SlotKey {
        SlotKey {
            site: self.site,
            kind: self.kind,
            folder: self.folder.clone(),
            path: self.path.into(),
        }
    }
}

impl SlotKey {
    /// What its texts take, in bytes.
    fn weight(&self) -> usize {
        self.folder.as_str().len() + self.path.len()
    }
}

/// Whole keys are compared: another content, another token or another URL is another manifest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ReadyKey {
    pub(super) content: u64,
    pub(super) replaces: bool,
    pub(super) places: Box<[(Name, BaseUrl, u64)]>,
}

/// A manifest with pathways, or what is wrong with it.
pub(super) type Prepared = Result<Arc<Ready>, Arc<str>>;

#[derive(Debug, Clone)]
pub(super) struct Weights;

impl Weighter<SlotKey, (Arc<Slot>, usize)> for Weights {
    fn weight(&self, key: &SlotKey, (_, weight): &(Arc<Slot>, usize)) -> u64 {
        // The slot has the same key, and its URL.
        (size_of::<(SlotKey, Slot)>() + 3 * key.weight() + weight) as u64
    }
}

impl Weighter<ReadyKey, Prepared> for Weights {
    fn weight(&self, key: &ReadyKey, prepared: &Prepared) -> u64 {
        let places = key.places.iter();
        let places: usize = places
            .map(|(id, base, _)| id.as_str().len() + base.as_str().len() + 40)
            .sum();
        let prepared = match prepared {
            Ok(ready) => ready.weight(),
            Err(problem) => problem.len(),
        };
        (places + prepared) as u64
    }
}

/// A cache of so many bytes. In one piece: of several each would be too small for the largest manifest.
pub(super) fn cache<K: Eq + Hash, V: Clone>(bytes_max: u64) -> Cache<K, V, Weights>
where
    Weights: Weighter<K, V>,
{
    let items = usize::try_from(bytes_max / USUAL_BYTES).unwrap_or(usize::MAX).max(1);
    let mut options = OptionsBuilder::new();
    options
        .estimated_items_capacity(items)
        .weight_capacity(bytes_max)
        .shards(1);
    let hasher = DefaultHashBuilder::default();
    match options.build() {
        Ok(options) => Cache::with_options(options, Weights, hasher, DefaultLifecycle::default()),
        // Only what is not set is refused.
        Err(_) => Cache::with_weighter(items, bytes_max, Weights),
    }
}
