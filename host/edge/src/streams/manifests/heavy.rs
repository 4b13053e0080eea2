//! Large manifests on their way to players, who may read them slowly.
//!
//! In: whose manifest, who asks for it, how large it is. Out: room for it until it was read, or why there is none. A tenant
//! leaves room for others, and an address for others of its tenant: whoever reads nothing denies nobody else anything.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use wayside_decide::name::Name;
use wayside_stream::{quality::home_of, splice::SPLICED_BYTES_MAX};

use crate::streams::room::{Extent, Part, Room};

/// Up to which weight a manifest is written however many others are, in bytes.
pub(super) const LIGHT_BYTES_MAX: usize = 256 * 1024;
/// What heavier ones may take together until their players have read them, in bytes.
const HEAVY_BYTES_MAX: usize = 128 * 1024 * 1024;
/// How many times as much as a tenant's take it leaves for those of others: alone it has a third, which is room for the
/// largest of two addresses.
const LEFT_FOR_OTHERS: usize = 2;
/// What those of one address may take, in bytes: one of any size, or smaller ones of as much together.
const OF_ADDRESS_BYTES_MAX: usize = SPLICED_BYTES_MAX;

/// Who asks for a manifest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'r> {
    /// Whose manifest it is.
    pub(crate) tenant: &'r Name,
    /// Where the player is.
    pub(crate) address: IpAddr,
}

/// All heavy manifests that were not read yet.
#[derive(Debug)]
pub(super) struct Unread {
    room: Room,
    /// By the address, of IPv6 the /48 network.
    of_homes: Arc<Mutex<HashMap<u64, usize>>>,
}

/// Room for one, until it is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    bytes: usize,
    home: u64,
    of_homes: Arc<Mutex<HashMap<u64, usize>>>,
    _of_tenant: Part,
}

/// A heavy manifest on its way to a player.
pub(super) struct Heavy {
    pub(super) bytes: Vec<u8>,
    pub(super) _room: Taken,
}

impl Default for Unread {
    fn default() -> Self {
        Self {
            room: Room::new(Extent {
                bytes_max: HEAVY_BYTES_MAX,
                uncounted_bytes: 0,
                left_for_others: LEFT_FOR_OTHERS,
            }),
            of_homes: Arc::default(),
        }
    }
}

impl Unread {
    /// Room for one of so many bytes. The error says whose are unread.
    pub(super) fn take(&self, reader: &Reader<'_>, bytes: usize) -> Result<Taken, String> {
        let home = home_of(reader.address);
        let mut of_tenant = self.room.part(reader.tenant.as_str());
        {
            let mut of_homes = lock(&self.of_homes);
            let unread = of_homes.get(&home).copied().unwrap_or_default();
            if unread > 0 && unread + bytes > OF_ADDRESS_BYTES_MAX {
                return Err(format!("address {}", reader.address));
            }
            if !of_tenant.grow_to(bytes) {
                return Err(format!("players of tenant {}", reader.tenant));
            }
            of_homes.insert(home, unread + bytes);
        }
        Ok(Taken {
            bytes,
            home,
            of_homes: Arc::clone(&self.of_homes),
            _of_tenant: of_tenant,
        })
    }
}

fn lock(of_homes: &Mutex<HashMap<u64, usize>>) -> MutexGuard<'_, HashMap<u64, usize>> {
    // What is counted is changed at once, so a panic elsewhere does not spoil it.
    of_homes.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut of_homes = lock(&self.of_homes);
        let left = of_homes
            .get(&self.home)
            .map_or(0, |unread| unread.saturating_sub(self.bytes));
        if left == 0 {
            of_homes.remove(&self.home);
        } else {
            of_homes.insert(self.home, left);
        }
    }
}

impl AsRef<[u8]> for Heavy {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use wayside_decide::name::Name;

    use super::{LIGHT_BYTES_MAX, OF_ADDRESS_BYTES_MAX, Reader, Taken, Unread, lock};

    const TEN_MIB: usize = 10 * 1024 * 1024;

    fn take(unread: &Unread, tenant: &str, address: &str, bytes: usize) -> Result<Taken, String> {
        let tenant = Name::parse("tenant", tenant).expect("a name");
        let address = address.parse().expect("an address");
        let reader = Reader {
            tenant: &tenant,
            address,
        };
        unread.take(&reader, bytes)
    }

    #[test]
    fn an_address_that_reads_nothing_leaves_room_for_others_and_so_does_a_tenant() {
        let unread = Unread::default();
        let take = |tenant: &str, address: &str, bytes| take(&unread, tenant, address, bytes);
        let mut held = vec![take("a", "192.0.2.1", TEN_MIB).expect("the first")];
        for tenant in ["a", "b"] {
            let refused = take(tenant, "::ffff:192.0.2.1", TEN_MIB).expect_err("the same address");
            assert_eq!(refused, "address ::ffff:192.0.2.1");
        }
        held.push(take("a", "192.0.2.1", 2 * LIGHT_BYTES_MAX).expect("a smaller one"));
        held.push(take("a", "2001:db8:1::1", TEN_MIB).expect("another address"));
        take("a", "2001:db8:1:ffff::1", TEN_MIB).expect_err("the same network");
        // Whoever has many addresses has no more than the tenant's part.
        let refused = (3..99).find_map(|number| match take("a", &format!("192.0.2.{number}"), TEN_MIB) {
            Ok(taken) => {
                held.push(taken);
                None
            }
            Err(refused) => Some(refused),
        });
        assert_eq!(refused.as_deref(), Some("players of tenant a"));
        held.push(take("b", "192.0.2.200", OF_ADDRESS_BYTES_MAX).expect("another tenant"));
        held.push(take("c", "192.0.2.201", OF_ADDRESS_BYTES_MAX).expect("a third one"));
        drop(held);
        assert!(lock(&unread.of_homes).is_empty(), "nothing is kept of who has read it");
        take("a", "192.0.2.1", TEN_MIB).expect("room again");
    }

    #[test]
    fn the_largest_is_written_to_two_addresses() {
        let unread = Unread::default();
        // With what else a manifest takes.
        let largest = OF_ADDRESS_BYTES_MAX + 4_096;
        let _first = take(&unread, "a", "192.0.2.1", largest).expect("the first");
        let _second = take(&unread, "a", "192.0.2.2", largest).expect("the second");
    }
}
