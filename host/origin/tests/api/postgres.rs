//! The suite on Postgres: one server, a database a test; and what only Postgres can show, each with a server of its own.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use wayside_test_postgres::Server;

use crate::engines::{Case, run_on_postgres};

mod assets;
mod crowd;
mod loads;
mod lost;
pub(crate) mod order;
mod outages;
mod replica;
mod revoked;
mod tables;

/// Cases that run at the same time.
const AT_ONCE: usize = 3;

const SUITE: [&[Case]; 9] = [
    crate::access::CASES,
    crate::assets::CASES,
    crate::feed::CASES,
    crate::happy::CASES,
    crate::loads::CASES,
    crate::nodes::CASES,
    crate::refusals::CASES,
    crate::snapshot::CASES,
    crate::streams::CASES,
];

#[test]
fn the_whole_suite_holds() {
    let server = Server::start_with(&[("fsync", "off"), ("max_connections", "200")]);
    let cases: Vec<&Case> = SUITE.into_iter().flatten().collect();
    assert!(cases.len() > 30, "{}", cases.len());
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    eprintln!("{} …", case.name);
                    let database = format!("case_{}", next.load(Ordering::Relaxed));
                    let database = format!("{database}_{:?}", std::thread::current().id());
                    let url = server.database(&database);
                    if catch_unwind(AssertUnwindSafe(|| run_on_postgres(case, url))).is_err() {
                        failed.lock().expect("no panic").push(case.name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no panic");
    assert!(failed.is_empty(), "failed on Postgres: {failed:#?}\n{}", server.log());
}
