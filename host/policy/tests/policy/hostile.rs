//! A guest that misbehaves in every way it can: each has its own failure, and the next run is unharmed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use wayside_decide::{
    decision::{Decider, Decision, Failure},
    limits::QUESTIONS_MAX,
};
use wayside_policy::{
    admission::Admission,
    compiler::Compiler,
    engine::{Engine, EngineOptions},
    guest::Run,
    limits::{NOTE_BYTES_MAX, NOTES_MAX},
    note::Level,
};

use crate::{DEADLINE_MS, component, load, with_settings};

fn run(mode: &str) -> Run {
    load("hostile").run(with_settings(&[("mode", mode)]))
}

/// The failure of a mode, after which the same guest still decides.
fn failure(mode: &str) -> Failure {
    let guest = load("hostile");
    let failure = guest.run(with_settings(&[("mode", mode)])).result.expect_err(mode);
    assert_eq!(
        guest.run(with_settings(&[])).result,
        Ok(Decision::Proceed),
        "after {mode}"
    );
    failure
}

fn trapped(mode: &str) -> String {
    match failure(mode) {
        Failure::Trapped(reason) => reason,
        other => panic!("{mode}: {other}"),
    }
}

#[test]
fn a_loop_is_cut_off() {
    let started = Instant::now();
    let deadline_ms = DEADLINE_MS;
    assert_eq!(failure("loop"), Failure::DeadlineExceeded { deadline_ms });
    // The deadline with much room for a busy machine: what counts is that it ends.
    assert!(started.elapsed().as_secs() < 10);
    assert!(!failure("loop").is_deterministic());
}

#[test]
fn a_node_cuts_off_at_10_ms() {
    let admission = Admission::new(
        Engine::new(&EngineOptions::default()).expect("engine"),
        Compiler::here(),
    );
    let guest = admission.load(&component("hostile")).expect("guest");
    // A machine that has no time for it says so, and nothing about the policy.
    let cut_off = (0..50).find_map(|_| {
        let run = guest.run(with_settings(&[("mode", "loop")]));
        (!matches!(run.result, Err(Failure::Unavailable(_)))).then_some(run)
    });
    let run = cut_off.expect("a run that had its time");
    assert_eq!(run.result, Err(Failure::DeadlineExceeded { deadline_ms: 10 }));
    let cpu_ms = run.cost.cpu.as_millis();
    assert!((10..100).contains(&cpu_ms), "{cpu_ms} ms of processor time");
}

#[test]
fn overwriting_memory_without_end_is_cut_off() {
    let deadline_ms = DEADLINE_MS;
    assert_eq!(failure("fill"), Failure::DeadlineExceeded { deadline_ms });
}

#[test]
fn memory_past_the_cap_is_refused_and_the_author_is_told() {
    let reason = trapped("allocate");
    assert!(reason.contains("refused memory past 16 MiB"), "{reason}");
}

#[test]
fn endless_recursion_ends() {
    let reason = trapped("recurse");
    assert!(
        reason.contains("endless recursion") || reason.contains("kB of stack"),
        "{reason}"
    );
}

#[test]
fn a_panic_carries_its_message() {
    let reason = trapped("panic");
    assert!(
        reason.contains("as told") && reason.contains("fixtures/hostile/src/lib.rs"),
        "{reason}"
    );
    let run = run("panic");
    assert_eq!(run.log.len(), 1);
    assert_eq!(run.log[0].level, Level::Error);
}

#[test]
fn a_status_of_its_own_is_refused() {
    let Failure::InvalidDecision(invalid) = failure("status-200") else {
        panic!("not an invalid decision");
    };
    assert_eq!((invalid.what, invalid.found.as_str()), ("status", "200"));
}

#[test]
fn a_location_with_a_line_break_is_refused() {
    let Failure::InvalidDecision(invalid) = failure("location-crlf") else {
        panic!("not an invalid decision");
    };
    assert!(invalid.found.contains("\\r\\n"), "{}", invalid.found);
}

#[test]
fn questions_without_end_stop_at_the_limit() {
    assert_eq!(failure("many-questions"), Failure::QuestionLimit);
    assert_eq!(run("many-questions").recorder.trace().len(), QUESTIONS_MAX);
}

#[test]
fn a_question_without_meaning_is_named() {
    for (mode, what) in [
        ("bad-cidr", "network"),
        ("bad-header", "header name"),
        ("no-buckets", "bucket count"),
        ("bad-zone", "time zone"),
        ("bad-day-zone", "time zone"),
        ("bad-point", "latitude"),
        ("many-points", "points"),
        ("same-points", "points"),
    ] {
        let Failure::InvalidQuestion(invalid) = failure(mode) else {
            panic!("{mode}: not an invalid question");
        };
        assert_eq!(invalid.what, what);
    }
}

#[test]
fn an_author_is_told_which_zone_or_point_has_no_meaning() {
    for (mode, said) in [
        (
            "bad-zone",
            "time zone: found \"Europe/Berln\", expected the IANA name of a time zone, such as `Europe/Berlin` or `UTC`",
        ),
        (
            "bad-point",
            "latitude: found NaN of \"nowhere\", expected a number of degrees from -90 to 90",
        ),
        ("many-points", "points: found 65 of them, expected at most 64"),
        ("same-points", "points: found \"here\" twice, expected each name once"),
    ] {
        let failure = failure(mode).to_string();
        assert!(failure.ends_with(said), "{failure}");
    }
}

#[test]
fn an_answer_too_large_for_the_host_is_not_read() {
    let reason = trapped("big-answer");
    assert!(reason.contains("fuel"), "{reason}");
}

#[test]
fn a_talkative_guest_is_cut_short() {
    let run = run("talk");
    assert_eq!(run.result, Ok(Decision::Proceed));
    assert_eq!(run.log.len(), NOTES_MAX);
    assert!(run.log.iter().all(|note| note.message.len() <= NOTE_BYTES_MAX));
}

#[test]
fn nothing_of_one_run_is_there_at_the_next() {
    let guest = load("hostile");
    // Each run overwrites its memory; a harmless run between them starts from the component's own.
    for _ in 0..3 {
        assert!(guest.run(with_settings(&[("mode", "fill")])).result.is_err());
        let mut recorder = with_settings(&[("mode", "harmless")]);
        assert_eq!(guest.decide(&mut recorder), Ok(Decision::Proceed));
        assert_eq!(recorder.trace().len(), 1);
    }
}

#[test]
fn a_guest_stays_usable_from_many_threads_and_sandboxes_run_out_gracefully() {
    let engine = Engine::new(&EngineOptions {
        sandboxes: 1,
        deadline: Duration::from_millis(DEADLINE_MS),
        ..EngineOptions::default()
    })
    .expect("engine");
    let guest = Arc::new(
        Admission::new(engine, Compiler::here())
            .load(&component("hostile"))
            .expect("guest"),
    );
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| guest.run(with_settings(&[("mode", "loop")])).result))
            .collect();
        for run in runs {
            match run.join().expect("no panic") {
                Err(Failure::DeadlineExceeded { .. } | Failure::Unavailable(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    });
    assert_eq!(guest.run(with_settings(&[])).result, Ok(Decision::Proceed));
}
