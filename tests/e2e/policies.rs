//! Policies, kind and hostile.

use crate::harness::{Dev, repository};

fn component(name: &str) -> String {
    repository()
        .join(format!("guest/components/{name}.wasm"))
        .to_str()
        .expect("path")
        .to_owned()
}

#[test]
fn a_hostile_policy_harms_nobody_else() {
    let mut dev = Dev::start();
    dev.ok(&["policy", "push", "hostile", &component("hostile")]);
    dev.ok(&["link", "add", "localhost", "/open", "https://open.example/"]);
    let modes = [
        "loop",
        "allocate",
        "recurse",
        "panic",
        "status-200",
        "location-crlf",
        "many-questions",
        "bad-cidr",
    ];
    for mode in modes {
        let setting = format!("mode={mode}");
        let bind = |prefix, on_failure| {
            dev.ok(&[
                "policy",
                "bind",
                "localhost",
                prefix,
                "hostile",
                "--on-failure",
                on_failure,
                "--set",
                &setting,
            ]);
        };
        bind("/closed", "closed");
        bind("/open", "open");
        crate::harness::eventually(&format!("{mode}: closed refuses"), || {
            dev.process.get("/closed").status == 503
        });
        dev.wait_for("/open", Some("https://open.example/"));
        let refused = dev.process.get("/closed");
        assert!(
            !refused.body.contains("wasm") && !refused.body.contains("hostile"),
            "{mode}: {}",
            refused.body
        );
        assert_eq!(dev.process.get("/hello").status, 302, "{mode}: others go on");
    }
    assert!(dev.process.lives());
}

#[test]
fn what_is_no_policy_is_refused_and_says_why() {
    let dev = Dev::start();
    let file = dev.folder.path().join("file.wasm");
    let path = file.to_str().expect("path").to_owned();
    for (what, bytes) in [
        ("text", &b"hello"[..]),
        ("a core module", b"\0asm\x01\0\0\0"),
        ("an ELF file", b"\x7fELF\x02\x01\x01\0"),
    ] {
        std::fs::write(&file, bytes).expect("write");
        let said = dev.fails(&["policy", "push", "bad", &path]);
        assert!(said.contains("component"), "{what}: {said}");
    }
    assert!(!dev.ok(&["policy", "list"]).contains("bad"));
}

#[test]
fn a_rollback_goes_back_to_what_was_bound_before() {
    let dev = Dev::start();
    let bind = |policy: &str, setting: &str| {
        dev.ok(&[
            "policy",
            "bind",
            "localhost",
            "/p",
            policy,
            "--on-failure",
            "open",
            "--set",
            setting,
        ]);
    };
    bind("geo-redirect", "default=https://one.example/");
    dev.wait_for("/p", Some("https://one.example/"));
    bind("geo-redirect", "default=https://two.example/");
    dev.wait_for("/p", Some("https://two.example/"));
    dev.ok(&["policy", "rollback", "localhost", "/p"]);
    dev.wait_for("/p", Some("https://one.example/"));
    assert!(
        dev.fails(&["policy", "rollback", "localhost", "/p"])
            .contains("nothing before")
    );
    dev.ok(&["policy", "unbind", "localhost", "/p"]);
    dev.wait_for("/p", None);
}
