//! Questions that can have very many answers, and what to ask instead.

use super::Question;

impl Question {
    /// What is asked, without its parameters, in the words of the contract: `request.header`.
    #[must_use]
    pub fn kind(&self) -> String {
        let text = self.to_string();
        text.split_once('(').map_or(&*text, |(kind, _)| kind).to_owned()
    }

    /// What a policy's author can do where there are too many answers to remember.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        Some(match self {
            Self::Header(name) => match &**name {
                "user-agent" => "ask visitor.device, visitor.os, visitor.browser or visitor.bot instead",
                "accept-language" => "ask request.prefers(languages) instead",
                "cookie" => "ask request.cookie(name) for the one that matters",
                _ => "to tell visitors apart by it, bind with --visitor-key header:NAME and ask visitor.bucket instead",
            },
            Self::Cookie(_) => {
                "to tell visitors apart by it, bind with --visitor-key cookie:NAME and ask visitor.bucket instead"
            }
            Self::Path => "leave it to the location, where {path} is filled in unread, or ask request.segment(index)",
            Self::Segment(_) => "leave it to the location, where {path} is filled in unread",
            Self::RawQuery => {
                "leave it to the location, where {?query} is filled in unread, or ask request.query(name)"
            }
            Self::Query(_) => "leave it to the location, where {?query} is filled in unread",
            Self::City | Self::Subdivision => "ask visitor.country or visitor.nearest(points) instead",
            Self::Asn => "ask visitor.in-network(networks) instead",
            Self::Bucket { .. } => "ask for fewer buckets",
            Self::LinkKey => "leave it to the location, where {link.key} is filled in unread",
            Self::LinkTarget => "leave it to the location, where {link.target} is filled in unread",
            Self::LinkTags | Self::LinkAttribute(_) => "give links fewer different ones",
            Self::AssetId => "ask streams.tags or streams.attribute(name) instead",
            Self::AssetTags | Self::AssetAttribute(_) => "give assets fewer different ones",
            Self::Method
            | Self::Scheme
            | Self::Host
            | Self::Prefers(_)
            | Self::Country
            | Self::Continent
            | Self::TimeZone
            | Self::InEu
            | Self::InNetwork(_)
            | Self::Nearest(_)
            | Self::Device
            | Self::Os
            | Self::Browser
            | Self::Bot
            | Self::LinkExists
            | Self::AtOrAfter(_)
            | Self::Weekday(_)
            | Self::Hour(_)
            | Self::Region
            | Self::Pop
            | Self::Setting(_)
            | Self::AssetTargets
            | Self::TargetRegion(_) => return None,
        })
    }
}

/// What a policy's author should know about a function of the contract (`request.header`) whose answers visitors choose
/// among very many; none for the others.
#[must_use]
pub fn caution(function: &str) -> Option<&'static str> {
    match function {
        "request.path" => Question::Path.remedy(),
        "request.query" => Question::Query(Box::default()).remedy(),
        "request.cookie" => Question::Cookie(Box::default()).remedy(),
        "request.header" => Some(
            "for user-agent ask visitor.device, visitor.os, visitor.browser or visitor.bot instead, for \
             accept-language request.prefers(languages), to tell visitors apart visitor.bucket",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Question, caution};

    #[test]
    fn a_kind_holds_nothing_of_the_parameters() {
        for (question, kind) in [
            (Question::Header("x-(secret)".into()), "request.header"),
            (Question::Country, "visitor.country"),
            (Question::AtOrAfter(5), "clock.at-or-after"),
        ] {
            assert_eq!(question.kind(), kind);
        }
    }

    #[test]
    fn what_is_costly_has_a_remedy() {
        for function in ["request.path", "request.query", "request.header", "request.cookie"] {
            assert!(caution(function).is_some(), "{function}");
        }
        assert_eq!(caution("visitor.country"), None);
        let agent = Question::Header("user-agent".into()).remedy().expect("a remedy");
        assert!(agent.contains("visitor.device"), "{agent}");
    }
}
