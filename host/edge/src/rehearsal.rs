//! A request that nobody sent, for trying a policy: read and answered by what reads and answers real ones.

use std::{net::IpAddr, sync::Arc};

use http::{HeaderName, HeaderValue, Method, Uri};
use httparse::Header;
use wayside_decide::{
    binding::{Binding, FailureMode, Prefix, VisitorKey},
    digest::Digest,
    facts::Facts,
    invalid::Invalid,
    name::Name,
    rule::RuleSet,
    site::{Privacy, Site, SiteId},
};

use crate::{
    clock::Clock,
    directory::{Directory, LiveSite},
    facts::{AssetFacts, LinkKnown, Place, RequestFacts, Sources},
    geo::Database,
    head::{Fields, Head},
    visit::Visit,
};

/// What somebody might ask.
#[derive(Debug)]
pub struct Rehearsal {
    /// An absolute URL.
    pub url: String,
    /// The method, in upper case.
    pub method: String,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// The visitor's address.
    pub address: IpAddr,
    /// The visitor's country, whatever the database says: two letters.
    pub country: Option<String>,
    /// Geography.
    pub geo: Database,
    /// The binding's settings.
    pub settings: Vec<(String, String)>,
    /// The asset that is asked for, when a stream is.
    pub asset: Option<AssetFacts>,
}

impl Rehearsal {
    /// All that can be asked about the request. There is no link at its path.
    ///
    /// # Errors
    /// [`Invalid`] when no visitor could send it.
    pub fn facts(self) -> Result<Arc<dyn Facts>, Invalid> {
        let uri: Uri = self.url.parse().map_err(|_| not_absolute(&self.url))?;
        let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(not_absolute(&self.url));
        };
        Method::from_bytes(self.method.as_bytes())
            .map_err(|_| Invalid::text("method", &self.method, "a method such as `GET`"))?;
        let fields = self.headers.iter().map(|(name, value)| header(name, value));
        let fields = fields.collect::<Result<Vec<Header<'_>>, _>>()?;
        let head = Head {
            method: &self.method,
            path: uri.path(),
            query: uri.query(),
            authority: Some(authority.as_str()),
            is_authority_bound: false,
            fields: Fields(&fields),
            body: &[],
        };
        let visit = Visit::read(&head, self.address, &[], Clock::new().now()).map_err(|refusal| {
            Invalid::text(
                "request",
                &self.url,
                format!("one that is answered; this one is not: {}", refusal.public_message()),
            )
        })?;
        let visit = Visit {
            is_secure: uri.scheme_str() == Some("https"),
            ..visit
        };
        let country = self.country.as_deref().map(country).transpose()?;
        let mut facts = RequestFacts::new(
            &visit,
            Sources {
                site: site()?,
                binding: Some(Arc::new(binding(&self.settings)?)),
                geo: Arc::new(self.geo),
                place: Arc::new(Place::default()),
                now_s: visit.now.unix_s,
                demo_country: country,
            },
        );
        match self.asset {
            Some(asset) => facts.set_asset(Arc::new(asset)),
            None => facts.set_link(LinkKnown::Unavailable),
        }
        Ok(Arc::new(facts.freeze()))
    }
}

fn not_absolute(url: &str) -> Invalid {
    Invalid::text(
        "URL",
        url,
        "an absolute URL such as `https://go.example.com/path?query`",
    )
}

/// A field that a node's parser would read as it is here (RFC 9110 §5.1, §5.5).
fn header<'t>(name: &'t str, value: &'t str) -> Result<Header<'t>, Invalid> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| Invalid::text("header name", name, "a token such as `Accept-Language`"))?;
    HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| Invalid::text("header value", value, "text without control characters"))?;
    Ok(Header {
        name,
        value: value.as_bytes(),
    })
}

fn country(text: &str) -> Result<String, Invalid> {
    if text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Ok(text.to_ascii_uppercase());
    }
    Err(Invalid::text(
        "country",
        text,
        "two letters (ISO 3166-1 alpha-2) such as `DE`",
    ))
}

/// A site that has nothing but a key for its buckets.
fn site() -> Result<Arc<LiveSite>, Invalid> {
    let site = Site {
        id: SiteId(0),
        tenant: Name::parse("tenant", "rehearsal")?,
        name: Name::parse("site name", "rehearsal")?,
        hosts: Vec::new(),
        bindings: Vec::new(),
        rules: RuleSet::default(),
        not_found: None,
        max_age_s: None,
        privacy: Privacy::default(),
        streams: None,
        bucket_key: [0; 32],
    };
    Ok(Arc::new(LiveSite::without_guests(site, &Directory::default())))
}

fn binding(settings: &[(String, String)]) -> Result<Binding, Invalid> {
    let settings = settings
        .iter()
        .map(|(name, value)| (name.as_str().into(), value.as_str().into()));
    Ok(Binding {
        prefix: Prefix::parse("/")?,
        policy: Name::parse("policy", "rehearsal")?,
        digest: Digest::of(b""),
        settings: settings.collect(),
        on_failure: FailureMode::Closed,
        visitor_key: VisitorKey::default(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wayside_decide::{
        facts::Facts,
        invalid::Invalid,
        question::{Answer, Question},
    };

    use super::Rehearsal;
    use crate::geo::Database;

    fn facts(url: &str, method: &str, header: (&str, &str)) -> Result<Arc<dyn Facts>, Invalid> {
        let rehearsal = Rehearsal {
            url: url.to_owned(),
            method: method.to_owned(),
            headers: vec![(header.0.to_owned(), header.1.to_owned())],
            address: "192.0.2.1".parse().expect("an address"),
            country: None,
            geo: Database::default(),
            settings: Vec::new(),
            asset: None,
        };
        rehearsal.facts()
    }

    #[test]
    fn what_no_visitor_could_send_is_refused() {
        let good = ("X-A", "grün, and\ta tab");
        for (url, method, header, expected) in [
            ("http://localhost/a", "GET", ("X", "a\r\nB: c"), "header value"),
            ("http://localhost/a", "GET", ("X", "a\0"), "header value"),
            ("http://localhost/a", "GET", ("X Y", "a"), "header name"),
            ("http://localhost/a", "GET", ("", "a"), "header name"),
            ("http://localhost/a", "GE T", good, "method"),
            ("http://localhost/a\nb", "GET", good, "URL"),
            ("/a", "GET", good, "URL"),
        ] {
            let refused = facts(url, method, header).err().map(|invalid| invalid.to_string());
            assert!(
                refused.as_ref().is_some_and(|text| text.starts_with(expected)),
                "{expected}: {refused:?}"
            );
        }
        assert!(facts("http://localhost/a", "GET", good).is_ok());
    }

    #[test]
    fn a_path_is_told_as_a_node_tells_it() {
        for (url, segment) in [
            ("http://localhost/ü", "%C3%BC"),
            ("http://localhost/%c3%bc/x", "%C3%BC"),
            ("http://localhost/%73ecret", "secret"),
        ] {
            let facts = facts(url, "GET", ("a", "b")).expect("a request");
            assert_eq!(
                facts.answer(&Question::Segment(0)),
                Answer::text(Some(segment)),
                "{url}"
            );
        }
    }
}
