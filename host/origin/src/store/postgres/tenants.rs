//! Whose site it is, remembered: a node names a site by its number alone, and every key begins with the tenant.
//!
//! In: what was looked up. Out: what was looked up before, which is a hint: a record that was set back gives its numbers
//! anew, so whoever finds nothing by it makes sure (see [`links::one`](super::links::one)).

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use wayside_decide::site::SiteId;

/// How many are remembered, of about 100 bytes each. When there are more it begins anew, at one look-up a site.
const REMEMBERED_MAX: usize = 65_536;

/// The tenants of sites.
#[derive(Default)]
pub(super) struct Tenants(RwLock<HashMap<SiteId, Arc<str>>>);

impl Tenants {
    /// Whose the site was.
    pub(super) fn of(&self, site: SiteId) -> Option<Arc<str>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&site)
            .cloned()
    }

    /// The site is this tenant's.
    pub(super) fn remember(&self, site: SiteId, tenant: String) -> Arc<str> {
        let tenant: Arc<str> = tenant.into();
        let mut tenants = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if tenants.len() >= REMEMBERED_MAX {
            tenants.clear();
        }
        tenants.insert(site, Arc::clone(&tenant));
        tenant
    }

    /// The site is nobody's, as far as is known.
    pub(super) fn forget(&self, site: SiteId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&site);
    }
}

#[cfg(test)]
mod tests {
    use wayside_decide::site::SiteId;

    use super::{REMEMBERED_MAX, Tenants};

    #[test]
    fn what_is_remembered_is_bounded_and_the_newest() {
        let tenants = Tenants::default();
        let most = REMEMBERED_MAX as u64 * 3 / 2;
        for site in 0..most {
            tenants.remember(SiteId(site), "acme".to_owned());
        }
        assert!(tenants.0.read().expect("no panic").len() <= REMEMBERED_MAX);
        assert_eq!(tenants.of(SiteId(most - 1)).as_deref(), Some("acme"));
        tenants.forget(SiteId(most - 1));
        assert_eq!(tenants.of(SiteId(most - 1)), None);
    }
}
