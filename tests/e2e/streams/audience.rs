//! Sessions that play, report and go where they are steered.

use std::collections::BTreeMap;

use serde_json::Value;

use super::site::Site;

/// Reports are looked at each second, and soon forgotten.
pub(super) const QUICK: [(&str, &str); 2] = [
    ("WAYSIDE__STREAMS__QUALITY_INTERVAL_S", "1"),
    ("WAYSIDE__STREAMS__QUALITY_HALF_LIFE_S", "1"),
];
/// One voice of a network is believed.
pub(super) const ONE_IS_HEARD: (&str, &str) = ("WAYSIDE__STREAMS__QUALITY_SESSIONS_MIN", "1");
pub(super) const WELL: &str = "ot=v,br=1000,mtp=9000";
/// The buffer ran dry.
pub(super) const BADLY: &str = "bs,ot=v";

/// Sessions, each at an address of its own.
pub(super) struct Audience<'s> {
    site: &'s Site,
    asset: &'static str,
    /// Address, session, target.
    pub(super) sessions: Vec<(String, String, String)>,
}

impl<'s> Audience<'s> {
    /// So many sessions of the asset `film`.
    pub(super) fn begin(site: &'s Site, count: usize) -> Self {
        Self::begin_at(site, "film", (1..=count).map(|number| format!("198.51.100.{number}")))
    }

    /// A session of this asset at each of these addresses.
    pub(super) fn begin_at(site: &'s Site, asset: &'static str, addresses: impl Iterator<Item = String>) -> Self {
        let begin = |address: String| {
            let (session, target) = site.begin_of(asset, &address);
            (address, session, target)
        };
        let sessions = addresses.map(begin).collect();
        Self { site, asset, sessions }
    }

    /// Everybody reports, then asks where to play from, and goes there.
    pub(super) fn play(&mut self, says: impl Fn(&str) -> &'static str) {
        for (address, session, target) in &mut self.sessions {
            report(self.site, self.asset, address, session, says(target));
            let playing = format!("_HLS_pathway={target}");
            *target = steered(self.site, self.asset, address, session, &playing);
        }
    }

    /// How many play from this target.
    pub(super) fn on(&self, name: &str) -> usize {
        self.sessions.iter().filter(|(.., target)| target == name).count()
    }

    /// Which session plays from which target.
    pub(super) fn places(&self) -> BTreeMap<String, String> {
        let places = self
            .sessions
            .iter()
            .map(|(_, session, target)| (session.clone(), target.clone()));
        places.collect()
    }
}

/// Has a session report.
pub(super) fn report(site: &Site, asset: &str, address: &str, session: &str, text: &str) {
    let path = format!("/.wayside/cmcd/{asset}?session={session}");
    let taken = site.ask("POST", &path, &[("X-Forwarded-For", address)], text);
    assert_eq!(taken.status, 204, "{taken:?}");
}

/// Where a session is told to play from when it says this.
pub(super) fn steered(site: &Site, asset: &str, address: &str, session: &str, says: &str) -> String {
    let path = format!("/.wayside/steer/{asset}?session={session}&{says}");
    let told = site.ask("GET", &path, &[("X-Forwarded-For", address)], "");
    let told: Value = serde_json::from_str(&told.body).unwrap_or_else(|error| panic!("{error}: {told:?}"));
    told["PATHWAY-PRIORITY"][0].as_str().expect("a pathway").to_owned()
}
