//! What the tests of several modules begin with.

use std::time::Duration;

use wayside_balance::moment::Moment;
use wayside_decide::{name::Name, stream::base::BaseUrl};

use crate::{quality::Quality, select::target::TargetSpec};

/// Looks at what was reported, if it is time, at targets from each of which so many sessions play.
pub(crate) fn look(quality: &mut Quality, now: Moment, sessions: u32) {
    if let Some(heard) = quality.heard(now, |_| sessions) {
        quality.learn(&heard.medians(), now);
    }
}

/// How late an answer of [`spec`] is from which it serves badly.
pub(crate) const LATE: Duration = Duration::from_secs(2);

/// A target like any other.
pub(crate) fn spec(called: &str, region: &str) -> TargetSpec {
    let name = |text| Name::parse("name", text).expect(text);
    TargetSpec {
        late_after: Some(LATE / 2),
        ..TargetSpec::new(name(called), name(region))
    }
}

/// A pathway of each of these names, and where its copy begins.
pub(crate) fn copies(ids: &[&str]) -> Vec<(Name, BaseUrl)> {
    let copy = |id: &&str| {
        let base = BaseUrl::parse(&format!("https://{id}.example/x")).expect("a folder");
        (Name::parse("id", id).expect("a name"), base)
    };
    ids.iter().map(copy).collect()
}
