//! An asset: something that players play, as its owner describes it.

use super::{base::BaseUrl, target::StreamTarget};
use crate::{
    digest::Digest,
    invalid::Invalid,
    limits::{PATH_BYTES_MAX, STREAM_TARGETS_MAX},
    name::Name,
};

/// How one of several targets is picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Balancer {
    /// By the score of load, latency and bandwidth; the cost decides between equals.
    #[default]
    Adaptive,
    /// One after another.
    RoundRobin,
    /// In proportion to the weights, smoothly.
    SmoothWeighted,
    /// The fewest sessions for its weight.
    LeastConnections,
    /// The lowest latency for its sessions and its weight, of two drawn by their weights.
    PeakEwma,
    /// Always the same for a session, within a bound on the load: 5 % above a target's share.
    ConsistentHash,
    /// The nearest on the globe; by score when nobody knows where.
    Nearest,
}

impl Balancer {
    /// Every one, the default first.
    pub const ALL: [Self; 7] = [
        Self::Adaptive,
        Self::RoundRobin,
        Self::SmoothWeighted,
        Self::LeastConnections,
        Self::PeakEwma,
        Self::ConsistentHash,
        Self::Nearest,
    ];

    /// Reads its word: `adaptive`, `round-robin`, `smooth-weighted`, …
    ///
    /// # Errors
    /// [`Invalid`] when it is none.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let found = Self::ALL.into_iter().find(|balancer| balancer.as_str() == text);
        found.ok_or_else(|| {
            let all = Self::ALL.map(|balancer| format!("`{}`", balancer.as_str()));
            Invalid::text("balancer", text, format!("one of {}", all.join(", ")))
        })
    }

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Adaptive => "adaptive",
            Self::RoundRobin => "round-robin",
            Self::SmoothWeighted => "smooth-weighted",
            Self::LeastConnections => "least-connections",
            Self::PeakEwma => "peak-ewma",
            Self::ConsistentHash => "consistent-hash",
            Self::Nearest => "nearest",
        }
    }
}

/// What becomes of steering that the origin's playlist has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// It is replaced.
    #[default]
    Replace,
    /// The playlist is refused.
    Refuse,
}

impl Existing {
    /// Reads `replace` or `refuse`.
    ///
    /// # Errors
    /// [`Invalid`] when it is neither.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        match text {
            "replace" => Ok(Self::Replace),
            "refuse" => Ok(Self::Refuse),
            _ => Err(Invalid::text("existing steering", text, "`replace` or `refuse`")),
        }
    }

    /// `replace` or `refuse`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Refuse => "refuse",
        }
    }
}

/// How far an asset is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AssetState {
    /// It is whole.
    #[default]
    Ready,
    /// It is still being transcoded: there may be some renditions, or none yet.
    Transcoding,
}

impl AssetState {
    /// Reads `ready` or `transcoding`.
    ///
    /// # Errors
    /// [`Invalid`] when it is neither.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        match text {
            "ready" => Ok(Self::Ready),
            "transcoding" => Ok(Self::Transcoding),
            _ => Err(Invalid::text("asset state", text, "`ready` or `transcoding`")),
        }
    }

    /// `ready` or `transcoding`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Transcoding => "transcoding",
        }
    }
}

/// A path below a folder: `master.m3u8`, `vod/film`. Without dots for segments, query and fragment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RelativePath(Box<str>);

