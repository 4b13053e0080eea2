//! The vectors of each scheme, and what it refuses.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use proptest::prelude::{prop_assert, proptest};
use wayside_decide::target::Target;

use super::{
    Coverage, Error, Signing,
    akamai::Akamai,
    cat::Cat,
    cloudflare::Cloudflare,
    cloudfront::{CloudFront, Hash},
    fastly::Fastly,
    hmac::{Placement, PlainHmac, Refused},
    secret::Secret,
    validity::Window,
};
use wayside_decide::stream::base::BaseUrl;

const RSA: &str = include_str!("../../tests/keys/rsa-2048.pem");

// Made by `openssl dgst -sha1 -sign` and `-sha256` over the policies, with tests/keys/rsa-2048.pem.
const CANNED_SHA1: &str = "\
     EdFIexWlEqifb9E-GPEFs2cT5sV9Pk1jJVQXItKfmGUFW2y7fCgg2MfJjlnO95wv5vZGOSR0iIxGlf1T4FSRELLatoix762ShqLH\
     ZM1pSDM7BW-y7FXAvVul5L29QLgRZa1o~b-NE53EIacC8YsnJrlhm~eVxsddehs5x8Btgi2~NCd6zFasSH6MWP6FrlAjIVHmexIm\
     IWY9H~SpCjU4cu0MvL5f~VfKUYqJestNbO6dTcPbMIIAL~iiOZrhmzg~1ZD3DFQh2phRbj1-6dXCsxG8CQwrfoKFBnr8xN0hWZ71\
     1NQcYR7pEZ-7U6tNKTaUBm-9jjG-b9EhWiJ2UBYwng__";
const CANNED_SHA256: &str = "\
     aimp9tjMyG5e~EM~tm50OiWt~6Muf1MPo5YQSGtCDsMmkRpy5gOmR6y6fK5mPmFsj0knX9CPkXwYdx-q9aEHJFVBJc2UJb85nJl5\
     1cFvkYDqGZku9xF~jhoLWsngybNEeiHr6u4lCVBkZq7reBI0fLu3ROd5KVoPlNG292WmjviPsSuJaH63OguVbSoqyoK3zgiGC8Q1\
     baSFyTmvf0atNUENshGUkIPcd89FOaytWxTxioPlJu~~0ZHPRhPIjYSlOK-Yfa46ZACyj1pd4Nuz9tvXJn7ZJ6QWFbZe2zGcIIvy\
     XRzHcLSQ9W~VRXM2bgsfUwYG83MVr9CAX-fkYUUsWg__";
const CUSTOM_SHA256: &str = "\
     NNTjz4sOOYscoq39ZBUEYoSbuKUB1RT2D9kXBEsNjhcwjFDF4-GWxFsg0TBlcCFM8IB3tcdhSmban6FP57cEoOzho0pywc8CIhxt\
     uc3jmkiKX31SH8d~S8ObuPwh1NTCqpU78s86i30pLB-Nuf4KEfpx2mix5koMPCeht7M3FP22XYS~ITpBONg41tJZ6R1dFnII4zyx\
     KUDpG-T1bnFotOq2QXicIdhiifBc3w0sxkX6iqNCxQrNLB2yNWNVIRtb~RpZ52lkEKKcS3sfDZjBlRR~OoAqdAdogtmzXKDCYbsN\
     6fs54Ty5Rx-EnZ3hlNmaOmlrb8g0kvlsQVRLmuTzCA__";
const CUSTOM_POLICY: &str = "\
     eyJTdGF0ZW1lbnQiOlt7IlJlc291cmNlIjoiaHR0cHM6Ly9kMTExMTExYWJjZGVmOC5jbG91ZGZyb250Lm5ldC9saXZlLyoiLCJD\
     b25kaXRpb24iOnsiRGF0ZUxlc3NUaGFuIjp7IkFXUzpFcG9jaFRpbWUiOjE3NjcyOTA0MDB9LCJEYXRlR3JlYXRlclRoYW4iOnsi\
     QVdTOkVwb2NoVGltZSI6MTc2NzI4NjgwMH19fV19";

fn secret(text: &str) -> Secret {
    Secret::from_bytes(text.as_bytes()).expect("a key")
}

fn target(url: &str) -> Target {
    Target::parse(url).expect(url)
}

fn folder(url: &str) -> BaseUrl {
    BaseUrl::parse(url).expect(url)
}

