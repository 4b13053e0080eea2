//! Parts of all links: where one ends and the next begins.

use std::fmt;

use wayside_decide::{name::Name, path::LinkPath, site::SiteId};
use wayside_upstream::protocol::{EdgeLink, Position, SnapshotLink, SnapshotPage};

use super::LinkRecord;

/// Past this many bytes a part ends, so that neither side holds more at once however long its links are.
const PART_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The last link of a part. Reads and writes as `TENANT/SITE/PATH`; others treat it as opaque.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotKey {
    /// Whose it is.
    pub tenant: Name,
    /// Its site.
    pub site: SiteId,
    /// Its path.
    pub path: LinkPath,
}

impl SnapshotKey {
    /// Reads a key.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (tenant, rest) = text.split_once('/')?;
        let (site, path) = rest.split_at(rest.find('/')?);
        Some(Self {
            tenant: Name::parse("tenant", tenant).ok()?,
            site: SiteId(site.parse().ok()?),
            path: LinkPath::parse(path).ok()?,
        })
    }
}

impl fmt::Display for SnapshotKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}{}", self.tenant, self.site, self.path)
    }
}

/// A part while it is filled.
pub(super) struct Part {
    links: Vec<SnapshotLink>,
    links_max: usize,
    bytes: usize,
    last: Option<SnapshotKey>,
}

impl Part {
    pub(super) fn of_at_most(limit: u32) -> Self {
        Self {
            links: Vec::new(),
            links_max: usize::try_from(limit).unwrap_or(usize::MAX),
            bytes: 0,
            last: None,
        }
    }

    /// Adds a link. Whether there is room for another.
    pub(super) fn add(&mut self, tenant: Name, site: SiteId, record: &LinkRecord) -> bool {
        let link = EdgeLink::from(&record.link);
        let path = record.path.to_string();
        let texts = link.tags.iter().chain(link.attributes.values());
        self.bytes += path.len() + link.target.len() + texts.map(String::len).sum::<usize>();
        self.links.push(SnapshotLink {
            site_id: site.0,
            path,
            link,
        });
        let has_room = self.links.len() < self.links_max && self.bytes < PART_BYTES_MAX;
        if !has_room {
            self.last = Some(SnapshotKey {
                tenant,
                site,
                path: record.path.clone(),
            });
        }
        has_room
    }

    /// The part, read as of `position`.
    pub(super) fn finish(self, position: Position) -> SnapshotPage {
        SnapshotPage {
            position,
            links: self.links,
            next: self.last.map(|key| key.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SnapshotKey;

    #[test]
    fn a_key_reads_as_written() {
        let key = SnapshotKey::parse("acme/7/a/b").expect("a key");
        assert_eq!((key.site.0, key.path.to_string()), (7, "/a/b".to_owned()));
        assert_eq!(key.to_string(), "acme/7/a/b");
        for bad in ["", "acme", "acme/7", "acme/x/a", "/7/a", "acme/-7/a"] {
            assert!(SnapshotKey::parse(bad).is_none(), "{bad}");
        }
    }
}
