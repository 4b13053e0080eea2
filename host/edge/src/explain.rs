//! What policies depend on, as the admin endpoint tells it: the live decision trees.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

use serde::{Deserialize, Serialize};
use wayside_decide::{
    question::{Answer, Question},
    site::Privacy,
    tree::{Outline, Tree, Wide},
};

use crate::{
    directory::{Directory, LiveBinding, LiveSite},
    hidden::{self, Hidden},
    metrics::WideLabels,
    policy_log::Wanted,
};

/// Which binding.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    pub(crate) tenant: String,
    pub(crate) site: String,
    pub(crate) prefix: String,
}

/// A binding and how much is remembered of it.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    tenant: String,
    site: String,
    prefix: String,
    policy: String,
    digest: String,
    on_failure: &'static str,
    /// Leaves of its tree.
    leaves: usize,
    /// What the tree takes, in bytes, by estimate.
    bytes: usize,
    /// Decisions that ended at the leaves there are.
    decisions: u64,
    /// Decisions that no leaf counts: a run was cut off or never began, or the leaf was thrown away.
    not_remembered: u64,
    /// Requests kept to try another version on.
    witnesses: usize,
    /// What those take, in bytes.
    witness_bytes: usize,
    /// The questions with more answers than are remembered, the one with the most first.
    wide_questions: Vec<WideQuestion>,
    /// How the policy contradicted itself, where it did.
    contradiction: Option<String>,
    /// How long the policy still rests after it was cut off again and again, in seconds.
    rests_s: Option<u64>,
    /// The policy's account, all its bindings and versions together.
    account: Taken,
}

/// What a policy took on this node since its start.
#[derive(Debug, Serialize)]
struct Taken {
    /// Decisions that needed no run.
    remembered: u64,
    /// Runs by outcome.
    runs: BTreeMap<&'static str, u64>,
    /// Processor time of the runs, in microseconds.
    cpu_us: u64,
    /// The most memory a run has had, in bytes.
    memory_peak_bytes: u64,
}

/// A question with more answers than are remembered.
#[derive(Debug, Serialize)]
struct WideQuestion {
    asks: String,
    /// How many times an answer was met that was not remembered.
    answers_met: u64,
    /// At how many places of the tree.
    places: usize,
    /// What the policy's author can do about it.
    remedy: Option<&'static str>,
}

/// A binding and its tree.
#[derive(Debug, Serialize)]
pub(crate) struct Explanation {
    #[serde(flatten)]
    summary: Summary,
    /// None while nothing is remembered.
    tree: Option<Explained>,
}

/// A node of the tree and all below it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Explained {
    Asks {
        asks: String,
        /// How many different answers were met.
        answers_met: u64,
        /// Whether they are too many to remember all.
        too_many: bool,
        /// What the policy's author can do about it, where they are.
        remedy: Option<&'static str>,
        answers: Vec<Answered>,
    },
    Comes {
        /// The decision, in words; none where it failed.
        decides: Option<String>,
        /// Why there is no decision, where there is none.
        fails: Option<String>,
        /// Whether no shared cache may keep the response.
        private: bool,
        /// The request fields the response depends on.
        vary: Vec<String>,
    },
}

#[derive(Debug, Serialize)]
struct Answered {
    answer: String,
    decisions: u64,
    then: Explained,
}

/// Every binding of a directory.
pub(crate) fn summaries(directory: &Directory) -> Vec<Summary> {
    let sites = directory.sites();
    let bindings = sites.flat_map(|site| site.bindings().iter().map(move |live| summary(site, live)));
    let mut summaries: Vec<_> = bindings.collect();
    let key = |summary: &Summary| (summary.tenant.clone(), summary.site.clone(), summary.prefix.clone());
    summaries.sort_by_cached_key(key);
    summaries
}

/// A binding, and the site it is of.
pub(crate) fn find<'d>(directory: &'d Directory, which: &Which) -> Option<(&'d Arc<LiveSite>, &'d LiveBinding)> {
    let is_site =
        |site: &&Arc<LiveSite>| site.site.tenant.as_str() == which.tenant && site.site.name.as_str() == which.site;
    let site = directory.sites().find(is_site)?;
    let is_binding = |live: &&LiveBinding| live.binding.prefix.as_str() == which.prefix;
    Some((site, site.bindings().iter().find(is_binding)?))
}

/// Whether the site and the binding that are named, if any is, are here.
pub(crate) fn is_known(directory: &Directory, wanted: &Wanted) -> bool {
    let Some(name) = &wanted.site else {
        return true;
    };
    let is_site =
        |site: &&Arc<LiveSite>| site.site.tenant.as_str() == wanted.tenant && site.site.name.as_str() == *name;
    let is_bound = |site: &Arc<LiveSite>, prefix: &str| {
        let mut bindings = site.bindings().iter();
        bindings.any(|live| live.binding.prefix.as_str() == prefix)
    };
    let site = directory.sites().find(is_site);
    site.is_some_and(|site| wanted.prefix.as_ref().is_none_or(|prefix| is_bound(site, prefix)))
}