const fn until(expires_s: u64) -> Window {
    Window {
        issued_s: expires_s,
        starts_s: None,
        expires_s,
        next_s: expires_s,
    }
}

const fn from_until(starts_s: u64, expires_s: u64) -> Window {
    Window {
        starts_s: Some(starts_s),
        ..until(expires_s)
    }
}

fn cloudfront(hash: Hash) -> Signing {
    Signing::CloudFront(CloudFront::new("K2JCJMDEHXQW5F", RSA, hash).expect("a key"))
}

fn akamai() -> Signing {
    Signing::Akamai(Akamai::new(
        Secret::from_hex("52a152a152a152a152a152a152a1").expect("a key"),
    ))
}

fn fastly(key: &str) -> Signing {
    Signing::Fastly(Fastly::new(Secret::from_base64(key).expect("a key")))
}

fn cloudflare(key: &str) -> Signing {
    Signing::Cloudflare(Cloudflare::new(secret(key)))
}

fn cat(key: &str) -> Signing {
    let key = Secret::from_hex(key).expect("a key");
    Signing::Cat(Cat::new(key, "Symmetric256", "router").expect("names"))
}

const CAT_KEY: &str = "403697de87af64611c1d32a05dab0fe1fcb715a86ab435f1ec99192d79569388";

fn signed(signing: &Signing, url: &str, window: &Window) -> String {
    signing.sign(&target(url), window).expect(url).to_string()
}

fn refused(result: Result<impl std::fmt::Debug, Error>) -> String {
    result.expect_err("refused").to_string()
}

