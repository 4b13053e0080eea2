//! One run of a policy and all that follows from it, whether or not anybody still waits.
//!
//! In: frozen facts and the binding they are for. Out: the leaf of the decision tree, to whoever waits; the account, the
//! log, what is remembered and whether the policy rests are done in any case. A visitor who hangs up takes nothing back.

use std::{sync::Arc, time::Instant};

use tokio::sync::oneshot;
use wayside_decide::{
    decision::{Decision, Failure},
    facts::Facts as _,
    trace::{Recorder, Trace},
    tree::{Hit, memory::NotKept},
};
use wayside_policy::{guest::Cost, pool::PolicyRun};

use super::{Flight, Undecided, lock, rest::Change};
use crate::{
    directory::{LiveBinding, LiveSite},
    facts::{OwnedText, RequestFacts},
    pipeline::Edge,
    policy_log::Line,
};

/// What is to be run.
pub(crate) struct Attempt {
    pub(crate) edge: Arc<Edge>,
    pub(crate) site: Arc<LiveSite>,
    pub(crate) live: LiveBinding,
    pub(crate) facts: Arc<RequestFacts<OwnedText>>,
    /// When the request came.
    pub(crate) now: Instant,
}

impl Attempt {
    /// Runs the policy in a task of its own, and tells those on the same flight.
    pub(super) async fn begin(self, flight: Option<Flight>) -> Result<Hit, Undecided> {
        let (tell, told) = oneshot::channel();
        tokio::spawn(async move {
            let decided = self.run().await;
            if let Some(flight) = flight {
                flight.land(decided.as_ref().map(|_| ()).map_err(Clone::clone));
            }
            // Whoever asked may have gone.
            let _ = tell.send(decided);
        });
        told.await
            .unwrap_or_else(|_| Err(Failure::Unavailable("the node is stopping".to_owned()).into()))
    }

    async fn run(&self) -> Result<Hit, Undecided> {
        let begun = lock(&self.live.remembered.rest).begin(self.now);
        let run = match begun {
            Ok(()) => self.run_guest().await,
            Err(failure) => Err(failure),
        };
        let run = match run {
            Ok(run) => run,
            Err(failure) => {
                self.count(&Err(failure.clone()), Cost::default());
                return Err(failure.into());
            }
        };
        self.tell(&run);
        self.count(&run.result, run.cost);
        self.note(&run.result, run.cost);
        let trace = run.recorder.into_trace();
        if !self.facts.knows_link() && trace.iter().any(|(question, _)| question.is_about_link()) {
            return Err(Undecided::LacksLink);
        }
        let kept = self.keep(&trace, run.result);
        self.edge.metrics.accounts.memories().keep_within();
        Ok(kept?)
    }

    /// The error is for a guest that cannot be had.
    async fn run_guest(&self) -> Result<PolicyRun, Failure> {
        let loaded = match &self.live.guest {
            Ok(loadable) => loadable.guest().await,
            Err(reason) => Err(Failure::Unavailable(reason.to_string())),
        };
        match loaded {
            Ok(guest) => {
                let recorder = Recorder::new(Arc::clone(&self.facts) as _);
                Ok(self.edge.policies.run(&self.site.site.tenant, guest, recorder).await)
            }
            Err(failure) => {
                self.note(&Err(failure.clone()), Cost::default());
                Err(failure)
            }
        }
    }

    /// Counts a run, or that there was none.
    pub(super) fn count(&self, result: &Result<Decision, Failure>, cost: Cost) {
        self.live.account.count_run(result, cost);
        let label = result.as_ref().map_or_else(Failure::label, |_| "decided");
        self.edge.metrics.count_policy_run(label);
    }

    /// Hands on what a policy said, and why it gave no decision, to those who follow its log.
    fn tell(&self, run: &PolicyRun) {
        let (site, binding) = (&self.site.site, &self.live.binding);
        let line = |level: &str, message: &str| Line::new(site, binding, self.facts.now_s(), level, message);
        for note in &run.log {
            self.edge.policy_log.push(line(&note.level.to_string(), &note.message));
        }
        if let Err(failure) = &run.result {
            self.edge.policy_log.push(line("failure", &failure.to_string()));
        }
    }

    /// Whether the policy rests from now on, or runs again.
    fn note(&self, result: &Result<Decision, Failure>, cost: Cost) {
        let result = result.as_ref().map(|_| ()).map_err(Clone::clone);
        let change = lock(&self.live.remembered.rest).note(&result, cost.cpu, Instant::now());
        let (tenant, site) = (&self.site.site.tenant, &self.site.site.name);
        let (policy, prefix) = (&self.live.binding.policy, &self.live.binding.prefix);
        match change {
            Change::Rests(rest) => {
                let rest_s = rest.as_secs();
                tracing::warn!(%tenant, %site, %prefix, %policy, rest_s, "a policy was cut off again and again and rests");
            }
            Change::RunsAgain => tracing::info!(%tenant, %site, %prefix, %policy, "a policy that rested runs again"),
            Change::None => {}
        }
    }

    /// Keeps what a run came to.
    fn keep(&self, trace: &Trace, result: Result<Decision, Failure>) -> Result<Hit, Failure> {
        let leaf = self.live.remembered.memory.graft(trace, result).map_err(|not_kept| match not_kept {
            NotKept::Passing(failure) => failure,
            NotKept::Contradicted(contradiction) => {
                let (tenant, site) = (&self.site.site.tenant, &self.site.site.name);
                let (policy, prefix) = (&self.live.binding.policy, &self.live.binding.prefix);
                tracing::error!(%tenant, %site, %prefix, %policy, %contradiction, "a policy contradicts itself; it does not run here again");
                Failure::Unavailable(contradiction.to_string())
            }
        })?;
        let now_s = self.facts.now_s();
        let horizons = trace
            .iter()
            .filter_map(|(question, answer)| question.holds_until(answer, now_s));
        Ok(Hit::of_run(leaf, horizons.min()))
    }
}
