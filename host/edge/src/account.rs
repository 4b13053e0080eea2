//! What each policy has taken and given on this node: runs by outcome, processor time, memory, remembered decisions.
//!
//! An account belongs to a tenant's policy by name, whatever version or binding of it is at work, and lives as long as
//! the node: its counters only grow.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};
use wayside_decide::{
    decision::{Decision, Failure},
    name::Name,
};
use wayside_policy::guest::Cost;

use crate::memories::Memories;

/// Policies with an account of their own. Those beyond share one: each is several series.
const ACCOUNTS_MAX: usize = 1_000;
/// The name of the account they share.
const SHARED: &str = "*";
/// How a run went that came to a decision.
const DECIDED: &str = "decided";

/// One policy's account.
#[derive(Debug, Default)]
pub(crate) struct Account {
    remembered: Counter,
    runs: [AtomicU64; 1 + Failure::LABELS.len()],
    cpu_ns: AtomicU64,
    memory_peak_bytes: AtomicU64,
}

/// Written for every visitor: on a line of its own, so that nothing else on it slows them down.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Counter(AtomicU64);

impl Account {
    /// Counts a decision that needed no run.
    pub(crate) fn count_remembered(&self) {
        self.remembered.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a run, or that there was none.
    pub(crate) fn count_run(&self, result: &Result<Decision, Failure>, cost: Cost) {
        let label = result.as_ref().map_or_else(Failure::label, |_| DECIDED);
        if let Some(at) = labels().position(|known| known == label) {
            self.runs[at].fetch_add(1, Ordering::Relaxed);
        }
        let cpu_ns = u64::try_from(cost.cpu.as_nanos()).unwrap_or(u64::MAX);
        self.cpu_ns.fetch_add(cpu_ns, Ordering::Relaxed);
        self.memory_peak_bytes.fetch_max(cost.memory_bytes, Ordering::Relaxed);
    }

    /// Decisions that needed no run.
    pub(crate) fn remembered(&self) -> u64 {
        self.remembered.0.load(Ordering::Relaxed)
    }

    /// Runs by outcome, those that have happened.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.runs.iter().map(|count| count.load(Ordering::Relaxed));
        labels().zip(counts).filter(|(_, count)| *count > 0)
    }

    /// Processor time of all runs together.
    pub(crate) fn cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu_ns.load(Ordering::Relaxed))
    }

    /// The most memory a run has had, in bytes.
    pub(crate) fn memory_peak_bytes(&self) -> u64 {
        self.memory_peak_bytes.load(Ordering::Relaxed)
    }
}

fn labels() -> impl Iterator<Item = &'static str> {
    std::iter::once(DECIDED).chain(Failure::LABELS)
}

/// The accounts of a node, and what is remembered of all its policies.
#[derive(Debug, Clone)]
pub(crate) struct Accounts {
    known: Arc<Mutex<Known>>,
    memories: Arc<Memories>,
}

type Known = HashMap<(String, String), Arc<Account>>;

impl Accounts {
    /// Of a node that remembers so many bytes of its policies' decisions.
    pub(crate) fn new(remembered_bytes_max: usize) -> Self {
        Self {
            known: Arc::default(),
            memories: Arc::new(Memories::new(remembered_bytes_max)),
        }
    }

    /// The account of a tenant's policy.
    pub(crate) fn of(&self, tenant: &Name, policy: &Name) -> Arc<Account> {
        let mut known = self.lock();
        let key = (tenant.to_string(), policy.to_string());
        if known.len() >= ACCOUNTS_MAX && !known.contains_key(&key) {
            return Arc::clone(known.entry((SHARED.to_owned(), SHARED.to_owned())).or_default());
        }
        Arc::clone(known.entry(key).or_default())
    }

