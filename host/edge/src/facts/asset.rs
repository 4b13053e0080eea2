//! What is known of the asset that is asked for, frozen with the request's other facts.

use std::sync::Arc;

use wayside_decide::{
    name::Name,
    question::{Answer, Question},
    stream::{asset::Asset, target::StreamTarget},
};

/// What a policy can ask about an asset. Made once for many requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetFacts {
    id: Name,
    tags: Box<[Box<str>]>,
    attributes: Box<[(Box<str>, Box<str>)]>,
    /// The targets that have a copy and the region of each, in order of names.
    targets: Box<[(Name, Name)]>,
}

impl AssetFacts {
    /// What an owner says of an asset, and the targets that have a copy of it, each with its region.
    #[must_use]
    pub fn new(
        id: Name,
        tags: Box<[Box<str>]>,
        attributes: Box<[(Box<str>, Box<str>)]>,
        mut targets: Vec<(Name, Name)>,
    ) -> Self {
        targets.sort_unstable();
        Self {
            id,
            tags,
            attributes,
            targets: targets.into(),
        }
    }

    /// The facts of this asset where these are its tenant's targets.
    #[must_use]
    pub fn of<'t>(asset: &Asset, targets: impl IntoIterator<Item = &'t StreamTarget>) -> Self {
        let with_copy = targets.into_iter().filter(|target| asset.pathway(target).is_some());
        let targets = with_copy.map(|target| (target.name.clone(), target.region.clone()));
        Self::new(
            asset.id.clone(),
            asset.tags.clone(),
            asset.attributes.clone(),
            targets.collect(),
        )
    }

    /// What it holds outside itself, in bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let tags: usize = self.tags.iter().map(|tag| size_of::<Box<str>>() + tag.len()).sum();
        let pairs = self.attributes.iter().map(|(name, value)| (&**name, &**value));
        let targets = self
            .targets
            .iter()
            .map(|(name, region)| (name.as_str(), region.as_str()));
        let pairs: usize = pairs
            .chain(targets)
            .map(|(one, other)| 2 * size_of::<Box<str>>() + one.len() + other.len())
            .sum();
        self.id.as_str().len() + tags + pairs
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        attributes.find_map(|(known, value)| (**known == *name).then_some(&**value))
    }

    fn region(&self, target: &str) -> Option<&str> {
        let mut targets = self.targets.iter();
        targets.find_map(|(name, region)| (name.as_str() == target).then_some(region.as_str()))
    }
}

/// The answer about the asset, where there is one; none to other questions.
pub(super) fn answer(asset: Option<&Arc<AssetFacts>>, question: &Question) -> Option<Answer> {
    Some(match question {
        Question::AssetId => Answer::text(asset.map(|asset| asset.id.as_str())),
        Question::AssetTags => Answer::List(asset.map(|asset| asset.tags.clone()).unwrap_or_default()),
        Question::AssetAttribute(name) => Answer::text(asset.and_then(|asset| asset.attribute(name))),
        Question::AssetTargets => {
            let names = asset.iter().flat_map(|asset| &asset.targets);
            Answer::List(names.map(|(name, _)| name.as_str().into()).collect())
        }
        Question::TargetRegion(target) => Answer::text(asset.and_then(|asset| asset.region(target))),
        _ => return None,
    })
}
