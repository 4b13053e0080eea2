//! Where a playlist came from, and where players fetch what it names.
//!
//! In: a URI as it stands in an origin's playlist. Out: its URL on a target, signed. It must not know the playlist's form.

use url::Url;
use wayside_decide::{invalid::Invalid, name::Name, stream::base::BaseUrl, target::Target};

use crate::{
    sign::{self, token::Token},
    splice::Error,
};

/// A target as playlists name it.
#[derive(Debug, Clone, Copy)]
pub struct Pathway<'a> {
    /// Its `PATHWAY-ID`, or `serviceLocation`.
    pub id: &'a Name,
    /// Where its copy of the asset begins.
    pub base: &'a BaseUrl,
    /// How its URLs are signed.
    pub proof: Proof<'a>,
}

/// How URLs are signed.
#[derive(Debug, Clone, Copy)]
pub enum Proof<'a> {
    /// They are not.
    Open,
    /// All with one token, which was made before.
    Token(&'a Token),
}

/// Why there is no URL for a URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoUrl {
    /// What was expected instead.
    Expected(String),
    /// It cannot be signed.
    Sign(sign::Error),
}

impl Pathway<'_> {
    /// The URL of what stands at `below` in the asset's folder.
    pub(crate) fn url(&self, below: &str) -> Result<Target, NoUrl> {
        let url = self
            .base
            .join(below)
            .map_err(|invalid| NoUrl::Expected(invalid.to_string()))?;
        match self.proof {
            Proof::Open => Ok(url),
            Proof::Token(token) => token.add_to(&url).map_err(NoUrl::Sign),
        }
    }
}

/// The names of the pathways to be spliced in.
///
/// # Errors
/// [`Error::Pathways`] when there is none, or one twice.
pub(crate) fn check_pathways(pathways: &[Pathway<'_>]) -> Result<Vec<Name>, Error> {
    let twice = pathways
        .iter()
        .enumerate()
        .find(|(place, one)| pathways[..*place].iter().any(|other| other.id == one.id));
    let found = match (pathways.first(), twice) {
        (Some(_), None) => return Ok(pathways.iter().map(|pathway| pathway.id.clone()).collect()),
        (None, _) => "none".to_owned(),
        (_, Some((_, twice))) => format!("{} twice", twice.id),
    };
    Err(Error::Pathways { found })
}

/// Whether a session can begin on `first`.
///
/// # Errors
/// [`Error::Pathways`] when it is none of the playlist's.
pub(crate) fn check_first(pathways: &[Name], first: &Name) -> Result<(), Error> {
    if pathways.contains(first) {
        return Ok(());
    }
    let found = format!("{first} to begin on");
    Err(Error::Pathways { found })
}

/// Where a playlist came from.
#[derive(Debug, Clone)]
pub struct Source {
    url: Url,
    folder: BaseUrl,
}

/// What a URI leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Something of the asset: what follows its folder, with query and fragment.
    Below(String),
    /// Something else, in absolute terms: it stays as it is.
    Elsewhere,
}

impl Source {
    /// A playlist that came from `url`, of an asset whose files are below `folder` there.
    ///
    /// # Errors
    /// [`Invalid`] when the playlist is not below the folder.
    pub fn new(url: &Target, folder: &BaseUrl) -> Result<Self, Invalid> {
        let refuse = || Invalid::text("playlist's URL", url.as_str(), format!("one below {folder}"));
        if !url.as_str().starts_with(folder.as_str()) {
            return Err(refuse());
        }
        Ok(Self {
            url: Url::parse(url.as_str()).map_err(|_| refuse())?,
            folder: folder.clone(),
        })
    }

