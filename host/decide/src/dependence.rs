//! What a response depends on, in the words of HTTP caching (RFC 9111 §4.1): derived from what was asked, so that no
//! cache between edge and visitor gives one visitor another's answer.

use std::collections::BTreeSet;

use crate::{question::Question, trace::Trace, tree::Outcome};

/// What a response depends on besides its URL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dependence {
    /// Whether it depends on who asks or where, which no request field tells a cache.
    is_private: bool,
    /// The request fields it depends on, in lower case.
    fields: BTreeSet<Box<str>>,
    /// Whether it is no decision but what holds without one.
    is_fallback: bool,
}

impl Dependence {
    /// What an outcome and the response made of it depend on.
    #[must_use]
    pub fn of(trace: &Trace, outcome: &Outcome) -> Self {
        let mut dependence = Self {
            is_fallback: outcome.is_err(),
            ..Self::default()
        };
        for (question, _) in trace.iter() {
            dependence.add(question);
        }
        if let Ok(crate::decision::Decision::Redirect { location, .. }) = outcome {
            for question in location.asks() {
                dependence.add(&question);
            }
        }
        dependence
    }

    /// Adds what the answer to `question` depends on.
    pub fn add(&mut self, question: &Question) {
        match question.source() {
            Source::Url | Source::Record => {}
            Source::Field(name) => {
                self.fields.insert(name.into());
            }
            Source::Agent => {
                let names = ["user-agent", "sec-ch-ua-mobile", "sec-ch-ua-platform"];
                self.fields.extend(names.map(Into::into));
            }
            Source::Visitor => self.is_private = true,
        }
    }

    /// Whether no cache that serves more than one visitor may keep the response.
    #[must_use]
    pub const fn is_private(&self) -> bool {
        self.is_private
    }

    /// Whether nothing was decided, so that nobody may keep the response.
    #[must_use]
    pub const fn is_fallback(&self) -> bool {
        self.is_fallback
    }

    /// The request fields that choose the response, for `Vary` (RFC 9110 §12.5.5).
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| &**field)
    }
}

/// Where the answer to a question comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source<'q> {
    /// The request's URL and method, which are every cache's key.
    Url,
    /// What the owner recorded (link, settings) and the clock: a response's lifetime accounts for them.
    Record,
    /// One request field.
    Field(&'q str),
    /// The fields that tell what the visitor's program is.
    Agent,
    /// The visitor's address, cookies or the node that answers.
    Visitor,
}

impl Question {
    /// Where its answer comes from.
    #[must_use]
    pub fn source(&self) -> Source<'_> {
        match self {
            Self::Method
            | Self::Scheme
            | Self::Host
            | Self::Path
            | Self::Segment(_)
            | Self::RawQuery
            | Self::Query(_) => Source::Url,
            Self::LinkExists
            | Self::LinkKey
            | Self::LinkTarget
            | Self::LinkTags
            | Self::LinkAttribute(_)
            | Self::AtOrAfter(_)
            | Self::Weekday(_)
            | Self::Hour(_)
            | Self::Setting(_) => Source::Record,
            // The address a proxy vouches for, and what only this visitor sends.
            Self::Header(name) if matches!(&**name, "cookie" | "authorization" | "x-forwarded-for") => Source::Visitor,
            Self::Header(name) => Source::Field(name),
            Self::Prefers(_) => Source::Field("accept-language"),
            Self::Device | Self::Os | Self::Browser | Self::Bot => Source::Agent,
            Self::Cookie(_)
            | Self::Country
            | Self::Continent
            | Self::Subdivision
            | Self::City
            | Self::TimeZone
            | Self::InEu
            | Self::Asn
            | Self::InNetwork(_)
            | Self::Nearest(_)
            | Self::Bucket { .. }
            | Self::Region
            | Self::Pop => Source::Visitor,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Dependence;
    use crate::{point::Points, question::Question, zone::Zone};

    fn of(questions: &[Question]) -> (bool, Vec<String>) {
        let mut dependence = Dependence::default();
        for question in questions {
            dependence.add(question);
        }
        (
            dependence.is_private(),
            dependence.fields().map(str::to_owned).collect(),
        )
    }

    #[test]
    fn a_response_depends_on_what_was_asked_and_nothing_else() {
        assert_eq!(
            of(&[Question::Path, Question::Query("q".into()), Question::LinkTags]),
            (false, vec![])
        );
        let zone = Zone::parse("Europe/Berlin").expect("a zone");
        assert_eq!(
            of(&[
                Question::AtOrAfter(7),
                Question::Hour(zone.clone()),
                Question::Weekday(zone)
            ]),
            (false, vec![])
        );
        assert_eq!(
            of(&[Question::Prefers(Box::default())]),
            (false, vec!["accept-language".to_owned()])
        );
        assert_eq!(of(&[Question::Header("x-a".into())]), (false, vec!["x-a".to_owned()]));
        let (is_private, fields) = of(&[Question::Device, Question::Os]);
        assert!(!is_private && fields.contains(&"user-agent".to_owned()), "{fields:?}");
        for question in [
            Question::Country,
            Question::Cookie("a".into()),
            Question::Header("cookie".into()),
            Question::Header("authorization".into()),
            Question::Bucket {
                salt: "s".into(),
                count: 2,
            },
            Question::Pop,
            Question::Nearest(Points::new([("a", 0.0, 0.0)]).expect("points")),
        ] {
            assert!(of(std::slice::from_ref(&question)).0, "{question}");
        }
    }
}