impl RelativePath {
    /// Reads a path; `what` says of what, for the error.
    ///
    /// # Errors
    /// [`Invalid`] when it is empty or too long, begins or ends with a slash, leads up, or holds what stands in no path.
    pub fn parse(what: &'static str, text: &str) -> Result<Self, Invalid> {
        let is_of_path =
            |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '\\' | '"' | '<' | '>' | '`' | '{' | '}');
        let is_segment = |segment: &str| {
            let dots = segment.to_ascii_lowercase().replace("%2e", ".");
            !segment.is_empty() && dots != "." && dots != ".."
        };
        let is_path = text.len() <= PATH_BYTES_MAX && text.chars().all(is_of_path) && text.split('/').all(is_segment);
        if is_path {
            return Ok(Self(text.into()));
        }
        let expected = "a path below a folder, such as `film/master.m3u8`: no `..`, query, fragment or slash at an end";
        Err(Invalid::text(what, text, expected))
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A target that has a copy of the asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pathway {
    /// The target's name.
    pub target: Name,
    /// Where below the target's URL the copy is; the asset's id when absent.
    pub folder: Option<RelativePath>,
    /// Since when it is a pathway, in milliseconds since 1970 UTC: players that began before do not know it.
    pub since_ms: u64,
}

/// Something that players play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// What it is called at its site.
    pub id: Name,
    /// The folder at the site's own origin in which its manifests are; needed when it has any.
    pub source: Option<BaseUrl>,
    /// The HLS multivariant playlist, below the source.
    pub hls: Option<RelativePath>,
    /// The MPD, below the source.
    pub dash: Option<RelativePath>,
    /// The targets that have a copy; empty when all of the tenant's have, each in a folder of the asset's id.
    pub pathways: Box<[Pathway]>,
    /// Of one that names none: since when all targets are pathways, in milliseconds since 1970 UTC.
    pub all_since_ms: u64,
    /// Of one that names none: those in such a folder that it named before, which players know for longer.
    pub named_before: Box<[Pathway]>,
    /// How far it is.
    pub state: AssetState,
    /// How one of its targets is picked.
    pub balancer: Balancer,
    /// How often players ask where to play from, in seconds.
    pub ttl_s: u32,
    /// What becomes of steering that its manifests have already.
    pub existing: Existing,
    /// SHA-256 of the key with which a recorder may ask where to send it; nobody may when absent.
    pub ingest_key: Option<Digest>,
    /// The owner's labels.
    pub tags: Box<[Box<str>]>,
    /// What else the owner says of it, by name: each name once, in order.
    pub attributes: Box<[(Box<str>, Box<str>)]>,
}

impl Asset {
    /// How often players ask when nothing else is said, in seconds.
    pub const TTL_S: u32 = 30;
    /// How often they may ask, in seconds.
    pub const TTL_S_RANGE: std::ops::RangeInclusive<u32> = 1..=3_600;

