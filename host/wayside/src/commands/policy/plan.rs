//! `wayside policy plan`: what another version of a policy would change, told by a running node.

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};

use anyhow::Context as _;
use serde::Deserialize;
use wayside_decide::limits::COMPONENT_BYTES_MAX;

use crate::{
    cli::Globals,
    client::{Client, DEFAULT_TENANT, block_on},
    commands::{
        file::read_at_most,
        values::{name, setting},
    },
    output::{self, Format},
};

pub(crate) const EXAMPLES: &str = "\
Examples:
  wayside policy plan new.wasm --site shop --prefix /geo
  wayside policy plan geo-redirect.wasm --site shop --prefix /geo --set fr=https://example.fr/
  wayside policy plan new.wasm --site shop --prefix / --output json";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The component to try
    file: PathBuf,
    /// The site's name
    #[arg(long, value_parser = name)]
    site: String,
    /// The part of the site whose policy it would replace
    #[arg(long)]
    prefix: String,
    /// A setting in place of the binding's own, or besides them; repeat for more
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
}

/// The part of the node's answer that is shown.
#[derive(Debug, Deserialize)]
struct Plan {
    policy: String,
    digest: String,
    new_digest: String,
    decisions: u64,
    witnesses: u64,
    changed: Share,
    changes: Vec<Change>,
    more_changes: usize,
    more_changes_share: f64,
    same: Share,
    failures: BTreeMap<String, Share>,
    untold: Untold,
    no_witness: f64,
    not_remembered: f64,
    is_cut_short: bool,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Share {
    share: f64,
    low: f64,
    high: f64,
}

#[derive(Debug, Deserialize)]
struct Change {
    from: String,
    to: String,
    #[serde(flatten)]
    share: Share,
}

#[derive(Debug, Deserialize)]
struct Untold {
    redacted: f64,
    link: f64,
    busy: f64,
}

pub(crate) fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let component = read_at_most(&args.file, COMPONENT_BYTES_MAX)?;
    let node = Client::anonymous("edge", globals.admin_url.clone())?;
    let settings: Vec<String> = args
        .settings
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut query = vec![
        ("tenant", globals.tenant.as_deref().unwrap_or(DEFAULT_TENANT)),
        ("site", args.site.as_str()),
        ("prefix", args.prefix.as_str()),
    ];
    query.extend(settings.iter().map(|setting| ("set", setting.as_str())));
    let what = || format!("plan {} for {} of site {}", args.file.display(), args.prefix, args.site);
    let planned = node.upload(&["policies", "plan"], &query, component);
    let document: serde_json::Value = block_on(planned).with_context(what)?;
    if globals.output == Format::Json {
        return output::json(&document);
    }
    let plan: Plan = serde_json::from_value(document).context("read the node's answer")?;
    output::text(&told(&plan))
}

fn told(plan: &Plan) -> String {
    let Plan {
        policy,
        decisions,
        witnesses,
        ..
    } = plan;
    let short = |digest: &str| digest.chars().take(12).collect::<String>();
    let (old, new) = (short(&plan.digest), short(&plan.new_digest));
    let mut text = format!(
        "{policy}: {old} (bound) and {new} on {witnesses} of {decisions} decisions\n\n\
         decided differently  {}\n",
        with_limits(plan.changed)
    );
    for change in &plan.changes {
        let (from, to) = (&change.from, &change.to);
        let _ = writeln!(text, "  {}\n      {from}\n    → {to}", with_limits(change.share));
    }
    if plan.more_changes > 0 {
        let more = percent(plan.more_changes_share);
        let _ = writeln!(text, "  {more}  in {} more ways", plan.more_changes);
    }
    let _ = writeln!(text, "decided the same     {}", with_limits(plan.same));
    for (kind, share) in &plan.failures {
        let _ = writeln!(text, "fails ({kind})  {}", with_limits(*share));
    }
    let untold = &plan.untold;
    let rest = [
        (
            untold.redacted,
            "cannot be told: it reads what the site's privacy setting does not let nodes keep",
        ),
        (
            untold.link,
            "cannot be told: it reads links, and the origin does not answer",
        ),
        (untold.busy, "cannot be told: the node had no room to run it"),
        (plan.no_witness, "no request was looked at"),
        (
            plan.not_remembered,
            "not remembered, so that there is nothing to look at",
        ),
    ];
    for (share, why) in rest.iter().filter(|(share, _)| *share > 0.0) {
        let _ = writeln!(text, "{}  {why}", percent(*share));
    }
    text.push_str("\nShares are of all decisions here; in brackets, where they lie with 95 % confidence.\n");
    if plan.is_cut_short {
        text.push_str("The time was up before all requests were looked at.\n");
    }
    text
}

fn with_limits(Share { share, low, high }: Share) -> String {
    format!("{} ({} to {})", percent(share), percent(low), percent(high))
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::{Plan, told};

    const NODE: &str = r#"{"policy": "geo", "digest": "0123456789abcdef", "new_digest": "fedcba9876543210", "at": 5,
        "decisions": 1000, "witnesses": 128, "changed": {"share": 0.3, "low": 0.251, "high": 0.3562},
        "changes": [{"from": "302 https://a.example/", "to": "fails: trapped", "share": 0.3, "low": 0.251,
            "high": 0.3562, "witnesses": 40}],
        "more_changes": 0, "more_changes_share": 0.0, "same": {"share": 0.6, "low": 0.55, "high": 0.65},
        "failures": {"trapped": {"share": 0.3, "low": 0.251, "high": 0.3562}},
        "untold": {"redacted": 0.08, "link": 0.0, "busy": 0.0}, "no_witness": 0.02, "not_remembered": 0.0,
        "is_cut_short": false}"#;

    #[test]
    fn a_plan_is_told_with_its_error_and_what_it_cannot_tell() {
        let plan: Plan = serde_json::from_str(NODE).expect("a plan");
        let expected = "\
geo: 0123456789ab (bound) and fedcba987654 on 128 of 1000 decisions

decided differently  30.0 % (25.1 % to 35.6 %)
  30.0 % (25.1 % to 35.6 %)
      302 https://a.example/
    → fails: trapped
decided the same     60.0 % (55.0 % to 65.0 %)
fails (trapped)  30.0 % (25.1 % to 35.6 %)
8.0 %  cannot be told: it reads what the site's privacy setting does not let nodes keep
2.0 %  no request was looked at

Shares are of all decisions here; in brackets, where they lie with 95 % confidence.
";
        assert_eq!(told(&plan), expected);
    }
}
