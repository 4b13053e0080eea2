//! What of a stream a request asks for, by its path alone.

use wayside_decide::site::Site;

/// A request about an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked<'p> {
    /// The asset's id, as it stands in the path: perhaps none that there can be.
    pub(crate) asset: &'p str,
    pub(crate) way: Way<'p>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way<'p> {
    /// A file of the asset, by its path below it: one of its manifests, or anything else, for which the player is sent to
    /// a target.
    File(&'p str),
    /// Where to play from, from now on.
    Steer,
    /// Where to begin.
    Play,
    /// Where to send a recording to.
    Ingest,
    /// A report of how playing goes.
    Report,
}

impl Way<'_> {
    /// Whether a request of this method may ask for it.
    pub(crate) fn takes(self, method: &str) -> bool {
        match method {
            "GET" | "HEAD" => self != Self::Ingest,
            "POST" => matches!(self, Self::Ingest | Self::Report),
            _ => false,
        }
    }

    /// The methods of requests for it, as `Allow` lists them.
    pub(crate) const fn methods(self) -> &'static str {
        match self {
            Self::File(_) | Self::Steer | Self::Play => "GET, HEAD, OPTIONS",
            Self::Ingest => "POST, OPTIONS",
            Self::Report => "GET, HEAD, POST, OPTIONS",
        }
    }
}

/// What a path in normal form asks for; none when it is not about an asset.
pub(crate) fn read<'p>(site: &Site, path: &'p str) -> Option<Asked<'p>> {
    if let Some(reserved) = path.strip_prefix("/.wayside/") {
        let (word, asset) = reserved.split_once('/')?;
        let way = match word {
            "steer" => Way::Steer,
            "play" => Way::Play,
            "ingest" => Way::Ingest,
            "cmcd" => Way::Report,
            _ => return None,
        };
        return Some(Asked { asset, way });
    }
    let prefix = site.streams.as_ref()?;
    let below = match prefix.as_str() {
        "/" => path.strip_prefix('/')?,
        prefix => path.strip_prefix(prefix)?.strip_prefix('/')?,
    };
    let (asset, file) = below.split_once('/')?;
    (!file.is_empty()).then_some(Asked {
        asset,
        way: Way::File(file),
    })
}

/// The path below which an asset's files are, by which policies are bound: the asset's own, or where the site has none for
/// its assets, that of its steering.
pub(crate) fn path_of(site: &Site, asset: &str) -> String {
    match site.streams.as_ref().map(|prefix| prefix.as_str()) {
        Some("/") => format!("/{asset}"),
        Some(prefix) => format!("{prefix}/{asset}"),
        None => format!("/.wayside/steer/{asset}"),
    }
}

#[cfg(test)]
mod tests {
    use wayside_decide::{
        binding::Prefix,
        name::Name,
        rule::RuleSet,
        site::{Privacy, Site, SiteId},
    };

    use super::{Asked, Way, path_of, read};

    fn site(streams: Option<&str>) -> Site {
        Site {
            id: SiteId(1),
            tenant: Name::parse("tenant", "t").expect("a name"),
            name: Name::parse("site", "s").expect("a name"),
            hosts: Vec::new(),
            bindings: Vec::new(),
            rules: RuleSet::default(),
            not_found: None,
            max_age_s: None,
            privacy: Privacy::default(),
            streams: streams.map(|prefix| Prefix::parse(prefix).expect("a prefix")),
            bucket_key: [0; 32],
        }
    }

    #[test]
    fn the_methods_that_are_listed_are_those_that_are_taken() {
        for way in [Way::File("a"), Way::Steer, Way::Play, Way::Ingest, Way::Report] {
            for method in ["GET", "HEAD", "POST", "PUT"] {
                let is_listed = way.methods().split(", ").any(|listed| listed == method);
                assert_eq!(is_listed, way.takes(method), "{way:?} {method}");
            }
        }
    }

    #[test]
    fn paths_say_what_is_asked_for() {
        let video = site(Some("/video"));
        for (path, expected) in [
            ("/video/film/a/b.ts", Some(("film", Way::File("a/b.ts")))),
            ("/.wayside/steer/film", Some(("film", Way::Steer))),
            ("/.wayside/play/film", Some(("film", Way::Play))),
            ("/.wayside/ingest/film", Some(("film", Way::Ingest))),
            ("/.wayside/cmcd/film", Some(("film", Way::Report))),
            ("/.wayside/other/film", None),
            ("/.wayside/steer", None),
            ("/video/film", None),
            ("/video/film/", None),
            ("/video", None),
            ("/videos/film/a", None),
            ("/film/a", None),
        ] {
            let asked = read(&video, path).map(|Asked { asset, way }| (asset, way));
            assert_eq!(asked, expected, "{path}");
        }
        let asked = read(&site(Some("/")), "/film/a.ts").map(|asked| (asked.asset, asked.way));
        assert_eq!(asked, Some(("film", Way::File("a.ts"))));
        assert_eq!(read(&site(None), "/video/film/a"), None);
    }

    #[test]
    fn policies_are_bound_by_the_asset() {
        let path = |streams| path_of(&site(streams), "film");
        assert_eq!(
            [path(Some("/video")), path(Some("/")), path(None)],
            ["/video/film", "/film", "/.wayside/steer/film"]
        );
    }

    #[test]
    fn only_reports_and_ingest_are_posted() {
        assert!(Way::Report.takes("POST") && Way::Ingest.takes("POST") && !Way::Steer.takes("POST"));
        assert!(Way::Steer.takes("GET") && Way::Report.takes("HEAD") && !Way::Ingest.takes("GET"));
        assert!(!Way::Play.takes("DELETE"));
    }
}
