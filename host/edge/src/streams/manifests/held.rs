//! By what manifests are held in memory, and what they weigh there.

use std::{hash::Hash, sync::Arc};

use quick_cache::{
    DefaultHashBuilder, OptionsBuilder, Weighter,
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
    pub(super) url: Box<str>,
}

/// Whole keys are compared: another content, another token or another URL is another manifest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ReadyKey {
    pub(super) content: u64,
    pub(super) replaces: bool,
    pub(super) places: Box<[(Name, BaseUrl, u64)]>,
}

#[derive(Debug, Clone)]
pub(super) struct Weights;

impl Weighter<SlotKey, (Arc<Slot>, usize)> for Weights {
    fn weight(&self, key: &SlotKey, (_, weight): &(Arc<Slot>, usize)) -> u64 {
        (size_of::<Slot>() + key.url.len() + weight) as u64
    }
}

impl Weighter<ReadyKey, Arc<Ready>> for Weights {
    fn weight(&self, key: &ReadyKey, ready: &Arc<Ready>) -> u64 {
        let places = key.places.iter();
        let places: usize = places
            .map(|(id, base, _)| id.as_str().len() + base.as_str().len() + 40)
            .sum();
        (places + ready.weight()) as u64
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
