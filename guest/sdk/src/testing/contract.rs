//! The contract's functions, answered by a test's facts. Each writes down what it is asked as the host does.

use std::{cell::RefCell, net::IpAddr};

use super::{Answer, Facts, QUESTIONS_MAX};

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

#[derive(Default)]
struct World {
    facts: Facts,
    asked: Vec<String>,
    log: Vec<String>,
}

/// Begins a run with these facts.
pub(super) fn begin(facts: Facts) {
    WORLD.set(World {
        facts,
        ..World::default()
    });
}

/// Ends it: what was asked, and what was written to the log.
pub(super) fn end() -> (Vec<String>, Vec<String>) {
    let world = WORLD.take();
    (world.asked, world.log)
}

fn ask(question: String) -> Option<Answer> {
    WORLD.with_borrow_mut(|world| {
        let answer = world.facts.answer(&question);
        if !world.asked.contains(&question) {
            assert!(
                world.asked.len() < QUESTIONS_MAX,
                "the policy asked more than {QUESTIONS_MAX} different questions"
            );
            world.asked.push(question);
        }
        answer
    })
}

fn text(question: String) -> Option<String> {
    match ask(question.clone())? {
        Answer::Text(text) => Some(text),
        other => panic!("the fact {question} is {other:?}, expected a text"),
    }
}

fn flag(question: String) -> bool {
    match ask(question.clone()) {
        None => false,
        Some(Answer::Flag(flag)) => flag,
        Some(other) => panic!("the fact {question} is {other:?}, expected true or false"),
    }
}

fn number(question: String) -> Option<u64> {
    match ask(question.clone())? {
        Answer::Number(number) => Some(number),
        other => panic!("the fact {question} is {other:?}, expected a number"),
    }
}

/// A number of the size the contract has for it.
fn small<N: TryFrom<u64>>(question: String) -> Option<N> {
    let found = number(question.clone())?;
    match N::try_from(found) {
        Ok(number) => Some(number),
        Err(_) => panic!("the fact {question} is {found}, which is too large"),
    }
}

fn list(question: String) -> Vec<String> {
    match ask(question.clone()) {
        None => Vec::new(),
        Some(Answer::List(items)) => items,
        Some(other) => panic!("the fact {question} is {other:?}, expected a list of texts"),
    }
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}

fn joined(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

/// A field name (RFC 9110 §5.6.2).
fn check_token<'n>(what: &str, name: &'n str) -> &'n str {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    assert!(
        !name.is_empty() && name.bytes().all(is_token),
        "the policy asked a question that cannot be answered: {what}: found {name:?}, expected a name"
    );
    name
}

/// A network in its normal form: bits past the prefix are zero.
fn network(text: &str) -> (IpAddr, u8) {
    let read = || {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let length = length.unwrap_or(bits);
        let cut = |value: u128| match u32::from(bits - length.min(bits)) {
            128 => 0,
            rest => value >> rest << rest,
        };
        (length <= bits).then(|| match address {
            IpAddr::V4(v4) => (IpAddr::from((cut(v4.to_bits().into()) as u32).to_be_bytes()), length),
            IpAddr::V6(v6) => (IpAddr::from(cut(v6.to_bits()).to_be_bytes()), length),
        })
    };
    read().unwrap_or_else(|| {
        panic!("the policy asked a question that cannot be answered: network: found {text:?}, expected a network such as `192.0.2.0/24`")
    })
}

pub(crate) mod request {
    use super::{check_token, quote, text};

    pub(crate) fn method() -> String {
        text("request.method".into()).unwrap_or_else(|| "GET".into())
    }

    pub(crate) fn scheme() -> String {
        text("request.scheme".into()).unwrap_or_else(|| "https".into())
    }

    pub(crate) fn host() -> String {
        text("request.host".into()).unwrap_or_else(|| "localhost".into())
    }

    pub(crate) fn path() -> String {
        text("request.path".into()).unwrap_or_else(|| "/".into())
    }

    pub(crate) fn segment(index: u32) -> Option<String> {
        text(format!("request.segment({index})"))
    }

    pub(crate) fn query(name: &str) -> Option<String> {
        text(format!("request.query({})", quote(name)))
    }

    pub(crate) fn header(name: &str) -> Option<String> {
        let name = check_token("header name", name).to_ascii_lowercase();
        text(format!("request.header({})", quote(&name)))
    }

    pub(crate) fn cookie(name: &str) -> Option<String> {
        text(format!("request.cookie({})", quote(check_token("cookie name", name))))
    }

    pub(crate) fn prefers(languages: &[String]) -> Option<String> {
        let is_subtag =
            |subtag: &str| (1..=8).contains(&subtag.len()) && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric());
        for language in languages {
            let expected = "expected a language tag such as `de` or `pt-BR`";
            assert!(
                language.split('-').all(is_subtag),
                "the policy asked a question that cannot be answered: language: found {language:?}, {expected}"
            );
        }
        text(format!("request.prefers({})", languages.join(", ")))
    }
}

pub(crate) mod visitor {
    pub(crate) use crate::bindings::wayside::policy::visitor::{DeviceClass, Point};

    use super::{flag, joined, network, quote, small, text};

    pub(crate) fn country() -> Option<String> {
        text("visitor.country".into())
    }

    pub(crate) fn continent() -> Option<String> {
        text("visitor.continent".into())
    }

