//! Redirect targets with places left open, so that a decision need not read what it only passes on.

use std::fmt;

use crate::{
    decision::Failure,
    invalid::Invalid,
    limits::{TARGET_BYTES_PUBLISH, TEMPLATE_PLACEHOLDERS_MAX},
    question::{Answer, Question},
    target::Target,
};

const PLACEHOLDERS: &str = "`{path}`, `{?query}`, `{host}`, `{country}`, `{splat}`, `{link.key}` or `{link.target}`";

/// What an unknown country renders as: a code that ISO 3166-1 leaves to its users.
const COUNTRY_UNKNOWN: &str = "zz";

/// A target such as `https://m.example.com{path}{?query}`.
///
/// | placeholder | becomes |
/// |---|---|
/// | `{path}` | the request's path in normal form, `/` first |
/// | `{?query}` | the request's query with `?`, or `&` after a query of the template's own; nothing when there is none |
/// | `{host}` | the request's host; it is one of the site's own |
/// | `{country}` | the visitor's country in lower case, `zz` when unknown |
/// | `{splat}` | what a rule's `*` matched |
/// | `{link.key}` | the link's path |
/// | `{link.target}` | the link's own target; only at the very start |
///
/// The authority of the URL is text or comes from a closed set (`{host}`, `{country}`), so that no visitor can choose
/// where a redirect leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Template {
    source: Box<str>,
    parts: Box<[Part]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Part {
    Text(Box<str>),
    Path,
    Query,
    Host,
    Country,
    Splat,
    LinkKey,
    LinkTarget,
}

impl Part {
    fn placeholder(name: &str) -> Option<Self> {
        let all = [
            Self::Path,
            Self::Query,
            Self::Host,
            Self::Country,
            Self::Splat,
            Self::LinkKey,
            Self::LinkTarget,
        ];
        all.into_iter().find(|part| part.name() == Some(name))
    }

    /// What stands between the braces; none for text.
    const fn name(&self) -> Option<&'static str> {
        Some(match self {
            Self::Text(_) => return None,
            Self::Path => "path",
            Self::Query => "?query",
            Self::Host => "host",
            Self::Country => "country",
            Self::Splat => "splat",
            Self::LinkKey => "link.key",
            Self::LinkTarget => "link.target",
        })
    }

    /// How long it is in the template's source.
    fn source_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            place => place.name().map_or(0, |name| "{}".len() + name.len()),
        }
    }

    /// What stands in for the placeholder while the template's shape is checked.
    fn sample(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Path | Self::LinkKey => "/a/b",
            Self::Query => "?q=1",
            Self::Host => "host.invalid",
            Self::Country => COUNTRY_UNKNOWN,
            Self::Splat => "a/b",
            Self::LinkTarget => "https://target.invalid/",
        }
    }
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`Invalid`] when a placeholder is unknown, when one stands where a visitor could choose the authority, or when
    /// the whole is no absolute `http` or `https` URL.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.len() > TARGET_BYTES_PUBLISH {
            return Err(Invalid::text(
                "target",
                text,
                format!("at most {TARGET_BYTES_PUBLISH} bytes"),
            ));
        }
        let parts = split(text)?;
        check_placement(text, &parts)?;
        let sample: String = parts.iter().map(Part::sample).collect();
        Target::parse(&sample).map_err(|error| Invalid::text("target", text, error.expected))?;
        Ok(Self {
            source: text.into(),
            parts: parts.into(),
        })
    }

    /// A template without placeholders.
    #[must_use]
    pub fn fixed(target: &Target) -> Self {
        let parts = Box::new([Part::Text(target.as_str().into())]);
        Self {
            source: target.as_str().into(),
            parts,
        }
    }

    /// The template as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Scheme and authority as they were written; nothing where the whole is the link's own target.
    #[must_use]
    pub fn host(&self) -> &str {
        let mut end = 0;
        let mut is_in_authority = false;
        for part in &self.parts {
            match part {
                Part::Text(text) => {
                    let scheme = text.find("://").filter(|_| !is_in_authority);
                    let from = scheme.map_or(0, |at| at + "://".len());
                    is_in_authority |= scheme.is_some();
                    let over = text[from..].find(['/', '?', '#']).filter(|_| is_in_authority);
                    if let Some(over) = over {
                        end += from + over;
                        break;
                    }
                }
                Part::Host | Part::Country => {}
                Part::Path | Part::Query | Part::Splat | Part::LinkKey | Part::LinkTarget => break,
            }
            end += part.source_bytes();
        }
        &self.source[..end]
    }

    /// Whether nothing is written behind the host but places to be filled, and slashes.
    #[must_use]
    pub fn is_open_behind_host(&self) -> bool {
        let host = self.host().len();
        let mut begin = 0;
        self.parts.iter().all(|part| {
            let within_host = host.saturating_sub(begin);
            begin += part.source_bytes();
            match part {
                Part::Text(text) => text.bytes().skip(within_host).all(|byte| byte == b'/'),
                Part::Path
                | Part::Query
                | Part::Host
                | Part::Country
                | Part::Splat
                | Part::LinkKey
                | Part::LinkTarget => true,
            }
        })
    }

    /// Whether the template passes on what a rule's `*` matched.
    #[must_use]
    pub fn uses_splat(&self) -> bool {
        self.parts.contains(&Part::Splat)
    }

    /// The target itself, where nothing is left open.
    #[must_use]
    pub fn as_fixed(&self) -> Option<&str> {
        match &*self.parts {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// What it holds outside itself, in bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let texts = self.parts.iter().map(|part| match part {
            Part::Text(text) => text.len(),
            _ => 0,
        });
        self.source.len() + size_of_val::<[Part]>(&self.parts) + texts.sum::<usize>()
    }

    /// What filling the places asks.
    pub fn asks(&self) -> impl Iterator<Item = Question> {
        self.parts.iter().filter_map(Part::asks)
    }

    /// Fills the places by asking, and checks the result.
    ///
    /// # Errors
    /// [`Failure::InvalidDecision`] when the result is no target, and what `ask` fails with.
    pub fn render(
        &self,
        mut ask: impl FnMut(Question) -> Result<Answer, Failure>,
        splat: Option<&str>,
    ) -> Result<Target, Failure> {
        if let [Part::Text(text)] = &*self.parts {
            return Target::parse_at_edge(text).map_err(Failure::InvalidDecision);
        }
        let mut text = String::with_capacity(self.source.len() + 64);
        for part in &self.parts {
            part.render(&mut text, &mut ask, splat)?;
        }
        Target::parse_at_edge(&text).map_err(Failure::InvalidDecision)
    }
}

