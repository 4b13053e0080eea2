//! Tokens on the way to players: of each kind one request, and what is in its token worked out again by openssl.

use std::{fs, path::Path, time::SystemTime};

use serde_json::{Value, json};

use super::site::{Site, target};
use crate::{
    harness::eventually,
    openssl::{from_base64, hmac_sha256, openssl, to_hex},
};

const KEY: &str = "52a152a152a152a152a152a152a152a152a152a152a152a1";

fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.expect("after 1970").as_secs()
}

/// The part of a text between two others.
fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("{before} in {text}"));
    rest.split_once(after).map_or(rest, |(between, _)| between)
}

/// A token of EdgeAuth 2.0 for all below a folder, that holds now.
fn check_edge_auth(token: &str, folder: &str) {
    let (fields, tag) = token.split_once("~hmac=").unwrap_or_else(|| panic!("a tag in {token}"));
    assert_eq!(hmac_sha256(&format!("hexkey:{KEY}"), fields.as_bytes()), tag, "{token}");
    let expires: u64 = between(fields, "exp=", "~").parse().expect("an instant");
    // Six hours at least are what a target has that says nothing else.
    assert!(expires >= now_s() + 6 * 3_600 - 5, "{token}");
    assert_eq!(between(fields, "acl=", "~"), format!("{folder}*"));
}

#[test]
fn a_clone_of_a_target_that_signs_carries_its_token() {
    let site = Site::start(&["a"], &[("WAYSIDE_SECRET_DEFAULT__EDGE_AUTH", KEY)]);
    let film = |pathways: Value| json!({"site": "films", "id": "film", "pathways": pathways});
    site.write("PUT", "/v1/assets", &film(json!([{"target": "a"}])));
    let (session, _) = site.begin("192.0.2.1");
    let mut signed = target("signed");
    signed["signing"] = json!({"scheme": "akamai", "secret": "edge-auth"});
    site.write("POST", "/v1/targets", &signed);
    site.write(
        "PUT",
        "/v1/assets",
        &film(json!([{"target": "a"}, {"target": "signed"}])),
    );
    let steer = || -> Value {
        let path = format!("/.wayside/steer/film?session={session}&_HLS_pathway=a");
        serde_json::from_str(&site.ask("GET", &path, &[], "").body).expect("JSON")
    };
    eventually("the session is told of the new pathway", || {
        steer()["PATHWAY-CLONES"][0]["ID"] == "signed"
    });
    let told = steer();
    let clone = &told["PATHWAY-CLONES"][0];
    assert_eq!(clone["BASE-ID"], "a");
    assert_eq!(clone["URI-REPLACEMENT"]["HOST"], "signed.example");
    let parameters = clone["URI-REPLACEMENT"]["PARAMS"].as_object().expect("parameters");
    assert_eq!(parameters.keys().collect::<Vec<_>>(), ["__token__"], "{told}");
    check_edge_auth(parameters["__token__"].as_str().expect("a token"), "/x/film/");
    assert!(
        told["PATHWAY-PRIORITY"]
            .as_array()
            .expect("a list")
            .contains(&json!("signed"))
    );
}

/// Where a file of an asset is, once the edge knows the asset.
fn moved(site: &Site, asset: &str) -> String {
    let path = format!("/video/{asset}/v/1.ts?start=5");
    eventually(&format!("{asset} is signed"), || {
        site.ask("GET", &path, &[], "").location().is_some()
    });
    site.ask("GET", &path, &[], "").location().expect("a location")
}

/// Keys in files: of a site with a target and an asset for each.
fn with_keys(folder: &Path, signings: &[(&str, Value)]) -> Site {
    let secrets = folder.to_str().expect("a path");
    let site = Site::start(&["open"], &[("WAYSIDE__STREAMS__SECRETS", secrets)]);
    for (name, signing) in signings {
        let mut signed = target(name);
        signed["signing"] = signing.clone();
        site.write("POST", "/v1/targets", &signed);
        let asset = json!({"site": "films", "id": name, "pathways": [{"target": name}]});
        site.write("POST", "/v1/assets", &asset);
    }
    site
}

