//! Remembered ≡ fresh: whatever the policy, the requests and the history, a walk finds what a run would.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use proptest::prelude::*;

use super::{
    Decided, Outcome, Outline, Tree, TreeLimits, Walk,
    memory::{Memory, NotKept},
    meter::Meter,
};
use crate::{
    decision::{Decision, Failure},
    facts::Facts,
    question::{Answer, Question},
    status::{DenyStatus, RedirectStatus},
    stream::plan::{PlanSpec, StreamPlan},
    target::Target,
    template::Template,
    trace::{Recorder, Trace},
    zone::Zone,
};

/// A deterministic policy as data: ask, go where the answer leads, decide.
#[derive(Debug, Clone)]
enum Program {
    Decide(u8),
    Trap,
    /// Asks, and goes on by the answer's number modulo the number of branches.
    Ask(Question, Vec<Self>),
    /// Asks, and then asks for the query parameter that the answer names: a question that depends on an answer.
    AskNamed(Question, Box<Self>),
}

impl Program {
    fn run(&self, recorder: &mut Recorder) -> Outcome {
        match self {
            Self::Decide(number) => Ok(decision(*number)),
            Self::Trap => Err(Failure::Trapped("it gave up".to_owned())),
            Self::Ask(question, branches) => {
                let answer = recorder.ask(question.clone())?;
                branches[number_of(&answer) % branches.len()].run(recorder)
            }
            Self::AskNamed(question, then) => {
                let name = recorder.ask(question.clone())?.to_string();
                let named = recorder.ask(Question::Query(name.into()))?;
                match then.run(recorder) {
                    // The named answer has a say in the decision.
                    Ok(Decision::Deny(_)) => Ok(decision(u8::try_from(number_of(&named) % 7).expect("small"))),
                    other => other,
                }
            }
        }
    }
}

fn decision(number: u8) -> Decision {
    let place = |text: &str| Template::parse(text).expect("a template");
    let redirect = |location| Decision::Redirect {
        status: RedirectStatus::Found,
        location,
    };
    match number % 7 {
        0 => Decision::Proceed,
        1 => Decision::Deny(DenyStatus::from_code(451).expect("a status")),
        2 => redirect(place("https://m.example{path}{?query}")),
        5 => Decision::Plan(Arc::default()),
        6 => plan(&["a", "b"], Vec::new()),
        number => redirect(Template::fixed(
            &Target::parse(&format!("https://{number}.example/")).expect("a target"),
        )),
    }
}

/// A tier of these targets, and a list of those that are not taken.
fn plan(tier: &[&str], deny: Vec<String>) -> Decision {
    let share = |(weight, target): (u8, &&str)| ((*target).to_owned(), f64::from(weight) / 3.0);
    let spec = PlanSpec {
        tiers: vec![(1..).zip(tier).map(share).collect()],
        deny,
        ..PlanSpec::default()
    };
    Decision::Plan(Arc::new(StreamPlan::new(spec).expect("a plan")))
}

fn number_of(answer: &Answer) -> usize {
    match answer {
        Answer::Absent => 0,
        Answer::Flag(flag) => 1 + usize::from(*flag),
        Answer::Number(number) => usize::try_from(*number).expect("small"),
        Answer::Text(text) => text.len(),
        Answer::List(items) => items.len(),
    }
}

/// A world: the answers of everything but the clock, and the time.
#[derive(Debug, Clone)]
struct World {
    answers: BTreeMap<Question, Answer>,
    now_s: u64,
}

impl Facts for World {
    fn answer(&self, question: &Question) -> Answer {
        question
            .answer_at(self.now_s)
            .or_else(|| self.answers.get(question).cloned())
            .unwrap_or(Answer::Absent)
    }

    fn now_s(&self) -> u64 {
        self.now_s
    }
}

fn run(program: &Program, world: &World) -> (Recorder, Outcome) {
    let mut recorder = Recorder::new(Arc::new(world.clone()));
    let outcome = program.run(&mut recorder);
    (recorder, outcome)
}

/// Instants in whose next 20 seconds something happens to somebody's clock: 1970 begins; clocks in Berlin go
/// forward, and back; midnight in Kolkata; clocks on Lord Howe go back by half an hour; Apia leaves out a day.
const MOMENTS: [u64; 6] = [
    0,
    1_743_296_390,
    1_761_440_390,
    1_750_012_190,
    1_743_865_190,
    1_325_239_190,
];
const ZONES: [&str; 5] = [
    "UTC",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",
];

