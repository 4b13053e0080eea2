//! Between the contract's types and the domain's.
//!
//! In: what a guest wrote, which may be anything. Out: a question or decision that cannot be wrong, or the
//! [`Invalid`] that says how it is. Two ways to write the same question become one question, so that they are
//! remembered as one.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use wayside_decide::{
    decision::Decision,
    invalid::Invalid,
    limits::{QUESTION_BYTES_MAX, QUESTION_ITEMS_MAX},
    point::Points,
    question::{Answer, Question},
    status::{DenyStatus, RedirectStatus},
    stream::plan::{PlanSpec, StreamPlan},
    template::Template,
    zone::Zone,
};

use crate::{
    bindings::wayside::policy::{
        decisions,
        plans::{self, StreamDecision},
        visitor::{DeviceClass, Point},
    },
    note::Level,
};

/// `request.query`.
pub(crate) fn query(name: String) -> Result<Question, Invalid> {
    Ok(Question::Query(text("query parameter", name)?))
}

/// `request.header`: names are compared without regard to case (RFC 9110 §5.1).
pub(crate) fn header(mut name: String) -> Result<Question, Invalid> {
    name.make_ascii_lowercase();
    Ok(Question::Header(token("header name", name)?))
}

/// `request.cookie`: names are tokens whose case counts (RFC 6265 §4.1.1).
pub(crate) fn cookie(name: String) -> Result<Question, Invalid> {
    Ok(Question::Cookie(token("cookie name", name)?))
}

/// `request.prefers`. The order counts: it decides what `*` takes.
pub(crate) fn prefers(languages: Vec<String>) -> Result<Question, Invalid> {
    check_list("languages", &languages)?;
    let is_tag = |language: &String| {
        let is_subtag =
            |subtag: &str| (1..=8).contains(&subtag.len()) && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric());
        language.split('-').all(is_subtag)
    };
    match languages.iter().find(|language| !is_tag(language)) {
        Some(language) => Err(Invalid::text(
            "language",
            language,
            "a language tag such as `de` or `pt-BR`",
        )),
        None => Ok(Question::Prefers(languages.into_iter().map(Into::into).collect())),
    }
}

/// `visitor.in-network`. Neither order, repetition nor bits past the prefix change the question.
pub(crate) fn in_network(networks: &[String]) -> Result<Question, Invalid> {
    check_list("networks", networks)?;
    let mut parsed = networks
        .iter()
        .map(|text| network(text))
        .collect::<Result<Vec<_>, _>>()?;
    parsed.sort_unstable();
    parsed.dedup();
    Ok(Question::InNetwork(parsed.into()))
}

fn network(text: &str) -> Result<IpNet, Invalid> {
    let parsed = text.parse::<IpNet>().map(|network| network.trunc());
    parsed
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| Invalid::text("network", text, "a network such as `192.0.2.0/24` or `2001:db8::/32`"))
}

/// `visitor.nearest`. The order counts: the first of those equally near is taken.
pub(crate) fn nearest(points: Vec<Point>) -> Result<Question, Invalid> {
    let points = points
        .into_iter()
        .map(|point| (point.name, point.latitude, point.longitude));
    Ok(Question::Nearest(Points::new(points)?))
}

/// `clock.weekday`. The case of a zone's name does not change the question.
pub(crate) fn weekday(zone: &str) -> Result<Question, Invalid> {
    Ok(Question::Weekday(Zone::parse(zone)?))
}

/// `clock.hour`, likewise.
pub(crate) fn hour(zone: &str) -> Result<Question, Invalid> {
    Ok(Question::Hour(Zone::parse(zone)?))
}

/// `visitor.bucket`.
pub(crate) fn bucket(salt: String, count: u32) -> Result<Question, Invalid> {
    if count == 0 {
        return Err(Invalid::other("bucket count", "0", "at least 1"));
    }
    let salt = text("bucket salt", salt)?;
    Ok(Question::Bucket { salt, count })
}

/// `link.attribute`.
pub(crate) fn attribute(name: String) -> Result<Question, Invalid> {
    Ok(Question::LinkAttribute(text("attribute", name)?))
}

/// `streams.attribute`.
pub(crate) fn asset_attribute(name: String) -> Result<Question, Invalid> {
    Ok(Question::AssetAttribute(text("attribute", name)?))
}

/// `streams.region`.
pub(crate) fn target_region(target: String) -> Result<Question, Invalid> {
    Ok(Question::TargetRegion(text("target", target)?))
}

/// `settings.get`.
pub(crate) fn setting(name: String) -> Result<Question, Invalid> {
    Ok(Question::Setting(text("setting", name)?))
}