impl Part {
    const fn asks(&self) -> Option<Question> {
        match self {
            Self::Text(_) | Self::Splat => None,
            Self::Path => Some(Question::Path),
            Self::Query => Some(Question::RawQuery),
            Self::Host => Some(Question::Host),
            Self::Country => Some(Question::Country),
            Self::LinkKey => Some(Question::LinkKey),
            Self::LinkTarget => Some(Question::LinkTarget),
        }
    }

    fn render(
        &self,
        text: &mut String,
        ask: &mut impl FnMut(Question) -> Result<Answer, Failure>,
        splat: Option<&str>,
    ) -> Result<(), Failure> {
        match self {
            Self::Text(literal) => text.push_str(literal),
            Self::Path => text.push_str(ask(Question::Path)?.as_text().unwrap_or("/")),
            Self::Host => text.push_str(ask(Question::Host)?.as_text().unwrap_or_default()),
            Self::Splat => text.push_str(splat.unwrap_or_default()),
            Self::LinkKey => text.push_str(ask(Question::LinkKey)?.as_text().unwrap_or("/")),
            Self::LinkTarget => {
                let target = ask(Question::LinkTarget)?;
                let found = || Invalid::other("target", "`{link.target}` without a link", "a link at this path");
                text.push_str(target.as_text().ok_or_else(|| Failure::InvalidDecision(found()))?);
            }
            Self::Country => match ask(Question::Country)?.as_text() {
                Some(country) => text.push_str(&country.to_ascii_lowercase()),
                None => text.push_str(COUNTRY_UNKNOWN),
            },
            Self::Query => {
                let query = ask(Question::RawQuery)?;
                if let Some(query) = query.as_text().filter(|query| !query.is_empty()) {
                    text.push(if text.contains('?') { '&' } else { '?' });
                    text.push_str(query);
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.source)
    }
}

fn split(text: &str) -> Result<Vec<Part>, Invalid> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let Some(close) = rest[open..].find('}').map(|close| open + close) else {
            return Err(Invalid::text("target", text, "a `}` after each `{`"));
        };
        if open > 0 {
            parts.push(Part::Text(rest[..open].into()));
        }
        let name = &rest[open + 1..close];
        let Some(part) = Part::placeholder(name) else {
            return Err(Invalid::text("placeholder", name, PLACEHOLDERS));
        };
        parts.push(part);
        rest = &rest[close + 1..];
    }
    if rest.contains('}') {
        return Err(Invalid::text("target", text, "a `{` before each `}`"));
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.into()));
    }
    if parts.len() > 2 * TEMPLATE_PLACEHOLDERS_MAX {
        return Err(Invalid::text(
            "target",
            text,
            format!("at most {TEMPLATE_PLACEHOLDERS_MAX} placeholders"),
        ));
    }
    Ok(parts)
}

/// Refuses every placeholder whose place would let a visitor choose the authority.
fn check_placement(text: &str, parts: &[Part]) -> Result<(), Invalid> {
    let refuse = |expected: &str| Err(Invalid::text("target", text, expected));
    let mut written = String::new();
    for (index, part) in parts.iter().enumerate() {
        let authority_is_over = authority_is_over(&written);
        match part {
            Part::LinkTarget if index > 0 => return refuse("`{link.target}` only at the start"),
            Part::LinkTarget if parts.get(1).is_some_and(|next| *next != Part::Query) => {
                return refuse("nothing but `{?query}` after `{link.target}`");
            }
            Part::Path | Part::LinkKey | Part::Query if !authority_is_over && !has_authority(&written) => {
                return refuse("a host before the placeholders of path and query");
            }
            Part::Splat if !authority_is_over => return refuse("`{splat}` only after the host and a `/`"),
            Part::Host | Part::Country if written.find("://").is_none() => {
                return refuse("`http://` or `https://` before the host");
            }
            _ => {}
        }
        // A query may be empty, so it cannot be what ends the authority.
        if *part != Part::Query {
            written.push_str(part.sample());
        }
    }
    Ok(())
}

