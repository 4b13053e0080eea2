//! Getting the policies that directories name, while further directories come.
//!
//! In: what is missing, with the tenant who names it. Out: each digest when it is ready or refused. Tenants take turns: one
//! that names many holds at most half of the places there are.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use tokio::task::{Id, JoinSet};
use wayside_decide::{digest::Digest, name::Name};

use crate::guests::Guests;

/// Policies that are fetched or wait for a compiler at the same time.
const AT_ONCE: usize = 16;
/// How many of them may be one tenant's.
const SHARE: usize = AT_ONCE / 2;

/// Policies on their way here.
pub(super) struct Preparing {
    guests: Arc<Guests>,
    line: Line,
    tasks: JoinSet<()>,
    under_way: HashMap<Id, (Digest, Name)>,
    /// What the first directory named, as far as it is not there yet.
    first: Option<HashSet<Digest>>,
}

impl Preparing {
    pub(super) fn new(guests: Arc<Guests>) -> Self {
        Self {
            guests,
            line: Line::default(),
            tasks: JoinSet::new(),
            under_way: HashMap::new(),
            first: None,
        }
    }

    /// What is missing now. What is on its way already stays so; what nobody misses any more and has not begun is left.
    pub(super) fn want(&mut self, missing: Vec<(Digest, Name)>) {
        let is_under_way = |digest: &Digest| self.under_way.values().any(|(under_way, _)| under_way == digest);
        let wanted = missing.into_iter().filter(|(digest, _)| !is_under_way(digest));
        self.line.replace(wanted.collect());
        let wanted: HashSet<Digest> = self.line.digests().collect();
        match &mut self.first {
            // What nobody wants any more is awaited no longer.
            Some(first) => {
                let under_way: HashSet<&Digest> = self.under_way.values().map(|(digest, _)| digest).collect();
                first.retain(|digest| wanted.contains(digest) || under_way.contains(digest));
            }
            None => self.first = Some(wanted),
        }
        self.begin();
    }

    /// Waits until one more is ready or refused; for ever where none is on its way.
    pub(super) async fn next(&mut self) {
        let Some(ended) = self.tasks.join_next_with_id().await else {
            return std::future::pending().await;
        };
        let id = match ended {
            Ok((id, ())) => id,
            // What panicked has been told by the runtime; it is missing when the next directory comes.
            Err(error) => error.id(),
        };
        if let Some((digest, tenant)) = self.under_way.remove(&id) {
            self.line.ended(&tenant);
            if let Some(first) = &mut self.first {
                first.remove(&digest);
            }
        }
        self.begin();
    }

    /// Whether all that the first directory named is ready or refused.
    pub(super) fn has_first(&self) -> bool {
        self.first.as_ref().is_some_and(HashSet::is_empty)
    }

    fn begin(&mut self) {
        while let Some((digest, tenant)) = self.line.next() {
            let (guests, whose) = (Arc::clone(&self.guests), tenant.clone());
            let task = self.tasks.spawn(async move { guests.prepare(digest, whose).await });
            self.under_way.insert(task.id(), (digest, tenant));
        }
    }
}

/// Who is next.
#[derive(Default)]
struct Line {
    waiting: HashMap<Name, VecDeque<Digest>>,
    begun: HashMap<Name, usize>,
}

impl Line {
    fn replace(&mut self, wanted: Vec<(Digest, Name)>) {
        self.waiting.clear();
        for (digest, tenant) in wanted {
            self.waiting.entry(tenant).or_default().push_back(digest);
        }
    }

    fn digests(&self) -> impl Iterator<Item = Digest> {
        self.waiting.values().flatten().copied()
    }

    /// The next of the tenant with the fewest under way, where there is a place for it.
    fn next(&mut self) -> Option<(Digest, Name)> {
        if self.begun.values().sum::<usize>() >= AT_ONCE {
            return None;
        }
        let begun = |tenant: &Name| self.begun.get(tenant).copied().unwrap_or(0);
        let least = self.waiting.keys().map(|tenant| (begun(tenant), tenant)).min()?;
        if least.0 >= SHARE {
            return None;
        }
        let tenant = least.1.clone();
        let digests = self.waiting.get_mut(&tenant)?;
        let digest = digests.pop_front()?;
        if digests.is_empty() {
            self.waiting.remove(&tenant);
        }
        *self.begun.entry(tenant.clone()).or_default() += 1;
        Some((digest, tenant))
    }

    fn ended(&mut self, tenant: &Name) {
        if let Some(begun) = self.begun.get_mut(tenant) {
            *begun -= 1;
            if *begun == 0 {
                self.begun.remove(tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use wayside_decide::{digest::Digest, name::Name};

    use super::{AT_ONCE, Line, SHARE};

    #[test]
    fn a_tenant_with_many_leaves_room_for_others() {
        let name = |text: &str| Name::parse("tenant", text).expect("a name");
        let wanted = |tenant: &str, count: u8| -> Vec<_> {
            let digests = (0..count).map(|number| Digest::of(&[number, tenant.as_bytes()[0]]));
            digests.map(|digest| (digest, name(tenant))).collect()
        };
        let mut line = Line::default();
        line.replace(wanted("greedy", 100));
        let begun: Vec<_> = std::iter::from_fn(|| line.next()).collect();
        assert_eq!(begun.len(), SHARE);
        line.replace([wanted("greedy", 92), wanted("small", 2)].concat());
        let begun: Vec<_> = std::iter::from_fn(|| line.next()).map(|(_, tenant)| tenant).collect();
        assert_eq!(begun, [name("small"), name("small")]);
        line.replace([wanted("a", 50), wanted("b", 50)].concat());
        assert_eq!(std::iter::from_fn(|| line.next()).count(), AT_ONCE - SHARE - 2);
        line.ended(&name("small"));
        assert_eq!(std::iter::from_fn(|| line.next()).count(), 1);
    }
}
