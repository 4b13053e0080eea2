//! The step of a bound policy.
//!
//! What it decided before after the same answers holds; only answers never met run it. The link is looked up when
//! somebody asks for it, and always before a guest starts, so that a guest never waits.

use std::sync::Arc;

use wayside_balance::level::Level;
use wayside_cache::links::Held;
use wayside_decide::{
    binding::FailureMode,
    decision::{Decision, Failure},
    facts::Facts as _,
    invalid::Invalid,
    status::{DenyStatus, RedirectStatus},
    stream::plan::StreamPlan,
    target::Target,
    tree::{Decided, Hit, Walk, earlier},
};
use wayside_policy::guest::Cost;

use super::{Answer, Edge, comes_at, follow, is_same_url, look_up, sources};
use crate::{
    caching::Caching,
    directory::{LiveBinding, LiveSite},
    facts::{LinkKnown, RequestFacts},
    metrics::Shard,
    refusal::Refusal,
    remembered::{self, Attempt, Undecided},
    visit::Visit,
};

pub(super) mod streams;

/// What a decision means for this visitor.
enum Verdict {
    /// Go on without the policy.
    GoOn,
    /// This is the answer.
    Redirect(RedirectStatus, Target),
    /// There is none for this visitor.
    Deny(DenyStatus),
    /// A stream comes from these targets.
    Plan(Arc<StreamPlan>),
}

/// A request on its way through a binding.
struct Step<'s> {
    edge: &'s Arc<Edge>,
    shard: &'s Shard,
    visit: &'s Visit<'s>,
    site: &'s Arc<LiveSite>,
    live: &'s LiveBinding,
    facts: RequestFacts<&'s Visit<'s>>,
    /// The link, once it was looked up.
    held: Option<Arc<Held>>,
}

/// What the visitor gets where `live` covers the path.
pub(super) async fn decide(
    edge: &Arc<Edge>,
    shard: &Shard,
    visit: &Visit<'_>,
    site: &Arc<LiveSite>,
    live: &LiveBinding,
) -> Result<Answer, Refusal> {
    let mut step = Step::new(edge, shard, visit, site, live);
    match step.verdict().await? {
        (Ok(Verdict::Redirect(status, target)), caching) => Ok(Answer::Redirect {
            status,
            target,
            caching,
        }),
        (Ok(Verdict::Deny(status)), _) => Err(Refusal::Denied(status)),
        // What is no stream has nobody to choose among.
        (Ok(Verdict::GoOn | Verdict::Plan(_)), caching) => step.go_on(caching).await,
        (Err(failure), _) => {
            live.go_on_without(failure)?;
            step.go_on(Caching::NOT_KEPT).await
        }
    }
}

impl LiveBinding {
    /// What holds where the policy gave no decision: to go on as if it had said nothing.
    ///
    /// # Errors
    /// [`Refusal::PolicyFailed`] when the binding fails closed.
    pub(crate) fn go_on_without(&self, failure: Failure) -> Result<(), Refusal> {
        match self.binding.on_failure {
            FailureMode::Open => Ok(()),
            FailureMode::Closed => Err(Refusal::PolicyFailed(failure)),
        }
    }
}

impl<'s> Step<'s> {
    /// Of a request whose link nobody has looked up.
    fn new(
        edge: &'s Arc<Edge>,
        shard: &'s Shard,
        visit: &'s Visit<'s>,
        site: &'s Arc<LiveSite>,
        live: &'s LiveBinding,
    ) -> Self {
        Self {
            facts: RequestFacts::new(visit, sources(edge, visit, site, Some(&live.binding))),
            edge,
            shard,
            visit,
            site,
            live,
            held: None,
        }
    }

    /// What the decision means for this visitor, and what caches may make of that. The outer error is for a link that was
    /// asked for and cannot be had.
    async fn verdict(&mut self) -> Result<(Result<Verdict, Failure>, Caching), Refusal> {
        let hit = match self.decided().await? {
            Ok(hit) => hit,
            Err(failure) => return Ok((Err(failure), Caching::NOT_KEPT)),
        };
        let verdict = self.carry_out(hit.leaf.decided()).await?;
        let told = match &verdict {
            Ok(Verdict::GoOn | Verdict::Plan(_)) => Caching::of_going_on,
            _ => Caching::of,
        };
        let dependence = hit.leaf.decided().dependence();
        let (max_age_s, holds_until) = (self.site.site.max_age_s, self.holds_until(&hit));
        Ok((verdict, told(dependence, max_age_s, holds_until, self.visit.now.unix_s)))
    }