fn has_authority(written: &str) -> bool {
    written
        .split_once("://")
        .is_some_and(|(_, authority)| !authority.is_empty())
}

fn authority_is_over(written: &str) -> bool {
    written
        .split_once("://")
        .is_some_and(|(_, rest)| rest.contains(['/', '?', '#']))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Template;
    use crate::{
        decision::Failure,
        facts::Facts,
        question::{Answer, Question},
        trace::Recorder,
    };

    struct Request;

    impl Facts for Request {
        fn answer(&self, question: &Question) -> Answer {
            match question {
                Question::Path => Answer::text(Some("//evil.example/x")),
                Question::RawQuery => Answer::text(Some("a=1")),
                Question::Host => Answer::text(Some("go.example.com")),
                Question::Country => Answer::text(Some("DE")),
                Question::LinkTarget => Answer::text(Some("https://t.example/?own=1")),
                _ => Answer::Absent,
            }
        }

        fn now_s(&self) -> u64 {
            0
        }
    }

    #[test]
    fn templates_are_filled() {
        for (template, expected) in [
            (
                "https://m.example.com{path}{?query}",
                "https://m.example.com//evil.example/x?a=1",
            ),
            ("https://a.example/?b=2{?query}", "https://a.example/?b=2&a=1"),
            ("https://{host}/new", "https://go.example.com/new"),
            ("https://{country}.example.com/", "https://de.example.com/"),
            ("https://a.example/{splat}", "https://a.example/in/side"),
            ("{link.target}{?query}", "https://t.example/?own=1&a=1"),
            ("https://a.example/fixed", "https://a.example/fixed"),
        ] {
            let mut recorder = Recorder::new(Arc::new(Request));
            let rendered = Template::parse(template)
                .map_err(Failure::InvalidDecision)
                .and_then(|template| template.render(|question| recorder.ask(question), Some("in/side")));
            assert_eq!(
                rendered.as_ref().map(crate::target::Target::as_str),
                Ok(expected),
                "{template}"
            );
        }
    }

    #[test]
    fn the_host_of_a_template_ends_where_a_visitors_words_may_begin() {
        for (template, host, is_open) in [
            ("https://a.example/x", "https://a.example", false),
            ("https://a.example", "https://a.example", true),
            ("https://a.example/", "https://a.example", true),
            ("https://a.example?q=1", "https://a.example", false),
            ("https://a.example#f", "https://a.example", false),
            ("https://a.example{path}{?query}", "https://a.example", true),
            ("https://a.example{path}?x=1", "https://a.example", false),
            ("https://a.example{?query}", "https://a.example", true),
            ("https://a.example{link.key}", "https://a.example", true),
            ("https://a.example/{splat}", "https://a.example", true),
            ("https://a.example/in/{splat}", "https://a.example", false),
            ("https://{country}.{host}/{path}", "https://{country}.{host}", true),
            (
                "https://{country}.example.com/x://y",
                "https://{country}.example.com",
                false,
            ),
            ("https://{host}:8443/x", "https://{host}:8443", false),
            ("{link.target}", "", true),
            ("{link.target}{?query}", "", true),
        ] {
            let parsed = Template::parse(template).expect(template);
            assert_eq!(parsed.host(), host, "{template}");
            assert_eq!(parsed.is_open_behind_host(), is_open, "{template}");
        }
    }

    #[test]
    fn no_visitor_chooses_the_authority() {
        for template in [
            "https://{path}",
            "https://{splat}",
            "https://a.example{splat}",
            "https://a.example{?query}{splat}",
            "https://{splat}.example.com/",
            "{path}",
            "{host}",
            "https://a.example/{link.target}",
            "{link.target}{path}",
            "{unknown}",
            "https://a.example/{path",
            "https://a.example/path}",
            "javascript:alert(1){path}",
            "https://a.example/\r\nX: y",
            "",
        ] {
            assert!(Template::parse(template).is_err(), "{template:?}");
        }
    }

    #[test]
    fn what_is_not_known_has_a_stand_in_or_fails() {
        struct Nothing;
        impl Facts for Nothing {
            fn answer(&self, _: &Question) -> Answer {
                Answer::Absent
            }

            fn now_s(&self) -> u64 {
                0
            }
        }
        let render = |text: &str| {
            let template = Template::parse(text).expect("template");
            template
                .render(|question| Ok(Nothing.answer(&question)), None)
                .map(|target| target.to_string())
        };
        assert_eq!(
            render("https://{country}.example.com/"),
            Ok("https://zz.example.com/".to_owned())
        );
        assert_eq!(
            render("https://a.example/{?query}"),
            Ok("https://a.example/".to_owned())
        );
        assert!(render("{link.target}").is_err());
    }
}
