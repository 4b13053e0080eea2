//! What another version of a policy would change, told from the requests that this node keeps of live traffic.
//!
//! In: a component, settings, a binding of this node. Out: the shares of traffic that it would decide otherwise and how,
//! each with the error of judging by a sample, and the shares nobody can tell of. The component is admitted as at upload
//! and runs where the binding's policy runs. No visitor is told anything by it, and nothing of a visitor's is in the
//! answer: decisions have the questions in place of what only one visitor sent.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde::Serialize;
use wayside_decide::{
    binding::Binding,
    estimate::{Estimate, Stratum, ratio},
    limits::{BINDING_SETTINGS_MAX, SETTING_VALUE_BYTES_MAX},
    tree::Leaf,
};

use crate::{
    clock::Clock,
    directory::LiveBinding,
    explain::{self, Which},
    guests::Guests,
    pipeline::Edge,
    witness::Witness,
};

mod said;
mod versions;

use said::Said;
use versions::{Compared, Untold, Version, Versions};

/// How long a plan may take. What was not looked at by then counts as having no witness.
const TIME_MAX: Duration = Duration::from_secs(20);
/// How many ways of deciding otherwise are told one by one.
const CHANGES_MAX: usize = 50;

/// What to plan.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) which: Which,
    /// In place of the binding's settings of these names, or besides them.
    pub(crate) settings: Vec<(String, String)>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error("there is no such binding on this node")]
    NoBinding,
    #[error("the version bound now cannot run here: {0}")]
    NotRunning(Arc<str>),
    #[error("{0}")]
    Setting(String),
    #[error("{0}")]
    Refused(String),
}

/// What would change. Shares are of all decisions of the binding since the node knows it, from 0 to 1.
#[derive(Debug, Serialize)]
pub(crate) struct Plan {
    policy: String,
    /// The version bound now.
    digest: String,
    /// The version that was tried.
    new_digest: String,
    /// The instant at which both decided, in seconds since 1970 UTC.
    at: u64,
    /// All decisions of the binding.
    decisions: u64,
    /// The requests that both versions were run on.
    witnesses: u64,
    /// What is decided otherwise.
    changed: Share,
    /// How, the largest first.
    changes: Vec<Change>,
    /// How many more ways there are, and what they come to.
    more_changes: usize,
    more_changes_share: f64,
    /// What is decided as before.
    same: Share,
    /// The failures of the new version, by kind.
    failures: BTreeMap<&'static str, Share>,
    /// What cannot be told, by the reason.
    untold: Untolds,
    /// Decisions remembered by leaves of which no request was looked at.
    no_witness: f64,
    /// Decisions that no leaf counts: runs that were cut off, leaves that were thrown away.
    not_remembered: f64,
    /// Whether the time was up before all were looked at.
    is_cut_short: bool,
}

/// A share, and the limits between which it lies with 95 % confidence.
#[derive(Debug, Clone, Copy, Serialize)]
struct Share {
    share: f64,
    low: f64,
    high: f64,
}

#[derive(Debug, Serialize)]
struct Change {
    from: String,
    to: String,
    #[serde(flatten)]
    share: Share,
    witnesses: u64,
}

#[derive(Debug, Default, Serialize)]
struct Untolds {
    /// A version asked for what the site's privacy setting does not let the node keep.
    redacted: f64,
    /// A version asked for a link that cannot be had now.
    link: f64,
    /// The node was too busy to run it.
    busy: f64,
}

/// Tries a component on what this node keeps. Takes long: not for a thread that serves visitors.
pub(crate) async fn plan(edge: &Edge, guests: &Guests, wanted: &Wanted, component: Bytes) -> Result<Plan, PlanError> {
    let directory = edge.directory.load_full();
    let (site, live) = explain::find(&directory, &wanted.which).ok_or(PlanError::NoBinding)?;
    let bound = match &live.guest {
        Ok(loadable) => loadable.guest().await.map_err(|failure| failure.to_string().into()),
        Err(reason) => Err(Arc::clone(reason)),
    };
    let old = Version {
        guest: bound.map_err(PlanError::NotRunning)?,
        binding: Arc::clone(&live.binding),
    };
    let settings = merged(&live.binding, &wanted.settings)?;
    let guest = guests.admit(component).await.map_err(PlanError::Refused)?;
    let binding = Binding {
        digest: guest.digest(),
        settings,
        ..(*live.binding).clone()
    };
    let versions = Versions {
        edge,
        site: Arc::clone(site),
        old,
        new: Version {
            guest,
            binding: Arc::new(binding),
        },
        now: Clock::new().now(),
    };
    let mut leaves = Tally::of(live);
    let is_cut_short = leaves.look_at_all(&versions).await;
    Ok(leaves.told(live, &versions, is_cut_short))
}

/// The binding's settings with those named in place of its own.
fn merged(binding: &Binding, named: &[(String, String)]) -> Result<BTreeMap<Box<str>, Box<str>>, PlanError> {
    let mut settings = binding.settings.clone();
    for (name, value) in named {
        if value.len() > SETTING_VALUE_BYTES_MAX {
            let found = value.len();
            return Err(PlanError::Setting(format!(
                "setting {name}: found {found} bytes, expected at most {SETTING_VALUE_BYTES_MAX}"
            )));
        }
        settings.insert(name.as_str().into(), value.as_str().into());
    }
    if settings.len() > BINDING_SETTINGS_MAX {
        let found = settings.len();
        return Err(PlanError::Setting(format!(
            "found {found} settings, expected at most {BINDING_SETTINGS_MAX}"
        )));
    }
    Ok(settings)
}