    pub(crate) fn subdivision() -> Option<String> {
        text("visitor.subdivision".into())
    }

    pub(crate) fn city() -> Option<String> {
        text("visitor.city".into())
    }

    pub(crate) fn time_zone() -> Option<String> {
        text("visitor.time-zone".into())
    }

    pub(crate) fn in_eu() -> bool {
        flag("visitor.in-eu".into())
    }

    pub(crate) fn asn() -> Option<u32> {
        small("visitor.asn".into())
    }

    pub(crate) fn in_network(networks: &[String]) -> bool {
        let mut networks: Vec<_> = networks.iter().map(|text| network(text)).collect();
        networks.sort_unstable();
        networks.dedup();
        let written = networks.iter().map(|(address, length)| format!("{address}/{length}"));
        flag(format!("visitor.in-network({})", joined(written)))
    }

    pub(crate) fn nearest(points: &[Point]) -> Option<String> {
        let expected =
            "the policy asked a question that cannot be answered: points: expected at most 64, each name once";
        let is_new = |(index, point): (usize, &Point)| points[..index].iter().all(|other| other.name != point.name);
        assert!(
            points.len() <= 64 && points.iter().enumerate().all(is_new),
            "{expected}"
        );
        for point in points {
            let is_there = point.latitude.abs() <= 90.0 && point.longitude.abs() <= 180.0;
            assert!(
                is_there,
                "the policy asked a question that cannot be answered: found no place on the globe, {point:?}"
            );
        }
        let written = |point: &Point| format!("{} {} {}", quote(&point.name), point.latitude, point.longitude);
        text(format!("visitor.nearest({})", joined(points.iter().map(written))))
    }

    pub(crate) fn device() -> DeviceClass {
        match text("visitor.device".into()).as_deref() {
            Some("desktop") => DeviceClass::Desktop,
            Some("phone") => DeviceClass::Phone,
            Some("tablet") => DeviceClass::Tablet,
            Some("tv") => DeviceClass::Tv,
            _ => DeviceClass::Unknown,
        }
    }

    pub(crate) fn os() -> String {
        text("visitor.os".into()).unwrap_or_else(|| "other".into())
    }

    pub(crate) fn browser() -> String {
        text("visitor.browser".into()).unwrap_or_else(|| "other".into())
    }

    pub(crate) fn bot() -> bool {
        flag("visitor.bot".into())
    }

    pub(crate) fn bucket(salt: &str, count: u32) -> u32 {
        let expected =
            "the policy asked a question that cannot be answered: bucket count: found 0, expected at least 1";
        assert!(count > 0, "{expected}");
        small(format!("visitor.bucket({}, {count})", quote(salt))).unwrap_or(0)
    }
}

pub(crate) mod link {
    use super::{flag, list, quote, text};

    pub(crate) fn exists() -> bool {
        flag("link.exists".into())
    }

    pub(crate) fn key() -> Option<String> {
        text("link.key".into())
    }

    pub(crate) fn target() -> Option<String> {
        text("link.target".into())
    }

    pub(crate) fn tags() -> Vec<String> {
        list("link.tags".into())
    }

    pub(crate) fn attribute(name: &str) -> Option<String> {
        text(format!("link.attribute({})", quote(name)))
    }
}

pub(crate) mod streams {
    use super::{list, quote, text};

    pub(crate) fn asset() -> Option<String> {
        text("streams.asset".into())
    }

    pub(crate) fn tags() -> Vec<String> {
        list("streams.tags".into())
    }

    pub(crate) fn attribute(name: &str) -> Option<String> {
        text(format!("streams.attribute({})", quote(name)))
    }

    pub(crate) fn targets() -> Vec<String> {
        list("streams.targets".into())
    }

    pub(crate) fn region(target: &str) -> Option<String> {
        text(format!("streams.region({})", quote(target)))
    }
}

pub(crate) mod clock {
    use super::{Answer, WORLD, ask, quote, small};

    pub(crate) fn at_or_after(instant: u64) -> bool {
        match ask(format!("clock.at-or-after({instant})")) {
            Some(Answer::Flag(flag)) => flag,
            Some(other) => panic!("the fact clock.at-or-after({instant}) is {other:?}, expected true or false"),
            None => WORLD.with_borrow(|world| world.facts.now.unwrap_or(0) >= instant),
        }
    }

    pub(crate) fn weekday(zone: &str) -> u8 {
        // 1970 began on a Thursday.
        small(format!("clock.weekday({})", quote(zone))).unwrap_or(3)
    }

    pub(crate) fn hour(zone: &str) -> u8 {
        small(format!("clock.hour({})", quote(zone))).unwrap_or(0)
    }
}

pub(crate) mod node {
    use super::text;

    pub(crate) fn region() -> Option<String> {
        text("node.region".into())
    }

    pub(crate) fn pop() -> Option<String> {
        text("node.pop".into())
    }
}

pub(crate) mod settings {
    use super::{WORLD, ask, quote};

    pub(crate) fn get(name: &str) -> Option<String> {
        ask(format!("settings.get({})", quote(name)));
        WORLD.with_borrow(|world| world.facts.settings.get(name).cloned())
    }
}

pub(crate) mod log {
    pub(crate) use crate::bindings::wayside::policy::log::Level;

    use super::WORLD;

    pub(crate) fn write(_: Level, message: &str) {
        WORLD.with_borrow_mut(|world| world.log.push(message.to_owned()));
    }
}
