//! Keys in files and variables, good, bad and hostile.

use std::{collections::HashMap, fs, os::unix::fs::symlink, path::Path, sync::Arc};

use wayside_decide::{
    name::Name,
    stream::signing::{Scheme, SigningSpec},
    target::Target,
};

use super::{Signer, Signers, Variable};

const KEY: &str = "52a152a152a152a152a152a152a1";
const RSA: &str = include_str!("../../../../stream/tests/keys/rsa-2048.pem");

fn name(text: &str) -> Name {
    Name::parse("name", text).expect(text)
}

fn spec(scheme: Scheme, secret: &str) -> SigningSpec {
    SigningSpec {
        scheme,
        secret: name(secret),
        valid_s: 3_600,
        window_s: 600,
        skew_s: 30,
        has_start: false,
    }
}

fn write(folder: &Path, tenant: &str, secret: &str, text: &str) {
    fs::create_dir_all(folder.join(tenant)).expect("folder");
    // As editors and orchestrators do it: another file takes the place.
    let new = folder.join("new");
    fs::write(&new, text).expect("file");
    fs::rename(new, folder.join(tenant).join(secret)).expect("rename");
}

/// What a signer makes of one URL: tells keys apart.
fn signed(signer: &Signer) -> String {
    let url = Target::parse("https://a.example/x/1.ts").expect("a URL");
    let window = signer.validity.window(1_800_000_000, 0);
    signer.signing.sign(&url, &window).expect("signed").to_string()
}

#[tokio::test]
async fn each_scheme_reads_its_key_as_its_cdn_writes_it() {
    let folder = tempfile::tempdir().expect("folder");
    let signers = Signers::new(Some(folder.path().to_owned()), HashMap::new());
    let (hex, base64) = (format!("{KEY}\n"), "c2VjcmV0\n");
    let cat = || Scheme::Cat {
        key_id: "k".into(),
        issuer: "i".into(),
    };
    let cloudfront = || Scheme::CloudFront {
        key_pair_id: "K1".into(),
        is_sha256: false,
    };
    for (scheme, good, bad) in [
        (Scheme::Akamai, &*hex, "hunter2"),
        (Scheme::Hmac { is_in_path: true }, &hex, "hunter2"),
        (cat(), &hex, "hunter2"),
        (Scheme::Fastly, base64, "hunter2"),
        (Scheme::Cloudflare, " hunter2 \n", "\n"),
        (cloudfront(), RSA, "-----BEGIN PRIVATE KEY-----\nhunter2"),
    ] {
        let word = scheme.as_str();
        write(folder.path(), "t", word, good);
        let signer = signers.of(&name("t"), &spec(scheme.clone(), word));
        signer.read().await.expect(word);
        let worse = format!("{word}-bad");
        write(folder.path(), "t", &worse, bad);
        let refused = signers
            .of(&name("t"), &spec(scheme, &worse))
            .read()
            .await
            .expect_err(word);
        let text = format!("{refused} {refused:?}");
        assert!(text.starts_with(&format!("secret {worse} of tenant t: ")), "{text}");
        assert!(text.contains("expected") && !text.contains("hunter"), "{text}");
        assert!(!text.contains(&folder.path().display().to_string()), "{text}");
    }
    let all = format!("{signers:?}");
    assert!(!all.contains("hunter") && !all.contains(KEY), "{all}");
}

#[tokio::test]
async fn a_file_goes_before_a_variable_and_no_variable_is_two_keys() {
    let folder = tempfile::tempdir().expect("folder");
    let variable = |name: &str, text: &str| (name.to_owned(), Variable::new(text.to_owned()));
    let variables = HashMap::from([variable("ACME__VIDEO_KEY", "aa"), variable("ACME__KEY", "bb")]);
    assert!(!format!("{variables:?}").contains("aa"));
    let signers = Signers::new(Some(folder.path().to_owned()), variables);
    let of = |tenant: &str, secret: &str| signers.of(&name(tenant), &spec(Scheme::Akamai, secret));
    of("acme", "video-key").read().await.expect("the variable");
    let by_variable = signed(&of("acme", "key").read().await.expect("the variable"));
    for (tenant, secret) in [
        ("acme--video", "key"),
        ("acme", "video_key"),
        ("acme", "Key"),
        ("ACME", "key"),
        ("acme-", "key"),
        ("acme-video", "key"),
        ("acme", "video.key"),
        ("other", "key"),
    ] {
        let refused = of(tenant, secret).read().await.expect_err(secret).to_string();
        let expected =
            format!("secret {secret} of tenant {tenant}: found none, expected a file or a variable of the node's");
        assert_eq!(refused, expected);
    }
    write(folder.path(), "acme", "key", "cc");
    let signer = of("acme", "key");
    assert_ne!(signed(&signer.read().await.expect("the file")), by_variable);
    fs::remove_file(folder.path().join("acme/key")).expect("remove");
    signers.check().await;
    assert_eq!(signed(&signer.read().await.expect("the variable")), by_variable);
}

