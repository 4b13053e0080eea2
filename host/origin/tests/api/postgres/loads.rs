//! What several origins of a record tell each other of how loaded targets are.

use std::time::{Duration, Instant};

use serde_json::json;
use wayside_test_postgres::Server;
use wayside_upstream::{client::OriginClient, protocol::streams::LoadElsewhere};

use super::order::origin;
use crate::{
    harness::{Running, node, settings},
    loads::{elsewhere, make_target, told},
};

/// Tells nothing, again and again, until `expected` is heard; it is shared within seconds.
async fn wait_for(node: &OriginClient, process: u64, expected: &[LoadElsewhere]) {
    let begun = Instant::now();
    loop {
        let heard = node.loads(&told(process, &[])).await.expect("an answer").targets;
        if heard == expected {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{heard:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn origins_share_what_nodes_count_and_operators_say() {
    let server = Server::start();
    let here = origin(&server).await;
    let there = Running::on(&settings(server.url("record"))).await;
    make_target(&here, "a").await;
    // The same token at both, as a node has one key: its processes are told apart.
    let (at_here, at_there) = (here.node(), node(&there.base, &here.operator));
    let said = json!({"load": 0.5, "ttl_s": 600});
    here.send("PUT", "/v1/targets/a/load", &said).await.success(200);
    wait_for(&at_there, 2, &[elsewhere("a", 0, 0, Some(0.5))]).await;
    // A report counts a few seconds: it is told again and again, as nodes do.
    let telling = async {
        loop {
            at_here.loads(&told(1, &[("a", 5, 500)])).await.expect("an answer");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let expected = [elsewhere("a", 5, 500, Some(0.5))];
    tokio::select! {
        () = wait_for(&at_there, 2, &expected) => {}
        () = telling => {}
    }
    // The node goes over to the other origin, and counts once: what was told there is the newer.
    at_there.loads(&told(1, &[("a", 3, 300)])).await.expect("an answer");
    let heard = at_there.loads(&told(2, &[])).await.expect("an answer").targets;
    assert_eq!(heard, [elsewhere("a", 3, 300, Some(0.5))]);
    there
        .ask_as(&here.acme, "DELETE", "/v1/targets/a/load")
        .await
        .success(204);
    let telling = async {
        loop {
            at_there.loads(&told(1, &[("a", 3, 300)])).await.expect("an answer");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let expected = [elsewhere("a", 3, 300, None)];
    tokio::select! {
        () = wait_for(&at_here, 3, &expected) => {}
        () = telling => {}
    }
}
