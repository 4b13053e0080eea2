//! How much is done at the same time: for a tenant, for one of its hosts, and altogether.
//!
//! A host that never answers holds the turns that a tenant has there, and not all of the tenant's; no other tenant waits
//! for them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How much there may be at the same time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    /// For one tenant at one host.
    pub(super) of_host: usize,
    /// For one tenant.
    pub(super) of_tenant: usize,
    /// Altogether.
    pub(super) of_all: usize,
}

/// Whose turns they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Of {
    Tenant(Box<str>),
    /// Of a tenant, at a host.
    Host(Box<str>, Box<str>),
}

/// All turns that somebody has or waits for. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    most: Most,
    all: Arc<Semaphore>,
    lines: Arc<Mutex<HashMap<Of, Arc<Semaphore>>>>,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _of_all: Option<OwnedSemaphorePermit>,
    _of_host: Held,
    _of_tenant: Held,
}

/// One of so many that there are of it. What nobody has or waits for is forgotten.
#[derive(Debug)]
struct Held {
    of: Of,
    turns: Turns,
    line: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// Nobody has one.
    pub(super) fn new(most: Most) -> Self {
        Self {
            most,
            all: Arc::new(Semaphore::new(most.of_all.max(1))),
            lines: Arc::default(),
        }
    }

    /// Waits for a turn. The wait may be given up.
    pub(super) async fn take(&self, tenant: &str, host: &str) -> Turn {
        // In this order, so that who waits for a host or for its tenant holds nothing that others wait for.
        let of_host = self.one(Of::Host(tenant.into(), host.into()), self.most.of_host).await;
        let of_tenant = self.one(Of::Tenant(tenant.into()), self.most.of_tenant).await;
        Turn {
            _of_all: Arc::clone(&self.all).acquire_owned().await.ok(),
            _of_host: of_host,
            _of_tenant: of_tenant,
        }
    }

    async fn one(&self, of: Of, most: usize) -> Held {
        let line = Arc::clone(
            self.lock()
                .entry(of.clone())
                .or_insert_with(|| Arc::new(Semaphore::new(most))),
        );
        // Made before the wait, so that a wait that is given up is tidied, too.
        let mut held = Held {
            of,
            turns: self.clone(),
            line,
            permit: None,
        };
        held.permit = Arc::clone(&held.line).acquire_owned().await.ok();
        held
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Of, Arc<Semaphore>>> {
        // The map is never left half changed, so a panic elsewhere does not spoil it.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut lines = self.turns.lock();
        // The permit has one of its own.
        self.permit = None;
        // The map's and ours; whoever else has one came by the lock that is held here.
        if Arc::strong_count(&self.line) == 2 {
            lines.remove(&self.of);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::{Most, Turns};

    const OF_HOST: usize = 8;
    const OF_TENANT: usize = 16;

    const SOON: Duration = Duration::from_millis(50);

    fn turns(of_all: usize) -> Turns {
        Turns::new(Most {
            of_host: OF_HOST,
            of_tenant: OF_TENANT,
            of_all,
        })
    }

    #[tokio::test]
    async fn there_are_so_many_altogether_and_who_waits_for_its_own_has_none_of_them() {
        let turns = turns(OF_HOST + 1);
        let mut held = Vec::new();
        for _ in 0..OF_HOST {
            held.push(turns.take("a", "slow.example").await);
        }
        let mut waiting = Box::pin(turns.take("a", "slow.example"));
        assert!(timeout(SOON, &mut waiting).await.is_err(), "the host");
        let last = turns.take("b", "b.example").await;
        assert!(timeout(SOON, turns.take("c", "c.example")).await.is_err(), "no more");
        drop(last);
        drop(turns.take("c", "c.example").await);
    }

    #[tokio::test]
    async fn a_tenant_and_a_host_have_so_many_turns_and_nobody_else_waits_for_them() {
        let turns = turns(100);
        let mut held = Vec::new();
        for _ in 0..OF_HOST {
            held.push(turns.take("a", "slow.example").await);
        }
        let mut waiting = Vec::new();
        for _ in OF_HOST..OF_TENANT {
            let mut one = Box::pin(turns.take("a", "slow.example"));
            assert!(timeout(SOON, &mut one).await.is_err(), "the host");
            waiting.push(one);
        }
        drop(turns.take("b", "slow.example").await);
        for number in OF_HOST..OF_TENANT {
            held.push(turns.take("a", &format!("{number}.example")).await);
        }
        assert!(
            timeout(SOON, turns.take("a", "other.example")).await.is_err(),
            "the tenant"
        );
        drop(turns.take("b", "other.example").await);
        drop(waiting);
        held.remove(0);
        drop(turns.take("a", "slow.example").await);
        drop(held);
        assert!(turns.lock().is_empty(), "nothing is kept of who is done");
    }
}
