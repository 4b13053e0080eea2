//! A request that nobody sent, for trying a policy: read and answered by what reads and answers real ones.

use std::{net::IpAddr, sync::Arc};

use http::Uri;
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
    facts::{LinkKnown, Place, RequestFacts, Sources},
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
        let fields: Vec<Header<'_>> = self.headers.iter().map(|(name, value)| header(name, value)).collect();
        let head = Head {
            method: &self.method,
            path: uri.path(),
            query: uri.query(),
            authority: Some(authority.as_str()),
            is_authority_bound: false,
            fields: Fields(&fields),
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
        facts.set_link(LinkKnown::Unavailable);
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

fn header<'t>(name: &'t str, value: &'t str) -> Header<'t> {
    Header {
        name,
        value: value.as_bytes(),
    }
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
