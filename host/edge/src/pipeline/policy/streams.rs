//! The step of a policy that is bound to a stream's path.
//!
//! In: a request for a stream, and what is known of its asset. Out: the policy's plan, or what holds without one. The same
//! memory answers as for links, and a plan costs no more than a redirect. How targets do is applied after it, elsewhere.

use std::sync::Arc;

use wayside_decide::{decision::Failure, site::Site, status::RedirectStatus, stream::plan::StreamPlan, target::Target};
use wayside_policy::guest::Cost;

use super::{Edge, Step, Verdict};
use crate::{
    caching::Caching,
    directory::{LiveBinding, LiveSite},
    facts::AssetFacts,
    metrics::Shard,
    policy_log::Line,
    refusal::Refusal,
    visit::Visit,
};

/// What a binding decides about a stream.
#[derive(Debug)]
pub(crate) enum Planned {
    /// Nothing of its own: all targets may serve, by their own weights.
    Proceed,
    /// These may serve. Whether there are such targets is found out where they are known: see
    /// [`LiveBinding::note_refused`].
    Plan(Arc<StreamPlan>),
    /// Nobody: the visitor goes elsewhere.
    Redirect {
        status: RedirectStatus,
        target: Target,
        /// Who may keep the response.
        caching: Caching,
    },
}

/// What `live`, which covers the stream's path, decides about it. A policy of the other world answers, too: that it goes
/// on is then no plan.
///
/// # Errors
/// [`Refusal`] when the policy denies, or gives no decision and its binding fails closed.
pub(crate) async fn plan(
    edge: &Arc<Edge>,
    shard: &Shard,
    visit: &Visit<'_>,
    site: &Arc<LiveSite>,
    live: &LiveBinding,
    asset: Arc<AssetFacts>,
) -> Result<Planned, Refusal> {
    let mut step = Step::new(edge, shard, visit, site, live);
    step.facts.set_asset(asset);
    match step.verdict().await? {
        (Ok(Verdict::GoOn), _) => Ok(Planned::Proceed),
        (Ok(Verdict::Plan(plan)), _) => Ok(Planned::Plan(plan)),
        (Ok(Verdict::Redirect(status, target)), caching) => Ok(Planned::Redirect {
            status,
            target,
            caching,
        }),
        (Ok(Verdict::Deny(status)), _) => Err(Refusal::Denied(status)),
        (Err(failure), _) => live.go_on_without(failure).map(|()| Planned::Proceed),
    }
}

impl LiveBinding {
    /// Counts a plan that names a target that there is not, or leaves nobody, as the failure of the policy that it is, and
    /// tells those who follow its log. Once for each plan and not for each request.
    pub(crate) fn note_refused(&self, edge: &Edge, site: &Site, now_s: u64, failure: &Failure) {
        self.account.count_run(&Err(failure.clone()), Cost::default());
        edge.metrics.count_policy_run(failure.label());
        let line = Line::new(site, &self.binding, now_s, "failure", &failure.to_string());
        edge.policy_log.push(line);
    }
}
