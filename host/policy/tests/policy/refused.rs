//! What is no policy is refused, each thing with its own words, and the process goes on.

use wayside_decide::limits::COMPONENT_BYTES_MAX;
use wayside_policy::{admission::Admission, compiler::Compiler, encode, limits::DEADLINE, refusal::Refusal};

use crate::{admission, component, engine};

fn refusal(text: &str) -> Refusal {
    let bytes = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    admission().admit(&bytes).expect_err("refused")
}

fn check(text: &str, expected: &[&str]) {
    let refusal = refusal(text).to_string();
    for part in expected {
        assert!(refusal.contains(part), "expected {part:?} in: {refusal}");
    }
}

/// A component that exports `decide` and proceeds, with these core definitions and this before the answer.
fn policy(definitions: &str, before: &str) -> String {
    format!(
        r#"(component
            (import "wayside:policy/decisions@1.0.0" (instance $decisions
                (type $redirection' (record (field "status" u16) (field "location" string)))
                (export "redirection" (type $redirection (eq $redirection')))
                (type $decision' (variant (case "proceed") (case "redirect" $redirection) (case "deny" u16)))
                (export "decision" (type (eq $decision')))
            ))
            (alias export $decisions "decision" (type $decision'))
            (import "decision" (type $decision (eq $decision')))
            (core module $module
                (memory (export "memory") 1)
                {definitions}
                (func (export "decide") (result i32) {before} i32.const 64)
            )
            (core instance $instance (instantiate $module))
            (type $type (func (result $decision)))
            (func $decide (type $type)
                (canon lift (core func $instance "decide") (memory (core memory $instance "memory"))))
            (export "decide" (func $decide))
        )"#
    )
}

#[test]
fn a_policy_written_by_hand_is_admitted() {
    let bytes = wat::parse_str(policy("", "")).expect("component");
    let (admitted, _) = admission().admit(&bytes).unwrap_or_else(|refusal| panic!("{refusal}"));
    assert_eq!(admitted.bytes, bytes.len());
}

#[test]
fn a_core_module_is_no_component() {
    check("(module)", &["a core WebAssembly module", "wayside policy build"]);
}

#[test]
fn other_files_are_no_components() {
    for (bytes, found) in [
        (&b"\x7fELF\x02\x01\x01"[..], ".cwasm"),
        (b"#!/bin/sh", "bytes 23 21 2f 62"),
        (b"", "empty"),
    ] {
        let refusal = admission().admit(bytes).expect_err("refused").to_string();
        assert!(refusal.contains(found), "{refusal}");
    }
}

#[test]
fn a_component_cut_short_or_altered_is_refused_and_nothing_panics() {
    let whole = component("geo-redirect");
    for length in (0..whole.len()).step_by(211) {
        assert!(admission().admit(&whole[..length]).is_err(), "{length} bytes");
    }
    for place in (0..whole.len()).step_by(1_009) {
        let mut altered = whole.clone();
        altered[place] ^= 0x55;
        // Some bytes carry no meaning (names, texts): what counts is that the answer comes.
        let _ = admission().admit(&altered);
    }
}

#[test]
fn a_component_past_the_limit_is_not_read() {
    let mut bytes = component("geo-redirect");
    bytes.resize(COMPONENT_BYTES_MAX + 1, 0);
    let found = COMPONENT_BYTES_MAX + 1;
    let refusal = admission().admit(&bytes).expect_err("refused");
    assert_eq!(refusal, Refusal::TooLong { found });
}

#[test]
fn wasi_is_not_there() {
    check(
        r#"(component (import "wasi:cli/environment@0.2.3" (instance)))"#,
        &["\"wasi:cli/environment@0.2.3\"", "no WASI", "wasm32-unknown-unknown"],
    );
}

#[test]
fn nothing_is_there_but_the_contract() {
    check(
        r#"(component (import "network" (func)))"#,
        &["\"network\"", "can only ask"],
    );
    check(
        r#"(component (import "wayside:policy/visitor@3.0.0" (instance)))"#,
        &["\"wayside:policy/visitor@3.0.0\"", "version 1.0.0"],
    );
}

#[test]
fn a_component_that_decides_nothing_is_refused() {
    check("(component)", &["exports nothing", "`decide`"]);
    check(
        r#"(component (type $t (instance)) (instance $i (export "t" (type $t))) (export "decider" (instance $i)))"#,
        &["exports \"decider\"", "#[wayside::policy]"],
    );
}

#[test]
fn a_component_is_of_one_world() {
    let decides = r#"(export "decide" (func $decide))"#;
    let both = policy("", "").replace(decides, &format!(r#"{decides} (export "plan" (func $decide))"#));
    check(
        &both,
        &[
            "exports \"decide\", \"plan\"",
            "one function",
            "#[wayside::stream_policy]",
        ],
    );
    // The right name, and another world's decision.
    let plans = policy("", "").replace(decides, r#"(export "plan" (func $decide))"#);
    check(&plans, &["does not fit the contract", "plan"]);
    for interface in ["streams", "plans"] {
        let import = format!(r#"(component (import "wayside:policy/{interface}@1.0.0" (instance))"#);
        check(
            &policy("", "").replacen("(component", &import, 1),
            &[interface, "exports `plan`"],
        );
    }
}

#[test]
fn a_function_of_another_shape_does_not_decide() {
    check(
        r#"(component
            (core module $m (func (export "decide") (result i32) i32.const 0))
            (core instance $i (instantiate $m))
            (func (export "decide") (result u32) (canon lift (core func $i "decide")))
        )"#,
        &["decide"],
    );
}

#[test]
fn an_interface_of_another_shape_does_not_fit() {
    check(
        r#"(component
            (import "wayside:policy/visitor@1.0.0" (instance (export "country" (func (result u64)))))
            (core module $m (func (export "decide") (result i32) i32.const 0))
            (core instance $i (instantiate $m))
            (func (export "decide") (result u32) (canon lift (core func $i "decide")))
        )"#,
        &["does not fit the contract", "country"],
    );
}

#[test]
fn a_loop_at_the_start_or_in_the_trial_is_cut_off() {
    let started = policy("(func $start (loop $again (br $again))) (start $start)", "");
    let tried = policy("", "(loop $again (br $again))");
    let admission = Admission::new(engine(DEADLINE), Compiler::here());
    for text in [started, tried] {
        let bytes = wat::parse_str(&text).expect("component");
        let refusal = admission.admit(&bytes).expect_err("refused").to_string();
        for part in ["deadline of 10 ms", "nothing is known", "loop that does not end"] {
            assert!(refusal.contains(part), "{refusal}");
        }
    }
}

#[test]
fn a_trap_at_the_start_or_in_the_trial_is_refused() {
    check(
        &policy("(func $start unreachable) (start $start)", ""),
        &["trapped", "nothing is known"],
    );
    check(&policy("", "unreachable"), &["trapped", "`proceed`"]);
    check(
        &policy("(func $again (call $again))", "(call $again)"),
        &["more than 512 kB of stack"],
    );
    check(
        &policy("", "(drop (i32.load (i32.const -8)))"),
        &["trapped", "out of the bounds"],
    );
}

#[test]
fn an_answer_that_is_no_decision_is_refused() {
    // Case 7 of a variant of three.
    let text = policy("", "(i32.store8 (i32.const 64) (i32.const 7))");
    check(&text, &["trapped"]);
    // `deny(200)`.
    let text = policy(
        "",
        "(i32.store8 (i32.const 64) (i32.const 2)) (i32.store16 (i32.const 68) (i32.const 200))",
    );
    check(&text, &["decision is refused", "200", "451"]);
    // A redirect whose location lies outside the guest's memory.
    let text = policy(
        "",
        "(i32.store8 (i32.const 64) (i32.const 1)) (i32.store (i32.const 72) (i32.const 0x7fffffff))
         (i32.store (i32.const 76) (i32.const 100))",
    );
    check(&text, &["trapped", "out of bounds"]);
}

#[test]
fn more_memory_than_a_guest_may_have_is_refused_before_compiling() {
    let text = policy("", "").replace(r#"(export "memory") 1)"#, r#"(export "memory") 257)"#);
    check(
        &text,
        &["a memory whose bytes are at least 16842752", "at most 16777216"],
    );
    check(
        &policy("(table 10001 funcref)", ""),
        &["a table whose elements are at least 10001", "at most 10000"],
    );
}

#[test]
fn memory_can_grow_to_the_cap_and_then_growing_fails() {
    // From 1 page to 256 works; one more is -1. Anything else traps.
    let text = policy(
        "",
        "(if (i32.ne (memory.grow (i32.const 255)) (i32.const 1)) (then unreachable))
         (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
         (if (i32.ne (memory.grow (i32.const 65535)) (i32.const -1)) (then unreachable))",
    );
    let bytes = wat::parse_str(text).expect("component");
    assert!(admission().admit(&bytes).is_ok());
}

#[test]
fn what_the_contract_has_no_use_for_is_switched_off() {
    for (definitions, expected) in [
        ("(memory 1)", "multiple memories"),
        ("(memory i64 1)", "memor"),
        ("(memory 1 1 shared)", "memor"),
        ("(func (return_call 0))", "tail calls"),
        ("(func (result v128) (v128.const i64x2 0 0))", "SIMD"),
        ("(tag)", "exceptions"),
        ("(type (struct))", "gc"),
    ] {
        check(&policy(definitions, ""), &["not valid here", expected]);
    }
    // A second memory in another module of the component.
    let text = policy("", "").replace(
        "(core instance $instance",
        "(core module $other (memory 1)) (core instance (instantiate $other)) (core instance $instance",
    );
    check(&text, &["memor"]);
}

#[test]
fn limits_hold_before_compiling() {
    let functions = "(func)".repeat(10_001);
    check(&policy(&functions, ""), &["functions 10002", "at most 10000"]);
    let body = "(drop (i32.const 1))".repeat(50_000);
    check(
        &policy(&format!("(func {body})"), ""),
        &["a function of bytes", "at most 131072"],
    );
    let modules = "(core module)".repeat(8);
    check(
        &format!("(component {modules} (core module))"),
        &["core modules 9", "at most 8"],
    );
}

#[test]
fn a_component_that_does_not_pass_the_tests_it_brings_along_is_refused() {
    let with = |tests: &str| encode::with_tests(component("interpreter"), tests);
    let test = |program: &str, expected: &str| {
        format!("[[test]]\nname = \"{program}\"\nsettings = {{ program = \"{program}\" }}\n{expected}\n")
    };
    let good = test("decide 1", "deny = 451") + &test("panic", "fails = \"trapped\"");
    let (admitted, _) = admission().admit(&with(&good)).expect("it passes");
    assert_eq!(admitted.tests, 2);
    for (bad, said) in [
        (
            good.clone() + &test("decide 0", "deny = 451"),
            "test \"decide 0\": expected deny 451, found proceed",
        ),
        (
            good + &test("panic", "proceed = true"),
            "test \"panic\": expected proceed, found the failure `trapped`",
        ),
        ("[[test]]".to_owned(), "missing field `name`"),
        (String::new(), "found 0 tests"),
        ("#".repeat(65 * 1024), "found 66560 bytes, expected at most 65536"),
    ] {
        let component = with(&bad);
        let refusal = admission().admit(&component).expect_err("refused");
        assert!(refusal.is_final() && refusal.to_string().contains(said), "{refusal}");
        // A node trusts no origin.
        assert_eq!(admission().compile(&component).expect_err("refused"), refusal);
    }
}

/// Which NaN an addition gives differs between processors. A guest that looks must see the same everywhere, or its
/// decision would depend on what it has not asked.
#[test]
fn there_is_one_nan() {
    let bits = "(i32.reinterpret_f32 (f32.add (f32.reinterpret_i32 (i32.const 0x7fa00001)) (f32.const 1)))";
    let look = |expected: &str| format!("(if (i32.ne {bits} (i32.const {expected})) (then unreachable))");
    let admit = |look: &str| admission().admit(&wat::parse_str(policy("", look)).expect("component"));
    assert!(admit(&look("0x7fc00000")).is_ok());
    assert!(admit(&look("0x7fe00001")).is_err(), "the test sees nothing");
}

/// All that a guest could read besides what it asks: nothing of it can be imported, whatever it is called.
#[test]
fn no_clock_randomness_or_file_can_be_imported() {
    for name in [
        "wasi:clocks/wall-clock@0.2.3",
        "wasi:clocks/monotonic-clock@0.2.3",
        "wasi:random/random@0.2.3",
        "wasi:random/insecure-seed@0.2.3",
        "wasi:filesystem/types@0.2.3",
        "wasi:sockets/tcp@0.2.3",
        "wasi:cli/environment@0.2.3",
        "wasi:http/outgoing-handler@0.2.3",
        "wayside:policy/random@1.0.0",
    ] {
        check(
            &format!(r#"(component (import "{name}" (instance)))"#),
            &[name, "expected nothing but"],
        );
    }
}
