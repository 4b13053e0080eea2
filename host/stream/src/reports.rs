//! What is learnt from what a session reports.
//!
//! In: reports of a session that is known to be ours, what is known of it, where targets serve from. Out: what
//! [`Quality`] hears of which target, and from which target the session plays. It must not know how reports arrive.
//!
//! Players say which URL they fetched, if at all; no one says from which CDN it was. What is fetched by a URL counts for
//! the target that serves it; what says no URL, or one of nobody, counts for the target that the session is known to play
//! from. A session speaks only of where it was sent: the target that it plays from, and the one that it left last. Else a
//! few could speak ill of targets that they never saw.

use std::collections::HashMap;

use url::Url;
use wayside_balance::moment::Moment;
use wayside_decide::{name::Name, stream::base::BaseUrl};

use crate::{
    cmcd::{ObjectType, Report},
    quality::{Network, Playing, Quality, Sample, Speaker},
    select::set::TargetIndex,
    sessions::Fetches,
    steering::request::Asked,
};

/// What a stream is taken to need while nobody said so, in kbit/s: slower than that in time and a half is bad.
pub const NEEDED_KBIT_S: u64 = 1_000;
/// What a session is taken to fetch at most, in kbit/s, while it only says how fast it could and nobody knows what its
/// stream needs: a good picture's bitrate.
const UNKNOWN_KBIT_S_MAX: u64 = 8_000;

/// Where targets serve from.
#[derive(Debug, Clone, Default)]
pub struct Bases {
    /// By host and port; of each the path, and whose it is.
    of_authority: HashMap<String, Vec<(String, TargetIndex)>>,
}

impl Bases {
    /// The bases of these targets.
    pub fn new<'a>(bases: impl IntoIterator<Item = (TargetIndex, &'a BaseUrl)>) -> Self {
        let mut of_authority: HashMap<String, Vec<(String, TargetIndex)>> = HashMap::new();
        for (target, base) in bases {
            let of_this = of_authority.entry(base.authority().to_owned()).or_default();
            of_this.push((base.path().to_owned(), target));
        }
        // Of two bases of which one lies in the other, the longer one is met first.
        for of_this in of_authority.values_mut() {
            of_this.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        }
        Self { of_authority }
    }

    /// The target that serves a URL; none when it is no URL, or nobody does.
    #[must_use]
    pub fn target_of(&self, url: &str) -> Option<TargetIndex> {
        let url = Url::parse(url).ok()?;
        let host = url.host_str()?;
        let of_this = match url.port() {
            None => self.of_authority.get(host)?,
            Some(port) => self.of_authority.get(&format!("{host}:{port}"))?,
        };
        let below = of_this.iter().find(|(path, _)| url.path().starts_with(path.as_str()));
        if let Some((_, target)) = below {
            return Some(*target);
        }
        // A token may stand before the path of the folder.
        let (_, first) = of_this.first()?;
        of_this.iter().all(|(_, target)| target == first).then_some(*first)
    }
}

/// From where a session plays, and how much it fetches, when that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plays {
    /// The target.
    pub target: TargetIndex,
    /// How much.
    pub fetches: Option<Fetches>,
}

/// A session that speaks, and where.
#[derive(Debug, Clone, Copy)]
pub struct Reporter<'a> {
    /// Who.
    pub speaker: Speaker,
    /// In which networks, the closest first.
    pub networks: &'a [Network],
    /// From where it is known to play.
    pub playing: Option<Playing>,
    /// The instant.
    pub now: Moment,
}

