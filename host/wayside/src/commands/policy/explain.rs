//! `wayside policy explain`: what a policy depends on, drawn from the decision tree of a running node.

use std::fmt::Write as _;

use anyhow::Context as _;
use clap::ValueEnum;
use serde::Deserialize;

use crate::{
    cli::Globals,
    client::{Client, DEFAULT_TENANT, block_on},
    commands::values::name,
    output::{self, Format},
};

pub(crate) const EXAMPLES: &str = "\
Examples:
  wayside policy explain localhost /geo
  wayside policy explain localhost /geo --draw mermaid
  wayside policy explain localhost /geo --output json";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The site's name
    #[arg(value_parser = name)]
    site: String,
    /// The part of the site the policy is bound to
    prefix: String,
    /// How to draw it
    #[arg(long, value_enum, default_value_t = Drawing::Text)]
    draw: Drawing,
    /// How many answers to draw of each question; the others are added up
    #[arg(long, value_name = "COUNT", default_value_t = 12)]
    answers: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Drawing {
    /// Lines for a terminal
    Text,
    /// A Mermaid flowchart
    Mermaid,
    /// A Graphviz graph
    Dot,
}

/// The part of the node's answer that is drawn.
#[derive(Debug, Deserialize)]
struct Explanation {
    policy: String,
    decisions: u64,
    leaves: usize,
    contradiction: Option<String>,
    tree: Option<Node>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Node {
    Asks {
        asks: String,
        answers_met: u64,
        too_many: bool,
        remedy: Option<String>,
        answers: Vec<Answer>,
    },
    Comes {
        decides: Option<String>,
        fails: Option<String>,
    },
}

#[derive(Debug, Deserialize)]
struct Answer {
    answer: String,
    decisions: u64,
    then: Node,
}

pub(crate) fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let node = Client::anonymous("edge", globals.admin_url.clone())?;
    let which = [
        ("tenant", globals.tenant.as_deref().unwrap_or(DEFAULT_TENANT)),
        ("site", args.site.as_str()),
        ("prefix", args.prefix.as_str()),
    ];
    let what = || format!("explain {} of site {}", args.prefix, args.site);
    let document: serde_json::Value = block_on(node.get(&["policies", "explain"], &which)).with_context(what)?;
    if globals.output == Format::Json {
        return output::record(globals.output, &document, &[]);
    }
    let explanation: Explanation = serde_json::from_value(document).context("read the node's answer")?;
    let drawn = match args.draw {
        Drawing::Text => text(&explanation, args.answers),
        Drawing::Mermaid => graph(&explanation, args.answers, &MERMAID),
        Drawing::Dot => graph(&explanation, args.answers, &DOT),
    };
    drawn.trim_end().lines().try_for_each(output::line)
}

fn text(explanation: &Explanation, answers_max: usize) -> String {
    let Explanation {
        policy,
        decisions,
        leaves,
        ..
    } = explanation;
    let mut drawn = format!("{policy}: {decisions} decisions on {leaves} paths\n\n");
    if let Some(contradiction) = &explanation.contradiction {
        let _ = writeln!(drawn, "It contradicts itself and does not run here: {contradiction}");
    }
    match &explanation.tree {
        Some(tree) => lines(&mut drawn, tree, "", explanation.decisions, answers_max),
        None => drawn.push_str("Nothing is remembered yet: nobody has come by since the node knows this version.\n"),
    }
    drawn
}

fn lines(drawn: &mut String, node: &Node, indent: &str, total: u64, answers_max: usize) {
    let Node::Asks {
        asks,
        answers_met,
        too_many,
        remedy,
        answers,
    } = node
    else {
        let _ = writeln!(drawn, "→ {}", outcome(node));
        return;
    };
    let note = if *too_many {
        let remedy = remedy.as_ref().map(|remedy| format!("; {remedy}")).unwrap_or_default();
        format!("   (too many answers to remember: {answers_met} met{remedy})")
    } else {
        String::new()
    };
    let _ = writeln!(drawn, "{asks}{note}");
    let drawable = answers.len().min(answers_max);
    let rest: u64 = answers[drawable..].iter().map(|answer| answer.decisions).sum();
    for (index, answer) in answers[..drawable].iter().enumerate() {
        let is_last = index + 1 == answers.len();
        let (branch, below) = if is_last {
            ("└─ ", "   ")
        } else {
            ("├─ ", "│  ")
        };
        let _ = write!(
            drawn,
            "{indent}{branch}{}  {}  ",
            answer.answer,
            share(answer.decisions, total)
        );
        lines(drawn, &answer.then, &format!("{indent}{below}"), total, answers_max);
    }
    if drawable < answers.len() {
        let _ = writeln!(
            drawn,
            "{indent}└─ {} other answers  {}",
            answers.len() - drawable,
            share(rest, total)
        );
    }
}

fn outcome(node: &Node) -> String {
    match node {
        Node::Comes {
            decides: Some(decision),
            ..
        } => decision.clone(),
        Node::Comes {
            fails: Some(failure), ..
        } => format!("fails: {failure}"),
        Node::Comes { .. } | Node::Asks { .. } => String::new(),
    }
}

