//! The directory as a node uses it: sites by host, each binding with its guest.
//!
//! A snapshot is immutable. A request takes one site from the snapshot of its instant and keeps it to its end.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use foldhash::fast::RandomState;
use wayside_decide::{binding::Binding, digest::Digest, host::HostPattern, site::Site};
use wayside_stream::session;
use wayside_upstream::protocol::{Cursor, EdgeDirectory};

use crate::{
    account::{Account, Accounts},
    guests::Loadable,
    remembered::Remembered,
};

/// All sites of a node at one position of the feed.
#[derive(Default)]
pub(crate) struct Directory {
    /// Where in the feed it was read; none before the first was.
    pub(crate) cursor: Option<Cursor>,
    exact: HashMap<Box<str>, Arc<LiveSite>, RandomState>,
    /// By the parent of the wildcard.
    below: HashMap<Box<str>, Arc<LiveSite>, RandomState>,
    by_number: HashMap<u64, Arc<LiveSite>, RandomState>,
}

/// A site with its guests.
pub(crate) struct LiveSite {
    pub(crate) site: Site,
    /// In the order of the site's bindings: longest prefix first.
    bindings: Vec<LiveBinding>,
    /// What the identifiers of its sessions are made with.
    session_key: OnceLock<Option<session::Key>>,
}

/// A binding and what runs for it.
#[derive(Clone)]
pub(crate) struct LiveBinding {
    pub(crate) binding: Arc<Binding>,
    /// Why there is none, when there is none.
    pub(crate) guest: Result<Arc<Loadable>, Arc<str>>,
    /// What is remembered of this version with these settings.
    pub(crate) remembered: Arc<Remembered>,
    /// Its policy's.
    pub(crate) account: Arc<Account>,
}

impl LiveBinding {
    /// What is remembered stays only with the same binding, version and settings, of the same site.
    fn new(
        binding: &Binding,
        guest: Result<Arc<Loadable>, Arc<str>>,
        before: Option<&Self>,
        new: impl FnOnce() -> (Arc<Remembered>, Arc<Account>),
    ) -> Self {
        match before.filter(|before| *before.binding == *binding) {
            Some(before) => Self {
                guest,
                ..before.clone()
            },
            None => {
                let (remembered, account) = new();
                Self {
                    binding: Arc::new(binding.clone()),
                    guest,
                    remembered,
                    account,
                }
            }
        }
    }
}

/// What is known about a policy version on this node.
pub(crate) enum GuestState {
    /// It can run.
    Ready(Arc<Loadable>),
    /// It is being fetched or compiled.
    Pending,
    /// This node refuses it, or cannot get it.
    Refused(Arc<str>),
}

impl LiveSite {
    /// Its bindings, longest prefix first.
    pub(crate) fn bindings(&self) -> &[LiveBinding] {
        &self.bindings
    }

    /// What the identifiers of its sessions are made with: the same on every node. None on a system that cannot.
    pub(crate) fn session_key(&self) -> Option<&session::Key> {
        let made = self.session_key.get_or_init(|| session::Key::of(&self.site.bucket_key));
        made.as_ref()
    }

    /// The binding that covers a path in normal form.
    pub(crate) fn binding_for(&self, path: &str) -> Option<&LiveBinding> {
        self.bindings.iter().find(|live| live.binding.prefix.covers(path))
    }
}

impl Directory {
    /// Builds the snapshot of `wire`. A site that cannot be read is left out and logged, and what `previous` knew of
    /// it stays: one bad item never freezes the set. A binding whose new version is still pending keeps running the
    /// version `previous` ran.
    pub(crate) fn build(
        wire: &EdgeDirectory,
        previous: &Self,
        accounts: &Accounts,
        guest: impl Fn(Digest) -> GuestState,
    ) -> Self {
        let mut directory = Self {
            cursor: Some(wire.cursor),
            ..Self::default()
        };
        for wire_site in &wire.sites {
            let live = match Site::try_from(wire_site.clone()) {
                Ok(site) => Arc::new(LiveSite::build(site, previous, accounts, &guest)),
                Err(error) => {
                    tracing::error!(tenant = wire_site.tenant, site = wire_site.name, %error, "quarantined a site");
                    match previous.by_number(wire_site.id) {
                        Some(kept) => kept,
                        None => continue,
                    }
                }
            };
            directory.insert(live);
        }
        directory
    }

    /// The site that answers for a host in normal form: the exact one, or that of the closest wildcard above it.
    pub(crate) fn site(&self, host: &str) -> Option<&Arc<LiveSite>> {
        self.exact.get(host).or_else(|| {
            let mut rest = host;
            while let Some((_, parent)) = rest.split_once('.') {
                if let Some(site) = self.below.get(parent) {
                    return Some(site);
                }
                rest = parent;
            }
            None
        })
    }