/// One binding, whole.
pub(crate) fn explanation(directory: &Directory, which: &Which) -> Option<Explanation> {
    let (site, live) = find(directory, which)?;
    let outline = live.remembered.memory.tree().outline();
    Some(Explanation {
        summary: summary(site, live),
        tree: outline
            .as_ref()
            .map(|outline| explained(outline, &[], site.site.privacy)),
    })
}

fn summary(site: &LiveSite, live: &LiveBinding) -> Summary {
    let memory = &live.remembered.memory;
    let tree: Arc<Tree> = memory.tree();
    let outline = tree.outline();
    let (witnesses, witness_bytes) = live.remembered.witnesses.size();
    Summary {
        tenant: site.site.tenant.to_string(),
        site: site.site.name.to_string(),
        prefix: live.binding.prefix.to_string(),
        policy: live.binding.policy.to_string(),
        digest: live.binding.digest.to_string(),
        on_failure: live.binding.on_failure.as_str(),
        leaves: tree.size().leaves,
        bytes: tree.size().bytes,
        decisions: outline.as_ref().map_or(0, Outline::uses),
        not_remembered: live.remembered.not_remembered(),
        witnesses,
        witness_bytes,
        wide_questions: tree.wide().iter().map(WideQuestion::from).collect(),
        contradiction: memory.contradiction().map(|contradiction| match site.site.privacy {
            Privacy::Full => contradiction.to_string(),
            // What it says it found may hold what a visitor sent.
            Privacy::Redacted => format!("after the same {} answers it went on otherwise", contradiction.position),
        }),
        rests_s: live.remembered.rests_for(Instant::now()).map(|rest| rest.as_secs() + 1),
        account: Taken {
            remembered: live.account.remembered(),
            runs: live.account.runs().collect(),
            cpu_us: u64::try_from(live.account.cpu().as_micros()).unwrap_or(u64::MAX),
            memory_peak_bytes: live.account.memory_peak_bytes(),
        },
    }
}

/// How many bindings' policies rest.
pub(crate) fn resting(directory: &Directory) -> usize {
    let now = Instant::now();
    let bindings = directory.sites().flat_map(|site| site.bindings());
    bindings.filter(|live| live.remembered.rests_for(now).is_some()).count()
}

impl From<&Wide> for WideQuestion {
    fn from(wide: &Wide) -> Self {
        Self {
            asks: wide.question.to_string(),
            answers_met: wide.answers_met,
            places: wide.places,
            remedy: wide.question.remedy(),
        }
    }
}

/// The questions of all bindings that have more answers than are remembered, for the metrics: the widest first.
pub(crate) fn wide_questions(directory: &Directory) -> Vec<(WideLabels, u64)> {
    let mut met: HashMap<WideLabels, u64> = HashMap::new();
    for site in directory.sites() {
        for live in site.bindings() {
            for wide in live.remembered.memory.tree().wide() {
                let labels = WideLabels {
                    tenant: site.site.tenant.to_string(),
                    site: site.site.name.to_string(),
                    prefix: live.binding.prefix.to_string(),
                    question: told(&wide.question),
                };
                *met.entry(labels).or_default() += wide.answers_met;
            }
        }
    }
    let mut met: Vec<_> = met.into_iter().collect();
    met.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    met
}

/// A question's name for a metric: its parameters may be what a visitor sent, all but those that everybody knows.
fn told(question: &Question) -> String {
    match question {
        Question::Header(name) if matches!(&**name, "user-agent" | "accept-language" | "referer" | "cookie") => {
            question.to_string()
        }
        _ => question.kind(),
    }
}

/// What is below `asked`. On a site that is redacted, without what only one visitor sent.
fn explained(outline: &Outline, asked: &[(&Question, &Answer)], privacy: Privacy) -> Explained {
    let hidden = match privacy {
        Privacy::Full => Hidden::of(std::iter::empty()),
        Privacy::Redacted => Hidden::of(
            asked
                .iter()
                .filter(|(question, _)| hidden::is_secret(question))
                .copied(),
        ),
    };
    match outline {
        Outline::Asks {
            question,
            branches,
            answers_met,
            is_wide,
        } => {
            let is_hidden = privacy == Privacy::Redacted && hidden::is_secret(question);
            let answers = (1..).zip(branches).map(|(number, branch)| Answered {
                answer: match &branch.answer {
                    Answer::Text(_) if is_hidden => format!("answer {number}"),
                    answer => answer.to_string(),
                },
                decisions: branch.uses,
                then: explained(
                    &branch.below,
                    &[asked, &[(&**question, &branch.answer)]].concat(),
                    privacy,
                ),
            });
            Explained::Asks {
                asks: hidden.text(question.to_string()),
                answers_met: *answers_met,
                too_many: *is_wide,
                remedy: question.remedy().filter(|_| *is_wide),
                answers: answers.collect(),
            }
        }
        Outline::Comes(leaf) => {
            let decided = leaf.decided();
            let (decides, failure) = (decided.outcome().as_ref().ok(), decided.outcome().as_ref().err());
            Explained::Comes {
                decides: decides.map(|decision| hidden.decision(decision)),
                fails: failure.map(|failure| match hidden.has_secret() {
                    // A panic's message may hold anything.
                    true => failure.label().to_owned(),
                    false => failure.to_string(),
                }),
                private: decided.dependence().is_private(),
                vary: decided.dependence().fields().map(str::to_owned).collect(),
            }
        }
    }
}