    /// Whether what is said of it goes together.
    ///
    /// # Errors
    /// [`Invalid`] for manifests without a source, or both in one file, a TTL past its ends, too many pathways or one target twice.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.source.is_none() && (self.hls.is_some() || self.dash.is_some()) {
            let expected = "the URL of the folder that its manifests are in";
            return Err(Invalid::other("source", "none", expected));
        }
        if let Some(hls) = self.hls.as_ref().filter(|hls| Some(*hls) == self.dash.as_ref()) {
            return Err(Invalid::text("dash", hls.as_str(), "another file than that of `hls`"));
        }
        if !Self::TTL_S_RANGE.contains(&self.ttl_s) {
            let expected = format!("{} to {} s", Self::TTL_S_RANGE.start(), Self::TTL_S_RANGE.end());
            return Err(Invalid::other("ttl_s", format!("{} s", self.ttl_s), expected));
        }
        if self.pathways.len() > STREAM_TARGETS_MAX {
            let expected = format!("at most {STREAM_TARGETS_MAX}");
            return Err(Invalid::other("pathways", self.pathways.len().to_string(), expected));
        }
        if self.named_before.len() > STREAM_TARGETS_MAX {
            let expected = format!("at most {STREAM_TARGETS_MAX}");
            return Err(Invalid::other(
                "named_before",
                self.named_before.len().to_string(),
                expected,
            ));
        }
        let twice = |(place, one): (usize, &Pathway)| {
            let before = &self.pathways[..place];
            before
                .iter()
                .any(|other| other.target == one.target)
                .then(|| one.target.clone())
        };
        match self.pathways.iter().enumerate().find_map(twice) {
            Some(target) => Err(Invalid::other(
                "pathways",
                format!("target {target} twice"),
                "each target once",
            )),
            None => Ok(()),
        }
    }

    /// Where a target's copy begins, and since when there is one; none when the target has none.
    #[must_use]
    pub fn pathway(&self, target: &StreamTarget) -> Option<(&str, u64)> {
        if self.pathways.is_empty() {
            let since_ms = self.since_all(&target.name).max(target.since_ms);
            return (!target.urls.is_empty()).then_some((self.id.as_str(), since_ms));
        }
        let pathway = self.pathways.iter().find(|pathway| pathway.target == target.name)?;
        Some((self.folder(pathway), pathway.since_ms.max(target.since_ms)))
    }

    /// Since when a target is a pathway of it in this folder, in milliseconds since 1970 UTC, whatever since the target
    /// is there; none when it is none.
    #[must_use]
    pub fn known_since(&self, pathway: &Pathway) -> Option<u64> {
        let folder = self.folder(pathway);
        if self.pathways.is_empty() {
            return (folder == self.id.as_str()).then(|| self.since_all(&pathway.target));
        }
        let is_same = |own: &&Pathway| own.target == pathway.target && self.folder(own) == folder;
        self.pathways.iter().find(is_same).map(|own| own.since_ms)
    }

    /// The pathways that stay what they are when it names none: those in a folder of its id.
    #[must_use]
    pub fn named_of_all(&self) -> Box<[Pathway]> {
        let named = self.pathways.iter().filter(|own| self.folder(own) == self.id.as_str());
        named.cloned().collect()
    }

    /// Since when a target is a pathway of it while it names none.
    fn since_all(&self, target: &Name) -> u64 {
        let named = self.named_before.iter().find(|named| named.target == *target);
        named.map_or(self.all_since_ms, |named| named.since_ms)
    }

    fn folder<'p>(&'p self, pathway: &'p Pathway) -> &'p str {
        pathway.folder.as_ref().map_or(self.id.as_str(), RelativePath::as_str)
    }

    /// What it takes in memory, in bytes: the weight caches count.
    #[must_use]
    pub fn weight(&self) -> usize {
        let path = |path: &Option<RelativePath>| path.as_ref().map_or(0, |path| path.as_str().len());
        let pathways = self.pathways.iter().chain(&self.named_before);
        let pathways: usize = pathways
            .map(|pathway| size_of::<Pathway>() + pathway.target.as_str().len() + path(&pathway.folder))
            .sum();
        let tags: usize = self.tags.iter().map(|tag| tag.len() + size_of::<Box<str>>()).sum();
        let pair = size_of::<(Box<str>, Box<str>)>();
        let attributes = self.attributes.iter();
        let attributes: usize = attributes.map(|(name, value)| name.len() + value.len() + pair).sum();
        let source = self.source.as_ref().map_or(0, |source| source.as_str().len());
        size_of::<Self>() + source + path(&self.hls) + path(&self.dash) + pathways + tags + attributes
    }
}

#[cfg(test)]
mod tests {
    use super::{Balancer, RelativePath};

    #[test]
    fn balancers_are_read_as_they_are_written() {
        for balancer in Balancer::ALL {
            assert_eq!(Balancer::parse(balancer.as_str()), Ok(balancer));
        }
        Balancer::parse("random").expect_err("none of them");
    }

    #[test]
    fn paths_stay_below_their_folder() {
        for good in ["master.m3u8", "vod/film/a-b_c.mpd", "a%20b/..x"] {
            RelativePath::parse("hls", good).expect(good);
        }
        for bad in [
            "",
            "/a",
            "a/",
            "a//b",
            "../a",
            "a/%2E%2e/b",
            "a?b",
            "a#b",
            "a b",
            "a\\b",
            "ä",
            "{asset}",
        ] {
            RelativePath::parse("hls", bad).expect_err(bad);
        }
    }
}
