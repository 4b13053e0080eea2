//! Tokens over the ends of windows and over changes of keys.

use std::{collections::HashMap, fs, sync::Arc, time::Duration};

use futures_util::future::join_all;
use wayside_decide::{
    name::Name,
    stream::{
        base::BaseUrl,
        signing::{Scheme, SigningSpec},
    },
    target::Target,
};

use super::{Pass, TokenSource, Tokens};
use crate::streams::secrets::{Signers, Variable};

const KEY: &str = "52a152a152a152a152a152a152a1";
const RSA: &str = include_str!("../../../../stream/tests/keys/rsa-2048.pem");
const NOW_S: u64 = 1_800_000_000;

fn name(text: &str) -> Name {
    Name::parse("name", text).expect(text)
}

fn spec(scheme: Scheme) -> SigningSpec {
    SigningSpec {
        scheme,
        secret: name("k"),
        valid_s: 3_600,
        window_s: 600,
        skew_s: 30,
        has_start: false,
    }
}

fn tokens(key: &str) -> Tokens {
    let variables = HashMap::from([("T__K".to_owned(), Variable::new(key.to_owned()))]);
    Tokens::new(Signers::new(None, variables))
}

fn source(tokens: &Tokens, scheme: Scheme, folder: &str) -> Arc<TokenSource> {
    tokens.source(&name("t"), &spec(scheme), &BaseUrl::parse(folder).expect(folder))
}

fn url(pass: &Pass) -> String {
    let url = Target::parse("https://a.example/film/v1/1.ts").expect("a URL");
    pass.sign(url).expect("signed").to_string()
}

/// The first second of the window after the one of `now_s`.
fn next_s(source: &TokenSource, now_s: u64) -> u64 {
    let signer = source.signer.current().expect("read").expect("a key");
    signer.validity.window(now_s, source.phase).next_s
}

#[tokio::test]
async fn a_token_is_made_once_for_all_who_come_in_its_window() {
    let cloudfront = Scheme::CloudFront {
        key_pair_id: "K1".into(),
        is_sha256: true,
    };
    for (scheme, key) in [(Scheme::Akamai, KEY), (cloudfront, RSA)] {
        let tokens = tokens(key);
        let source = source(&tokens, scheme, "https://a.example/film/");
        assert!(source.ready(NOW_S).is_none(), "nothing is made before somebody comes");
        let passes = join_all((0..50).map(|_| source.pass(NOW_S))).await;
        let first = passes[0].as_ref().expect("a token").id();
        assert!(passes.iter().all(|pass| pass.as_ref().expect("a token").id() == first));
        assert_eq!(source.shared.minted.load(super::Ordering::Relaxed), 2, "one was made");
        let ready = source.ready(NOW_S).expect("there").expect("a token");
        assert_eq!(ready.id(), first);
        assert!(url(&ready).len() > "https://a.example/film/v1/1.ts".len() + 40);
    }
}

#[tokio::test]
async fn the_next_token_is_made_behind_towards_the_end_of_a_window() {
    let tokens = tokens(KEY);
    let source = source(&tokens, Scheme::Akamai, "https://a.example/film/");
    let first = source.pass(NOW_S).await.expect("a token");
    let end_s = next_s(&source, NOW_S);
    assert_eq!(
        source.ready(end_s - 1).expect("still").expect("a token").id(),
        first.id()
    );
    let until = tokio::time::Instant::now() + Duration::from_secs(10);
    while source.next.load().is_none() && tokio::time::Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let second = source.ready(end_s).expect("made ahead").expect("a token");
    assert_ne!(url(&second), url(&first));
    assert_eq!(
        source.ready(end_s + 599).expect("the same").expect("a token").id(),
        second.id()
    );
    // Who comes after a while waits again, and so does who comes after a clock was set back.
    assert!(source.ready(end_s + 1_200).is_none());
    assert!(source.ready(NOW_S).is_none());
    assert_eq!(url(&source.pass(NOW_S).await.expect("a token")), url(&first));
}

