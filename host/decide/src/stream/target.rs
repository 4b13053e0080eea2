//! A target: a CDN or an edge server that has copies of assets, as its operator describes it.

use std::fmt;

use super::{base::BaseUrl, probe::Probe, signing::SigningSpec};
use crate::{
    invalid::Invalid,
    limits::{TARGET_COUNTRIES_MAX, TARGET_URLS_MAX, TARGET_WEIGHT_MAX, URL_BYTES_MAX},
    name::Name,
    point::Coordinates,
};

/// A country, by its two letters (ISO 3166-1 alpha-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Country([u8; 2]);

impl Country {
    /// Reads two letters, of either case; none for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let [first, second] = text.as_bytes() else { return None };
        let both = [first.to_ascii_uppercase(), second.to_ascii_uppercase()];
        both.iter().all(u8::is_ascii_uppercase).then_some(Self(both))
    }

    /// Countries as a target has them: each once, in order.
    #[must_use]
    pub fn each_once(mut countries: Vec<Self>) -> Box<[Self]> {
        countries.sort_unstable();
        countries.dedup();
        countries.into()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = self.0;
        write!(formatter, "{}{}", char::from(first), char::from(second))
    }
}

/// What the operator says of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Service {
    /// It serves.
    #[default]
    In,
    /// It keeps what it has to finish, and gets nobody new; who is there is moved.
    Draining,
    /// It does not serve.
    Out,
}

impl Service {
    /// Reads `in`, `draining` or `out`.
    ///
    /// # Errors
    /// [`Invalid`] when it is none of them.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        match text {
            "in" => Ok(Self::In),
            "draining" => Ok(Self::Draining),
            "out" => Ok(Self::Out),
            _ => Err(Invalid::text(
                "service",
                text,
                "`in`, `draining` (nobody new, sessions are moved) or `out`",
            )),
        }
    }

    /// `in`, `draining` or `out`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Draining => "draining",
            Self::Out => "out",
        }
    }
}

/// Where a recorder sends a stream to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestUrl(Box<str>);

impl IngestUrl {
    /// The schemes: WHIP (RFC 9725) by `https` or `http`, RTMP, SRT.
    pub const SCHEMES: [&str; 5] = ["https", "http", "rtmp", "rtmps", "srt"];

    /// Reads an absolute URL, which is kept as it is written. `{asset}` in it stands for the asset's id.
    ///
    /// # Errors
    /// [`Invalid`] when it is too long, of another scheme or one that is not in lower case and before `://`, or names no
    /// host or a user.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let refuse = |expected: &str| Err(Invalid::text("ingest URL", text, expected));
        if text.len() > URL_BYTES_MAX {
            return refuse(&format!("at most {URL_BYTES_MAX} bytes"));
        }
        let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '\\' | '"' | '<' | '>');
        if !text.chars().all(is_plain) {
            return refuse("printable ASCII without white space, quotes or backslashes");
        }
        // Braces are no characters of a URL's path.
        let parsed = url::Url::parse(&text.replace("{asset}", "asset"));
        let Ok(parsed) = parsed else {
            return refuse("an absolute URL");
        };
        // Parsers take other spellings of these, too; what is looked for among a target's URLs is this one.
        let spelled = text
            .split_once("://")
            .filter(|(scheme, _)| Self::SCHEMES.contains(scheme));
        let Some((_, rest)) = spelled else {
            return refuse("one of `https://`, `http://` (WHIP), `rtmp://`, `rtmps://`, `srt://`");
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.is_empty() || parsed.host_str().is_none_or(str::is_empty) {
            return refuse("a URL with a host");
        }
        if authority.contains('{') {
            return refuse("`{asset}` in the path or the query only");
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return refuse("a URL without a user");
        }
        Ok(Self(text.into()))
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The scheme.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.0.split_once(':').map_or("", |(scheme, _)| scheme)
    }

    /// Where the stream of an asset goes.
    #[must_use]
    pub fn of(&self, asset: &Name) -> String {
        self.0.replace("{asset}", asset.as_str())
    }
}

