//! Who may be told things: nodes, and operators' tokens, each read from the record once a second at most, however many
//! requests and feeds come in its name.
//!
//! In: ids. Out: what is recorded of them, a second old at most. One read is under way for each id, and who asks meanwhile
//! gets what it brings. Only who is welcome is remembered, so that a node that just enrolled need not wait, and nobody
//! fills the memory by making ids up. This file must not know what is asked.

use std::{
    collections::HashMap,
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use wayside_upstream::identity::NodeId;

use super::problem::Problem;
use crate::{
    node::NodeRecord,
    store::{Freshness, Store, StoreError, TokenRecord},
    token::TokenId,
};

/// For how long who was welcome still is: one that is revoked is told nothing later than that.
const WELCOME: Duration = Duration::from_secs(1);
/// How many of each kind are remembered, of less than a kilobyte each. When there are more it begins anew.
const REMEMBERED_MAX: usize = 16_384;

/// Who is welcome.
pub(crate) struct Welcome {
    store: Arc<dyn Store>,
    nodes: Lately<NodeId, NodeRecord>,
    tokens: Lately<TokenId, TokenRecord>,
}

impl Welcome {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            nodes: Lately::new(WELCOME),
            tokens: Lately::new(WELCOME),
        }
    }

    /// What is recorded of a node.
    pub(crate) async fn node(&self, id: &NodeId) -> Result<Option<Arc<NodeRecord>>, Problem> {
        let is_welcome = |node: &NodeRecord| node.enrolled.is_some() && node.revoked_at.is_none();
        self.nodes
            .read(id, self.store.node(id, Freshness::Any), is_welcome)
            .await
    }

    /// What is recorded of a token.
    pub(crate) async fn token(&self, id: &TokenId) -> Result<Option<Arc<TokenRecord>>, Problem> {
        let is_welcome = |token: &TokenRecord| token.revoked_at.is_none();
        self.tokens
            .read(id, self.store.token(id, Freshness::Any), is_welcome)
            .await
    }

    /// A node was revoked here.
    pub(crate) fn forget_node(&self, id: &NodeId) {
        self.nodes.forget(id);
    }

    /// A token was revoked here.
    pub(crate) fn forget_token(&self, id: &TokenId) {
        self.tokens.forget(id);
    }
}

/// What was read lately, and whoever reads now.
struct Lately<K, V> {
    valid_for: Duration,
    seats: Mutex<HashMap<K, Arc<Seat<V>>>>,
}

/// Held while reading: who waits for it finds what was read.
type Seat<V> = tokio::sync::Mutex<Option<Read<V>>>;
type Found<V> = Result<Option<Arc<V>>, Problem>;

struct Read<V> {
    begun: Instant,
    ended: Instant,
    found: Found<V>,
}

impl<K: Clone + Eq + Hash, V> Lately<K, V> {
    fn new(valid_for: Duration) -> Self {
        Self {
            valid_for,
            seats: Mutex::default(),
        }
    }

    /// What was read lately, or what `read` brings; remembered when it is somebody welcome.
    async fn read(
        &self,
        id: &K,
        read: impl Future<Output = Result<Option<V>, StoreError>>,
        is_welcome: impl Fn(&V) -> bool,
    ) -> Found<V> {
        let asked = Instant::now();
        let seat = self.seat(id);
        let mut last = seat.lock().await;
        if let Some(last) = &*last
            && (last.ended >= asked || last.begun.elapsed() < self.valid_for)
        {
            return last.found.clone();
        }
        let begun = Instant::now();
        let found: Found<V> = read.await.map(|found| found.map(Arc::new)).map_err(Problem::from);
        if !matches!(&found, Ok(Some(found)) if is_welcome(found)) {
            self.leave(id, &seat);
        }
        *last = Some(Read {
            begun,
            ended: Instant::now(),
            found: found.clone(),
        });
        found
    }