    /// What a URI in the playlist leads to. The error is what was expected.
    pub(crate) fn locate(&self, uri: &str) -> Result<Place, String> {
        // A parser of URLs forgives these; players forgive differently.
        if uri.is_empty() || uri.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err("a URI without white space, control characters or backslashes".to_owned());
        }
        if uri.contains("{$") {
            return Err("a URI without a variable".to_owned());
        }
        let Ok(joined) = self.url.join(uri) else {
            return Err("a URI".to_owned());
        };
        match joined.as_str().strip_prefix(self.folder.as_str()) {
            Some(below) => Ok(Place::Below(below.to_owned())),
            None if Self::is_absolute(uri) => Ok(Place::Elsewhere),
            // Left alone it would lead below the edge; made absolute, past the targets.
            None => Err(self.expected_below()),
        }
    }

    /// What is expected of a URI that leads out of the folder.
    pub(crate) fn expected_below(&self) -> String {
        format!("a URI below the asset's folder {}", self.folder)
    }

    /// Whether a URI names its host, or is of another scheme.
    pub(crate) fn is_absolute(uri: &str) -> bool {
        has_scheme(uri) || uri.starts_with("//")
    }

    /// What follows the folder in the URL of the playlist's own folder.
    pub(crate) fn own_folder(&self) -> &str {
        let path = self.url.as_str();
        let end = path.find(['?', '#']).unwrap_or(path.len());
        let end = path[..end].rfind('/').map_or(0, |slash| slash + 1);
        path.get(self.folder.as_str().len()..end).unwrap_or_default()
    }
}

/// Whether a URI begins with a scheme, RFC 3986 §3.1.
fn has_scheme(uri: &str) -> bool {
    let Some((scheme, _)) = uri.split_once(':') else {
        return false;
    };
    let is_of_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(is_of_scheme)
}

#[cfg(test)]
mod tests {
    use wayside_decide::{stream::base::BaseUrl, target::Target};

    use super::{Place, Source};

    fn source(url: &str) -> Source {
        let folder = BaseUrl::parse("https://origin.example/live/").expect("a folder");
        Source::new(&Target::parse(url).expect(url), &folder).expect("below")
    }

    #[test]
    fn a_uri_leads_below_the_folder_elsewhere_or_nowhere() {
        let source = source("https://origin.example/live/event/main.m3u8?a=1");
        assert_eq!(source.own_folder(), "event/");
        let below = |text: &str| Ok(Place::Below(text.to_owned()));
        for (uri, expected) in [
            ("v1.m3u8", below("event/v1.m3u8")),
            ("v1.m3u8?x=/../y#z", below("event/v1.m3u8?x=/../y#z")),
            ("../other/v1.m3u8", below("other/v1.m3u8")),
            ("/live/v1.m3u8", below("v1.m3u8")),
            ("https://ORIGIN.example:443/live/a", below("a")),
            ("//origin.example/live/a", below("a")),
            ("?b=2", below("event/main.m3u8?b=2")),
            (
                "a b",
                Err("a URI without white space, control characters or backslashes"),
            ),
            ("", Err("a URI without white space, control characters or backslashes")),
            (
                "..\\..\\a",
                Err("a URI without white space, control characters or backslashes"),
            ),
            ("https://cdn.example/live/a", Ok(Place::Elsewhere)),
            ("//cdn.example/live/a", Ok(Place::Elsewhere)),
            ("data:application/x,%23EXTM3U", Ok(Place::Elsewhere)),
            ("skd://key", Ok(Place::Elsewhere)),
            ("{$base}/a", Err("a URI without a variable")),
            (
                "../../a",
                Err("a URI below the asset's folder https://origin.example/live/"),
            ),
            (
                "/livery/a",
                Err("a URI below the asset's folder https://origin.example/live/"),
            ),
            (
                "%2e%2e/%2e%2e/a",
                Err("a URI below the asset's folder https://origin.example/live/"),
            ),
        ] {
            assert_eq!(source.locate(uri), expected.map_err(str::to_owned), "{uri}");
        }
    }

    #[test]
    fn a_playlist_is_below_its_folder() {
        let folder = BaseUrl::parse("https://origin.example/live").expect("a folder");
        let url = Target::parse("https://origin.example/vod/a.m3u8").expect("a URL");
        let text = Source::new(&url, &folder).expect_err("outside").to_string();
        assert!(text.contains("https://origin.example/live/"), "{text}");
    }
}