/// The leaves, and what was found out about their witnesses.
struct Tally {
    leaves: Vec<Looked>,
    /// All decisions: those of the leaves and those that are not remembered.
    total: u64,
    not_remembered: u64,
}

struct Looked {
    requests: u64,
    witnesses: Vec<Arc<Witness>>,
    sampled: u64,
    found: HashMap<Compared, u64>,
}

impl Tally {
    fn of(live: &LiveBinding) -> Self {
        let remembered = &live.remembered;
        let leaves = remembered.witnesses.by_leaf(&remembered.memory.tree());
        let looked = |(leaf, witnesses): (Arc<Leaf>, Vec<Arc<Witness>>)| Looked {
            // A witness may be there before its use is seen here.
            requests: leaf.uses().max(u64::try_from(witnesses.len()).unwrap_or(u64::MAX)),
            witnesses,
            sampled: 0,
            found: HashMap::new(),
        };
        let mut leaves: Vec<_> = leaves.into_iter().map(looked).collect();
        leaves.sort_by_key(|leaf| std::cmp::Reverse(leaf.requests));
        let not_remembered = remembered.not_remembered();
        Self {
            total: leaves.iter().map(|leaf| leaf.requests).sum::<u64>() + not_remembered,
            leaves,
            not_remembered,
        }
    }

    /// Runs both versions on one witness of each leaf, then on another of each, until all are done; whether the time
    /// was up before.
    async fn look_at_all(&mut self, versions: &Versions<'_>) -> bool {
        let began = Instant::now();
        let rounds = self.leaves.iter().map(|leaf| leaf.witnesses.len()).max();
        for round in 0..rounds.unwrap_or(0) {
            for leaf in &mut self.leaves {
                let Some(witness) = leaf.witnesses.get(round) else {
                    continue;
                };
                if began.elapsed() > TIME_MAX {
                    return true;
                }
                let compared = versions.compare(witness).await;
                leaf.sampled += 1;
                *leaf.found.entry(compared).or_default() += 1;
            }
        }
        false
    }

    fn told(&self, live: &LiveBinding, versions: &Versions<'_>, is_cut_short: bool) -> Plan {
        let mut changes = self.changes();
        let more = changes.split_off(CHANGES_MAX.min(changes.len()));
        let unseen = self.leaves.iter().filter(|leaf| leaf.sampled == 0);
        let untold = |why: Untold| self.share(|compared| *compared == Compared::Untold(why)).share;
        Plan {
            policy: live.binding.policy.to_string(),
            digest: live.binding.digest.to_string(),
            new_digest: versions.new.binding.digest.to_string(),
            at: versions.now.unix_s,
            decisions: self.total,
            witnesses: self.leaves.iter().map(|leaf| leaf.sampled).sum(),
            changed: self.share(|compared| matches!(compared, Compared::Different(..))),
            changes,
            more_changes: more.len(),
            more_changes_share: more.iter().fold(0.0, |sum, change| sum + change.share.share),
            same: self.share(|compared| matches!(compared, Compared::Same(_))),
            failures: self.failures(),
            untold: Untolds {
                redacted: untold(Untold::Redacted),
                link: untold(Untold::Link),
                busy: untold(Untold::Busy),
            },
            no_witness: ratio(unseen.map(|leaf| leaf.requests).sum(), self.total),
            not_remembered: ratio(self.not_remembered, self.total),
            is_cut_short,
        }
    }

    fn changes(&self) -> Vec<Change> {
        let mut ways: HashMap<(&Said, &Said), u64> = HashMap::new();
        for (compared, count) in self.leaves.iter().flat_map(|leaf| &leaf.found) {
            if let Compared::Different(from, to) = compared {
                *ways.entry((from, to)).or_default() += count;
            }
        }
        let changes = ways.into_iter().map(|((from, to), witnesses)| Change {
            from: from.text(),
            to: to.text(),
            share: self.share(|compared| match compared {
                Compared::Different(old, new) => (old, new) == (from, to),
                Compared::Same(_) | Compared::Untold(_) => false,
            }),
            witnesses,
        });
        let mut changes: Vec<_> = changes.collect();
        changes.sort_by(|one, other| {
            let by_name = || (&one.from, &one.to).cmp(&(&other.from, &other.to));
            other.share.share.total_cmp(&one.share.share).then_with(by_name)
        });
        changes
    }

    fn failures(&self) -> BTreeMap<&'static str, Share> {
        let failure = |compared: &Compared| match compared {
            Compared::Same(label) => *label,
            Compared::Different(_, Said::Failed(label)) => Some(*label),
            Compared::Different(..) | Compared::Untold(_) => None,
        };
        let found = self.leaves.iter().flat_map(|leaf| leaf.found.keys());
        let labels = found.filter_map(failure);
        labels
            .map(|label| (label, self.share(|compared| failure(compared) == Some(label))))
            .collect()
    }

    /// The share of all decisions of which it is so.
    fn share(&self, is_so: impl Fn(&Compared) -> bool) -> Share {
        let strata = self.leaves.iter().map(|leaf| Stratum {
            requests: leaf.requests,
            sampled: leaf.sampled,
            counted: leaf
                .found
                .iter()
                .filter(|(found, _)| is_so(found))
                .map(|(_, count)| count)
                .sum(),
        });
        let Estimate { share, low, high } = Estimate::of(strata, self.total);
        Share { share, low, high }
    }
}