fn text(what: &'static str, text: String) -> Result<Box<str>, Invalid> {
    if text.len() > QUESTION_BYTES_MAX {
        return Err(Invalid::text(
            what,
            &text,
            format!("at most {QUESTION_BYTES_MAX} bytes"),
        ));
    }
    Ok(text.into())
}

/// A token of RFC 9110 §5.6.2.
fn token(what: &'static str, name: String) -> Result<Box<str>, Invalid> {
    let is_of_set = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_of_set) {
        return Err(Invalid::text(what, &name, "letters, digits and any of !#$%&'*+-.^_`|~"));
    }
    text(what, name)
}

fn check_list(what: &'static str, items: &[String]) -> Result<(), Invalid> {
    if items.len() > QUESTION_ITEMS_MAX {
        let found = format!("{} of them", items.len());
        return Err(Invalid::other(what, found, format!("at most {QUESTION_ITEMS_MAX}")));
    }
    let bytes: usize = items.iter().map(String::len).sum();
    if bytes > QUESTION_BYTES_MAX {
        let found = format!("{bytes} bytes in all");
        return Err(Invalid::other(what, found, format!("at most {QUESTION_BYTES_MAX}")));
    }
    Ok(())
}

/// A text answer that is always there.
pub(crate) fn to_text(answer: &Answer) -> String {
    answer.as_text().unwrap_or_default().to_owned()
}

/// A text answer that may be absent.
pub(crate) fn to_optional_text(answer: &Answer) -> Option<String> {
    answer.as_text().map(str::to_owned)
}

/// A number that may be absent.
pub(crate) fn to_optional_number(answer: &Answer) -> Option<u32> {
    answer.as_number().and_then(|number| u32::try_from(number).ok())
}

/// A small number that is always there.
pub(crate) fn to_small_number(answer: &Answer) -> u8 {
    let number = answer.as_number().and_then(|number| u8::try_from(number).ok());
    number.unwrap_or_default()
}

/// A list answer.
pub(crate) fn to_list(answer: &Answer) -> Vec<String> {
    answer.as_list().iter().map(|item| item.clone().into_string()).collect()
}

/// The device, by its name.
pub(crate) fn to_device(answer: &Answer) -> DeviceClass {
    match answer.as_text() {
        Some("desktop") => DeviceClass::Desktop,
        Some("phone") => DeviceClass::Phone,
        Some("tablet") => DeviceClass::Tablet,
        Some("tv") => DeviceClass::Tv,
        _ => DeviceClass::Unknown,
    }
}

/// How much a log message matters.
pub(crate) const fn level(level: crate::bindings::wayside::policy::log::Level) -> Level {
    use crate::bindings::wayside::policy::log::Level as Contract;
    match level {
        Contract::Debug => Level::Debug,
        Contract::Info => Level::Info,
        Contract::Warn => Level::Warn,
        Contract::Error => Level::Error,
    }
}

/// A decision, checked: the status is of the set, the location is a template of an absolute URL.
pub(crate) fn decision(decision: &decisions::Decision) -> Result<Decision, Invalid> {
    Ok(match decision {
        decisions::Decision::Proceed => Decision::Proceed,
        decisions::Decision::Deny(code) => deny(*code)?,
        decisions::Decision::Redirect(redirection) => redirect(redirection)?,
    })
}

/// A decision about a stream, checked likewise: weights are finite and from 0, each target is in one tier.
pub(crate) fn stream_decision(decision: StreamDecision) -> Result<Decision, Invalid> {
    Ok(match decision {
        StreamDecision::Proceed => Decision::Proceed,
        StreamDecision::Deny(code) => deny(code)?,
        StreamDecision::Redirect(redirection) => redirect(&redirection)?,
        StreamDecision::Plan(plan) => Decision::Plan(Arc::new(StreamPlan::new(spec(plan))?)),
    })
}

fn deny(code: u16) -> Result<Decision, Invalid> {
    Ok(Decision::Deny(DenyStatus::from_code(code)?))
}

fn redirect(redirection: &decisions::Redirection) -> Result<Decision, Invalid> {
    Ok(Decision::Redirect {
        status: RedirectStatus::from_code(redirection.status)?,
        location: Template::parse(&redirection.location)?,
    })
}

fn spec(plan: plans::Plan) -> PlanSpec {
    let tier = |shares: Vec<plans::Share>| shares.into_iter().map(|share| (share.target, share.weight)).collect();
    PlanSpec {
        tiers: plan.tiers.into_iter().map(tier).collect(),
        allow: plan.allow,
        deny: plan.deny,
        preferred_region: plan.preferred_region,
    }
}

