//! The key of a cached link, and how to look one up without allocating it.

use std::hash::{Hash, Hasher};

use equivalent::Equivalent;
use wayside_decide::site::SiteId;

/// A site and a path of it, in normal form. The site's number is never reused and belongs to one tenant, so two
/// tenants never share an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) site: SiteId,
    pub(crate) path: Box<str>,
}

impl Key {
    pub(crate) fn view(&self) -> KeyRef<'_> {
        KeyRef {
            site: self.site,
            path: &self.path,
        }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.view().hash(state);
    }
}

/// A borrowed [`Key`]; hashes as one.
#[derive(Debug, Clone, Copy, Hash)]
pub(crate) struct KeyRef<'p> {
    pub(crate) site: SiteId,
    pub(crate) path: &'p str,
}

impl KeyRef<'_> {
    pub(crate) fn to_key(self) -> Key {
        Key {
            site: self.site,
            path: self.path.into(),
        }
    }
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.site == key.site && *self.path == *key.path
    }
}