/// The token for `below`, as a query.
fn query(signing: &Signing, below: &str, window: &Window) -> String {
    let token = signing.token(&folder(below), window).expect(below);
    let pairs: Vec<String> = token
        .parameters()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

#[test]
fn cloudfront_signs_a_url_as_openssl_does() {
    let url = "https://d111111abcdef8.cloudfront.net/live/m.m3u8?x=1";
    let window = until(1_767_290_400);
    assert_eq!(
        signed(&cloudfront(Hash::Sha1), url, &window),
        format!("{url}&Expires=1767290400&Signature={CANNED_SHA1}&Key-Pair-Id=K2JCJMDEHXQW5F")
    );
    assert_eq!(
        signed(&cloudfront(Hash::Sha256), url, &window),
        format!("{url}&Expires=1767290400&Signature={CANNED_SHA256}&Key-Pair-Id=K2JCJMDEHXQW5F&Hash-Algorithm=SHA256")
    );
    assert_eq!(
        signed(&cloudfront(Hash::Sha1), &format!("{url}#t=1"), &window),
        format!("{url}&Expires=1767290400&Signature={CANNED_SHA1}&Key-Pair-Id=K2JCJMDEHXQW5F#t=1"),
        "a fragment is never sent, so never signed"
    );
}

#[test]
fn cloudfront_signs_all_below_a_folder_with_a_custom_policy() {
    let expected =
        format!("Policy={CUSTOM_POLICY}&Signature={CUSTOM_SHA256}&Key-Pair-Id=K2JCJMDEHXQW5F&Hash-Algorithm=SHA256");
    let window = from_until(1_767_286_800, 1_767_290_400);
    assert_eq!(
        query(
            &cloudfront(Hash::Sha256),
            "https://d111111abcdef8.cloudfront.net/live",
            &window
        ),
        expected
    );
    let text = refused(cloudfront(Hash::Sha1).token(&folder("https://a.example/a*b/"), &window));
    assert_eq!(
        text,
        "resource https://a.example/a*b/: found `*`, expected a URL without wildcards"
    );
    refused(cloudfront(Hash::Sha1).sign(&target("https://a.example/a*b"), &window));
    let text = refused(cloudfront(Hash::Sha1).sign(&target("https://a.example/a?b=\\"), &until(1)));
    assert!(
        text.contains("found `\\`, expected a URL without characters that JSON escapes"),
        "{text}"
    );
}

#[test]
fn cloudfront_refuses_a_url_that_names_what_it_reads() {
    for name in ["Policy", "Hash-Algorithm", "Expires", "%50olicy"] {
        let url = format!("https://a.example/b?x=1&{name}=1");
        let text = refused(cloudfront(Hash::Sha1).sign(&target(&url), &until(5)));
        assert!(text.ends_with(", expected no parameter of the token's name"), "{text}");
    }
}

#[test]
fn cloudfront_keys_are_read_in_both_forms_and_never_shown() {
    let pkcs1 = include_str!("../../tests/keys/rsa-2048-pkcs1.pem");
    let other = include_str!("../../tests/keys/rsa-2048-other.pem");
    let sign = |pem| {
        let key = CloudFront::new("K", pem, Hash::Sha1).expect("a key");
        assert_eq!(format!("{key:?}"), "CloudFront { key_pair_id: \"K\", .. }");
        signed(&Signing::CloudFront(key), "https://a.example/b", &until(5))
    };
    assert_eq!(sign(RSA), sign(pkcs1));
    assert_ne!(sign(RSA), sign(other), "another key, another signature");
    let weak = include_str!("../../tests/keys/rsa-1024.pem");
    let text = refused(CloudFront::new("K", weak, Hash::Sha1));
    assert_eq!(text, "private key: found 1024 bits, expected 2048 to 4096 bits");
    let text = refused(CloudFront::new("K", &RSA[..900], Hash::Sha1));
    assert_eq!(
        text,
        "private key: found 900 bytes that are not, expected an RSA key in PEM, PKCS#1 or PKCS#8"
    );
    assert!(refused(CloudFront::new("K&x", RSA, Hash::Sha1)).starts_with("key pair ID: found \"K&x\""));
}

#[test]
fn akamai_signs_as_its_own_generators_do() {
    let window = from_until(1_700_000_000, 1_700_003_600);
    assert_eq!(
        query(&akamai(), "https://a.example/live", &window),
        "__token__=st=1700000000~exp=1700003600~acl=/live/*~hmac=cd6b544acb4c973cf9881e1d002ef3d66884d3ade16a3068e2f97f93ac087a34"
    );
    assert_eq!(
        query(&akamai(), "https://a.example/live", &until(1_700_003_600)),
        "__token__=exp=1700003600~acl=/live/*~hmac=197fde9b1e333075f2976ce232db8ce1776bd58d1e4d22a069c529cb6c0c7135"
    );
    assert_eq!(
        signed(&akamai(), "https://a.example/live/a.m3u8?x=1", &window),
        "https://a.example/live/a.m3u8?x=1&__token__=st=1700000000~exp=1700003600\
         ~hmac=7ec2ae155e0fad10bfdeb640adeb16b63f55c4fb11c887764e73ce56dfb49c32"
    );
}

#[test]
fn akamai_refuses_what_cannot_stand_in_an_access_list() {
    for (path, found) in [
        ("a!b", "`!`"),
        ("a~b", "`~`"),
        ("a&b", "`&`"),
        ("a*", "`*`"),
        ("a b", "`%`"),
        ("a+b", "`+`"),
    ] {
        // White space is refused by whoever reads the URL; escaped it comes through.
        let url = format!("https://a.example/{}/", path.replace(' ', "%20"));
        let text = refused(akamai().token(&folder(&url), &until(5)));
        assert!(
            text.contains(&format!("found {found}, expected letters, digits and -._/:@$,")),
            "{text}"
        );
    }
    let text = refused(akamai().sign(&target("https://a.example/a~b"), &until(5)));
    assert!(text.contains("found `~`"), "{text}");
}

#[test]
fn fastly_signs_a_path_as_its_vcl_checks() {
    let key = "iqFPeN2u+Z0Lm5IrsKaOFKRqEU5Gw8ePtaEkHZWuD24=";
    let token = "token=1536399430_9f80a504781a76a08e15c8a7058840adddb6f797d7fff473842369f31d95d08c";
    let window = until(1_536_399_430);
    let url = "https://f.example/foo/bar.html";
    assert_eq!(signed(&fastly(key), url, &window), format!("{url}?{token}"));
    assert_eq!(
        signed(&fastly(key), &format!("{url}?a=b"), &window),
        format!("{url}?a=b&{token}")
    );
    assert_eq!(
        signed(&fastly(key), &format!("{url}?#x"), &window),
        format!("{url}?{token}#x")
    );
    assert!(
        !signed(&fastly("c2VjcmV0"), url, &window).ends_with(token),
        "another key"
    );
    assert!(
        !signed(&fastly(key), url, &until(1_536_399_431)).contains("9f80a504"),
        "another time"
    );
    let text = refused(fastly(key).sign(&target(&format!("{url}?token=1")), &window));
    assert_eq!(
        text,
        "query of https://f.example/foo/bar.html?token=1: found `token`, expected no parameter of the token's name"
    );
}

#[test]
fn cloudflare_signs_a_uri_as_its_rule_checks() {
    let window = Window {
        issued_s: 1_484_063_787,
        ..until(0)
    };
    let url = "https://c.example/images/cat.jpg";
    assert_eq!(
        signed(&cloudflare("mysecrettoken"), url, &window),
        format!("{url}?verify=1484063787-XsZ5NmtNBxOd4f4fBOtqVmpWRnDRNkHKVZieqDPKu3U%3D")
    );
    assert_eq!(
        signed(&cloudflare("mysecrettoken"), &format!("{url}?w=1"), &window),
        format!("{url}?w=1&verify=1484063787-5v6y%2F7WcRCcazEB%2BA9BizrheGPXtaPzTqZjJMzrYIUY%3D"),
        "the rule's MAC covers the query"
    );
    assert!(!signed(&cloudflare("another"), url, &window).contains("XsZ5NmtN"));
    refused(cloudflare("mysecrettoken").sign(&target(&format!("{url}?")), &window));
}

#[test]
fn a_common_access_token_is_byte_for_byte_the_one_that_two_implementations_accept() {
    let expected = "CAT=2D3RhEOhAQWhBExTeW1tZXRyaWMyNTZYPaQBZnJvdXRlcgQa9IZXABkBNgEZATijAKEAZWh0dHBzAaEAb2Nkbi5leGFtcGxlLmNvbQ\
                    OhAWYvbGl2ZS9YILhvfBFb57t81heG7iHilM69LCX0SLF2wmO0PcK4AlT1";
    let (below, window) = ("https://cdn.example.com/live", until(4_102_444_800));
    assert_eq!(query(&cat(CAT_KEY), below, &window), expected);
    assert_ne!(query(&cat("00"), below, &window), expected, "another key");
    // A start is claim 5, behind the expiry; a path for one URL matches exactly.
    let url = signed(&cat(CAT_KEY), "https://cdn.example.com/live/a?b=1", &from_until(5, 9));
    let token = url
        .strip_prefix("https://cdn.example.com/live/a?b=1&CAT=")
        .expect("a token");
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).expect("base64");
    let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(
        has(b"\x04\x09\x05\x05\x19\x01\x36\x01") && has(b"\x03\xa1\x00\x67/live/a"),
        "{bytes:x?}"
    );
    for (kid, issuer, field) in [("", "i", "kid"), ("k", "", "issuer")] {
        let text = refused(Cat::new(secret("a"), kid, issuer));
        assert_eq!(text, format!("{field}: found 0 bytes, expected 1 to 256 bytes"));
    }
}

