//! What a remembered decision costs without the request around it: walks of paths of one, three and six questions, and
//! the memory of a leaf.

#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "criterion's macros make public items; a bench prints, and reads what it takes in memory"
)]

use std::{collections::BTreeMap, hint::black_box, sync::Arc};

use criterion::{Criterion, criterion_group, criterion_main};
use wayside_decide::{
    decision::Decision,
    facts::Facts,
    question::{Answer, Question},
    status::RedirectStatus,
    target::Target,
    template::Template,
    trace::{Recorder, Trace},
    tree::{TreeLimits, memory::Memory},
};

/// Answers that cost next to nothing, so that the walk is what is measured.
struct Known(BTreeMap<u32, Answer>);

impl Facts for Known {
    fn answer(&self, question: &Question) -> Answer {
        match question {
            Question::Segment(index) => self.0.get(index).cloned().unwrap_or(Answer::Absent),
            _ => Answer::Absent,
        }
    }

    fn now_s(&self) -> u64 {
        0
    }
}

fn known(texts: &[String]) -> Known {
    let answers = texts.iter().map(|text| Answer::Text(text.as_str().into()));
    Known((0..).zip(answers).collect())
}

fn trace(texts: &[String]) -> Trace {
    let mut recorder = Recorder::new(Arc::new(known(texts)));
    for (index, _) in (0..).zip(texts) {
        let _ = recorder.ask(Question::Segment(index));
    }
    recorder.into_trace()
}

fn redirect(number: usize) -> Decision {
    let place = Target::parse(&format!("https://{number}.example/")).unwrap_or_else(|error| unreachable!("{error}"));
    Decision::Redirect {
        status: RedirectStatus::Found,
        location: Template::fixed(&place),
    }
}

/// A tree in which each of the first 250 answers (countries, say) leads to one path of `depth` questions.
fn memory(depth: usize) -> Memory {
    let memory = Memory::new(TreeLimits::default());
    for number in 0..250 {
        let _ = memory.graft(&trace(&texts(number, depth)), Ok(redirect(number)));
    }
    memory
}

fn texts(number: usize, depth: usize) -> Vec<String> {
    (0..depth).map(|level| format!("{level}-{number}")).collect()
}

fn walks(criterion: &mut Criterion) {
    for depth in [1, 3, 6] {
        let memory = memory(depth);
        let facts: Vec<Known> = (0..250).map(|number| known(&texts(number, depth))).collect();
        let mut turn = 0;
        criterion.bench_function(&format!("walk of {depth} questions"), |bencher| {
            bencher.iter(|| {
                turn = (turn + 1) % facts.len();
                black_box(memory.walk(&facts[turn]))
            });
        });
    }
}

/// Prints what leaves take, by the process's resident memory.
fn leaf_bytes(_: &mut Criterion) {
    let (trees, leaves) = (20, 20_000);
    let limits = TreeLimits {
        answers_max: leaves,
        bytes_max: usize::MAX,
        ..TreeLimits::default()
    };
    let before = resident_bytes();
    let kept: Vec<Memory> = (0..trees)
        .map(|_| {
            let memory = Memory::new(limits);
            for number in 0..leaves {
                // Two questions: a hundred answers to the first, two hundred to the second after each.
                let answers = [format!("{}", number % 100), format!("{}", number / 100)];
                let _ = memory.graft(&trace(&answers), Ok(Decision::Proceed));
            }
            memory
        })
        .collect();
    let taken = resident_bytes().saturating_sub(before);
    let leaves: usize = kept.iter().map(|memory| memory.tree().size().leaves).sum();
    let estimated: usize = kept.iter().map(|memory| memory.tree().size().bytes).sum();
    println!(
        "memory of a leaf: {} bytes ({} by estimate), of {leaves}",
        taken / leaves,
        estimated / leaves
    );
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: Option<usize> = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0) * 4096
}

criterion_group!(benches, walks, leaf_bytes);
criterion_main!(benches);