    /// Every site.
    pub(crate) fn sites(&self) -> impl Iterator<Item = &Arc<LiveSite>> {
        self.by_number.values()
    }

    /// How many sites there are.
    pub(crate) fn site_count(&self) -> usize {
        self.by_number.len()
    }

    fn insert(&mut self, live: Arc<LiveSite>) {
        self.by_number.insert(live.site.id.0, Arc::clone(&live));
        for host in &live.site.hosts {
            let (map, name) = match host {
                HostPattern::Exact(name) => (&mut self.exact, name),
                HostPattern::Below(parent) => (&mut self.below, parent),
            };
            map.insert(name.as_str().into(), Arc::clone(&live));
        }
    }

    fn by_number(&self, id: u64) -> Option<Arc<LiveSite>> {
        self.by_number.get(&id).cloned()
    }
}

impl LiveSite {
    /// A site none of whose policies run.
    pub(crate) fn without_guests(site: Site, previous: &Directory) -> Self {
        Self::build(site, previous, &Accounts::new(1 << 20), &|_| GuestState::Pending)
    }

    fn build(site: Site, previous: &Directory, accounts: &Accounts, guest: &impl Fn(Digest) -> GuestState) -> Self {
        let before = if site.bindings.is_empty() {
            None
        } else {
            previous.by_number(site.id.0)
        };
        let bindings = site.bindings.iter().map(|binding| {
            let same_place = |live: &&LiveBinding| live.binding.prefix == binding.prefix;
            let before = before.as_ref().filter(|before| before.site.tenant == site.tenant);
            let kept = before.and_then(|before| {
                let live = before.bindings.iter().find(same_place)?.clone();
                Some(match before.site.privacy == site.privacy {
                    true => live,
                    // What may be kept of requests has changed, and with it what was kept goes.
                    false => LiveBinding {
                        remembered: accounts.memories().begin(&site.tenant),
                        ..live
                    },
                })
            });
            let (guest, kept) = match (guest(binding.digest), kept) {
                (GuestState::Ready(guest), kept) => (Ok(guest), kept),
                (GuestState::Refused(reason), kept) => (Err(reason), kept),
                (GuestState::Pending, Some(kept)) => return kept,
                (GuestState::Pending, None) => (Err("it is still being loaded".into()), None),
            };
            LiveBinding::new(binding, guest, kept.as_ref(), || {
                let remembered = accounts.memories().begin(&site.tenant);
                (remembered, accounts.of(&site.tenant, &binding.policy))
            })
        });
        let bindings = bindings.collect();
        Self {
            site,
            bindings,
            session_key: OnceLock::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use wayside_upstream::protocol::{EdgeDirectory, EdgeSite};

    use super::{Accounts, Directory, GuestState};

    fn site(id: u64, hosts: &[&str]) -> EdgeSite {
        EdgeSite {
            id,
            tenant: "t".into(),
            name: format!("s{id}"),
            hosts: hosts.iter().map(ToString::to_string).collect(),
            not_found: None,
            max_age_s: None,
            privacy: "redacted".into(),
            streams: None,
            bucket_key: "0".repeat(64),
            rules: Vec::new(),
            bindings: Vec::new(),
        }
    }

    fn build(sites: Vec<EdgeSite>, previous: &Directory) -> Directory {
        let wire = EdgeDirectory {
            epoch: None,
            cursor: 1,
            sites,
            targets: Vec::new(),
            zones: Vec::new(),
            tag: None,
        };
        Directory::build(&wire, previous, &Accounts::new(1 << 20), |_| GuestState::Pending)
    }

    fn number(directory: &Directory, host: &str) -> Option<u64> {
        directory.site(host).map(|live| live.site.id.0)
    }

    #[test]
    fn the_most_specific_host_wins() {
        let sites = vec![
            site(1, &["go.a.example"]),
            site(2, &["*.a.example"]),
            site(3, &["*.go.a.example"]),
        ];
        let directory = build(sites, &Directory::default());
        for (host, expected) in [
            ("go.a.example", Some(1)),
            ("other.a.example", Some(2)),
            ("a.b.a.example", Some(2)),
            ("x.go.a.example", Some(3)),
            ("a.example", None),
            ("elsewhere.test", None),
        ] {
            assert_eq!(number(&directory, host), expected, "{host}");
        }
    }

    #[test]
    fn a_bad_site_is_quarantined_and_the_others_change() {
        let first = build(
            vec![site(1, &["a.example"]), site(2, &["b.example"])],
            &Directory::default(),
        );
        let mut bad = site(1, &["a.example"]);
        bad.not_found = Some("javascript:alert(1)".into());
        let second = build(vec![bad, site(2, &["c.example"])], &first);
        assert_eq!(number(&second, "a.example"), Some(1), "last known good");
        assert_eq!(number(&second, "c.example"), Some(2));
        assert_eq!(number(&second, "b.example"), None);
    }
}