#[tokio::test]
async fn a_token_that_cannot_be_made_ahead_is_tried_once_for_its_window() {
    let (tokens, others) = (tokens(KEY), tokens("c2VjcmV0"));
    let source = source(&tokens, Scheme::Akamai, "https://a.example/film/");
    // It signs each URL, and so no folder.
    let refuses = others
        .source(&name("t"), &spec(Scheme::Fastly), &source.folder)
        .signer
        .read()
        .await;
    let refuses = refuses.expect("a key");
    let try_for = async |next_s| {
        source.renew(&refuses, next_s);
        let is_tried = source.is_renewing.load(super::Ordering::Relaxed);
        let until = tokio::time::Instant::now() + Duration::from_secs(10);
        while source.is_renewing.load(super::Ordering::Relaxed) && tokio::time::Instant::now() < until {
            tokio::task::yield_now().await;
        }
        is_tried
    };
    assert!(try_for(NOW_S).await);
    assert!(!try_for(NOW_S).await, "it would fail again");
    assert!(try_for(NOW_S + 600).await, "another window");
    assert!(source.next.load().is_none());
}

#[tokio::test]
async fn a_key_that_changes_changes_the_tokens() {
    let folder = tempfile::tempdir().expect("folder");
    fs::create_dir(folder.path().join("t")).expect("folder");
    fs::write(folder.path().join("t/k"), KEY).expect("key");
    let tokens = Tokens::new(Signers::new(Some(folder.path().to_owned()), HashMap::new()));
    let source = source(&tokens, Scheme::Akamai, "https://a.example/film/");
    let first = source.pass(NOW_S).await.expect("a token");
    fs::write(folder.path().join("new"), "00ff").expect("key");
    fs::rename(folder.path().join("new"), folder.path().join("t/k")).expect("rename");
    tokens.signers.check().await;
    let second = source.pass(NOW_S).await.expect("a token");
    assert_ne!(url(&second), url(&first));
    fs::remove_file(folder.path().join("t/k")).expect("remove");
    tokens.signers.check().await;
    let refused = source.ready(NOW_S).expect("known").expect_err("no key").to_string();
    assert!(refused.starts_with("secret k of tenant t: found none"), "{refused}");
}

#[tokio::test]
async fn targets_that_sign_each_url_sign_on_the_spot() {
    let tokens = tokens("c2VjcmV0");
    let source = source(&tokens, Scheme::Fastly, "https://a.example/film/");
    let pass = source.pass(NOW_S).await.expect("a key");
    assert!(pass.proof().is_none() && matches!(pass, Pass::Each(..)));
    assert!(source.ready(NOW_S).is_some());
    let other = Target::parse("https://a.example/film/v1/2.ts").expect("a URL");
    assert_ne!(url(&pass).rsplit_once('_').map(|(_, tag)| tag.to_owned()), {
        let other = pass.sign(other).expect("signed").to_string();
        other.rsplit_once('_').map(|(_, tag)| tag.to_owned())
    });
}

#[tokio::test]
async fn windows_of_different_folders_end_at_different_times_on_all_nodes_alike() {
    let (here, there) = (tokens(KEY), tokens(KEY));
    let mut ends = std::collections::BTreeSet::new();
    for number in 0..20 {
        let folder = format!("https://a.example/{number}/");
        let (one, other) = (
            source(&here, Scheme::Akamai, &folder),
            source(&there, Scheme::Akamai, &folder),
        );
        let (pass, same) = (
            one.pass(NOW_S).await.expect("a token"),
            other.pass(NOW_S).await.expect("a token"),
        );
        assert_eq!(url(&pass), url(&same));
        ends.insert(next_s(&one, NOW_S));
    }
    assert!(ends.len() > 10, "{ends:?}");
    assert_eq!(here.sources.len(), 20);
}