fn instants(seconds: std::ops::Range<u64>) -> impl Strategy<Value = u64> {
    (prop::sample::select(&MOMENTS[..]), seconds).prop_map(|(moment, seconds)| moment + seconds)
}

fn zones() -> impl Strategy<Value = Zone> {
    prop::sample::select(&ZONES[..]).prop_map(|name| Zone::parse(name).expect("a zone"))
}

/// Few questions with parameters that differ, so that programs meet the same ones again.
fn questions() -> impl Strategy<Value = Question> {
    let name = prop_oneof![Just("a"), Just("b")];
    prop_oneof![
        Just(Question::Country),
        Just(Question::LinkTarget),
        Just(Question::AssetId),
        name.clone().prop_map(|name| Question::AssetAttribute(name.into())),
        name.clone().prop_map(|name| Question::Header(name.into())),
        name.clone().prop_map(|name| Question::Cookie(name.into())),
        (name, 2_u32..4).prop_map(|(salt, count)| Question::Bucket {
            salt: salt.into(),
            count
        }),
        (0_u32..3).prop_map(Question::Segment),
        instants(0..20).prop_map(Question::AtOrAfter),
        zones().prop_map(Question::Weekday),
        zones().prop_map(Question::Hour),
    ]
}

fn programs() -> impl Strategy<Value = Program> {
    let leaf = prop_oneof![4 => (0_u8..7).prop_map(Program::Decide), 1 => Just(Program::Trap)];
    leaf.prop_recursive(5, 40, 3, |inner| {
        prop_oneof![
            3 => (questions(), prop::collection::vec(inner.clone(), 1..4)).prop_map(|(question, branches)| Program::Ask(question, branches)),
            1 => (questions(), inner).prop_map(|(question, then)| Program::AskNamed(question, Box::new(then))),
        ]
    })
}

fn answers() -> impl Strategy<Value = Answer> {
    prop_oneof![
        Just(Answer::Absent),
        (0_u64..4).prop_map(Answer::Number),
        prop_oneof![Just("a"), Just("b"), Just("ab"), Just("abc")].prop_map(|text| Answer::Text(text.into())),
        any::<bool>().prop_map(Answer::Flag),
    ]
}

/// One thing that happens to the world, before somebody asks.
#[derive(Debug, Clone)]
enum Event {
    /// A fact changes: another visitor, another header, a changed link, new geography.
    Change(Question, Answer),
    Clock(u64),
    /// Nothing: the same request again.
    Again,
}

fn events() -> impl Strategy<Value = Event> {
    let named = prop_oneof![Just("a"), Just("\"ab\""), Just("absent"), Just("yes")]
        .prop_map(|name: &str| Question::Query(name.into()));
    prop_oneof![
        4 => (prop_oneof![3 => questions().boxed(), 1 => named.boxed()], answers()).prop_map(|(question, answer)| Event::Change(question, answer)),
        2 => instants(0..25).prop_map(Event::Clock),
        1 => Just(Event::Again),
    ]
}

fn happen(world: &mut World, event: &Event) {
    match event {
        Event::Change(question, answer) => {
            world.answers.insert(question.clone(), answer.clone());
        }
        Event::Clock(now_s) => world.now_s = *now_s,
        Event::Again => {}
    }
}

fn limits() -> impl Strategy<Value = TreeLimits> {
    (1_usize..12, 1_usize..6, prop_oneof![Just(2_000_usize), Just(1 << 20)]).prop_map(
        |(leaves_max, answers_max, bytes_max)| TreeLimits {
            leaves_max,
            bytes_max,
            answers_max,
            answers_kept: 1 + answers_max / 2,
        },
    )
}

/// Asks the memory, or runs and grafts; the outcome, and until when it holds.
fn remembered(memory: &Memory, program: &Program, world: &World) -> (Outcome, Option<u64>) {
    if let Walk::Found(hit) = memory.walk(world) {
        return (hit.leaf.decided().outcome().clone(), hit.horizon);
    }
    let (recorder, outcome) = run(program, world);
    let kept = memory.graft(recorder.trace(), outcome.clone());
    assert_eq!(kept.expect("a pure program").decided().outcome(), &outcome);
    (outcome, Some(0))
}

