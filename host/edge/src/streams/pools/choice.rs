//! Choosing among a tenant's targets: which selector a request needs, and what comes of it.

use std::{net::IpAddr, sync::Arc};

use wayside_decide::{
    invalid::Invalid,
    name::Name,
    stream::{asset::Balancer, plan::StreamPlan},
};
use wayside_stream::{
    quality::{Network, Speaker},
    reports::Plays,
    select::{Selector, Visitor, explain::Explanation, order::Order, plan::Plan, session_key, set::TargetSet},
};

use super::{
    Inner, TenantPool,
    targets::{Targets, Who},
};
use crate::streams::assets::{Copies, LiveAsset};

/// Selectors that are kept for a tenant. Each is cheap to make again; only turns begin anew.
const SELECTORS_MAX: usize = 1_024;

/// What a selector is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Selection {
    plan: Option<Arc<StreamPlan>>,
    of: TargetSet,
    balancer: Balancer,
}

/// What is asked of a pool.
pub(crate) struct Ask<'a> {
    pub(crate) asset: &'a LiveAsset,
    pub(crate) plan: Option<&'a Arc<StreamPlan>>,
    pub(crate) session: &'a [u8],
    /// Where the player is.
    pub(crate) address: IpAddr,
    pub(crate) who: &'a Who,
    /// The target that the player says it plays from, by name.
    pub(crate) playing: Option<&'a Name>,
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
    /// Policy and geography leave nobody.
    #[error("policy and geography leave no target")]
    NotHere,
}

impl TenantPool {
    /// The target that a session gets, which is counted there from now on, and `most` targets in order.
    pub(crate) fn choose(&self, ask: &Ask<'_>, most: usize) -> Result<Chosen, Nobody> {
        let now = self.now();
        let mut inner = self.lock();
        let (targets, copies) = inner.copies(ask)?;
        let key = session_key(ask.session);
        let networks = ask.who.networks();
        let visitor = inner.visitor(ask, key, networks.as_slice());
        let selection = selection(ask, &copies);
        let Inner {
            live,
            selectors,
            random,
            ..
        } = &mut *inner;
        if selectors.len() >= SELECTORS_MAX && !selectors.contains_key(&selection) {
            selectors.clear();
        }
        let is_new = !selectors.contains_key(&selection);
        if is_new {
            let selector = selector(&selection, &targets, &copies)?;
            selectors.insert(selection.clone(), selector);
        }
        let selector = match selectors.get_mut(&selection) {
            Some(Ok(selector)) => selector,
            Some(Err(refused)) => {
                let refused = refused.clone();
                return Err(Nobody::Plan { refused, is_new });
            }
            None => return Err(Nobody::NotHere),
        };
        let order = selector.order(&targets.pool, live, &visitor, most, now, random);
        let first = order.iter().next().ok_or(Nobody::NotHere)?;
        let plays = Plays {
            target: first,
            kbit_s: None,
        };
        inner.see(Speaker::new(key, ask.address), &plays, now);
        drop(inner);
        Ok(Chosen { targets, copies, order })
    }

    /// What [`TenantPool::choose`] would choose, and why. It changes nothing.
    pub(crate) fn explain(&self, ask: &Ask<'_>) -> Result<(Arc<Targets>, Explanation), Nobody> {
        let now = self.now();
        let inner = self.lock();
        let (targets, copies) = inner.copies(ask)?;
        let key = session_key(ask.session);
        let networks = ask.who.networks();
        let visitor = inner.visitor(ask, key, networks.as_slice());
        let selection = selection(ask, &copies);
        let made;
        let selector = match inner.selectors.get(&selection) {
            Some(known) => known,
            None => {
                made = selector(&selection, &targets, &copies)?;
                &made
            }
        };
        let selector = selector.as_ref().map_err(|refused| Nobody::Plan {
            refused: refused.clone(),
            is_new: false,
        })?;
        let explanation = selector.explain(&targets.pool, &inner.live, &visitor, now, &inner.random);
        drop(inner);
        Ok((targets, explanation))
    }
}

impl Inner {
    fn copies(&self, ask: &Ask<'_>) -> Result<(Arc<Targets>, Arc<Copies>), Nobody> {
        let copies = ask.asset.copies(&self.targets);
        if copies.of.is_empty() {
            return Err(Nobody::NoCopy);
        }
        Ok((Arc::clone(&self.targets), copies))
    }

    fn visitor<'a>(&self, ask: &Ask<'a>, key: u64, networks: &[Network]) -> Visitor<'a> {
        let pool = &self.targets.pool;
        let told = ask.playing.and_then(|name| pool.find(name.as_str()));
        let known = || self.sessions.playing(key).map(|playing| playing.target);
        Visitor {
            session: ask.session,
            country: ask.who.country,
            near: self.targets.near(ask.who),
            place: ask.who.place,
            current: told.or_else(known),
            avoided: self.quality.avoided(networks, key),
        }
    }
}

fn selection(ask: &Ask<'_>, copies: &Copies) -> Selection {
    Selection {
        plan: ask.plan.cloned(),
        of: copies.of,
        balancer: ask.asset.asset.balancer,
    }
}

/// What chooses so, or what is wrong with the policy's plan.
fn selector(selection: &Selection, targets: &Targets, copies: &Copies) -> Result<Result<Selector, Invalid>, Nobody> {
    let pool = &targets.pool;
    let plan = match &selection.plan {
        Some(plan) => Plan::new(plan, pool),
        None => Ok(Plan::of_all(pool)),
    };
    let plan = match plan {
        Ok(plan) => plan.within(copies.of).ok_or(Nobody::NotHere)?,
        Err(refused) => return Ok(Err(refused)),
    };
    Ok(Ok(Selector::new(pool, plan, selection.balancer)))
}