/// A CDN or an edge server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamTarget {
    /// What it is called; also its `PATHWAY-ID` and `serviceLocation`.
    pub name: Name,
    /// Where it serves from, the first one preferred: players that came by `https` get an `https` one.
    pub urls: Box<[BaseUrl]>,
    /// Where it stands: the name of a region, or of a group of coverage zones.
    pub region: Name,
    /// Where on the globe, when known.
    pub coordinates: Option<Coordinates>,
    /// How much it carries beside others, [`TARGET_WEIGHT_MAX`] at most; 0 for one that takes nobody.
    pub weight: u32,
    /// Sessions that it can carry.
    pub sessions_max: Option<u32>,
    /// What it can send, in kbit/s: nobody is sent to it past this.
    pub kbit_s_max: Option<u64>,
    /// What is paid for anyhow, in kbit/s: past this it is taken when there is no other.
    pub kbit_s_commit: Option<u64>,
    /// What it costs beside others, in any unit: decides between equals.
    pub cost: u32,
    /// The only countries that it may serve, each once, in order; none when it may serve all.
    pub countries: Option<Box<[Country]>>,
    /// What its operator says of it.
    pub service: Service,
    /// How it is asked whether it serves; it is taken to serve when absent.
    pub probe: Option<Probe>,
    /// How its URLs are signed; they are not when absent.
    pub signing: Option<SigningSpec>,
    /// Where recorders send streams to.
    pub ingest: Box<[IngestUrl]>,
    /// When it was made, in milliseconds since 1970 UTC: assets that name no pathways have it from then on.
    pub since_ms: u64,
}

impl StreamTarget {
    /// One of which nothing else is said.
    #[must_use]
    pub fn new(name: Name, region: Name, urls: Box<[BaseUrl]>) -> Self {
        Self {
            name,
            urls,
            region,
            coordinates: None,
            weight: 1,
            sessions_max: None,
            kbit_s_max: None,
            kbit_s_commit: None,
            cost: 0,
            countries: None,
            service: Service::default(),
            probe: None,
            signing: None,
            ingest: Box::default(),
            since_ms: 0,
        }
    }

    /// Whether what is said of it goes together.
    ///
    /// # Errors
    /// [`Invalid`] for a number past its end, too many URLs or countries, one that serves nothing at all, a commit above the limit.
    pub fn check(&self) -> Result<(), Invalid> {
        let countries = self.countries.as_ref().map_or(0, |countries| countries.len());
        let counts = [
            ("urls", self.urls.len(), TARGET_URLS_MAX),
            ("ingest", self.ingest.len(), TARGET_URLS_MAX),
            ("countries", countries, TARGET_COUNTRIES_MAX),
        ];
        for (what, count, most) in counts {
            if count > most {
                let expected = format!("at most {most}");
                return Err(Invalid::other(what, count.to_string(), expected));
            }
        }
        if self.urls.is_empty() && self.ingest.is_empty() {
            let expected = "a URL to serve from, or one to send streams to";
            return Err(Invalid::other("urls", "none", expected));
        }
        if self.weight > TARGET_WEIGHT_MAX {
            let expected = format!("at most {TARGET_WEIGHT_MAX}");
            return Err(Invalid::other("weight", self.weight.to_string(), expected));
        }
        if let (Some(commit), Some(most)) = (self.kbit_s_commit, self.kbit_s_max)
            && commit > most
        {
            let expected = format!("at most its limit of {most} kbit/s");
            return Err(Invalid::other("kbit_s_commit", format!("{commit} kbit/s"), expected));
        }
        if let Some(probe) = &self.probe {
            probe.check(self.urls.first())?;
        }
        self.signing.as_ref().map_or(Ok(()), SigningSpec::check)
    }

    /// Where it serves a player that came by `https`, or not, from: the first URL of that scheme, else the first. A page
    /// that came by `https` fetches nothing by `http`.
    #[must_use]
    pub fn url(&self, is_secure: bool) -> Option<&BaseUrl> {
        let secure = self.urls.iter().find(|url| url.scheme() == "https");
        secure.filter(|_| is_secure).or_else(|| self.urls.first())
    }
}

