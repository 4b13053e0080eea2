//! Tenants' targets, and all that is known of them on this node.
//!
//! In: directories. Out: each tenant's targets (`tenant`), from which a session gets one (`choice`). What is known of a
//! target goes on with its name.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use wayside_balance::adaptive::Adaptive;
use wayside_decide::{name::Name, stream::target::StreamTarget};
use wayside_stream::{
    quality::{NoSettings, Settings as QualitySettings},
    select::{set::TARGETS_MAX, target::NoPool},
};
use wayside_upstream::protocol::EdgeDirectory;

use self::{targets::Targets, tenant::TenantPool};

pub(crate) mod choice;
mod selectors;
pub(crate) mod targets;
pub(crate) mod tenant;

/// How targets are judged on this node.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// What counts how much in a score.
    pub score: Adaptive,
    /// How long each step takes in which a target that was down gets its sessions back.
    pub slow_start: Duration,
    /// What bad quality is, and how fast sessions are moved away from it.
    pub quality: QualitySettings,
    /// After how long without a request a session has ended, or after three of its asset's TTLs where those are longer.
    pub silence_max: Duration,
    /// How many sessions of one address count, of IPv6 of one site: whoever makes up more fills no target.
    pub address_sessions_max: u32,
}

/// All tenants that have targets.
pub(crate) struct Pools {
    by_tenant: ArcSwap<HashMap<Name, Arc<TenantPool>, RandomState>>,
    settings: Settings,
    region: Option<Name>,
    started: Instant,
    /// The next list of targets is told from all others by this.
    versions: AtomicU64,
}

/// Why a tenant's targets cannot be chosen among.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Pool(#[from] NoPool),
    #[error(transparent)]
    Settings(#[from] NoSettings),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            score: Adaptive::default(),
            slow_start: Duration::from_secs(10),
            quality: QualitySettings::default(),
            silence_max: Duration::from_secs(120),
            address_sessions_max: 100,
        }
    }
}

impl Pools {
    /// No targets yet. `region` is the node's own.
    ///
    /// # Errors
    /// [`NoSettings`] when quality cannot be judged so.
    pub(crate) fn new(settings: Settings, region: Option<&str>) -> Result<Self, NoSettings> {
        settings.quality.check()?;
        Ok(Self {
            by_tenant: ArcSwap::default(),
            settings,
            region: region.and_then(|region| Name::parse("region", region).ok()),
            started: Instant::now(),
            versions: AtomicU64::new(0),
        })
    }

    /// The targets of a tenant; none when it has none.
    pub(crate) fn of(&self, tenant: &Name) -> Option<Arc<TenantPool>> {
        self.by_tenant.load().get(tenant).cloned()
    }

    /// Every tenant with targets.
    pub(crate) fn all(&self) -> Vec<Arc<TenantPool>> {
        self.by_tenant.load().values().cloned().collect()
    }

    /// Follows a directory. What is known of a target goes on with its name.
    pub(crate) fn follow(&self, wire: &EdgeDirectory) {
        let mut by_tenant: HashMap<&str, Vec<StreamTarget>> = HashMap::new();
        for told in &wire.targets {
            let target = match StreamTarget::try_from(told.target.clone()) {
                Ok(target) => Some(target),
                Err(error) => {
                    let name = &told.target.name;
                    tracing::error!(tenant = told.tenant, target = name, %error, "quarantined a target");
                    self.kept(&told.tenant, name)
                }
            };
            by_tenant.entry(&told.tenant).or_default().extend(target);
        }
        let mut pools = HashMap::default();
        for (tenant, targets) in by_tenant {
            let Ok(tenant) = Name::parse("tenant", tenant) else {
                continue;
            };
            match self.pool(&tenant, targets) {
                Ok(pool) => {
                    pools.insert(tenant, pool);
                }
                Err(error) => {
                    tracing::error!(%tenant, %error, "these targets cannot be used together; those before stay");
                    let before = self.of(&tenant);
                    pools.extend(before.map(|before| (tenant, before)));
                }
            }
        }
        self.by_tenant.store(Arc::new(pools));
    }

    /// What was good of a target that cannot be read any more.
    fn kept(&self, tenant: &str, name: &str) -> Option<StreamTarget> {
        let tenant = Name::parse("tenant", tenant).ok()?;
        let targets = self.of(&tenant)?.targets();
        targets
            .list()
            .iter()
            .find(|target| target.name.as_str() == name)
            .cloned()
    }

    fn pool(&self, tenant: &Name, mut targets: Vec<StreamTarget>) -> Result<Arc<TenantPool>, Unusable> {
        targets.truncate(TARGETS_MAX);
        let known = self.of(tenant);
        if let Some(known) = known.as_ref().filter(|known| known.targets().list() == targets) {
            return Ok(Arc::clone(known));
        }
        let version = self.versions.fetch_add(1, Ordering::Relaxed);
        let targets = Arc::new(Targets::new(version, targets, self.region.as_ref())?);
        match known {
            Some(known) => {
                known.change(targets);
                Ok(known)
            }
            None => {
                let pool = TenantPool::new(tenant, targets, &self.settings, self.started)?;
                Ok(Arc::new(pool))
            }
        }
    }
}

#[cfg(test)]
mod tests;
