//! Who is revoked at one origin, as the others of the record see it.

use std::time::Duration;

use wayside_origin::token::Scope;
use wayside_test_postgres::Server;
use wayside_upstream::{
    client::{OriginClient, OriginError},
    protocol::Change,
};

use super::order::origin;
use crate::{
    feed::next,
    harness::{Running, link, node, settings},
    nodes,
};

/// It is refused in the end, and its feed has ended then with the next word.
async fn shut_out(running: &Running, revoked: &OriginClient, feed: &mut wayside_upstream::client::Feed) {
    loop {
        match revoked.directory(None).await {
            Ok(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(OriginError::Refused { status, .. }) => break assert_eq!(status, 401),
            Err(error) => panic!("{error}"),
        }
    }
    running
        .send("PUT", "/v1/links", &link("/secret", "https://secret.example/"))
        .await
        .success(200);
    while let Some(event) = feed.next().await.expect("a good end") {
        assert_eq!(event.change, Change::Heartbeat, "told after it was refused");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_revoked_at_one_origin_is_told_nothing_more_by_the_others() {
    let server = Server::start();
    let here = origin(&server).await;
    let there = Running::on(&settings(server.url("record"))).await;
    let invited = nodes::invite(&here).await;
    let candidate = nodes::candidate(&there, nodes::text(&invited, "invitation"));
    let id = candidate.enrol().await.expect("enrolled");
    let enrolled = nodes::client(&there, candidate.into_identity(id));
    let token = here.mint(None, Scope::Read).await;
    let lent = node(&there.base, &token);
    for (client, path) in [
        (enrolled, format!("/v1/nodes?id={}", nodes::text(&invited, "id"))),
        (
            lent,
            format!("/v1/tokens?id={}", token.split('_').nth(1).expect("an id")),
        ),
    ] {
        let now = here.origin.store().head().borrow().cursor;
        let mut feed = client.feed(now, None).await.expect("a feed");
        assert_eq!(next(&mut feed).await.change, Change::Heartbeat);
        client.directory(None).await.expect("a directory");
        here.ask_as(&here.operator, "DELETE", &path).await.success(204);
        shut_out(&here, &client, &mut feed).await;
    }
}
