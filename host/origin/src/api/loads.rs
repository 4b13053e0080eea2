//! How loaded targets are: `POST /v1/edge/loads` of nodes and `/v1/targets/{name}/load` of operators.
//!
//! Nodes are answered from memory. Origins of one record tell each other what they heard, once a second at most and beside
//! the requests, so that a record that is slow makes no node wait.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wayside_decide::{invalid::Invalid, name::Name};
use wayside_upstream::protocol::{
    Epoch,
    streams::{LOADS_TOLD_MAX, LoadElsewhere, LoadTold, LoadsElsewhere, LoadsTold},
};

use super::{
    Api,
    auth::{Node, Reader, Writer},
    extract::{Body, Segment},
    problem::Problem,
    targets::read_name,
};
use crate::{
    loads::{Count, Full, Heard, Key, Loads, Shared, Target, WORD_TTL_MAX},
    store::{Store, streams::SharedLoad},
};

/// How often what was heard is shared.
const SHARE_INTERVAL: Duration = Duration::from_secs(1);
/// Largest report, in bytes: so many targets with the longest names.
const REPORT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The highest load that can be said: ten times what a target can carry.
const LOAD_MAX: f64 = 10.0;

/// What was heard here and, from time to time, elsewhere.
pub(crate) struct Board {
    store: Arc<dyn Store>,
    loads: Mutex<Loads>,
    /// Held while sharing goes on.
    sharing: tokio::sync::Mutex<Sharing>,
}

/// When sharing began last.
#[derive(Default)]
struct Sharing {
    tried: Option<Instant>,
    /// When it went well.
    done: Option<Instant>,
}

impl Board {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            loads: Mutex::default(),
            sharing: tokio::sync::Mutex::default(),
        }
    }

    fn loads(&self) -> MutexGuard<'_, Loads> {
        self.loads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shares when it is time and nobody does; nobody waits for it.
    fn share_in_time(self: &Arc<Self>) {
        let is_time = |sharing: &Sharing| sharing.tried.is_none_or(|tried| tried.elapsed() >= SHARE_INTERVAL);
        if self.sharing.try_lock().is_ok_and(|sharing| is_time(&sharing)) {
            let board = Arc::clone(self);
            tokio::spawn(async move { board.share().await });
        }
    }

    /// Tells other origins what was heard here up to now, and learns what they heard. Of those that ask for it while it
    /// goes on, one does it once more for all.
    async fn share(&self) {
        let asked = Instant::now();
        let mut sharing = self.sharing.lock().await;
        if sharing.tried.is_some_and(|tried| tried > asked) {
            return;
        }
        // Instants are taken while the loads are held: what is told later than this is not among them.
        let (begun, ours) = {
            let mut loads = self.loads();
            let begun = Instant::now();
            (begun, loads.unshared(begun))
        };
        sharing.tried = Some(begun);
        let since = sharing.done.map_or(WORD_TTL_MAX, |done| begun.duration_since(done));
        let ours: Vec<SharedLoad> = ours.into_iter().filter_map(write).collect();
        match self.store.share_loads(&ours, since).await {
            Ok(theirs) => {
                let mut loads = self.loads();
                loads.mark_shared(begun);
                theirs
                    .iter()
                    .filter_map(read)
                    .for_each(|shared| loads.learn(shared, begun));
                sharing.done = Some(begun);
            }
            // What is not shared yet waits for the next time.
            Err(error) => tracing::debug!(%error, "what is known of loads is not shared now"),
        }
    }
}

/// How loaded an operator says that a target is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoadContent {
    /// From 0; 1 is full.
    load: f64,
    /// For how long that counts, in seconds: up to a day.
    #[serde(default = "minute")]
    ttl_s: u32,
}

const fn minute() -> u32 {
    60
}

/// What is known of a target's load.
#[derive(Serialize, ToSchema)]
pub(crate) struct TargetLoad {
    /// The target's name.
    name: String,
    /// Sessions that all nodes count.
    sessions: u64,
    /// What they fetch, in kbit/s.
    kbit_s: u64,
    /// How loaded its operator says that it is; nothing when he says nothing.
    load: Option<f64>,
}

