//! How many manifests are on their way for a tenant, those that wait for their turn included.
//!
//! Each tenant has as many, so that servers of one that never answer keep no other's players waiting.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use wayside_decide::name::Name;

/// For one tenant.
pub(super) const OF_TENANT: usize = 256;

/// What is on its way for all tenants.
#[derive(Debug, Clone, Default)]
pub(super) struct Seats(Arc<Mutex<HashMap<Name, usize>>>);

/// One on its way, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    tenant: Name,
    seats: Seats,
}

impl Seats {
    /// One more for a tenant; none when there are too many.
    pub(super) fn take(&self, tenant: &Name) -> Option<Seat> {
        let mut taken = self.lock();
        let count = taken.entry(tenant.clone()).or_default();
        if *count >= OF_TENANT {
            return None;
        }
        *count += 1;
        Some(Seat {
            tenant: tenant.clone(),
            seats: self.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Name, usize>> {
        // The map is never left half changed, so a panic elsewhere does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        let left = taken.get(&self.tenant).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            taken.remove(&self.tenant);
        } else {
            taken.insert(self.tenant.clone(), left);
        }
    }
}

#[cfg(test)]
mod tests {
    use wayside_decide::name::Name;

    use super::{OF_TENANT, Seats};

    #[test]
    fn a_tenant_has_so_many_and_nothing_is_kept_of_who_has_none() {
        let tenant = |text: &str| Name::parse("tenant", text).expect("a name");
        let seats = Seats::default();
        let mut taken: Vec<_> = (0..OF_TENANT)
            .map(|_| seats.take(&tenant("a")).expect("room"))
            .collect();
        assert!(seats.take(&tenant("a")).is_none());
        drop(seats.take(&tenant("b")).expect("room of another"));
        taken.pop();
        drop(seats.take(&tenant("a")).expect("room again"));
        drop(taken);
        assert!(seats.lock().is_empty());
    }
}
