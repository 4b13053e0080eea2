//! Who is counted where, and what becomes of a choice while targets change.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use wayside_balance::moment::Moment;
use wayside_decide::{name::Name, site::SiteId, stream::asset::Asset};
use wayside_stream::{
    quality::Speaker,
    select::{
        session_key,
        set::{TargetIndex, TargetSet},
    },
    sessions::Player,
    steering::request,
};
use wayside_upstream::protocol::{EdgeDirectory, streams::EdgeAsset};

use super::{
    Pools, Settings,
    choice::{Ask, Chosen, Nobody},
    targets::Who,
    tenant::TenantPool,
};
use crate::streams::assets::{Copies, LiveAsset};

fn directory(targets: &[&str]) -> EdgeDirectory {
    let target =
        |name: &&str| json!({"tenant": "t", "name": name, "urls": [format!("https://{name}.example/")], "region": "r"});
    let targets: Vec<Value> = targets.iter().map(target).collect();
    serde_json::from_value(json!({"cursor": 1, "sites": [], "targets": targets})).expect("a directory")
}

fn pools(targets: &[&str]) -> Pools {
    let pools = Pools::new(Settings::default(), None).expect("settings");
    pools.follow(&directory(targets));
    pools
}

/// Has a session of this name asked for what only those that `among` says can serve.
fn with_ask<T>(session: &str, among: &(dyn Fn(&Copies) -> TargetSet + Sync), ask: impl FnOnce(&Ask<'_>) -> T) -> T {
    with_ask_of(json!({"id": "film"}), session, among, ask)
}

/// The same of this asset.
fn with_ask_of<T>(
    asset: Value,
    session: &str,
    among: &(dyn Fn(&Copies) -> TargetSet + Sync),
    ask: impl FnOnce(&Ask<'_>) -> T,
) -> T {
    let wire: EdgeAsset = serde_json::from_value(asset).expect("an asset");
    let (asset, who) = (LiveAsset::new(Asset::try_from(wire).expect("an asset")), Who::default());
    ask(&Ask {
        asset: &asset,
        plan: None,
        session: session.as_bytes(),
        speaker: Player {
            speaker: Speaker::new(session_key(session.as_bytes()), [127, 0, 0, 1].into()),
            ttl: Duration::from_secs(asset.asset.ttl_s.into()),
            needed_kbit_s: asset.needed_kbit_s(),
        },
        who: &who,
        networks: who.networks(),
        playing: None,
        signs: None,
        among,
    })
}

fn named(chosen: &Chosen) -> Vec<&str> {
    chosen.copies().map(|(_, copy)| copy.name.as_str()).collect()
}

/// The one of this name alone.
fn only(copies: &Copies, name: &str) -> TargetSet {
    let named = copies.iter().filter(|(_, copy)| copy.name.as_str() == name);
    named.map(|(index, _)| index).collect()
}

/// How many sessions each target has.
fn sessions(pool: &TenantPool) -> Vec<u32> {
    pool.counts().into_iter().map(|(_, sessions, _)| sessions).collect()
}

fn from_now(pool: &TenantPool, after: Duration) -> Moment {
    pool.now() + after
}

#[test]
fn a_session_counts_on_the_target_that_it_gets() {
    let pools = pools(&["a", "b"]);
    let pool = pools.of(&Name::parse("tenant", "t").expect("a name")).expect("a pool");
    let chosen = with_ask("one", &|copies| copies.of, |ask| pool.choose(ask, 2)).expect("a choice");
    assert_eq!(
        (chosen.order.len(), sessions(&pool)),
        (2, vec![0, 0]),
        "nobody was sent anywhere yet"
    );
    let second = chosen.order.iter().nth(1).expect("a second");
    with_ask("one", &|copies| copies.of, |ask| {
        pool.see(&chosen.targets, ask.speaker, second)
    });
    let mut expected = [0, 0];
    expected[second.place()] = 1;
    assert_eq!(sessions(&pool), expected);

    // It says itself from where it plays and how fast, and is moved at once: it counts once.
    let asked = request::read("_HLS_pathway=a&_HLS_throughput=3000000");
    let chosen = with_ask("two", &|copies| only(copies, "b"), |ask| {
        pool.steer(ask, Some(&asked), 8)
    })
    .expect("a choice");
    assert_eq!(named(&chosen), ["b"]);
    let all = pool
        .counts()
        .into_iter()
        .map(|(name, sessions, kbit_s)| (name.to_string(), sessions, kbit_s));
    let all: Vec<_> = all.collect();
    assert_eq!((all[1].1 - expected[1], all[1].2, all[0].2), (1, 3_000, 0), "{all:?}");
}

#[test]
fn who_can_be_served_by_nobody_is_told_so_and_counted_nowhere() {
    let pools = pools(&["a", "b"]);
    let pool = pools.of(&Name::parse("tenant", "t").expect("a name")).expect("a pool");
    let refused = with_ask("one", &|_| TargetSet::EMPTY, |ask| pool.steer(ask, None, 8));
    assert!(matches!(refused, Err(Nobody::NotHere)));
    assert_eq!(sessions(&pool), [0, 0]);
}

#[test]
fn a_choice_is_of_the_targets_of_its_moment_however_they_change_meanwhile() {
    let pools = pools(&["a", "b"]);
    let pool = pools.of(&Name::parse("tenant", "t").expect("a name")).expect("a pool");
    let has_changed = AtomicBool::new(false);
    let among = |copies: &Copies| {
        if !has_changed.swap(true, Ordering::SeqCst) {
            pools.follow(&directory(&["new", "b"]));
            return only(copies, "a");
        }
        only(copies, "new")
    };
    let chosen = with_ask("one", &among, |ask| pool.steer(ask, None, 8)).expect("a choice");
    assert_eq!((named(&chosen), sessions(&pool)), (vec!["new"], vec![1, 0]));
    // What was chosen of others is not counted on whoever has their place now.
    pools.follow(&directory(&["newer", "b"]));
    let first = TargetIndex::new(0).expect("a place");
    with_ask("two", &|copies| copies.of, |ask| {
        pool.see(&chosen.targets, ask.speaker, first)
    });
    assert_eq!(sessions(&pool), [0, 0]);
}

/// One that was made for the targets before would know nothing of the last of these, for as long as they stay.
#[test]
fn what_chooses_is_of_the_targets_of_its_moment_when_they_change_while_it_is_made() {
    let pools = pools(&["a"]);
    let pool = pools.of(&Name::parse("tenant", "t").expect("a name")).expect("a pool");
    let choose = || with_ask("one", &|copies| only(copies, "b"), |ask| pool.steer(ask, None, 8));
    for round in 0..2_000 {
        pools.follow(&directory(&["a"]));
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    let _ = choose();
                }
            });
            pools.follow(&directory(&["a", "b"]));
            is_over.store(true, Ordering::SeqCst);
        });
        assert_eq!(named(&choose().expect("a choice")), ["b"], "round {round}");
    }
}

