//! What the origin says when it fails: to the client, and in its log.
//!
//! Alone in its process, and so not of the suite on both engines: `tracing` may forget, for good, that a thread listens
//! to a line when another thread comes upon that line at the same moment.

use std::{fs::File, sync::Arc};

use tracing_subscriber::filter::LevelFilter;

use crate::harness::{Reply, Running};

#[tokio::test]
async fn a_failure_and_its_line_in_the_log_name_the_same_request() {
    let running = Running::start().await;
    let log = running.folder.path().join("log");
    let file = Arc::new(File::create(&log).expect("a log"));
    // Of errors alone, as an operator may ask for: the line must say of its own which request it tells of.
    let lines = tracing_subscriber::fmt().json().with_max_level(LevelFilter::ERROR);
    let _logging = tracing::subscriber::set_default(lines.with_writer(file).finish());
    running.origin.store().close().await;
    let request = running.bare("GET", "/v1/sites").bearer_auth(&running.acme);
    let problem = Reply::of(request.header("x-request-id", "find-me.1"))
        .await
        .problem(500, "internal");
    assert!(
        problem["detail"].as_str().expect("text").contains("find-me.1"),
        "{problem}"
    );
    let log = std::fs::read_to_string(log).expect("the log");
    let told: Vec<_> = log.lines().filter(|line| line.contains("find-me.1")).collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(told[0].contains("the origin failed"), "{log}");
}