#[tokio::test]
async fn a_key_that_changes_is_read_again_and_a_broken_one_does_not_take_its_place() {
    let folder = tempfile::tempdir().expect("folder");
    let signers = Signers::new(Some(folder.path().to_owned()), HashMap::new());
    let signer = signers.of(&name("t"), &spec(Scheme::Akamai, "k"));
    signer.read().await.expect_err("none yet");
    write(folder.path(), "t", "k", KEY);
    signers.check().await;
    let first = signer.read().await.expect("there now");
    signers.check().await;
    assert_eq!(signer.read().await.expect("the same").id, first.id);
    write(folder.path(), "t", "k", "00ff");
    signers.check().await;
    let second = signer.read().await.expect("another");
    assert_ne!(signed(&second), signed(&first));
    write(folder.path(), "t", "k", "no hex");
    signers.check().await;
    assert_eq!(signer.read().await.expect("the good one").id, second.id);
    fs::remove_file(folder.path().join("t/k")).expect("remove");
    signers.check().await;
    signer.read().await.expect_err("gone");
    drop(signer);
    signers.check().await;
    assert!(signers.lock().is_empty(), "nobody has one");
}

#[tokio::test]
async fn nothing_leads_out_of_a_tenants_folder() {
    let root = tempfile::tempdir().expect("folder");
    let folder = root.path().join("secrets");
    write(&folder, "other", "key", KEY);
    write(&folder, "t", "good", KEY);
    fs::write(root.path().join("outside"), KEY).expect("file");
    fs::create_dir(root.path().join("elsewhere")).expect("folder");
    fs::write(root.path().join("elsewhere/key"), KEY).expect("file");
    symlink("../../outside", folder.join("t/out")).expect("link");
    symlink("../other/key", folder.join("t/others")).expect("link");
    symlink(root.path().join("elsewhere"), folder.join("abroad")).expect("link");
    symlink(".", folder.join("all")).expect("link");
    // As orchestrators mount them: a link to what is replaced whole.
    fs::create_dir(folder.join("t/..data")).expect("folder");
    fs::write(folder.join("t/..data/linked"), KEY).expect("file");
    symlink("..data/linked", folder.join("t/linked")).expect("link");
    fs::create_dir(folder.join("t/folder")).expect("folder");
    fs::write(folder.join("t/long"), "a".repeat(20_000)).expect("file");
    fs::write(folder.join("t/binary"), [0xff; 16]).expect("file");
    let signers = Signers::new(Some(folder), HashMap::new());
    for (tenant, secret, expected) in [
        ("t", "good", Ok(())),
        ("t", "linked", Ok(())),
        ("t", "out", Err("found a link that leads elsewhere")),
        ("t", "others", Err("found a link that leads elsewhere")),
        ("abroad", "key", Err("found a link that leads elsewhere")),
        ("all", "t", Err("found a link that leads elsewhere")),
        ("t", "folder", Err("found something that is no file")),
        ("t", "long", Err("found a file of more than 16384 bytes")),
        ("t", "binary", Err("found a file that cannot be read")),
        ("t", "absent", Err("found none")),
        ("absent", "key", Err("found none")),
    ] {
        let read = signers.of(&name(tenant), &spec(Scheme::Akamai, secret)).read().await;
        match (read, expected) {
            (Ok(_), Ok(())) => {}
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            (found, _) => panic!("{tenant}/{secret}: {found:?}"),
        }
    }
}

#[tokio::test]
async fn one_key_is_read_once_for_all_that_ask() {
    let variables = HashMap::from([("T__K".to_owned(), Variable::new(KEY.to_owned()))]);
    let signers = Arc::new(Signers::new(None, variables));
    let one = signers.of(&name("t"), &spec(Scheme::Akamai, "k"));
    assert!(Arc::ptr_eq(&one, &signers.of(&name("t"), &spec(Scheme::Akamai, "k"))));
    assert!(!Arc::ptr_eq(&one, &signers.of(&name("u"), &spec(Scheme::Akamai, "k"))));
}