impl Reporter<'_> {
    /// Learns what a report says of the target that its URL is of, or of the known one when it names none; nothing when the
    /// session was not sent to that one. From where the session plays comes back, when the report shows that.
    pub fn report(&self, report: &Report, named: Option<TargetIndex>, quality: &mut Quality) -> Option<Plays> {
        let playing = self.playing_from(named)?;
        if let Some(sample) = Sample::of(report) {
            quality.report(self.networks, self.speaker, &playing, &sample, self.now);
        }
        // What came from the target that was left was asked for before.
        let was_left = self
            .playing
            .is_some_and(|known| known.left.is_some_and(|(left, _)| left == playing.target));
        let is_of_media = report.object == Some(ObjectType::Media);
        (!was_left).then(|| Plays {
            target: playing.target,
            fetches: report.bitrate_kbit_s.filter(|_| is_of_media).map(Fetches::reported),
        })
    }

    /// Learns what a player says when it asks for a steering manifest. `target_of` knows pathways by their names,
    /// `needed_kbit_s` what the stream needs, where that is known. From where it plays comes back, when it says so: players
    /// go to other pathways by themselves, but how fast those are is believed only where the session was sent. It fetches no
    /// more than the stream needs, however fast its line is.
    pub fn asked(
        &self,
        asked: &Asked,
        target_of: impl Fn(&Name) -> Option<TargetIndex>,
        needed_kbit_s: Option<u64>,
        quality: &mut Quality,
    ) -> Option<Plays> {
        let mut plays = None;
        for used in &asked.used {
            let named = used.pathway.as_ref().and_then(&target_of);
            let target = match (named, &used.pathway) {
                (Some(target), _) => Some(target),
                // A pathway of another name is none of ours: nobody knows whose throughput it was.
                (None, Some(_)) => None,
                (None, None) => self.playing.map(|known| known.target),
            };
            let Some(target) = target else { continue };
            let throughput_kbit_s = used.throughput.map(|bits| bits / 1_000);
            if throughput_kbit_s.is_some()
                && let Some(playing) = self.playing_from(named)
            {
                let sample = Sample {
                    throughput_kbit_s,
                    bitrate_kbit_s: Some(needed_kbit_s.unwrap_or(NEEDED_KBIT_S)),
                    ..Sample::default()
                };
                quality.report(self.networks, self.speaker, &playing, &sample, self.now);
            }
            let most_kbit_s = needed_kbit_s.unwrap_or(UNKNOWN_KBIT_S_MAX);
            let fetches = throughput_kbit_s.map(|kbit_s| Fetches::estimated(kbit_s.min(most_kbit_s)));
            plays = Some(Plays { target, fetches });
        }
        plays
    }

    /// What a report is about: the target that it names, when the session plays from there or left it last; what was left
    /// counts besides only for what names none.
    fn playing_from(&self, named: Option<TargetIndex>) -> Option<Playing> {
        let known = self.playing?;
        match named {
            Some(target) if target != known.target => {
                let was_left = known.left.is_some_and(|(left, _)| left == target);
                was_left.then_some(Playing { target, left: None })
            }
            _ => Some(known),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wayside_balance::moment::Moment;
    use wayside_decide::stream::base::BaseUrl;

    use super::{Bases, Plays, Reporter, UNKNOWN_KBIT_S_MAX};
    use crate::{
        cmcd::{self, Report},
        quality::{Network, Playing, Quality, Settings, Speaker, Verdict},
        samples::look,
        select::set::TargetIndex,
        sessions::Fetches,
        steering::request,
    };

    const NETWORK: Network = Network::Elsewhere;

    fn target(place: usize) -> TargetIndex {
        TargetIndex::new(place).expect("a place")
    }

    fn bases() -> Bases {
        let urls = [
            (0, "https://a.example/x/"),
            (1, "https://shared.example/one/"),
            (2, "https://shared.example/one/two/"),
            (0, "http://a.example:8080/"),
        ];
        let urls = urls.map(|(place, url)| (target(place), BaseUrl::parse(url).expect("a URL")));
        Bases::new(urls.iter().map(|(target, url)| (*target, url)))
    }

    fn quality() -> Quality {
        let settings = Settings {
            sessions_min: 1,
            ..Settings::default()
        };
        Quality::new(settings, 1, Moment::default()).expect("settings")
    }

    fn reporter(playing: Option<Playing>) -> Reporter<'static> {
        Reporter {
            speaker: Speaker { session: 1, home: 1 },
            networks: &[NETWORK],
            playing,
            now: Moment::default(),
        }
    }

    fn report(text: &str) -> Report {
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("CMCD", text)
            .finish();
        cmcd::from_query(&query).expect("a report").expect("one")
    }

    fn values(mut quality: Quality) -> [Option<f64>; 3] {
        look(&mut quality, Moment::after_start(Duration::from_secs(10)), 0);
        [0, 1, 2].map(|place| match quality.verdict(NETWORK, target(place)).0 {
            Verdict::Unknown => None,
            Verdict::Good(value) | Verdict::Bad(value) => Some(value),
        })
    }

    #[test]
    fn a_url_is_of_the_target_that_serves_it() {
        let bases = bases();
        for (url, expected) in [
            ("https://a.example/x/film/1.ts?token=1", Some(0)),
            ("http://a.example/x/1.ts", Some(0)),
            ("https://A.example/exp=1~hmac=2/x/1.ts", Some(0)),
            ("http://a.example:8080/1.ts", Some(0)),
            ("https://a.example:8443/x/1.ts", None),
            ("https://shared.example/one/1.ts", Some(1)),
            ("https://shared.example/one/two/1.ts", Some(2)),
            ("https://shared.example/1.ts", None),
            ("https://b.example/x/1.ts", None),
            ("/x/1.ts", None),
            ("data:,x", None),
        ] {
            assert_eq!(bases.target_of(url).map(TargetIndex::place), expected, "{url}");
        }
    }

    #[test]
    fn a_report_counts_for_the_one_of_its_targets_that_it_names_or_else_for_the_known_one() {
        let known = Playing {
            target: target(1),
            left: Some((target(0), Moment::default())),
        };
        let plays = |place, kbit_s: Option<u16>| {
            Some(Plays {
                target: target(place),
                fetches: kbit_s.map(Fetches::Reported),
            })
        };
        let (well, bad, unknown) = (Some(1.0), Some(0.0), None);
        for (playing, text, expected, heard) in [
            (None, "bs", None, [unknown; 3]),
            (None, "ot=v,br=900", None, [unknown; 3]),
            (
                None,
                r#"e=rr,rc=200,ot=v,br=(900),url="https://a.example/x/1.ts""#,
                None,
                [unknown; 3],
            ),
            (
                Some(known),
                r#"e=rr,rc=200,ot=v,br=(900),url="https://shared.example/one/1.ts""#,
                plays(1, Some(900)),
                [unknown, well, unknown],
            ),
            (
                Some(known),
                "ot=v,br=900",
                plays(1, Some(900)),
                [unknown, well, unknown],
            ),
            // A stall that names no target is that of the one that was left; one that does is the named one's, when the
            // session was sent there.
            (Some(known), "bs", plays(1, None), [bad, unknown, unknown]),
            (
                Some(known),
                r#"bs,url="https://a.example/x/1.ts""#,
                None,
                [bad, unknown, unknown],
            ),
            (
                Some(known),
                r#"bs,url="https://shared.example/one/two/1.ts""#,
                None,
                [unknown; 3],
            ),
            // It was fetched before the session was moved: it does not move back.
            (
                Some(known),
                r#"e=rr,rc=503,ot=v,br=900,url="https://a.example/x/1.ts""#,
                None,
                [bad, unknown, unknown],
            ),
            (
                Some(known),
                r#"e=rr,rc=0,url="https://b.example/1.ts""#,
                plays(1, None),
                [unknown, bad, unknown],
            ),
            (Some(known), "ot=m,br=900", plays(1, None), [unknown; 3]),
        ] {
            let mut quality = quality();
            let report = report(text);
            let named = report.url.as_deref().and_then(|url| bases().target_of(url));
            let found = reporter(playing).report(&report, named, &mut quality);
            assert_eq!(found, expected, "{text}");
            assert_eq!(values(quality), heard, "{text}");
        }
    }

    #[test]
    fn what_a_player_says_when_it_asks_is_heard_of_each_pathway() {
        let known = Playing {
            target: target(2),
            left: Some((target(0), Moment::default())),
        };
        let names = ["a", "b", "c"];
        let target_of = |name: &wayside_decide::name::Name| {
            let place = names.iter().position(|known| *known == name.as_str())?;
            TargetIndex::new(place)
        };
        let plays = |place, kbit_s: Option<u64>| {
            Some(Plays {
                target: target(place),
                fetches: kbit_s.map(Fetches::estimated),
            })
        };
        let most = UNKNOWN_KBIT_S_MAX;
        let unknown = None;
        for (query, expected, heard) in [
            ("", None, [unknown; 3]),
            (
                "_HLS_pathway=a&_HLS_throughput=50000000",
                plays(0, Some(most)),
                [Some(1.0), unknown, unknown],
            ),
            ("_HLS_pathway=a", plays(0, None), [unknown; 3]),
            // It went there by itself.
            (
                "_HLS_pathway=b&_HLS_throughput=50000000",
                plays(1, Some(most)),
                [unknown; 3],
            ),
            (
                "_HLS_throughput=600000",
                plays(2, Some(600)),
                [unknown, unknown, Some(0.4)],
            ),
            ("_HLS_pathway=nobody&_HLS_throughput=1", None, [unknown; 3]),
            (
                "_DASH_pathway=\"a,b\"&_DASH_throughput=300000,1500000",
                plays(1, Some(1_500)),
                [Some(0.2), unknown, unknown],
            ),
            (
                "_DASH_pathway=\"a,c\"&_DASH_throughput=300000,1500000",
                plays(2, Some(1_500)),
                [Some(0.2), unknown, Some(1.0)],
            ),
        ] {
            let mut quality = quality();
            let found = reporter(Some(known)).asked(&request::read(query), target_of, None, &mut quality);
            assert_eq!(found, expected, "{query}");
            assert_eq!(values(quality), heard, "{query}");
        }
    }

    #[test]
    fn a_fast_line_fetches_no_more_than_the_stream_needs() {
        let known = Playing {
            target: target(0),
            left: None,
        };
        let fetched = |throughput: u64, needed_kbit_s| {
            let asked = request::read(&format!("_HLS_throughput={throughput}"));
            let found = reporter(Some(known)).asked(&asked, |_| None, needed_kbit_s, &mut quality());
            found.and_then(|plays| plays.fetches)
        };
        for (throughput, needed_kbit_s, expected) in [
            (50_000_000, Some(1_500), 1_500),
            (600_000, Some(1_500), 600),
            (50_000_000, Some(25_000), 25_000),
            (50_000_000, None, UNKNOWN_KBIT_S_MAX),
        ] {
            let expected = Some(Fetches::estimated(expected));
            assert_eq!(
                fetched(throughput, needed_kbit_s),
                expected,
                "{throughput} {needed_kbit_s:?}"
            );
        }
    }
}
