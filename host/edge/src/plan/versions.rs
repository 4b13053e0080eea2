//! Runs two versions of a policy on one kept request, at one instant.

use std::{sync::Arc, time::Duration};

use wayside_cache::links::Lookup;
use wayside_decide::{
    binding::Binding,
    decision::{Decision, Failure},
    trace::{Recorder, Trace},
};
use wayside_policy::guest::Guest;

use super::said::{Said, are_same};
use crate::{
    clock::Now,
    directory::LiveSite,
    facts::{LinkKnown, Sources},
    pipeline::Edge,
    witness::{Lacks, Replayed, Witness},
};

/// How often a run is tried again that found the tenant's share of runs used up, and how long after.
const TRIES: u32 = 5;
const REST: Duration = Duration::from_millis(20);

/// A version and the settings it runs with.
pub(super) struct Version {
    pub(super) guest: Arc<Guest>,
    pub(super) binding: Arc<Binding>,
}

/// What both are asked under.
pub(super) struct Versions<'e> {
    pub(super) edge: &'e Edge,
    pub(super) site: Arc<LiveSite>,
    pub(super) old: Version,
    pub(super) new: Version,
    pub(super) now: Now,
}

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Compared {
    /// Both said the same; the failure, where both failed.
    Same(Option<&'static str>),
    /// They said this and that.
    Different(Said, Said),
    /// Nobody can tell.
    Untold(Untold),
}

/// Why nobody can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Untold {
    /// A version asked for something that the site's privacy setting does not let a node keep.
    Redacted,
    /// A version asked for the link, and it cannot be had now.
    Link,
    /// The node was too busy.
    Busy,
}

struct Ran {
    result: Result<Decision, Failure>,
    trace: Trace,
    lacks: Lacks,
}

impl Versions<'_> {
    pub(super) async fn compare(&self, witness: &Arc<Witness>) -> Compared {
        let (mut old, mut new) = self.both(witness, &LinkKnown::NotYet).await;
        if old.lacks.link || new.lacks.link {
            let link = self.link(witness).await;
            (old, new) = self.both(witness, &link).await;
        }
        let lacks = |has: fn(&Lacks) -> bool| has(&old.lacks) || has(&new.lacks);
        let is_passing = |ran: &Ran| matches!(ran.result, Err(Failure::Overloaded | Failure::Unavailable(_)));
        if lacks(|lacks| lacks.redacted) {
            Compared::Untold(Untold::Redacted)
        } else if lacks(|lacks| lacks.link) {
            Compared::Untold(Untold::Link)
        } else if is_passing(&old) || is_passing(&new) {
            Compared::Untold(Untold::Busy)
        } else if are_same(&old.result, &new.result) {
            Compared::Same(new.result.as_ref().err().map(Failure::label))
        } else {
            Compared::Different(Said::of(&old.result, &old.trace), Said::of(&new.result, &new.trace))
        }
    }

    async fn both(&self, witness: &Arc<Witness>, link: &LinkKnown) -> (Ran, Ran) {
        let old = self.run(&self.old, witness, link).await;
        (old, self.run(&self.new, witness, link).await)
    }

    /// A fresh run on the pool's threads, in the tenant's own share of them.
    async fn run(&self, version: &Version, witness: &Arc<Witness>, link: &LinkKnown) -> Ran {
        let tenant = &self.site.site.tenant;
        let mut tries = 0;
        loop {
            let sources = Sources {
                site: Arc::clone(&self.site),
                binding: Some(Arc::clone(&version.binding)),
                geo: self.edge.geo.load_full(),
                place: Arc::clone(&self.edge.place),
                now_s: self.now.unix_s,
                demo_country: None,
            };
            let facts = Arc::new(Replayed::new(witness, sources, link.clone()));
            let recorder = Recorder::new(Arc::clone(&facts) as _);
            let run = self
                .edge
                .policies
                .run(tenant, Arc::clone(&version.guest), recorder)
                .await;
            tries += 1;
            if matches!(run.result, Err(Failure::Overloaded)) && tries < TRIES {
                tokio::time::sleep(REST).await;
                continue;
            }
            return Ran {
                result: run.result,
                trace: run.recorder.into_trace(),
                lacks: facts.lacks(),
            };
        }
    }

    async fn link(&self, witness: &Witness) -> LinkKnown {
        let (links, site) = (&self.edge.links, self.site.site.id);
        let held = match links.look_up(site, witness.key(), self.now.instant) {
            Lookup::Held(held) => Some(held),
            Lookup::Missing => links.load(site, witness.key()).await.ok(),
        };
        held.map_or(LinkKnown::Unavailable, LinkKnown::Held)
    }
}
