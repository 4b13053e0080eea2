//! Who may in, and what is kept of it: compilers with limits, and compiled code that survives restarts or is made anew.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::harness::{Dev, Process, eventually};

/// A component around a module whose `decide` has this body. It answers nothing: it is not meant to get so far.
fn component(functions: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            (core module $m {functions} (func (export "decide")))
            (core instance $i (instantiate $m))
            (func $decide (canon lift (core func $i "decide")))
            (export "decide" (func $decide)))"#
    );
    wat::parse_str(text).expect("a component")
}

/// A function in which every one of `locals` lives through every one of `loops`: what a compiler has to keep track of is
/// their product.
fn tangle(loops: usize, locals: usize) -> String {
    let step = |local| format!("local.get {local} i32.const 1 i32.add local.set {local} ");
    let steps: String = (0..locals).map(step).collect();
    let declared = "i32 ".repeat(locals);
    let ends = "local.get 0 br_if 0 end ".repeat(loops);
    format!("(func (local {declared}) {}{steps}{ends})", "loop ".repeat(loops))
}

fn push(dev: &Dev, component: &[u8]) -> String {
    let file = dev.folder.path().join("pushed.wasm");
    fs::write(&file, component).expect("write");
    dev.fails(&["policy", "push", "bomb", file.to_str().expect("path")])
}

#[test]
fn a_component_that_takes_too_much_memory_to_compile_is_refused() {
    let mut dev = Dev::start();
    let bomb = component(&tangle(5_000, 2_000));
    assert!(bomb.len() < 60_000, "a small file");
    let refused = push(&dev, &bomb);
    assert!(
        refused.contains("more than 512 MiB of memory") && refused.contains("split"),
        "{refused}"
    );
    assert!(dev.process.lives() && dev.process.get("/hello").status == 302);
}

#[test]
fn a_component_that_takes_too_long_to_compile_is_refused_and_visitors_wait_for_nobody() {
    let dev = Dev::start();
    let bomb = component(&tangle(150, 150).repeat(400));
    std::thread::scope(|scope| {
        let pushed = scope.spawn(|| push(&dev, &bomb));
        let mut answered = 0;
        while !pushed.is_finished() {
            assert_eq!(dev.process.get("/hello").status, 302);
            answered += 1;
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let refused = pushed.join().expect("pushed");
        assert!(refused.contains("more than 10 s of processor time"), "{refused}");
        assert!(answered > 50, "it took no time: {answered}");
    });
}

/// The node's compiled policies.
fn compiled(data: &Path) -> Vec<PathBuf> {
    let folder = fs::read_dir(data.join("node/policies")).expect("the node's policies");
    let files = folder.map(|entry| entry.expect("a file").path());
    files
        .filter(|path| path.extension().is_some_and(|end| end == "cwasm"))
        .collect()
}

fn loads(process: &Process, outcome: &str) -> f64 {
    process.metric(&format!("wayside_policy_loads_total{{outcome=\"{outcome}\"}}"))
}

/// `wayside dev` with three policies compiled and kept, and ended.
fn kept() -> TempDir {
    let Dev { process, folder } = Dev::start();
    eventually("the policies are compiled", || compiled(folder.path()).len() == 3);
    assert!(loads(&process, "compiled") >= 3.0);
    assert_eq!(process.end(), Some(0));
    folder
}

fn decides(process: &Process) -> bool {
    let response = process.get_with("/geo", &[("Wayside-Demo-Country", "DE")]);
    response.header("cache-control").as_deref() == Some("private, no-cache")
}

#[test]
fn a_start_compiles_nothing_and_loads_what_is_needed() {
    let folder = kept();
    let process = Process::dev(folder.path(), &[]);
    eventually("the node is ready", || process.admin("/readyz").status == 200);
    assert_eq!((loads(&process, "opened"), loads(&process, "compiled")), (0.0, 0.0));
    assert!(decides(&process) && decides(&process));
    assert_eq!((loads(&process, "opened"), loads(&process, "compiled")), (1.0, 0.0));
}

#[test]
fn damaged_code_is_never_run_but_compiled_again() {
    type Damage = fn(&Path, Vec<u8>);
    let damages: [(&str, Damage); 3] = [
        ("a flipped bit", |path, mut code| {
            let middle = code.len() / 2;
            code[middle] ^= 1;
            fs::write(path, code).expect("write");
        }),
        ("a torn file", |path, code| {
            fs::write(path, &code[..code.len() / 2]).expect("write")
        }),
        ("an empty file", |path, _| fs::write(path, b"").expect("write")),
    ];
    let folder = kept();
    for (what, damage) in damages {
        for path in compiled(folder.path()) {
            let code = fs::read(&path).expect("code");
            damage(&path, code);
        }
        let process = Process::dev(folder.path(), &[]);
        eventually(what, || decides(&process));
        assert_eq!(
            (loads(&process, "opened"), loads(&process, "compiled")),
            (0.0, 1.0),
            "{what}"
        );
        assert_eq!(process.end(), Some(0));
        // What was compiled again is whole.
        let process = Process::dev(folder.path(), &[]);
        eventually(what, || decides(&process));
        assert_eq!(
            (loads(&process, "opened"), loads(&process, "compiled")),
            (1.0, 0.0),
            "{what}"
        );
        assert_eq!(process.end(), Some(0));
    }
}

#[test]
fn code_of_another_engine_and_of_policies_that_are_gone_leaves_the_disk() {
    let folder = kept();
    let ours = compiled(folder.path());
    let name = ours[0].file_name().and_then(|name| name.to_str()).expect("a name");
    let key = name.split('-').nth(2).expect("the engine's key");
    let foreign = ours[0].with_file_name(name.replace(key, "0123456789abcdef"));
    fs::copy(&ours[0], &foreign).expect("copy");
    let dev = Dev {
        process: Process::dev(folder.path(), &[]),
        folder,
    };
    assert!(!foreign.exists() && ours[0].exists());
    for prefix in ["/geo", "/ab", "/app"] {
        dev.ok(&["policy", "unbind", "localhost", prefix]);
    }
    eventually("nothing is kept that no binding names", || {
        compiled(dev.folder.path()).is_empty()
    });
}