#[test]
fn our_own_token_lets_through_to_what_it_covers_and_nothing_else() {
    let key = PlainHmac::new(secret("secret"), Placement::Query);
    let signing = Signing::Hmac(key.clone());
    let parameter = query(&signing, "https://a.example/live", &until(1_700_003_600));
    let token = parameter.strip_prefix("wayside-token=").expect("a token");
    assert_eq!(
        token,
        "1700003600_2_b713d1551faddad8673fc84cf2f501a0985fe7dc51b61fb53681dcd39db463a7"
    );
    let now_s = 1_700_003_599;
    assert_eq!(key.check(token, "/live/a/b.ts", now_s), Ok(()));
    assert_eq!(key.check(token, "/live/", now_s), Ok(()));
    for path in [
        "/live",
        "/other/a.ts",
        "/livery/a.ts",
        "",
        "//live/a",
        "/live/../other/a.ts",
        "/live/x/%2E%2e/%2e./a",
        "/live/..",
        "/live/.",
    ] {
        assert_eq!(key.check(token, path, now_s), Err(Refused::Wrong), "{path}");
    }
    let expired = Refused::Expired {
        expires_s: 1_700_003_600,
        now_s: 1_700_003_600,
    };
    assert_eq!(key.check(token, "/live/a.ts", 1_700_003_600), Err(expired));
    let other = PlainHmac::new(secret("other"), Placement::Query);
    assert_eq!(other.check(token, "/live/a.ts", now_s), Err(Refused::Wrong));
    let deeper = token.replace("_2_", "_1_");
    assert_eq!(key.check(&deeper, "/live/a.ts", now_s), Err(Refused::Wrong));
    for text in [
        "",
        "1_2",
        "1_2_zz",
        "1_2_a",
        "+1_2_aa",
        "1__aa",
        "1_2_aa_",
        "99999999999999999999999_1_aa",
    ] {
        assert_eq!(key.check(text, "/live/a.ts", now_s), Err(Refused::Malformed), "{text}");
    }
}