#[test]
fn tending_forgets_those_who_have_ended_and_leaves_those_who_play() {
    let pools = pools(&["a"]);
    let pool = pools.of(&Name::parse("tenant", "t").expect("a name")).expect("a pool");
    for session in 0..50 {
        let session = session.to_string();
        with_ask(&session, &|copies| copies.of, |ask| pool.steer(ask, None, 8)).expect("a choice");
    }
    assert_eq!(sessions(&pool), [50]);
    pool.tend();
    assert_eq!(sessions(&pool), [50]);
    pool.tend_at(from_now(&pool, Settings::default().silence_max));
    assert_eq!(sessions(&pool), [0]);
}

/// A session may be silent for three of its asset's TTLs, however short the node's setting.
#[test]
fn a_session_of_a_long_ttl_is_not_forgotten_between_two_questions() {
    let settings = Settings {
        silence_max: Duration::from_secs(120),
        ..Settings::default()
    };
    let pools = Pools::new(settings, None).expect("settings");
    pools.follow(&directory(&["a"]));
    let pool = pools.of(&Name::parse("tenant", "t").expect("a name")).expect("a pool");
    with_ask_of(json!({"id": "film", "ttl_s": 300}), "one", &|copies| copies.of, |ask| {
        pool.steer(ask, None, 8)
    })
    .expect("a choice");
    for (after_s, expected) in [(880, 1), (920, 0)] {
        pool.tend_at(from_now(&pool, Duration::from_secs(after_s)));
        assert_eq!(sessions(&pool), [expected], "after {after_s} s");
    }
}

#[test]
fn one_tenants_recorders_make_no_others_forgotten() {
    let mut told = directory(&["a"]);
    let mut other = told.targets[0].clone();
    other.tenant = "u".to_owned();
    told.targets.push(other);
    let pools = Pools::new(Settings::default(), None).expect("settings");
    pools.follow(&told);
    let name = |text: &str| Name::parse("name", text).expect("a name");
    let [many, few] = ["t", "u"].map(|tenant| pools.of(&name(tenant)).expect("a pool"));
    let now = Instant::now();
    let show = (SiteId(1), name("show"));
    few.recordings.note(show.clone(), &name("a"), now);
    for number in 0..20_000 {
        let which = (SiteId(2), name(&format!("a{number}")));
        many.recordings.note(which, &name("a"), now);
    }
    assert_eq!(few.recordings.known(&show, now).as_deref(), Some("a"));
}
