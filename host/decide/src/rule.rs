//! Rules: one answer for many paths.

use std::fmt;

use crate::{invalid::Invalid, path::LinkPath, status::RedirectStatus, template::Template};

/// Which paths a rule answers for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// Exactly this path.
    Exact(LinkPath),
    /// Every path that starts with this text, written `/docs/*`; what `*` stands for is the splat.
    Prefix(Box<str>),
}

impl Pattern {
    /// Reads `/docs/*` or an exact path.
    ///
    /// # Errors
    /// [`Invalid`] when `*` stands elsewhere than at the end after a `/`, or the rest is no path.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let expected = "a path such as `/docs/start`, or one that ends in `/*`";
        let (path, is_prefix) = match text.strip_suffix('*') {
            Some(prefix) => (prefix, true),
            None => (text, false),
        };
        if path.contains('*') || (is_prefix && !path.ends_with('/')) {
            return Err(Invalid::text("pattern", text, expected));
        }
        let path = LinkPath::parse(path).map_err(|error| Invalid {
            what: "pattern",
            ..error
        })?;
        Ok(if is_prefix {
            Self::Prefix(path.as_str().into())
        } else {
            Self::Exact(path)
        })
    }

    /// Whether a request path in normal form matches; with the text that `*` stands for.
    #[must_use]
    pub fn matches<'p>(&self, path: &'p str) -> Option<&'p str> {
        match self {
            Self::Exact(exact) => (exact.as_str() == path).then_some(""),
            Self::Prefix(prefix) => path.strip_prefix(&**prefix),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => path.fmt(formatter),
            Self::Prefix(prefix) => write!(formatter, "{prefix}*"),
        }
    }
}

/// A pattern and where it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Lower goes first; equal priorities go by pattern.
    pub priority: u32,
    /// Which paths.
    pub pattern: Pattern,
    /// Where they lead.
    pub location: Template,
    /// With which status.
    pub status: RedirectStatus,
}

impl Rule {
    /// A rule whose template fits its pattern.
    ///
    /// # Errors
    /// [`Invalid`] when the template uses `{splat}` and the pattern has no `*`.
    pub fn new(priority: u32, pattern: Pattern, location: Template, status: RedirectStatus) -> Result<Self, Invalid> {
        if location.uses_splat() && matches!(pattern, Pattern::Exact(_)) {
            return Err(Invalid::text(
                "target",
                location.as_str(),
                "no `{splat}`, as the pattern has no `*`",
            ));
        }
        Ok(Self {
            priority,
            pattern,
            location,
            status,
        })
    }
}

/// The rules of a site, in the order in which they are tried.
#[derive(Debug, Clone, Default)]
pub struct RuleSet(Box<[Rule]>);

impl RuleSet {
    /// Brings `rules` into order.
    #[must_use]
    pub fn new(mut rules: Vec<Rule>) -> Self {
        rules.sort_by_cached_key(|rule| (rule.priority, rule.pattern.to_string()));
        Self(rules.into())
    }

    /// Whether there is no rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first rule that matches a request path in normal form, and what its `*` stands for.
    #[must_use]
    pub fn first_match<'p>(&self, path: &'p str) -> Option<(&Rule, &'p str)> {
        self.0.iter().find_map(|rule| Some((rule, rule.pattern.matches(path)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Pattern, Rule, RuleSet};
    use crate::{status::RedirectStatus, template::Template};

    fn rule(priority: u32, pattern: &str, location: &str) -> Rule {
        let pattern = Pattern::parse(pattern).expect("pattern");
        let location = Template::parse(location).expect("template");
        Rule::new(priority, pattern, location, RedirectStatus::Found).expect("rule")
    }

    #[test]
    fn the_first_by_priority_wins() {
        let rules = RuleSet::new(vec![
            rule(20, "/docs/*", "https://docs.example/{splat}"),
            rule(10, "/docs/old/*", "https://old.example/{splat}"),
            rule(30, "/docs/old/x", "https://never.example/"),
        ]);
        let hit = |path| rules.first_match(path).map(|(rule, splat)| (rule.priority, splat));
        assert_eq!(hit("/docs/a/b"), Some((20, "a/b")));
        assert_eq!(hit("/docs/old/x"), Some((10, "x")));
        assert_eq!(hit("/docs/"), Some((20, "")));
        assert_eq!(hit("/docs"), None);
    }

    #[test]
    fn patterns_are_paths_with_a_star_at_the_end() {
        for bad in ["*", "/a*", "/*/b", "/a/**", "a/*", "/a?b/*", "//a/*"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Pattern::parse("/*").expect("pattern").to_string(), "/*");
        let splat = Template::parse("https://a.example/{splat}").expect("template");
        assert!(Rule::new(1, Pattern::parse("/a").expect("pattern"), splat, RedirectStatus::Found).is_err());
    }
}
