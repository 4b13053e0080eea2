//! The step of a policy that is bound to a stream's path.
//!
//! In: a request for a stream, and what is known of its asset. Out: the policy's plan, or what holds without one. The same
//! memory answers as for links, and a plan costs no more than a redirect. How targets do is applied after it, elsewhere.

use std::sync::Arc;

use wayside_balance::level::Level;
use wayside_decide::{
    decision::Failure, site::Site, status::RedirectStatus, stream::plan::StreamPlan, target::Target, trace::Recorder,
    tree::Decided,
};
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
    let (verdict, caching) = step.verdict().await?;
    planned(live, verdict, caching)
}

/// What [`plan`] would come to for somebody who never asked: remembered, or by a run of which nothing stays. Nothing is
/// counted, kept, logged or noted for the policy's rest.
///
/// # Errors
/// As [`plan`].
pub(crate) async fn rehearse(
    edge: &Arc<Edge>,
    shard: &Shard,
    visit: &Visit<'_>,
    site: &Arc<LiveSite>,
    live: &LiveBinding,
    asset: Arc<AssetFacts>,
) -> Result<Planned, Refusal> {
    let mut step = Step::new(edge, shard, visit, site, live);
    step.facts.set_asset(asset);
    let decided = match live.remembered.memory.tree().peek(&step.facts) {
        Some(decided) => Ok(decided),
        None => step.try_out().await.map(Arc::new),
    };
    let verdict = match decided {
        Ok(decided) => step.carry_out(&decided).await?,
        Err(failure) => Err(failure),
    };
    planned(live, verdict, Caching::NOT_KEPT)
}

fn planned(live: &LiveBinding, verdict: Result<Verdict, Failure>, caching: Caching) -> Result<Planned, Refusal> {
    match verdict {
        Ok(Verdict::GoOn) => Ok(Planned::Proceed),
        Ok(Verdict::Plan(plan)) => Ok(Planned::Plan(plan)),
        Ok(Verdict::Redirect(status, target)) => Ok(Planned::Redirect {
            status,
            target,
            caching,
        }),
        Ok(Verdict::Deny(status)) => Err(Refusal::Denied(status)),
        Err(failure) => live.go_on_without(failure).map(|()| Planned::Proceed),
    }
}

impl Step<'_> {
    /// What a run comes to, where a visitor's would be let run: the error is also for one that would not.
    async fn try_out(&self) -> Result<Decided, Failure> {
        if self.edge.degradation.level() >= Level::CoreOnly {
            return Err(Failure::Overloaded);
        }
        self.live.remembered.may_run(self.visit.now.instant)?;
        let guest = match &self.live.guest {
            Ok(loadable) => loadable.guest().await?,
            Err(reason) => return Err(Failure::Unavailable(reason.to_string())),
        };
        let recorder = Recorder::new(Arc::new(self.facts.freeze()) as _);
        let run = self.edge.policies.run(&self.site.site.tenant, guest, recorder).await;
        Ok(Decided::new(&run.recorder.into_trace(), run.result))
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