    /// What is remembered of policies' decisions.
    pub(crate) fn memories(&self) -> &Memories {
        &self.memories
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Accounts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let known = self.lock();
        let mut accounts: Vec<_> = known.iter().collect();
        accounts.sort_unstable_by_key(|(key, _)| *key);
        let help = "Runs of a policy by outcome";
        let mut runs = encoder.encode_descriptor("wayside_policy_fresh_runs", help, None, MetricType::Counter)?;
        for ((tenant, policy), account) in &accounts {
            for (outcome, count) in account.runs() {
                let labels = [("tenant", &**tenant), ("policy", &**policy), ("outcome", outcome)];
                ConstCounter::new(count).encode(runs.encode_family(&labels)?)?;
            }
        }
        let help = "Decisions of a policy that needed no run";
        let name = "wayside_policy_remembered_decisions";
        let mut remembered = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for ((tenant, policy), account) in &accounts {
            let labels = [("tenant", tenant), ("policy", policy)];
            ConstCounter::new(account.remembered()).encode(remembered.encode_family(&labels)?)?;
        }
        let help = "Processor time of a policy's runs";
        let name = "wayside_policy_cpu";
        let mut cpu = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Counter)?;
        for ((tenant, policy), account) in &accounts {
            let labels = [("tenant", tenant), ("policy", policy)];
            ConstCounter::new(account.cpu().as_secs_f64()).encode(cpu.encode_family(&labels)?)?;
        }
        let help = "The most memory a run of a policy has had";
        let name = "wayside_policy_memory_peak";
        let mut memory = encoder.encode_descriptor(name, help, Some(&Unit::Bytes), MetricType::Gauge)?;
        for ((tenant, policy), account) in &accounts {
            let labels = [("tenant", tenant), ("policy", policy)];
            ConstGauge::new(account.memory_peak_bytes()).encode(memory.encode_family(&labels)?)?;
        }
        let help = "What is remembered of all policies' decisions, and the requests kept to try other versions on";
        let name = "wayside_policy_remembered_memory";
        let remembered = encoder.encode_descriptor(name, help, Some(&Unit::Bytes), MetricType::Gauge)?;
        ConstGauge::new(u64::try_from(self.memories.bytes()).unwrap_or(u64::MAX)).encode(remembered)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use wayside_decide::{
        decision::{Decision, Failure},
        name::Name,
    };
    use wayside_policy::guest::Cost;

    use super::{ACCOUNTS_MAX, Accounts};

    fn name(text: &str) -> Name {
        Name::parse("name", text).expect("a name")
    }

    #[test]
    fn an_account_adds_up_what_its_policy_took() {
        let accounts = Accounts::new(1 << 20);
        let account = accounts.of(&name("t"), &name("p"));
        let cost = |cpu_us, memory_bytes| Cost {
            cpu: Duration::from_micros(cpu_us),
            memory_bytes,
            fuel: None,
        };
        account.count_run(&Ok(Decision::Proceed), cost(30, 1_000));
        account.count_run(&Err(Failure::Trapped("x".to_owned())), cost(20, 4_000));
        account.count_run(&Ok(Decision::Proceed), cost(10, 2_000));
        account.count_run(&Err(Failure::Resting), Cost::default());
        account.count_remembered();
        let same = accounts.of(&name("t"), &name("p"));
        let runs: Vec<_> = same.runs().collect();
        assert_eq!(runs, [("decided", 2), ("trapped", 1), ("resting", 1)]);
        assert_eq!(
            (same.cpu(), same.memory_peak_bytes()),
            (Duration::from_micros(60), 4_000)
        );
        assert_eq!(
            (same.remembered(), accounts.of(&name("u"), &name("p")).remembered()),
            (1, 0)
        );
    }

    #[test]
    fn policies_past_the_limit_share_an_account() {
        let accounts = Accounts::new(1 << 20);
        let of = |number: usize| accounts.of(&name("t"), &name(&format!("p{number}")));
        let first = of(0);
        (1..ACCOUNTS_MAX).for_each(|number| drop(of(number)));
        assert!(Arc::ptr_eq(&of(ACCOUNTS_MAX), &of(ACCOUNTS_MAX + 1)));
        assert!(Arc::ptr_eq(&first, &of(0)) && !Arc::ptr_eq(&first, &of(ACCOUNTS_MAX)));
    }
}
