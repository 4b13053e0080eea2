//! What is added to a URL so that a CDN serves it.
//!
//! In: a token and a URL. Out: the URL with it. It must not know how tokens are made.

use url::form_urlencoded;
use wayside_decide::{
    stream::base::BaseUrl,
    target::{PlainQuery, Target},
};

use super::Error;

/// A token: parameters for the query, or a segment in front of the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Query {
        parameters: Vec<(&'static str, String)>,
        /// Names that the CDN reads although this token does not write them.
        reserved: &'static [&'static str],
        /// The parameters as they stand in a query; text where a parser has to look at them.
        joined: Result<PlainQuery, Box<str>>,
    },
    Path(String),
}

impl Token {
    /// Parameters in the order in which they are written. Their values are as they stand in a query.
    pub(super) fn query(parameters: Vec<(&'static str, String)>) -> Self {
        Self::query_beside(parameters, &[])
    }

    /// Parameters beside which a URL must not name `reserved` ones either.
    pub(super) fn query_beside(parameters: Vec<(&'static str, String)>, reserved: &'static [&'static str]) -> Self {
        let joined: Vec<String> = parameters
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let joined = joined.join("&");
        let joined = PlainQuery::new(&joined).ok_or_else(|| joined.into());
        Self(Kind::Query {
            parameters,
            reserved,
            joined,
        })
    }

    /// A segment in front of the path, without slashes.
    pub(super) const fn path(segment: String) -> Self {
        Self(Kind::Path(segment))
    }

    /// Names and values, as a clone's `PARAMS` lists them; none for a token that stands in the path.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        let parameters: &[(&'static str, String)] = match &self.0 {
            Kind::Query { parameters, .. } => parameters,
            Kind::Path(_) => &[],
        };
        parameters.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// Whether the token stands in the path: then a clone's `PARAMS` cannot carry it, and segments inherit it.
    #[must_use]
    pub const fn is_in_path(&self) -> bool {
        matches!(self.0, Kind::Path(_))
    }

    /// The URL of what stands at a path below a folder, with this token, where nothing in it needs a parser to look at it.
    #[must_use]
    pub fn below(&self, folder: &BaseUrl, path: &str) -> Option<Target> {
        match &self.0 {
            Kind::Query { joined, .. } => folder.join_with_query(path, joined.as_ref().ok()?),
            Kind::Path(segment) => folder.join_behind(segment, path),
        }
    }

    /// `url` with this token: behind its own query and before its fragment, or in front of its path.
    ///
    /// # Errors
    /// [`Error::Url`] when the URL names one of the parameters already, or grows too long.
    pub fn add_to(&self, url: &Target) -> Result<Target, Error> {
        let signed = match &self.0 {
            Kind::Query {
                parameters,
                reserved,
                joined,
            } => {
                check_names(url, parameters, reserved)?;
                match joined {
                    Ok(plain) => url
                        .with_plain_query(plain)
                        .map_or_else(|| url.with_query(plain.as_str()), Ok),
                    // A folder may have characters that a parser has to look at.
                    Err(text) => url.with_query(text),
                }
            }
            Kind::Path(segment) => url.behind_segment(segment),
        };
        signed.map_err(|invalid| Error::Url {
            what: "signed URL",
            url: url.to_string(),
            found: invalid.to_string(),
            expected: "a URL that can be sent",
        })
    }
}

/// A URL that has a parameter of the token's already would be read in two ways.
fn check_names(url: &Target, parameters: &[(&'static str, String)], reserved: &[&'static str]) -> Result<(), Error> {
    let Some((_, own)) = url.path_and_query().split_once('?') else {
        return Ok(());
    };
    // By their meaning: a CDN reads an escaped name as well.
    for (name, _) in form_urlencoded::parse(own.as_bytes()) {
        if reserved.contains(&&*name) || parameters.iter().any(|(taken, _)| *taken == name) {
            return Err(Error::Url {
                what: "query of",
                url: url.to_string(),
                found: format!("`{name}`"),
                expected: "no parameter of the token's name",
            });
        }
    }
    Ok(())
}
