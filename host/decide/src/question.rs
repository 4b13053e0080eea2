//! What a decider can ask, and what it can be told.

use std::fmt;

use ipnet::IpNet;

use crate::{invalid::quote, point::Points, zone::Zone};

mod wide;

pub use wide::caution;

/// One question about a request, its visitor, the link, the asset or the node. The whole value is the question's identity: two
/// questions with different parameters are different questions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Question {
    /// The request's method, in upper case. Text.
    Method,
    /// `http` or `https`, as the visitor sees it. Text.
    Scheme,
    /// The request's host in normal form, without port. Text.
    Host,
    /// The request's path in the normal form of links ([`crate::path::normalise`]), however it was written. Text.
    Path,
    /// That path's segment at this index, counted from 0. Text or absent.
    Segment(u32),
    /// The whole query without its `?`, as it was sent. Text or absent. Costly: many different answers.
    RawQuery,
    /// The first value of this query parameter, decoded. Text or absent.
    Query(Box<str>),
    /// The value of this header field (name in lower case), repeated fields joined by `, `. Text or absent. Costly.
    Header(Box<str>),
    /// The value of this cookie. Text or absent. Costly.
    Cookie(Box<str>),
    /// Which of these languages the visitor prefers (RFC 4647 lookup on `Accept-Language`). Text or absent.
    Prefers(Box<[Box<str>]>),
    /// The visitor's country, ISO 3166-1 alpha-2 in upper case. Text or absent.
    Country,
    /// The visitor's continent: AF, AN, AS, EU, NA, OC or SA. Text or absent.
    Continent,
    /// The visitor's largest subdivision, ISO 3166-2 without the country: `CA`, `ENG`. Text or absent.
    Subdivision,
    /// The visitor's city, in English. Text or absent.
    City,
    /// The visitor's time zone, IANA name. Text or absent.
    TimeZone,
    /// Whether the visitor is in the European Union. Flag; false when unknown.
    InEu,
    /// The visitor's autonomous system. Number or absent.
    Asn,
    /// Whether the visitor's address is in one of these networks. Flag.
    InNetwork(Box<[IpNet]>),
    /// Which of these points is nearest to where the visitor is, by great circle; the first of those equally near. Text
    /// (its name) or absent.
    Nearest(Points),
    /// The visitor's device: `desktop`, `phone`, `tablet`, `tv` or `unknown`. Text.
    Device,
    /// The visitor's operating system: `android`, `ios`, `windows`, `macos`, `linux`, `chromeos`, `other`. Text.
    Os,
    /// The visitor's browser: `chrome`, `safari`, `firefox`, `edge`, `opera`, `samsung`, `other`. Text.
    Browser,
    /// Whether the visitor says that it is a program. Flag.
    Bot,
    /// In which of `count` buckets the visitor falls for this salt: 0 to `count` - 1, stable per visitor. Number.
    Bucket {
        /// Different salts give independent buckets.
        salt: Box<str>,
        /// How many buckets there are, at least 1.
        count: u32,
    },
    /// Whether a link stands at this path and is live. Flag.
    LinkExists,
    /// The link's path in normal form. Text or absent.
    LinkKey,
    /// Where the link leads by itself. Text or absent.
    LinkTarget,
    /// The link's tags. List, empty when there is no link.
    LinkTags,
    /// The link's attribute of this name. Text or absent.
    LinkAttribute(Box<str>),
    /// Whether it is this instant or later, in seconds since 1970 UTC. Flag. The host knows until when a `no` holds.
    AtOrAfter(u64),
    /// The day of the week in this zone: 0 (Monday) to 6. Number. The host knows until when it holds.
    Weekday(Zone),
    /// The hour in this zone: 0 to 23. Number. The host knows until when it holds.
    Hour(Zone),
    /// The region of the node that answers. Text or absent.
    Region,
    /// The point of presence of the node that answers. Text or absent.
    Pop,
    /// This setting of the binding. Text or absent.
    Setting(Box<str>),
    /// The id of the asset that is asked for. Text, or absent when the request is for none.
    AssetId,
    /// The asset's tags. List, empty when the request is for no asset.
    AssetTags,
    /// The asset's attribute of this name. Text or absent.
    AssetAttribute(Box<str>),
    /// The names of the targets that have a copy of the asset, in order of names. List, empty when the request is for no
    /// asset.
    AssetTargets,
    /// The region of the target of this name, which has a copy of the asset. Text or absent.
    TargetRegion(Box<str>),
}

impl Question {
    /// Whether the answer comes from the link at the request's path.
    #[must_use]
    pub const fn is_about_link(&self) -> bool {
        matches!(
            self,
            Self::LinkExists | Self::LinkKey | Self::LinkTarget | Self::LinkTags | Self::LinkAttribute(_)
        )
    }

    /// The answer at this instant, in seconds since 1970 UTC, where nothing but the instant decides it.
    #[must_use]
    pub fn answer_at(&self, now_s: u64) -> Option<Answer> {
        match self {
            Self::AtOrAfter(instant) => Some(Answer::Flag(now_s >= *instant)),
            Self::Weekday(zone) => Some(Answer::Number(zone.weekday(now_s))),
            Self::Hour(zone) => Some(Answer::Number(zone.hour(now_s))),
            _ => None,
        }
    }