#[cfg(test)]
mod tests {
    use super::{Country, IngestUrl, StreamTarget};
    use crate::{
        name::Name,
        stream::{
            base::BaseUrl,
            probe::{Asks, Probe},
        },
    };

    fn target() -> StreamTarget {
        StreamTarget::new(
            Name::parse("name", "a").expect("a name"),
            Name::parse("region", "eu").expect("a name"),
            Box::new([BaseUrl::parse("http://a.example/x/").expect("a URL")]),
        )
    }

    #[test]
    fn what_does_not_go_together_is_named() {
        assert_eq!(target().check(), Ok(()));
        let probe = Probe {
            asks: Asks::Below("../up".into()),
            interval_ms: 2_000,
            timeout_ms: 1_000,
            status: 200,
            degraded_ms: None,
        };
        type Change<'c> = &'c dyn Fn(&mut StreamTarget);
        let every_pair = (b'A'..=b'Z').flat_map(|first| (b'A'..=b'Z').map(move |second| Country([first, second])));
        let countries = Country::each_once(every_pair.collect());
        let changes: [(Change<'_>, &str); 7] = [
            (
                &|target| target.countries = Some(countries.clone()),
                "countries: found 676, expected at most 256",
            ),
            (&|target| target.urls = Box::default(), "urls: found none"),
            (&|target| target.weight = 10_001, "weight: found 10001"),
            (
                &|target| (target.kbit_s_commit, target.kbit_s_max) = (Some(2), Some(1)),
                "kbit_s_commit: found 2 kbit/s",
            ),
            (&|target| target.probe = Some(probe.clone()), "path below a target"),
            (
                &|target| {
                    target.urls = Box::default();
                    target.ingest = Box::new([IngestUrl::parse("rtmp://a.example/live").expect("a URL")]);
                    target.probe = Some(probe.clone());
                },
                "probe: found a target without `urls`, expected a `url` of its own",
            ),
            (
                &|target| {
                    target.probe = Some(Probe {
                        asks: Asks::Below("up".into()),
                        interval_ms: 1,
                        ..probe.clone()
                    })
                },
                "probe interval: found 1 ms",
            ),
        ];
        for (change, expected) in changes {
            let mut changed = target();
            change(&mut changed);
            let refused = changed.check().expect_err(expected).to_string();
            assert!(refused.starts_with(expected), "{refused}");
        }
    }

    #[test]
    fn a_country_is_named_once() {
        let read = |text| Country::parse(text).expect("a country");
        let once = Country::each_once(["fr", "DE", "FR", "de"].map(read).into());
        assert_eq!(*once, ["DE", "FR"].map(read));
    }

    #[test]
    fn recorders_are_sent_to_urls_with_a_host() {
        for good in [
            "https://in.example/whip/{asset}",
            "rtmp://in.example/live/{asset}",
            "srt://in.example:9000?streamid={asset}",
        ] {
            IngestUrl::parse(good).expect(good);
        }
        for bad in [
            "in.example",
            "file:///etc/passwd",
            "rtmp:///live",
            "https://u@in.example/",
            "https://in.example/a b",
            "https://{asset}.example/",
            "https:/{asset}.example/",
            "https:///{asset}.example/",
            "https:in.example/whip",
            "HTTPS://in.example/whip",
            "Rtmp://in.example/live",
        ] {
            IngestUrl::parse(bad).expect_err(bad);
        }
        let url = IngestUrl::parse("rtmp://in.example/live/{asset}").expect("a URL");
        let asset = Name::parse("asset", "show").expect("a name");
        assert_eq!(
            (url.scheme(), url.of(&asset).as_str()),
            ("rtmp", "rtmp://in.example/live/show")
        );
    }

    #[test]
    fn players_over_https_get_an_https_url() {
        let mut target = target();
        let secure = BaseUrl::parse("https://a.example/").expect("a URL");
        target.urls = Box::new([target.urls[0].clone(), secure]);
        let urls = [true, false].map(|is_secure| target.url(is_secure).map(BaseUrl::as_str));
        assert_eq!(urls, [Some("https://a.example/"), Some("http://a.example/x/")]);
    }
}
