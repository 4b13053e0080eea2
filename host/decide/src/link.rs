//! A link: one exact path of a site and where it leads.

use crate::{status::RedirectStatus, target::Target};

/// A link as an edge holds it; its site and path are its key and stand beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Where the link leads while it is live.
    pub target: Target,
    /// The status it redirects with.
    pub status: RedirectStatus,
    /// Whether the request's query is added to the target.
    pub forward_query: bool,
    /// From when the link is live, in seconds since 1970 UTC.
    pub starts_at: Option<u64>,
    /// From when it is live no more, in seconds since 1970 UTC.
    pub expires_at: Option<u64>,
    /// Where it leads while it is not live; nowhere when absent.
    pub fallback: Option<Target>,
    /// The owner's labels.
    pub tags: Box<[Box<str>]>,
    /// What else the owner says of it, by name: each name once, in order.
    pub attributes: Box<[(Box<str>, Box<str>)]>,
}

impl Link {
    /// Where the link leads at `now` (seconds since 1970 UTC): its target within its window, its fallback outside.
    #[must_use]
    pub fn target_at(&self, now: u64) -> Option<&Target> {
        if self.is_live_at(now) {
            Some(&self.target)
        } else {
            self.fallback.as_ref()
        }
    }

    /// Whether `now` (seconds since 1970 UTC) is within the link's window.
    #[must_use]
    pub fn is_live_at(&self, now: u64) -> bool {
        self.starts_at.is_none_or(|start| now >= start) && self.expires_at.is_none_or(|expiry| now < expiry)
    }

    /// The attribute of this name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let at = self
            .attributes
            .binary_search_by(|(known, _)| (**known).cmp(name))
            .ok()?;
        self.attributes.get(at).map(|(_, value)| &**value)
    }

    /// The next second after `now` at which the link's window begins or ends; none when neither lies ahead. Both in
    /// seconds since 1970 UTC.
    #[must_use]
    pub fn changes_at(&self, now: u64) -> Option<u64> {
        let edges = [self.starts_at, self.expires_at];
        edges.into_iter().flatten().filter(|&edge| edge > now).min()
    }

    /// What the link takes in memory, in bytes: the weight caches count.
    #[must_use]
    pub fn weight(&self) -> usize {
        let fallback = self.fallback.as_ref().map_or(0, |target| target.as_str().len());
        let tags: usize = self.tags.iter().map(|tag| tag.len() + size_of::<Box<str>>()).sum();
        let pair = size_of::<(Box<str>, Box<str>)>();
        let attributes = self.attributes.iter();
        let attributes: usize = attributes.map(|(name, value)| name.len() + value.len() + pair).sum();
        size_of::<Self>() + self.target.as_str().len() + fallback + tags + attributes
    }
}

#[cfg(test)]
mod tests {
    use super::Link;
    use crate::{status::RedirectStatus, target::Target};

    #[test]
    fn the_window_decides_where_a_link_leads() {
        let target = |text| Target::parse(text).expect("target");
        let mut link = Link {
            target: target("https://a.example/"),
            status: RedirectStatus::Found,
            forward_query: false,
            starts_at: Some(100),
            expires_at: Some(200),
            fallback: None,
            tags: Box::default(),
            attributes: Box::new([("a".into(), "1".into()), ("b".into(), "2".into())]),
        };
        assert_eq!((link.attribute("b"), link.attribute("c")), (Some("2"), None));
        let changes = [99, 100, 199, 200].map(|now| link.changes_at(now));
        assert_eq!(changes, [Some(100), Some(200), Some(200), None]);
        let at = |link: &Link, now| link.target_at(now).map(|target| target.as_str().to_owned());
        assert_eq!(at(&link, 99), None);
        assert_eq!(at(&link, 100).as_deref(), Some("https://a.example/"));
        assert_eq!(at(&link, 199).as_deref(), Some("https://a.example/"));
        assert_eq!(at(&link, 200), None);
        link.fallback = Some(target("https://b.example/"));
        assert_eq!(at(&link, 200).as_deref(), Some("https://b.example/"));
    }
}