#[cfg(test)]
mod tests {
    use wayside_decide::{
        limits::{NEAREST_POINTS_MAX, QUESTION_BYTES_MAX},
        question::Question,
    };

    use super::{Point, bucket, cookie, header, hour, in_network, nearest, prefers, query, setting, weekday};

    fn strings(items: &[&str]) -> Vec<String> {
        items.iter().map(|&item| item.to_owned()).collect()
    }

    fn points(names: &[&str]) -> Vec<Point> {
        let point = |name: &&str| Point {
            name: (*name).to_owned(),
            latitude: 0.0,
            longitude: 0.0,
        };
        names.iter().map(point).collect()
    }

    #[test]
    fn one_question_written_two_ways_is_one_question() {
        assert_eq!(
            header("Accept-Language".to_owned()),
            header("accept-language".to_owned())
        );
        assert_ne!(cookie("A".to_owned()), cookie("a".to_owned()));
        let networks = ["2001:db8::/32", "192.0.2.0/24", "198.51.100.7/32"];
        let same = ["198.51.100.7", "192.0.2.9/24", "192.0.2.0/24", "2001:db8::1/32"];
        assert_eq!(in_network(&strings(&networks)), in_network(&strings(&same)));
        assert_eq!(hour("europe/berlin"), hour("Europe/Berlin"));
        assert_ne!(weekday("Europe/Berlin"), hour("Europe/Berlin"));
        assert_ne!(weekday("Europe/Berlin"), weekday("Europe/Paris"));
        assert_ne!(nearest(points(&["a", "b"])), nearest(points(&["b", "a"])));
        assert_ne!(prefers(strings(&["de", "en"])), prefers(strings(&["en", "de"])));
    }

    #[test]
    fn what_has_no_meaning_is_no_question() {
        for name in ["", "two words", "a:b", "ä", "a\r\nb", "a\0"] {
            assert!(header(name.to_owned()).is_err(), "{name:?}");
            assert!(cookie(name.to_owned()).is_err(), "{name:?}");
        }
        for network in [
            "",
            "192.0.2.0/33",
            "192.0.2",
            "2001:db8::/129",
            "localhost",
            "192.0.2.0/24 ",
        ] {
            assert!(in_network(&strings(&[network])).is_err(), "{network:?}");
        }
        for language in ["", "-", "de-", "de;q=1", "de,en", "abcdefghi"] {
            assert!(prefers(strings(&[language])).is_err(), "{language:?}");
        }
        for zone in ["", "Berlin", "Europe/Berln", "+01:00", "Etc/Unknown"] {
            assert!(hour(zone).is_err() && weekday(zone).is_err(), "{zone:?}");
        }
        let nowhere = |latitude, longitude| {
            let name = "a".to_owned();
            nearest(vec![Point {
                name,
                latitude,
                longitude,
            }])
        };
        for (latitude, longitude) in [
            (90.1, 0.0),
            (-90.1, 0.0),
            (0.0, 180.1),
            (f64::NAN, 0.0),
            (0.0, f64::INFINITY),
        ] {
            assert!(nowhere(latitude, longitude).is_err(), "{latitude} {longitude}");
        }
        assert!(nowhere(-90.0, 180.0).is_ok() && nearest(Vec::new()).is_ok());
        assert!(nearest(points(&["a", "b", "a"])).is_err(), "a name twice");
        assert!(bucket("salt".to_owned(), 0).is_err());
        assert!(prefers(Vec::new()).is_ok() && in_network(&[]).is_ok());
    }

    #[test]
    fn long_questions_are_refused() {
        let long = "x".repeat(QUESTION_BYTES_MAX + 1);
        assert!(query(long.clone()).is_err() && setting(long.clone()).is_err() && header(long.clone()).is_err());
        assert!(bucket(long.clone(), 2).is_err() && hour(&long).is_err() && weekday(&long).is_err());
        assert!(nearest(points(&[&long])).is_err() && nearest(points(&[&long[1..]])).is_ok());
        let names: Vec<String> = (0..=NEAREST_POINTS_MAX).map(|number| number.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert!(nearest(points(&names)).is_err() && nearest(points(&names[1..])).is_ok());
        assert_eq!(query(long[1..].to_owned()), Ok(Question::Query(long[1..].into())));
        assert!(prefers(vec!["de".to_owned(); 1025]).is_err());
        assert!(in_network(&vec!["2001:db8:1111:2222::/64".to_owned(); 1000]).is_err());
    }
}