/// A node tells what it counts, and is told what is known elsewhere.
#[utoipa::path(post, path = "/v1/edge/loads",
    request_body(content = serde_json::Value, description = "`process` and `targets`: what this node counts on each"),
    responses((status = 200), (status = 422, body = Problem), (status = 429, body = Problem)))]
pub(crate) async fn tell(
    State(api): State<Api>,
    node: Node,
    Body(told): Body<LoadsTold, REPORT_BYTES_MAX>,
) -> Result<Json<LoadsElsewhere>, Problem> {
    let process: Epoch = told.process.parse().map_err(|invalid: Invalid| {
        let expected = invalid.expected;
        Problem::invalid("process", Invalid::text("process", &told.process, expected))
    })?;
    let counts = read_counts(&told.targets)?;
    // Two processes may have one key, and an operator's token is many nodes'.
    let who = match node {
        Node::Enrolled(id) => format!("{id}/{process}"),
        Node::Lent(id) => format!("{}/{process}", id.as_str()),
    };
    let known = {
        let mut loads = api.board.loads();
        let now = Instant::now();
        loads.tell(&who, counts, now).map_err(|Full| Problem::crowded())?;
        loads.elsewhere(&who, now)
    };
    api.board.share_in_time();
    let targets = known.into_iter().map(|(target, known)| LoadElsewhere {
        tenant: target.0.to_string(),
        target: target.1.to_string(),
        sessions: u32::try_from(known.count.sessions).unwrap_or(u32::MAX),
        kbit_s: known.count.kbit_s,
        load: known.load,
    });
    Ok(Json(LoadsElsewhere {
        targets: targets.collect(),
    }))
}

/// What is known of a target's load.
#[utoipa::path(get, path = "/v1/targets/{name}/load", params(("name" = String, Path)),
    responses((status = 200, body = TargetLoad), (status = 404, body = Problem)))]
pub(crate) async fn show(
    State(api): State<Api>,
    Reader(tenant): Reader,
    Segment(name): Segment,
) -> Result<Json<TargetLoad>, Problem> {
    let target = api.target_of(tenant, &name).await?;
    api.board.share().await;
    Ok(Json(api.board.shown(&target)))
}

/// Says how loaded a target is, for a while.
#[utoipa::path(put, path = "/v1/targets/{name}/load", params(("name" = String, Path)), request_body = LoadContent,
    responses((status = 200, body = TargetLoad), (status = 404, body = Problem), (status = 422, body = Problem),
        (status = 429, body = Problem)))]
pub(crate) async fn say(
    State(api): State<Api>,
    Writer(tenant): Writer,
    Segment(name): Segment,
    Body(content): Body<LoadContent>,
) -> Result<Json<TargetLoad>, Problem> {
    if !(0.0..=LOAD_MAX).contains(&content.load) {
        let expected = format!("0 to {LOAD_MAX}, where 1 is full");
        let invalid = Invalid::other("load", content.load.to_string(), expected);
        return Err(Problem::invalid("load", invalid));
    }
    let ttl_s_max = WORD_TTL_MAX.as_secs();
    if !(1..=ttl_s_max).contains(&u64::from(content.ttl_s)) {
        let invalid = Invalid::other("ttl_s", content.ttl_s.to_string(), format!("1 to {ttl_s_max} seconds"));
        return Err(Problem::invalid("ttl_s", invalid));
    }
    let target = api.target_of(tenant, &name).await?;
    let ttl = Duration::from_secs(content.ttl_s.into());
    let said = api.board.loads().say(target.clone(), content.load, ttl, Instant::now());
    said.map_err(|Full| Problem::crowded())?;
    api.board.share().await;
    tracing::info!(tenant = %target.0, target = name, load = content.load, "an operator says how loaded a target is");
    Ok(Json(api.board.shown(&target)))
}