/// Seconds from `now_s` on: the first, some of the next two days, and the last before the horizon.
fn sampled(now_s: u64, horizon: Option<u64>) -> impl Iterator<Item = u64> {
    let first = now_s..now_s + 25;
    let rest = (now_s..now_s + 2 * 86_400).step_by(7_199);
    let last = horizon.and_then(|horizon| horizon.checked_sub(1));
    let all = first.chain(rest).chain(last);
    all.filter(move |second| *second >= now_s && horizon.is_none_or(|horizon| *second < horizon))
}

fn decided(trace: &Trace, outcome: &Outcome) -> Arc<Decided> {
    Arc::new(Decided::new(trace, outcome.clone()))
}

fn found(memory: &Memory, world: &World) -> Option<Outcome> {
    match memory.walk(world) {
        Walk::Found(hit) => Some(hit.leaf.decided().outcome().clone()),
        Walk::New => None,
        Walk::Waits => panic!("a world knows everything"),
    }
}

const NO_LIMITS: TreeLimits = TreeLimits {
    leaves_max: 1_000,
    bytes_max: 1 << 20,
    answers_max: 100,
    answers_kept: 10,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_remembered_is_what_a_run_would_decide(
        program in programs(),
        history in prop::collection::vec(events(), 1..80),
        limits in limits(),
    ) {
        let memory = Memory::new(limits);
        let mut world = World { answers: BTreeMap::new(), now_s: 0 };
        for (asked, event) in (1_u64..).zip(&history) {
            happen(&mut world, event);
            let (outcome, horizon) = remembered(&memory, &program, &world);
            prop_assert_eq!(&outcome, &run(&program, &world).1);
            // Nothing but the clock moves: the outcome holds up to the horizon.
            for now_s in sampled(world.now_s, horizon) {
                let later = World { now_s, ..world.clone() };
                prop_assert_eq!(&outcome, &run(&program, &later).1, "at {} of {:?}", now_s, horizon);
            }
            let tree = memory.tree();
            let uses: u64 = tree.leaves().map(|leaf| leaf.uses()).sum();
            prop_assert_eq!(uses + tree.forgotten(), asked, "every request is counted once");
            let size = tree.size();
            prop_assert!(size.leaves <= limits.leaves_max, "{:?}", size);
            prop_assert!(size.bytes <= limits.bytes_max || size.leaves <= 1, "{:?}", size);
        }
    }

    #[test]
    fn with_room_enough_each_path_is_run_once(
        program in programs(),
        history in prop::collection::vec(events(), 1..80),
    ) {
        let memory = Memory::new(NO_LIMITS);
        let mut world = World { answers: BTreeMap::new(), now_s: 0 };
        for event in &history {
            happen(&mut world, event);
            drop(remembered(&memory, &program, &world));
            prop_assert_eq!(found(&memory, &world), Some(run(&program, &world).1));
        }
        let tree = memory.tree();
        let mut counted = Tree::clone(&tree);
        counted.measure();
        prop_assert_eq!(tree.size(), counted.size(), "kept up to date without counting anew");
    }

    #[test]
    fn threads_share_a_memory_and_still_find_what_a_run_would(
        program in programs(),
        histories in prop::collection::vec(prop::collection::vec(events(), 1..40), 4),
        limits in limits(),
    ) {
        let memory = Memory::new(limits);
        let wrong = Mutex::new(None);
        let (memory, program, wrong) = (&memory, &program, &wrong);
        std::thread::scope(|scope| {
            for history in &histories {
                scope.spawn(move || {
                    let mut world = World { answers: BTreeMap::new(), now_s: 0 };
                    for event in history {
                        happen(&mut world, event);
                        let (outcome, _) = remembered(memory, program, &world);
                        if outcome != run(program, &world).1 {
                            *wrong.lock().expect("lock") = Some(world.clone());
                        }
                    }
                });
            }
        });
        prop_assert!(wrong.lock().expect("lock").is_none(), "{:?}", wrong);
    }

    /// A decider that is not a pure function is found out at the first graft that shows it.
    #[test]
    fn two_programs_in_one_tree_contradict_each_other_or_agree(
        one in programs(),
        other in programs(),
        history in prop::collection::vec(events(), 1..40),
    ) {
        let mut tree = Tree::default();
        let mut world = World { answers: BTreeMap::new(), now_s: 0 };
        for event in &history {
            happen(&mut world, event);
            let (recorder, outcome) = run(&one, &world);
            tree = tree.graft(recorder.trace(), decided(recorder.trace(), &outcome), &NO_LIMITS).expect("a pure program").0;
            let (other_recorder, other_outcome) = run(&other, &world);
            let grafted = tree.graft(other_recorder.trace(), decided(other_recorder.trace(), &other_outcome), &NO_LIMITS);
            let agree = recorder.trace() == other_recorder.trace() && outcome == other_outcome;
            prop_assert_eq!(grafted.is_ok(), agree);
        }
    }
}