#[test]
fn our_own_token_of_a_url_is_for_that_url_alone_also_when_it_ends_with_a_slash() {
    let key = PlainHmac::new(secret("secret"), Placement::Path);
    let signing = Signing::Hmac(key.clone());
    let url = signed(&signing, "https://a.example:444/live/?q=1#f", &until(50));
    let rest = url.strip_prefix("https://a.example:444/").expect("the same origin");
    let (token, path) = rest.split_once('/').expect("a token in front");
    assert_eq!(path, "live/?q=1#f");
    assert_eq!(key.check(token, "/live/", 49), Ok(()));
    assert_eq!(
        key.check(&token.replace("_0_", "_2_"), "/live/a", 49),
        Err(Refused::Wrong)
    );
    let of_folder = signing
        .token(&folder("https://a.example/live"), &until(50))
        .expect("a token");
    assert!(of_folder.is_in_path() && of_folder.parameters().next().is_none());
}

#[test]
fn who_signs_urls_only_says_so_when_asked_for_a_folder() {
    for (signing, name) in [(fastly("c2VjcmV0"), "fastly"), (cloudflare("a"), "cloudflare")] {
        assert_eq!(signing.coverage(), Coverage::Url);
        let text = refused(signing.token(&folder("https://a.example/live"), &until(5)));
        assert!(
            text.starts_with(&format!("{name}: found a folder to sign, expected one URL")),
            "{text}"
        );
    }
    for signing in [cloudfront(Hash::Sha1), akamai(), cat(CAT_KEY)] {
        assert_eq!(signing.coverage(), Coverage::Folder);
    }
}

#[test]
fn no_key_shows_in_what_is_printed() {
    let all = [
        Signing::Akamai(Akamai::new(secret("geheim"))),
        Signing::Fastly(Fastly::new(secret("geheim"))),
        cloudflare("geheim"),
        Signing::Cat(Cat::new(secret("geheim"), "k", "i").expect("names")),
        Signing::Hmac(PlainHmac::new(secret("geheim"), Placement::Query)),
        cloudfront(Hash::Sha256),
    ];
    for signing in all {
        let shown = format!("{signing:?} {signing:#?}");
        let bytes = format!("{:?}", b"geheim");
        assert!(
            !shown.contains("geheim") && !shown.contains(&bytes) && !shown.contains("BoxedUint"),
            "{shown}"
        );
    }
}

proptest! {
    #[test]
    fn our_own_token_of_a_folder_covers_exactly_the_folder(
        inside in "[a-c]{1,2}(/[a-c]{1,2}){0,3}/", path in "/([a-c]{1,2}/){0,4}[a-c]{0,2}",
    ) {
        let key = PlainHmac::new(secret("secret"), Placement::Query);
        let folder = folder(&format!("https://a.example/{inside}"));
        let token = Signing::Hmac(key.clone()).token(&folder, &until(50)).expect("a token");
        let (_, text) = token.parameters().next().expect("a parameter");
        prop_assert!(key.check(text, &path, 49).is_ok() == path.starts_with(folder.path()));
    }

    #[test]
    fn a_signed_url_is_the_url_with_its_token(path in "[a-z0-9/._%~!*&=+-]{0,30}", parameter in "(\\?[a-z0-9=&]{0,12})?") {
        let text = format!("https://a.example/{}{parameter}", path.replace('%', "%20"));
        let Ok(url) = Target::parse(&text) else { return Ok(()) };
        for signing in [akamai(), fastly("c2VjcmV0"), cloudflare("a"), cat(CAT_KEY)] {
            if let Ok(signed) = signing.sign(&url, &until(50)) {
                prop_assert!(signed.as_str().starts_with(url.as_str().trim_end_matches(['?', '&'])), "{signed}");
                prop_assert!(signed.host() == url.host());
                prop_assert!(signing.sign(&signed, &until(50)).is_err(), "signed twice");
            }
        }
    }
}