    fn seat(&self, id: &K) -> Arc<Seat<V>> {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seat) = seats.get(id) {
            return Arc::clone(seat);
        }
        if seats.len() >= REMEMBERED_MAX {
            seats.clear();
        }
        let seat = Arc::new(Seat::new(None));
        seats.insert(id.clone(), Arc::clone(&seat));
        seat
    }

    /// Who comes from now on reads anew; who waits here gets what was read.
    fn leave(&self, id: &K, seat: &Arc<Seat<V>>) {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        if seats.get(id).is_some_and(|current| Arc::ptr_eq(current, seat)) {
            seats.remove(id);
        }
    }

    fn forget(&self, id: &K) {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
        time::Duration,
    };

    use futures_util::future::join_all;

    use super::{Lately, REMEMBERED_MAX};
    use crate::store::StoreError;

    const LONG: Duration = Duration::from_secs(3_600);

    /// A record that counts who reads it, and takes its time.
    #[derive(Default)]
    struct Slow(AtomicU32);

    impl Slow {
        async fn read(&self, found: Option<&'static str>) -> Result<Option<&'static str>, StoreError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
            match found {
                Some("damage") => Err(StoreError::Damaged("it".to_owned())),
                found => Ok(found),
            }
        }

        fn reads(&self) -> u32 {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn is_welcome(who: &&str) -> bool {
        *who == "welcome"
    }

    #[tokio::test]
    async fn a_thousand_who_ask_at_once_cost_one_read() {
        for (found, is_kept) in [
            (Some("welcome"), true),
            (Some("revoked"), false),
            (Some("damage"), false),
            (None, false),
        ] {
            let (lately, record) = (Lately::new(LONG), Slow::default());
            let ask = || async { lately.read(&1, record.read(found), is_welcome).await.ok() };
            let all = join_all((0..1_000).map(|_| ask())).await;
            assert_eq!(record.reads(), 1, "{found:?}");
            let expected = (found != Some("damage")).then(|| found.map(Arc::new));
            assert!(all.iter().all(|one| *one == expected), "{found:?}");
            ask().await;
            assert_eq!(record.reads() == 1, is_kept, "{found:?}");
        }
    }

    #[tokio::test]
    async fn who_was_welcome_is_looked_up_again_in_time_and_when_revoked_here() {
        let (lately, record) = (Lately::new(Duration::ZERO), Slow::default());
        for reads in 1..=3 {
            let found = lately.read(&1, record.read(Some("welcome")), is_welcome).await;
            assert_eq!((found.is_ok(), record.reads()), (true, reads));
        }
        let (lately, record) = (Lately::new(LONG), Slow::default());
        let before = lately.read(&1, record.read(Some("welcome")), is_welcome);
        let revoking = async {
            tokio::task::yield_now().await;
            lately.forget(&1);
            lately.read(&1, record.read(Some("revoked")), is_welcome).await
        };
        let (before, after) = tokio::join!(before, revoking);
        assert_eq!(before.ok().flatten().as_deref(), Some(&"welcome"));
        assert_eq!(
            after.ok().flatten().as_deref(),
            Some(&"revoked"),
            "what was read before does not count"
        );
    }

    #[tokio::test]
    async fn who_hangs_up_while_reading_leaves_the_place_to_others() {
        let (lately, record) = (Lately::new(LONG), Slow::default());
        let hangs_up = lately.read(&1, record.read(Some("welcome")), is_welcome);
        let hung_up = tokio::time::timeout(Duration::from_millis(1), hangs_up).await;
        assert!(hung_up.is_err());
        let found = lately.read(&1, record.read(Some("welcome")), is_welcome).await;
        assert_eq!(found.ok().flatten().as_deref(), Some(&"welcome"));
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded() {
        let lately = Lately::new(LONG);
        for id in 0..REMEMBERED_MAX + 10 {
            let found = lately.read(&id, async { Ok(Some("welcome")) }, is_welcome).await;
            assert!(found.is_ok());
        }
        let remembered = lately.seats.lock().expect("no panic").len();
        assert!(remembered <= REMEMBERED_MAX, "{remembered}");
    }
}