    /// The decision, remembered or fresh. The outer error is for a link that was asked for and cannot be had.
    async fn decided(&mut self) -> Result<Result<Hit, Failure>, Refusal> {
        let memory = &self.live.remembered.memory;
        let mut walk = memory.walk(&self.facts);
        if matches!(walk, Walk::Waits) {
            self.know_link().await?;
            walk = memory.walk(&self.facts);
        }
        if let Walk::Found(hit) = walk {
            self.shard.count_remembered();
            self.live.account.count_remembered();
            return Ok(Ok(self.witnessed(hit)));
        }
        if self.edge.degradation.level() >= Level::CoreOnly {
            return Ok(Err(self.shed()));
        }
        let away = self.know_link().await.err();
        if away.is_some() {
            self.facts.set_link(LinkKnown::Unavailable);
        }
        let attempt = Attempt {
            edge: Arc::clone(self.edge),
            site: Arc::clone(self.site),
            live: self.live.clone(),
            facts: Arc::new(self.facts.freeze()),
            now: self.visit.now.instant,
        };
        let failure = match remembered::decide_anew(attempt).await {
            Ok(hit) => return Ok(Ok(self.witnessed(hit))),
            Err(Undecided::Failed(failure)) => failure,
            Err(Undecided::LacksLink) => match away {
                Some(away) => return Err(away),
                None => Failure::Unavailable("it asked for a link that nobody has looked up".to_owned()),
            },
        };
        self.live.remembered.count_undecided();
        Ok(Err(failure))
    }

    /// A run that the node leaves undone, as if there were no room for it.
    fn shed(&self) -> Failure {
        let failure = Failure::Overloaded;
        self.live.account.count_run(&Err(failure.clone()), Cost::default());
        self.edge.metrics.count_policy_run(failure.label());
        self.live.remembered.count_undecided();
        failure
    }

    /// Keeps the request, now and then.
    fn witnessed(&self, hit: Hit) -> Hit {
        if let Some(nth) = hit.wanted
            && self.edge.degradation.level() == Level::Full
        {
            self.live.remembered.keep_witness(&hit.leaf, nth, &self.facts);
            self.edge.metrics.accounts.memories().keep_within();
        }
        hit
    }

    /// Looks the link up, where it is not known: of a stream it is known that there is none.
    async fn know_link(&mut self) -> Result<(), Refusal> {
        if self.facts.knows_link() {
            return Ok(());
        }
        self.learn_link().await.map(drop)
    }

    /// Looks the link up, unless that was done.
    async fn learn_link(&mut self) -> Result<Arc<Held>, Refusal> {
        if let Some(held) = &self.held {
            return Ok(Arc::clone(held));
        }
        let held = look_up(self.edge, self.shard, self.visit, self.site).await?;
        self.facts.set_link(LinkKnown::Held(Arc::clone(&held)));
        self.held = Some(Arc::clone(&held));
        Ok(held)
    }

    /// Renders and checks a decision: a location that may not be sent is a failure of the policy that gave it.
    async fn carry_out(&mut self, decided: &Decided) -> Result<Result<Verdict, Failure>, Refusal> {
        let (status, location) = match decided.outcome() {
            Ok(Decision::Redirect { status, location }) => (*status, location),
            Ok(Decision::Proceed) => return Ok(Ok(Verdict::GoOn)),
            Ok(Decision::Plan(plan)) => return Ok(Ok(Verdict::Plan(Arc::clone(plan)))),
            Ok(Decision::Deny(status)) => return Ok(Ok(Verdict::Deny(*status))),
            Err(failure) => return Ok(Err(failure.clone())),
        };
        if location.asks().any(|question| question.is_about_link()) {
            self.know_link().await?;
        }
        let rendered = match decided.target() {
            Some(target) => Ok(target.clone()),
            None => location.render(|question| Ok(self.facts.answer(&question)), None),
        };
        Ok(rendered.and_then(|target| {
            if is_same_url(self.visit, &target) {
                let invalid = Invalid::other("location", "the URL that was asked for", "another URL");
                return Err(Failure::InvalidDecision(invalid));
            }
            Ok(Verdict::Redirect(status, target))
        }))
    }

    /// Until when the decision holds, in seconds since 1970 UTC: as far as the walk asked the clock, and until the link
    /// begins or ends where that was asked about or filled in.
    fn holds_until(&self, hit: &Hit) -> Option<u64> {
        if !hit.leaf.decided().dependence().is_of_link() {
            return hit.horizon;
        }
        earlier(
            hit.horizon,
            self.held.as_ref().and_then(|held| comes_at(self.visit, held)),
        )
    }

    /// As if the policy were not there, but that nobody keeps the answer longer than what led to it.
    async fn go_on(mut self, led_by: Caching) -> Result<Answer, Refusal> {
        let held = self.learn_link().await?;
        let (status, target, caching) = match follow(self.edge, self.visit, self.site, &held)? {
            Answer::Link(plain) => {
                let (status, target) = plain.parts().ok_or(Refusal::NotFound)?;
                (status, target.clone(), plain.caching())
            }
            Answer::Redirect {
                status,
                target,
                caching,
            } => (status, target, caching),
            other => return Ok(other),
        };
        Ok(Answer::Redirect {
            status,
            target,
            caching: led_by.before(&caching),
        })
    }
}
