use wayside_upstream::protocol::Change;

use super::{ChangeRow, LinkRow, NodeRow, TokenRow, max_age_s};
use crate::store::StoreError;

fn link() -> LinkRow {
    LinkRow {
        tenant: "acme".to_owned(),
        site_id: 1,
        path: "/a".to_owned(),
        target: "https://a.example/".to_owned(),
        status: 302,
        forward_query: false,
        starts_at: Some(1),
        expires_at: Some(2),
        fallback: None,
        tags: "[]".to_owned(),
        attributes: "{}".to_owned(),
        created_at: 0,
        updated_at: 0,
    }
}

fn token() -> TokenRow {
    TokenRow {
        id: "0123456789ab".to_owned(),
        tenant: None,
        scope: "read".to_owned(),
        name: "node".to_owned(),
        hash: vec![0; 32],
        created_at: 1,
        revoked_at: Some(2),
    }
}

fn node() -> NodeRow {
    NodeRow {
        id: "node_0123456789abcdef".to_owned(),
        name: "fra-1".to_owned(),
        invitation_hash: vec![0; 32],
        invited_at: 1,
        expires_at: 2,
        public_key: Some(vec![7; 32]),
        enrolled_at: Some(3),
        revoked_at: Some(4),
    }
}

fn change(site_id: Option<i64>, path: Option<&str>, asset: Option<&str>) -> Result<Change, StoreError> {
    let row = ChangeRow {
        seq: 5,
        site_id,
        path: path.map(str::to_owned),
        asset: asset.map(str::to_owned),
    };
    row.event().map(|event| event.change)
}

#[track_caller]
fn is_damaged<T>(read: Result<T, StoreError>, named: &str) {
    match read.err() {
        Some(StoreError::Damaged(what)) => assert!(what.contains(named), "{what}"),
        other => panic!("{named}: {other:?}"),
    }
}

#[test]
fn what_was_written_reads_back() {
    let link = link().record().expect("a link").link;
    assert_eq!((link.starts_at, link.expires_at), (Some(1), Some(2)));
    assert_eq!(token().record().expect("a token").revoked_at, Some(2));
    let node = node().record().expect("a node");
    assert_eq!((node.enrolled.map(|(_, at)| at), node.revoked_at), (Some(3), Some(4)));
    assert_eq!(change(None, None, None).expect("a change"), Change::Directory);
    assert!(matches!(
        change(Some(1), Some("/a"), None),
        Ok(Change::Link { site_id: 1, .. })
    ));
    assert!(matches!(
        change(Some(1), None, Some("film")),
        Ok(Change::Asset { site_id: 1, .. })
    ));
    assert_eq!(max_age_s(Some(60)).expect("an age"), Some(60));
    assert_eq!(max_age_s(None).expect("no age"), None);
}

#[test]
fn damage_is_not_read_as_absence() {
    let negative = Some(-1);
    is_damaged(
        LinkRow {
            starts_at: negative,
            ..link()
        }
        .record(),
        "starts_at",
    );
    is_damaged(
        LinkRow {
            expires_at: negative,
            ..link()
        }
        .record(),
        "expires_at",
    );
    is_damaged(
        TokenRow {
            revoked_at: negative,
            ..token()
        }
        .record(),
        "revoked_at",
    );
    is_damaged(
        NodeRow {
            revoked_at: negative,
            ..node()
        }
        .record(),
        "revoked_at",
    );
    is_damaged(
        NodeRow {
            enrolled_at: negative,
            ..node()
        }
        .record(),
        "enrolled_at",
    );
    is_damaged(
        NodeRow {
            enrolled_at: None,
            ..node()
        }
        .record(),
        "no instant",
    );
    is_damaged(
        NodeRow {
            public_key: None,
            ..node()
        }
        .record(),
        "no key",
    );
    is_damaged(change(negative, Some("/a"), None), "site_id");
    for (site, path, asset) in [
        (None, Some("/a"), None),
        (None, None, Some("film")),
        (Some(1), None, None),
        (Some(1), Some("/a"), Some("film")),
    ] {
        is_damaged(change(site, path, asset), "change 5");
    }
    is_damaged(max_age_s(negative), "max_age_s");
    is_damaged(max_age_s(Some(1 << 40)), "max_age_s");
}