fn share(part: u64, total: u64) -> String {
    let thousandths = (part * 1000 + total / 2).checked_div(total).unwrap_or(0);
    format!("{}.{} %", thousandths / 10, thousandths % 10)
}

/// How a graph's language writes its parts.
struct Language {
    head: &'static str,
    question: fn(usize, &str) -> String,
    leaf: fn(usize, &str) -> String,
    edge: fn(usize, usize, &str) -> String,
    tail: &'static str,
}

const MERMAID: Language = Language {
    head: "flowchart LR\n",
    question: |id, text| format!("  n{id}{{{{\"{}\"}}}}\n", text.replace('"', "#quot;")),
    leaf: |id, text| format!("  n{id}[\"{}\"]\n", text.replace('"', "#quot;")),
    edge: |from, to, text| format!("  n{from} -->|\"{}\"| n{to}\n", text.replace('"', "#quot;")),
    tail: "",
};

const DOT: Language = Language {
    head: "digraph policy {\n  rankdir=LR;\n",
    question: |id, text| format!("  n{id} [shape=hexagon, label={text:?}];\n"),
    leaf: |id, text| format!("  n{id} [shape=box, label={text:?}];\n"),
    edge: |from, to, text| format!("  n{from} -> n{to} [label={text:?}];\n"),
    tail: "}\n",
};

fn graph(explanation: &Explanation, answers_max: usize, language: &Language) -> String {
    let mut graph = Graph {
        drawn: language.head.to_owned(),
        count: 0,
        total: explanation.decisions,
        answers_max,
        language,
    };
    if let Some(tree) = &explanation.tree {
        graph.node(tree);
    }
    graph.drawn + language.tail
}

struct Graph<'l> {
    drawn: String,
    count: usize,
    total: u64,
    answers_max: usize,
    language: &'l Language,
}

impl Graph<'_> {
    /// Draws a node and all below it; its number.
    fn node(&mut self, node: &Node) -> usize {
        let id = self.count;
        self.count += 1;
        let Node::Asks { asks, answers, .. } = node else {
            self.drawn += &(self.language.leaf)(id, &outcome(node));
            return id;
        };
        self.drawn += &(self.language.question)(id, asks);
        let drawable = answers.len().min(self.answers_max);
        for answer in &answers[..drawable] {
            let below = self.node(&answer.then);
            let label = format!("{} {}", answer.answer, share(answer.decisions, self.total));
            self.drawn += &(self.language.edge)(id, below, &label);
        }
        if drawable < answers.len() {
            let below = self.count;
            self.count += 1;
            let rest = answers[drawable..].iter().map(|answer| answer.decisions).sum();
            let label = format!("{} other answers", answers.len() - drawable);
            self.drawn += &(self.language.leaf)(below, &label);
            self.drawn += &(self.language.edge)(id, below, &share(rest, self.total));
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::{DOT, Explanation, MERMAID, graph, text};

    const NODE: &str = r#"{"policy": "geo", "decisions": 4, "leaves": 3, "contradiction": null, "tree":
        {"asks": "visitor.country", "answers_met": 3, "too_many": false, "answers": [
            {"answer": "\"DE\"", "decisions": 2, "then": {"asks": "settings.get(\"de\")", "answers_met": 1, "too_many": false,
                "answers": [{"answer": "\"x\"", "decisions": 2, "then": {"decides": "302 https://a.example/", "fails": null}}]}},
            {"answer": "absent", "decisions": 1, "then": {"decides": "proceed", "fails": null}},
            {"answer": "\"FR\"", "decisions": 1, "then": {"decides": null, "fails": "the policy trapped: no"}}]}}"#;

    fn explanation() -> Explanation {
        serde_json::from_str(NODE).expect("an explanation")
    }

    #[test]
    fn a_tree_is_drawn_with_its_shares() {
        let expected = "\
geo: 4 decisions on 3 paths

visitor.country
├─ \"DE\"  50.0 %  settings.get(\"de\")
│  └─ \"x\"  50.0 %  → 302 https://a.example/
├─ absent  25.0 %  → proceed
└─ \"FR\"  25.0 %  → fails: the policy trapped: no
";
        assert_eq!(text(&explanation(), 12), expected);
        let wide = NODE.replacen("\"too_many\": false", "\"too_many\": true, \"remedy\": \"ask less\"", 1);
        let wide = text(&serde_json::from_str(&wide).expect("an explanation"), 12);
        assert!(
            wide.contains("visitor.country   (too many answers to remember: 3 met; ask less)\n"),
            "{wide}"
        );
        assert!(text(&explanation(), 1).ends_with("└─ 2 other answers  50.0 %\n"));
    }

    #[test]
    fn graphs_name_every_node_and_quote_what_they_say() {
        let mermaid = graph(&explanation(), 12, &MERMAID);
        assert!(mermaid.contains("n1{{\"settings.get(#quot;de#quot;)\"}}"), "{mermaid}");
        assert!(mermaid.contains("n0 -->|\"#quot;DE#quot; 50.0 %\"| n1"), "{mermaid}");
        let dot = graph(&explanation(), 12, &DOT);
        assert!(
            dot.contains(r#"n0 -> n1 [label="\"DE\" 50.0 %"];"#) && dot.ends_with("}\n"),
            "{dot}"
        );
    }
}
