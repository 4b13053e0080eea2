//! What files on their way may take in memory, for all tenants and for each.
//!
//! What a small file takes is nobody's business: there are only so many at the same time. Of what is beyond, a tenant may
//! have a part of what it leaves for others. So alone it has a part of all there is, many who want all they can get come
//! to have the same, and something is left for who comes next. Nobody waits: who gets no room is told so.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How much there is, and how it is shared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    /// All there is, in bytes.
    pub(super) bytes_max: usize,
    /// What of each file is not counted, in bytes.
    pub(super) uncounted_bytes: usize,
    /// How many times as much as a tenant has it leaves for others.
    pub(super) left_for_others: usize,
}

/// All that is taken. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Room {
    extent: Extent,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    bytes: usize,
    of: HashMap<Box<str>, usize>,
}

/// What one file takes, until it is dropped.
#[derive(Debug)]
pub(crate) struct Part {
    room: Room,
    tenant: Box<str>,
    /// What is counted of it.
    bytes: usize,
}

impl Room {
    /// Nobody has any.
    pub(super) fn new(extent: Extent) -> Self {
        Self {
            extent,
            taken: Arc::default(),
        }
    }

    /// For a file of a tenant, of which nothing is there yet.
    pub(super) fn part(&self, tenant: &str) -> Part {
        Part {
            room: self.clone(),
            tenant: tenant.into(),
            bytes: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // What is counted is changed at once, so a panic elsewhere does not spoil it.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Part {
    /// Takes so many bytes in all, if its tenant may have what it lacks.
    #[must_use]
    pub(super) fn grow_to(&mut self, bytes: usize) -> bool {
        let Extent {
            bytes_max,
            uncounted_bytes,
            left_for_others,
        } = self.room.extent;
        let more = bytes.saturating_sub(uncounted_bytes).saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        let mut taken = self.room.lock();
        let of_tenant = taken.of.get(&self.tenant).copied().unwrap_or_default() + more;
        let of_all = taken.bytes + more;
        let left = bytes_max.saturating_sub(of_all);
        if of_tenant.saturating_mul(left_for_others) > left {
            return false;
        }
        taken.bytes = of_all;
        taken.of.insert(self.tenant.clone(), of_tenant);
        self.bytes += more;
        true
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let mut taken = self.room.lock();
        taken.bytes = taken.bytes.saturating_sub(self.bytes);
        let left = taken
            .of
            .get(&self.tenant)
            .map_or(0, |bytes| bytes.saturating_sub(self.bytes));
        if left == 0 {
            taken.of.remove(&self.tenant);
        } else {
            taken.of.insert(self.tenant.clone(), left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Extent, Part, Room};

    const SMALL_BYTES: usize = 64 * 1024;

    fn room(bytes_max: usize) -> Room {
        Room::new(Extent {
            bytes_max,
            uncounted_bytes: SMALL_BYTES,
            left_for_others: 4,
        })
    }

    /// Takes what it can, five hundred bytes at a time.
    fn greedy(room: &Room, tenant: &str) -> Part {
        let mut part = room.part(tenant);
        let refused = (1..).find(|count| !part.grow_to(SMALL_BYTES + count * 500));
        assert!(refused.is_some());
        part
    }

    #[test]
    fn a_tenant_leaves_room_for_others_and_all_who_want_more_come_to_have_the_same() {
        let room = room(1_000_000);
        let first = greedy(&room, "a");
        assert_eq!(first.bytes, 200_000);
        assert_eq!(greedy(&room, "a").bytes, 0, "a tenant's files share what it has");
        drop(first);
        let mut held: Vec<Part> = (0..64).map(|number| greedy(&room, &number.to_string())).collect();
        assert!(room.taken() <= 1_000_000);
        assert!(room.part("late").grow_to(SMALL_BYTES), "small ones always have room");
        // The first had the most; when their files have come, others have had their turn.
        for _ in 0..40 {
            for number in 0..64 {
                held.remove(0);
                held.push(greedy(&room, &number.to_string()));
            }
        }
        let bytes = held.iter().map(|part| part.bytes);
        let (least, most) = (bytes.clone().min(), bytes.max());
        assert!(least > Some(10_000) && most < Some(20_000), "{least:?} to {most:?}");
    }

    #[test]
    fn nothing_is_kept_of_who_is_done() {
        let room = room(10_000);
        let (mut one, mut other) = (room.part("a"), room.part("a"));
        let grow_to = |part: &mut Part, bytes| part.grow_to(SMALL_BYTES + bytes);
        assert!(grow_to(&mut one, 100) && grow_to(&mut other, 100));
        assert!(grow_to(&mut one, 200) && grow_to(&mut one, 50));
        assert!(!room.part("b").grow_to(SMALL_BYTES + 2_000));
        assert_eq!(room.taken(), 300);
        drop(one);
        assert_eq!(room.lock().of.get("a"), Some(&100));
        drop(other);
        drop(room.part("b"));
        assert!(room.lock().of.is_empty());
        assert_eq!(room.taken(), 0);
    }
}