#[test]
fn a_cut_off_run_is_not_remembered() {
    let memory = Memory::new(NO_LIMITS);
    let world = World {
        answers: BTreeMap::new(),
        now_s: 0,
    };
    let recorder = Recorder::new(Arc::new(world.clone()));
    for failure in [Failure::DeadlineExceeded { deadline_ms: 5 }, Failure::Overloaded] {
        let kept = memory.graft(recorder.trace(), Err(failure.clone()));
        assert_eq!(kept.err(), Some(NotKept::Passing(failure)));
        assert!(found(&memory, &world).is_none());
    }
    memory
        .graft(recorder.trace(), Err(Failure::QuestionLimit))
        .expect("remembered");
    assert!(found(&memory, &world).is_some());
}

#[test]
fn a_contradiction_forgets_everything_and_stays() {
    let memory = Memory::new(NO_LIMITS);
    let world = World {
        answers: BTreeMap::new(),
        now_s: 0,
    };
    let recorder = Recorder::new(Arc::new(world.clone()));
    memory.graft(recorder.trace(), Ok(decision(0))).expect("the first");
    let contradiction = memory.graft(recorder.trace(), Ok(decision(1))).expect_err("another");
    assert_eq!(
        contradiction.to_string(),
        "after the same 0 answers it decided deny 451, where it decided proceed before"
    );
    assert!(found(&memory, &world).is_none());
    let again = memory.graft(recorder.trace(), Ok(decision(0)));
    assert_eq!(again.err(), Some(contradiction.clone()));
    assert_eq!(
        memory.contradiction().cloned().map(NotKept::Contradicted),
        Some(contradiction)
    );
}

/// A location that holds an answer is another for each leaf: what was decided takes more than the tree that leads there.
#[test]
fn what_was_decided_counts_and_what_is_shared_counts_once() {
    let limits = TreeLimits {
        bytes_max: 1 << 20,
        ..NO_LIMITS
    };
    let long = |number: usize| format!("https://a.example/{}{number:04}", "x".repeat(8_000));
    let redirect = |number: usize| {
        Ok(Decision::Redirect {
            status: RedirectStatus::Found,
            location: Template::fixed(&Target::parse(&long(number)).expect("a target")),
        })
    };
    let trapped = |number: usize| Err(Failure::Trapped(long(number)));
    let name = |number: usize| move |place| format!("{number:04}-{place:03}-{}", "x".repeat(55));
    let planned = |number: usize| {
        let names: Vec<String> = (0..64).map(name(number)).collect();
        let tier: Vec<&str> = names.iter().map(String::as_str).collect();
        Ok(plan(&tier, names.clone()))
    };
    let outcomes: [(&dyn Fn(usize) -> Outcome, usize); 3] =
        [(&redirect, 24_000), (&trapped, 8_000), (&planned, 2 * 64 * 64)];
    for (outcome, bytes_each) in outcomes {
        let (memory, shared) = (Memory::new(limits), Memory::new(limits));
        for number in 0..90 {
            let world = World {
                answers: BTreeMap::from([(Question::Country, Answer::Number(u64::try_from(number).expect("small")))]),
                now_s: 0,
            };
            let mut recorder = Recorder::new(Arc::new(world));
            recorder.ask(Question::Country).expect("an answer");
            memory.graft(recorder.trace(), outcome(number)).expect("a leaf");
            shared.graft(recorder.trace(), outcome(0)).expect("a leaf");
        }
        let (own, shared) = (memory.tree().size(), shared.tree().size());
        assert!(own.bytes >= own.leaves * bytes_each, "{own:?}");
        assert!(own.bytes <= limits.bytes_max && own.leaves >= 10, "{own:?}");
        assert_eq!(shared.leaves, 90);
        assert!((bytes_each..3 * bytes_each).contains(&shared.bytes), "{shared:?}");
    }
}