/// Says no more how loaded a target is.
#[utoipa::path(delete, path = "/v1/targets/{name}/load", params(("name" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub(crate) async fn unsay(
    State(api): State<Api>,
    Writer(tenant): Writer,
    Segment(name): Segment,
) -> Result<StatusCode, Problem> {
    let target = api.target_of(tenant, &name).await?;
    // Another origin may have heard what is taken back.
    api.board.share().await;
    api.board.loads().unsay(&target, Instant::now());
    api.board.share().await;
    Ok(StatusCode::NO_CONTENT)
}

impl Board {
    fn shown(&self, target: &Target) -> TargetLoad {
        let known = self.loads().of(target, Instant::now());
        TargetLoad {
            name: target.1.to_string(),
            sessions: known.count.sessions,
            kbit_s: known.count.kbit_s,
            load: known.load,
        }
    }
}

impl Api {
    /// A target that there is.
    async fn target_of(&self, tenant: Name, name: &str) -> Result<Target, Problem> {
        let record = self.store.target(&tenant, &read_name(name)?).await?;
        Ok((tenant, record.target.name))
    }
}

fn read_counts(told: &[LoadTold]) -> Result<Vec<(Target, Count)>, Problem> {
    if told.len() > LOADS_TOLD_MAX {
        let expected = format!("at most {LOADS_TOLD_MAX} targets");
        let invalid = Invalid::other("targets", told.len().to_string(), expected);
        return Err(Problem::invalid("targets", invalid));
    }
    let read = |(index, told): (usize, &LoadTold)| {
        let name = |what, field: &str, text: &str| {
            Name::parse(what, text).map_err(|invalid| Problem::invalid(format!("targets[{index}].{field}"), invalid))
        };
        let target = (
            name("tenant", "tenant", &told.tenant)?,
            name("target name", "target", &told.target)?,
        );
        let count = Count {
            sessions: told.sessions.into(),
            kbit_s: told.kbit_s,
        };
        Ok((target, count))
    };
    told.iter().enumerate().map(read).collect()
}

const OF_NODE: &str = "node/";
const OF_TARGET: &str = "target/";

/// As it stands between origins: a node's counts as JSON, an operator's word as a number or nothing.
fn write(shared: Shared) -> Option<SharedLoad> {
    let key = match shared.key {
        Key::Node(node) => format!("{OF_NODE}{node}"),
        Key::Target((tenant, target)) => format!("{OF_TARGET}{tenant}/{target}"),
    };
    let body = match shared.heard {
        Heard::Counts(counts) => {
            let told = counts.into_iter().map(|((tenant, target), count)| {
                let sessions = u32::try_from(count.sessions).unwrap_or(u32::MAX);
                LoadTold {
                    tenant: tenant.to_string(),
                    target: target.to_string(),
                    sessions,
                    kbit_s: count.kbit_s,
                }
            });
            serde_json::to_string(&told.collect::<Vec<_>>())
        }
        Heard::Word(_, load) => serde_json::to_string(&load),
    };
    Some(SharedLoad {
        key,
        body: body.ok()?,
        age: shared.age,
        ttl: shared.ttl,
    })
}

/// What another origin wrote; nothing when it is of a newer version.
fn read(shared: &SharedLoad) -> Option<Shared> {
    let (key, heard) = if let Some(node) = shared.key.strip_prefix(OF_NODE) {
        let told: Vec<LoadTold> = serde_json::from_str(&shared.body).ok()?;
        (Key::Node(node.into()), Heard::Counts(read_counts(&told).ok()?))
    } else {
        let (tenant, target) = shared.key.strip_prefix(OF_TARGET)?.split_once('/')?;
        let tenant = Name::parse("tenant", tenant).ok()?;
        let target = (tenant, Name::parse("target name", target).ok()?);
        let load = serde_json::from_str(&shared.body).ok()?;
        (Key::Target(target.clone()), Heard::Word(target, load))
    };
    Some(Shared {
        key,
        heard,
        age: shared.age,
        ttl: shared.ttl,
    })
}
