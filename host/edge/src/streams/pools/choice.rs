//! Choosing among a tenant's targets: which selector a request needs, and what comes of it.

use std::sync::Arc;

use wayside_decide::{
    invalid::Invalid,
    name::Name,
    stream::{asset::Balancer, plan::StreamPlan},
};
use wayside_stream::{
    reports::Plays,
    select::{
        Visitor,
        explain::Explanation,
        order::Order,
        set::{TargetIndex, TargetSet},
    },
    sessions::Player,
    steering::request::Asked,
};

use super::{
    selectors::Selection,
    targets::{Networks, Targets, Who},
    tenant::{Inner, TenantPool},
};
use crate::streams::{
    assets::{Copies, Copy, LiveAsset},
    signed::Signs,
};

/// What is asked of a pool.
pub(crate) struct Ask<'a> {
    pub(crate) asset: &'a LiveAsset,
    pub(crate) plan: Option<&'a Arc<StreamPlan>>,
    pub(crate) session: &'a [u8],
    /// The session's number, where the player is, and what it plays.
    pub(crate) speaker: Player,
    pub(crate) who: &'a Who,
    pub(crate) networks: Networks,
    /// The target that the player says it plays from, by name.
    pub(crate) playing: Option<&'a Name>,
    /// What URLs are signed by: who has no key for that serves nothing. None where nothing is to be signed.
    pub(in crate::streams) signs: Option<Signs<'a>>,
    /// Which of the copies serve what is asked for. Called while nobody waits for the pool, perhaps twice.
    pub(crate) among: &'a (dyn Fn(&Copies) -> TargetSet + Sync),
}

/// Who was chosen.
pub(crate) struct Chosen {
    pub(crate) targets: Arc<Targets>,
    pub(crate) copies: Arc<Copies>,
    pub(crate) order: Order,
}

/// Why nobody was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Nobody {
    /// No target of the tenant has a copy.
    #[error("no target has a copy of the asset")]
    NoCopy,
    /// The policy's plan names what there is not, or leaves nobody.
    #[error("{refused}")]
    Plan {
        /// What is wrong with it.
        refused: Invalid,
        /// Whether nobody has been told before.
        is_new: bool,
    },
    /// The node can sign for none that could serve.
    #[error("target {0}: found no key that URLs on it could be signed with, expected one, or another target")]
    NoKey(Name),
    /// Policy and geography leave nobody.
    #[error("policy and geography leave no target")]
    NotHere,
}

impl Chosen {
    /// The targets in order, each with its copy.
    pub(crate) fn copies(&self) -> impl Iterator<Item = (TargetIndex, &Copy)> {
        let order = self.order.iter();
        order.filter_map(|index| Some((index, self.copies.get(index)?)))
    }
}

impl<'a> Ask<'a> {
    fn selection(&self) -> Selection<'a> {
        Selection {
            plan: self.plan,
            balancer: self.asset.asset.balancer,
        }
    }

    /// Where the copies on these targets are, and which of them serve.
    fn copies(&self, targets: &Targets) -> Result<(Arc<Copies>, TargetSet), Nobody> {
        let copies = self.asset.copies(targets);
        if copies.of.is_empty() {
            return Err(Nobody::NoCopy);
        }
        let among = (self.among)(&copies).and(copies.of);
        let unsignable = self.signs.map(|signs| copies.unsignable(among, signs));
        let among = among.without(unsignable.unwrap_or_default());
        let keyless = copies.among(unsignable.unwrap_or_default()).next();
        if let Some((_, copy)) = keyless.filter(|_| among.is_empty()) {
            return Err(Nobody::NoKey(copy.name.clone()));
        }
        Ok((copies, among))
    }
}

impl TenantPool {
    /// `most` targets for a session in order. That it is moved counts, where it is; where it plays does not: see
    /// [`TenantPool::see`].
    pub(crate) fn choose(&self, ask: &Ask<'_>, most: usize) -> Result<Chosen, Nobody> {
        self.order(ask, most, None, false)
    }

    /// Learns what a session says of the targets that it used, if it is one of ours, and then orders `most` of them for it.
    /// From now on it counts on the first.
    pub(crate) fn steer(&self, ask: &Ask<'_>, said: Option<&Asked>, most: usize) -> Result<Chosen, Nobody> {
        self.order(ask, most, said, true)
    }