#[test]
fn redirects_carry_tokens_that_cloudfront_takes() {
    let folder = tempfile::tempdir().expect("folder");
    let keys = folder.path().join("default");
    fs::create_dir(&keys).expect("a folder");
    let file = |name: &str| folder.path().join(name).to_str().expect("a path").to_owned();
    let (private, public) = (file("default/rsa"), file("public.pem"));
    openssl(&["genrsa", "-out", &private, "2048"], b"");
    openssl(&["rsa", "-in", &private, "-pubout", "-out", &public], b"");
    let signing = |hash: &str| json!({"scheme": "cloudfront", "key_pair_id": "K123", "secret": "rsa", "hash": hash});
    let targets = [("old", signing("sha1")), ("new", signing("sha256"))];
    let site = with_keys(folder.path(), &targets);
    for (name, digest) in [("old", "-sha1"), ("new", "-sha256")] {
        let url = moved(&site, name);
        assert!(
            url.starts_with(&format!("https://{name}.example/x/{name}/v/1.ts?start=5&")),
            "{url}"
        );
        let decoded = |parameter: &str| {
            // CloudFront's letters for those that mean something in a query.
            let text = between(&url, &format!("{parameter}="), "&");
            from_base64(&text.replace('-', "+").replace('~', "/").replace('_', "="))
        };
        let (policy, signature) = (decoded("Policy"), decoded("Signature"));
        let tag = file("signature");
        fs::write(&tag, signature).expect("write");
        let checked = openssl(&["dgst", digest, "-verify", &public, "-signature", &tag], &policy);
        assert!(checked.starts_with(b"Verified OK"), "{url}");
        let policy: Value = serde_json::from_slice(&policy).expect("JSON");
        let statement = &policy["Statement"][0];
        assert_eq!(statement["Resource"], format!("https://{name}.example/x/{name}/*"));
        let expires = statement["Condition"]["DateLessThan"]["AWS:EpochTime"].as_u64();
        assert!(expires.is_some_and(|expires| expires > now_s()), "{policy}");
        assert_eq!(between(&url, "Key-Pair-Id=", "&"), "K123");
        assert_eq!(url.contains("Hash-Algorithm=SHA256"), name == "new", "{url}");
    }
}

#[test]
fn redirects_carry_common_access_tokens_and_cloudflares() {
    let folder = tempfile::tempdir().expect("folder");
    fs::create_dir(folder.path().join("default")).expect("a folder");
    for (name, key) in [
        ("cat", KEY),
        ("flare", "a key of Cloudflare's is text\n"),
        ("edge-auth", KEY),
    ] {
        fs::write(folder.path().join("default").join(name), key).expect("a key");
    }
    let cat = json!({"scheme": "cat", "key_id": "k1", "issuer": "us", "secret": "cat"});
    let flare = json!({"scheme": "cloudflare", "secret": "flare"});
    let edge_auth = json!({"scheme": "akamai", "secret": "edge-auth"});
    let targets = [("cat", cat), ("flare", flare), ("edge-auth", edge_auth)];
    let site = with_keys(folder.path(), &targets);
    let url = moved(&site, "cat");
    assert!(
        url.starts_with("https://cat.example/x/cat/v/1.ts?start=5&CAT="),
        "{url}"
    );
    check_cat(&from_base64(between(&url, "CAT=", "&")));
    let url = moved(&site, "flare");
    let (uri, token) = url.split_once("&verify=").unwrap_or_else(|| panic!("a token in {url}"));
    let uri = uri.strip_prefix("https://flare.example").expect("its host");
    assert_eq!(uri, "/x/flare/v/1.ts?start=5");
    let (issued, tag) = token.split_once('-').expect("an instant");
    assert!(issued.parse::<u64>().expect("an instant") <= now_s(), "{url}");
    let tag = tag.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
    let expected = hmac_sha256("key:a key of Cloudflare's is text", format!("{uri}{issued}").as_bytes());
    assert_eq!(to_hex(&from_base64(&tag)), expected, "{url}");
    let url = moved(&site, "edge-auth");
    assert!(
        url.starts_with("https://edge-auth.example/x/edge-auth/v/1.ts?start=5&__token__="),
        "{url}"
    );
    check_edge_auth(between(&url, "__token__=", "&"), "/x/edge-auth/");
}

/// A COSE_Mac0 (RFC 9052 §6.2) of claims, by their bytes.
fn check_cat(token: &[u8]) {
    // CWT, COSE_Mac0, four of them: `{alg: HMAC 256/256}`, `{kid: "k1"}`, claims, tag.
    let head = [
        0xd8, 61, 0xd1, 0x84, 0x43, 0xa1, 0x01, 0x05, 0xa1, 0x04, 0x42, b'k', b'1',
    ];
    let rest = token.strip_prefix(&head).unwrap_or_else(|| panic!("{}", to_hex(token)));
    let (claims, tag) = rest.split_at(rest.len() - 34);
    assert_eq!(tag[..2], [0x58, 32], "a tag of 32 bytes");
    // MAC_structure: context, protected header, nothing from outside, claims; each as it stands in the token.
    let covered = [&[0x84, 0x64][..], b"MAC0", &[0x43, 0xa1, 0x01, 0x05, 0x40], claims].concat();
    assert_eq!(hmac_sha256(&format!("hexkey:{KEY}"), &covered), to_hex(&tag[2..]));
    // Behind the head of a string of 24 to 255 bytes: issuer, and until when.
    let until = claims
        .get(2..)
        .and_then(|claims| claims.strip_prefix(b"\xa4\x01\x62us\x04\x1a"));
    let until = until.and_then(|rest| rest.first_chunk()).copied().expect("an instant");
    assert!(u64::from(u32::from_be_bytes(until)) > now_s());
    let has = |text: &str| claims.windows(text.len()).any(|there| there == text.as_bytes());
    assert!(has("cat.example") && has("/x/cat/"), "{}", to_hex(claims));
}