    /// Until when `answer`, given at `now_s`, holds although nothing but the clock moves, that second not included; for
    /// ever when absent. Instants are in seconds since 1970 UTC.
    #[must_use]
    pub fn holds_until(&self, answer: &Answer, now_s: u64) -> Option<u64> {
        match self {
            Self::AtOrAfter(instant) if !answer.is_yes() => Some(*instant),
            Self::Weekday(zone) => zone.weekday_holds_until(now_s),
            Self::Hour(zone) => zone.hour_holds_until(now_s),
            _ => None,
        }
    }

    /// What it holds outside itself, in bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Query(text)
            | Self::Header(text)
            | Self::Cookie(text)
            | Self::LinkAttribute(text)
            | Self::Setting(text)
            | Self::AssetAttribute(text)
            | Self::TargetRegion(text) => text.len(),
            Self::Bucket { salt, .. } => salt.len(),
            Self::Prefers(languages) => languages.iter().map(|text| text.len() + size_of::<Box<str>>()).sum(),
            Self::InNetwork(networks) => size_of_val::<[IpNet]>(networks),
            Self::Nearest(points) => points.heap_bytes(),
            _ => 0,
        }
    }
}

impl fmt::Display for Question {
    /// In the words of the contract: `visitor.country`, `request.header("accept")`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |formatter: &mut fmt::Formatter<'_>, text: &str| formatter.write_str(text);
        match self {
            Self::Method => plain(formatter, "request.method"),
            Self::Scheme => plain(formatter, "request.scheme"),
            Self::Host => plain(formatter, "request.host"),
            Self::Path => plain(formatter, "request.path"),
            Self::Segment(index) => write!(formatter, "request.segment({index})"),
            Self::RawQuery => plain(formatter, "request.raw-query"),
            Self::Query(name) => write!(formatter, "request.query({})", quote(name)),
            Self::Header(name) => write!(formatter, "request.header({})", quote(name)),
            Self::Cookie(name) => write!(formatter, "request.cookie({})", quote(name)),
            Self::Prefers(languages) => write!(formatter, "request.prefers({})", languages.join(", ")),
            Self::Country => plain(formatter, "visitor.country"),
            Self::Continent => plain(formatter, "visitor.continent"),
            Self::Subdivision => plain(formatter, "visitor.subdivision"),
            Self::City => plain(formatter, "visitor.city"),
            Self::TimeZone => plain(formatter, "visitor.time-zone"),
            Self::InEu => plain(formatter, "visitor.in-eu"),
            Self::Asn => plain(formatter, "visitor.asn"),
            Self::InNetwork(networks) => {
                let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
                write!(formatter, "visitor.in-network({})", networks.join(", "))
            }
            Self::Nearest(points) => write!(formatter, "visitor.nearest({points})"),
            Self::Device => plain(formatter, "visitor.device"),
            Self::Os => plain(formatter, "visitor.os"),
            Self::Browser => plain(formatter, "visitor.browser"),
            Self::Bot => plain(formatter, "visitor.bot"),
            Self::Bucket { salt, count } => write!(formatter, "visitor.bucket({}, {count})", quote(salt)),
            Self::LinkExists => plain(formatter, "link.exists"),
            Self::LinkKey => plain(formatter, "link.key"),
            Self::LinkTarget => plain(formatter, "link.target"),
            Self::LinkTags => plain(formatter, "link.tags"),
            Self::LinkAttribute(name) => write!(formatter, "link.attribute({})", quote(name)),
            Self::AtOrAfter(instant) => write!(formatter, "clock.at-or-after({instant})"),
            Self::Weekday(zone) => write!(formatter, "clock.weekday({})", quote(zone.name())),
            Self::Hour(zone) => write!(formatter, "clock.hour({})", quote(zone.name())),
            Self::Region => plain(formatter, "node.region"),
            Self::Pop => plain(formatter, "node.pop"),
            Self::Setting(name) => write!(formatter, "settings.get({})", quote(name)),
            Self::AssetId => plain(formatter, "streams.asset"),
            Self::AssetTags => plain(formatter, "streams.tags"),
            Self::AssetAttribute(name) => write!(formatter, "streams.attribute({})", quote(name)),
            Self::AssetTargets => plain(formatter, "streams.targets"),
            Self::TargetRegion(name) => write!(formatter, "streams.region({})", quote(name)),
        }
    }
}

/// The answer to a [`Question`]; which variant belongs to which question stands at the question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Answer {
    /// There is no such thing, or it is not known.
    Absent,
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(u64),
    /// A text.
    Text(Box<str>),
    /// Several texts.
    List(Box<[Box<str>]>),
}

impl Answer {
    /// What it holds outside itself, in bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::List(items) => items.iter().map(|item| item.len() + size_of::<Box<str>>()).sum(),
            Self::Absent | Self::Flag(_) | Self::Number(_) => 0,
        }
    }

    /// A text, or absent.
    #[must_use]
    pub fn text<T: Into<Box<str>>>(text: Option<T>) -> Self {
        text.map_or(Self::Absent, |text| Self::Text(text.into()))
    }

    /// The text of a text answer.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The flag of a flag answer; false for any other.
    #[must_use]
    pub const fn is_yes(&self) -> bool {
        matches!(self, Self::Flag(true))
    }

    /// The number of a number answer.
    #[must_use]
    pub const fn as_number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The texts of a list answer; empty for any other.
    #[must_use]
    pub fn as_list(&self) -> &[Box<str>] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => formatter.write_str("absent"),
            Self::Flag(flag) => write!(formatter, "{}", if *flag { "yes" } else { "no" }),
            Self::Number(number) => number.fmt(formatter),
            Self::Text(text) => formatter.write_str(&quote(text)),
            Self::List(items) => write!(formatter, "[{}]", items.join(", ")),
        }
    }
}