/// Whoever has several trees knows what all take, and can have each give something up.
#[test]
fn a_meter_knows_what_all_trees_take_whatever_becomes_of_them() {
    let meter = Meter::default();
    let memories: Vec<_> = (0..3).map(|_| Memory::metered(NO_LIMITS, meter.clone())).collect();
    let sum = |memories: &[Memory]| memories.iter().map(|memory| memory.tree().size().bytes).sum::<usize>();
    for number in 0..300 {
        let world = World {
            answers: BTreeMap::from([(Question::Segment(0), Answer::Number(number))]),
            now_s: 0,
        };
        let mut recorder = Recorder::new(Arc::new(world));
        recorder.ask(Question::Segment(0)).expect("an answer");
        let memory = &memories[usize::try_from(number % 3).expect("small")];
        memory
            .graft(recorder.trace(), Ok(decision(u8::try_from(number % 5).expect("small"))))
            .expect("a leaf");
        assert_eq!(meter.bytes(), sum(&memories));
    }
    let (bytes, leaves) = (meter.bytes(), memories[0].tree().size().leaves);
    memories[0].shrink();
    assert!(memories[0].tree().size().leaves < leaves && meter.bytes() < bytes);
    assert_eq!(meter.bytes(), sum(&memories));
    (0..100).for_each(|_| memories[0].shrink());
    assert_eq!(memories[0].tree().size().leaves, 0);
    let recorder = Recorder::new(Arc::new(World {
        answers: BTreeMap::new(),
        now_s: 0,
    }));
    memories[1]
        .graft(recorder.trace(), Ok(decision(0)))
        .expect_err("a contradiction");
    assert_eq!(meter.bytes(), sum(&memories));
    drop(memories);
    assert_eq!(meter.bytes(), 0);
}

/// A raw user agent as a question: what is useful stays, memory stays small, and the question is named.
#[test]
fn a_question_with_too_many_answers_keeps_those_in_use() {
    let agent = Question::Header("user-agent".into());
    let program = Program::Ask(
        Question::Country,
        vec![
            Program::Decide(0),
            Program::Decide(1),
            Program::Ask(agent.clone(), vec![Program::Decide(2)]),
        ],
    );
    let memory = Memory::new(TreeLimits {
        answers_max: 100,
        answers_kept: 10,
        ..TreeLimits::default()
    });
    let world = |country: &str, name: String| World {
        answers: BTreeMap::from([
            (Question::Country, Answer::Text(country.into())),
            (agent.clone(), Answer::Text(name.into())),
        ]),
        now_s: 0,
    };
    let (mut common_runs, mut rare) = (0, 0);
    for round in 0..5_000 {
        // Other countries, which do not ask for the agent.
        drop(remembered(&memory, &program, &world("abc", String::new())));
        drop(remembered(&memory, &program, &world("ab", format!("rare {round}"))));
        rare += 1;
        let common = world("ab", format!("common {}", round % 5));
        common_runs += usize::from(found(&memory, &common).is_none());
        drop(remembered(&memory, &program, &common));
    }
    assert_eq!(rare, 5_000);
    assert!(common_runs <= 100, "ran {common_runs} times for five agents");
    let tree = memory.tree();
    assert!(tree.size().leaves <= 102, "{:?}", tree.size());
    let Some(Outline::Asks { branches, .. }) = tree.outline() else {
        panic!("a question first");
    };
    let wide = branches.iter().find_map(|branch| match &branch.below {
        Outline::Asks {
            question,
            answers_met,
            is_wide: true,
            ..
        } => Some((question, *answers_met)),
        _ => None,
    });
    let (question, answers_met) = wide.expect("a wide question");
    assert_eq!(**question, agent);
    assert!(answers_met >= 5_000, "{answers_met}");
    let named = tree.wide();
    assert_eq!((named.len(), &*named[0].question, named[0].places), (1, &agent, 1));
    assert_eq!(named[0].answers_met, answers_met);
}

/// A memory belongs to one set of settings: what a decider read of them is no branch of its tree.
#[test]
fn settings_are_no_questions_of_the_tree() {
    let setting = Question::Setting("place".into());
    let program = Program::Ask(setting, vec![Program::Ask(Question::Country, vec![Program::Decide(0)])]);
    let memory = Memory::new(NO_LIMITS);
    let world = World {
        answers: BTreeMap::new(),
        now_s: 0,
    };
    drop(remembered(&memory, &program, &world));
    let Some(Outline::Asks { question, .. }) = memory.tree().outline() else {
        panic!("a question");
    };
    assert_eq!(*question, Question::Country);
    assert_eq!(found(&memory, &world), Some(Ok(Decision::Proceed)));
}
