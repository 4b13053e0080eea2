//! What the tests of several modules begin with.

use wayside_decide::{name::Name, stream::base::BaseUrl};

use crate::select::target::TargetSpec;

/// A target like any other.
pub(crate) fn spec(called: &str, region: &str) -> TargetSpec {
    TargetSpec {
        name: Name::parse("name", called).expect(called),
        region: Name::parse("name", region).expect(region),
        place: None,
        weight: 1,
        sessions_max: None,
        kbit_s_max: None,
        kbit_s_commit: None,
        cost: 0,
        countries: None,
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