    fn order(&self, ask: &Ask<'_>, most: usize, mut said: Option<&Asked>, counts: bool) -> Result<Chosen, Nobody> {
        let (selection, player) = (ask.selection(), &ask.speaker);
        // Each with the version of the targets that it is of.
        let (mut made, mut told) = (None, None);
        let mut is_new = false;
        // Until what was worked out beforehand is of the targets of the moment: they change by the second at most.
        loop {
            let targets = self.targets();
            let (copies, among) = ask.copies(&targets)?;
            let now = self.now();
            let mut guard = self.lock();
            let inner = &mut *guard;
            let version = targets.version;
            if inner.targets.version != version {
                continue;
            }
            if let Some((of, made)) = made.take()
                && of == version
            {
                is_new = inner.selectors.insert(selection, made);
            }
            if let Some(asked) = said.take() {
                let find = |name: &Name| targets.pool.find(name.as_str());
                let plays = inner.hear(player, ask.networks.as_slice(), now, |reporter, quality| {
                    reporter.asked(asked, find, player.needed_kbit_s, quality)
                });
                told = plays.map(|plays| (version, plays.target));
            }
            let visitor = inner.visitor(ask, among);
            let selector = match inner.selectors.get(selection) {
                Some(Ok(selector)) => selector,
                Some(Err(refused)) => {
                    let refused = refused.clone();
                    return Err(Nobody::Plan { refused, is_new });
                }
                None => {
                    drop(guard);
                    made = Some((version, selection.make(&targets.pool)));
                    continue;
                }
            };
            let order = selector.order(&targets.pool, &mut inner.live, &visitor, most, now, &mut inner.random);
            let target = order.iter().next().ok_or(Nobody::NotHere)?;
            if counts && told != Some((version, target)) {
                let fetches = None;
                inner.see(player, &Plays { target, fetches }, now);
            }
            drop(guard);
            return Ok(Chosen { targets, copies, order });
        }
    }

    /// What who asks is told where a `plan` over these targets cannot be carried out. That it was found out is remembered, so
    /// that of all who ask, by whatever way, one is the first.
    pub(crate) fn refuse_plan(
        &self,
        targets: &Targets,
        plan: Option<&Arc<StreamPlan>>,
        balancer: Balancer,
        refused: Invalid,
    ) -> Nobody {
        let mut inner = self.lock();
        let is_of_now = inner.targets.version == targets.version;
        let is_new = is_of_now
            && inner
                .selectors
                .insert(Selection { plan, balancer }, Err(refused.clone()));
        Nobody::Plan { refused, is_new }
    }

    /// What [`TenantPool::choose`] would choose, and why. It changes nothing. For people: others wait meanwhile.
    pub(crate) fn explain(&self, ask: &Ask<'_>) -> Result<(Arc<Targets>, Explanation), Nobody> {
        // As in `order`.
        let (targets, among, mut guard) = loop {
            let targets = self.targets();
            let (_, among) = ask.copies(&targets)?;
            let guard = self.lock();
            if guard.targets.version == targets.version {
                break (targets, among, guard);
            }
        };
        let (now, inner) = (self.now(), &mut *guard);
        let visitor = inner.visitor(ask, among);
        let selection = ask.selection();
        let made;
        let selector = match inner.selectors.get(selection) {
            Some(known) => known,
            None => {
                made = selection.make(&targets.pool);
                &made
            }
        };
        let selector = selector.as_ref().map_err(|refused| Nobody::Plan {
            refused: refused.clone(),
            is_new: false,
        })?;
        let explanation = selector.explain(&targets.pool, &inner.live, &visitor, now, &inner.random);
        drop(guard);
        Ok((targets, explanation))
    }
}

impl Inner {
    fn visitor<'a>(&self, ask: &Ask<'a>, among: TargetSet) -> Visitor<'a> {
        let (pool, key) = (&self.targets.pool, ask.speaker.speaker.session);
        let told = ask.playing.and_then(|name| pool.find(name.as_str()));
        let known = || self.sessions.playing(key).map(|playing| playing.target);
        let current = told.or_else(known);
        Visitor {
            session: ask.session,
            country: ask.who.country,
            near: self.targets.near(ask.who),
            place: ask.who.place,
            current,
            has_lost_its_target: current.is_none() && ask.playing.is_some(),
            avoided: self.quality.avoided(ask.networks.as_slice(), key),
            among,
        }
    }
}
