//! Where a target's copy of an asset begins.
//!
//! In: what an operator wrote. Out: a URL that ends with a slash, and what stands below it. It must not know how the
//! target is signed or chosen.

use std::fmt;

use crate::{
    invalid::Invalid,
    limits::{TARGET_BYTES_MAX, URL_BYTES_MAX},
    target::{PlainQuery, Target, is_plain_path, is_plain_segment},
};

/// An absolute `http` or `https` URL of a folder: it ends with `/` and has neither user, query nor fragment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BaseUrl(Target);

impl BaseUrl {
    /// Reads the URL of a folder; a slash at its end is added when it lacks.
    ///
    /// # Errors
    /// [`Invalid`] when it is no absolute `http` or `https` URL, names a user or port 0, has a query or a fragment, or is
    /// longer than [`URL_BYTES_MAX`] in its normal form.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let parsed = Target::parse(text)?;
        let folder = if parsed.as_str().ends_with('/') {
            parsed
        } else {
            Target::parse(&format!("{parsed}/"))?
        };
        if folder.as_str().len() > URL_BYTES_MAX {
            let expected = format!("at most {URL_BYTES_MAX} bytes");
            return Err(Invalid::text("base URL", text, expected));
        }
        Self::without_query(folder, text)
    }

    /// The folder at `relative`, without a slash at its end, below this one. It may be longer than one that is read.
    ///
    /// # Errors
    /// As [`join`](Self::join), and for a query or a fragment.
    pub fn folder(&self, relative: &str) -> Result<Self, Invalid> {
        Self::without_query(self.join(&format!("{relative}/"))?, relative)
    }

    fn without_query(folder: Target, text: &str) -> Result<Self, Invalid> {
        if folder.as_str().contains(['?', '#']) {
            return Err(Invalid::text("base URL", text, "no query and no fragment"));
        }
        if folder.authority().ends_with(":0") {
            return Err(Invalid::text("base URL", text, "a port from 1 to 65535"));
        }
        Ok(Self(folder))
    }

    /// The URL, with its slash at the end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.0.scheme()
    }

    /// The host, without a port.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host()
    }

    /// Host and, where it is not the scheme's own, port.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.0.authority()
    }

    /// Whether a port is named that is not the scheme's own.
    #[must_use]
    pub fn has_port(&self) -> bool {
        self.authority().len() > self.host().len()
    }

    /// The folder's path, from `/` to `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.0.path_and_query()
    }

    /// What stands at `relative` below this folder, when that is so plain that a parser would leave it as it is.
    #[must_use]
    pub fn join_plain(&self, relative: &str) -> Option<Target> {
        self.plain([self.as_str(), relative, "", ""], relative)
    }

    /// The same with parameters as its query.
    #[must_use]
    pub fn join_with_query(&self, relative: &str, query: &PlainQuery) -> Option<Target> {
        self.plain([self.as_str(), relative, "?", query.as_str()], relative)
    }

    /// The same with a segment in front of its path.
    #[must_use]
    pub fn join_behind(&self, segment: &str, relative: &str) -> Option<Target> {
        let (origin, path) = self.as_str().split_at(self.as_str().len() - self.path().len());
        is_plain_segment(segment).then(|| self.plain([origin, "/", segment, path, relative], relative))?
    }

    fn plain<const N: usize>(&self, parts: [&str; N], relative: &str) -> Option<Target> {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        let is_plain = is_plain_path(relative) && bytes <= TARGET_BYTES_MAX;
        is_plain.then(|| Target::of_normal(parts.concat()))
    }

    /// What stands at `relative` below this folder.
    ///
    /// # Errors
    /// [`Invalid`] when that leads out of the folder, or is no URL.
    pub fn join(&self, relative: &str) -> Result<Target, Invalid> {
        // Most paths are plain, and need no parser: it would change nothing.
        if let Some(joined) = self.join_plain(relative) {
            return Ok(joined);
        }
        if leads_up(relative) {
            let expected = "no segment that is two dots once slashes are unescaped";
            return Err(Invalid::text("path below a target", relative, expected));
        }
        // Dots are resolved by the parser, and looked at after it. A second slash is a part of the path like any other.
        let joined = Target::parse_at_edge(&format!("{self}{relative}"))?;
        if joined.as_str().starts_with(self.as_str()) {
            Ok(joined)
        } else {
            let expected = format!("one that stays below {self}");
            Err(Invalid::text("path below a target", relative, expected))
        }
    }
}

/// Whether a path has a segment of two dots for a server that unescapes slashes before it resolves dots.
#[must_use]
pub fn leads_up(path: &str) -> bool {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    if !path.contains('%') {
        return false;
    }
    let plain = path.to_ascii_lowercase().replace("%2e", ".");
    let plain = plain.replace("%2f", "/").replace("%5c", "/");
    plain.split(['/', '\\']).any(|segment| segment == "..")
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::BaseUrl;
    use crate::{
        limits::URL_BYTES_MAX,
        target::{PlainQuery, Target},
    };

    proptest! {
        #[test]
        fn what_is_plain_is_what_a_parser_leaves_as_it_is(
            path in "[a-c./:@~!$&'()*+,;=_ %{}|^\\[\\]-]{0,12}", segment in "[a-c._/ -]{0,4}",
        ) {
            let base = BaseUrl::parse("https://cdn.example.com:81/live").expect("a folder");
            let query = PlainQuery::new("a=1&b").expect("a query");
            for (joined, text) in [
                (base.join_plain(&path), format!("https://cdn.example.com:81/live/{path}")),
                (base.join_with_query(&path, &query), format!("https://cdn.example.com:81/live/{path}?a=1&b")),
                (base.join_behind(&segment, &path), format!("https://cdn.example.com:81/{segment}/live/{path}")),
            ] {
                if let Some(joined) = joined {
                    prop_assert_eq!(joined.as_str(), &text);
                    prop_assert_eq!(Target::parse_at_edge(&text), Ok(joined));
                }
            }
        }
    }

    #[test]
    fn a_folder_ends_with_a_slash_and_keeps_its_port() {
        let base = BaseUrl::parse("https://CDN.example.com:8443/live").expect("a folder");
        assert_eq!(base.as_str(), "https://cdn.example.com:8443/live/");
        assert_eq!(
            (base.scheme(), base.host(), base.path()),
            ("https", "cdn.example.com", "/live/")
        );
        assert!(base.has_port());
        let plain = BaseUrl::parse("http://a.example:80").expect("a folder");
        assert_eq!((plain.as_str(), plain.has_port()), ("http://a.example/", false));
        let six = BaseUrl::parse("http://[::1]:8080/").expect("a folder");
        assert_eq!((six.host(), six.has_port()), ("[::1]", true));
    }

    #[test]
    fn what_is_no_folder_is_refused() {
        for (text, expected) in [
            ("https://user@cdn.example.com/", "user"),
            ("https://user:password@cdn.example.com/", "user"),
            ("https://cdn.example.com:99999/", "port"),
            ("https://cdn.example.com:-1/", "port"),
            ("https://cdn.example.com:0/", "a port from 1 to 65535"),
            ("ftp://cdn.example.com/", "http"),
            ("https://cdn.example.com/?a=1", "no query and no fragment"),
            ("https://cdn.example.com/#a", "no query and no fragment"),
            ("/live/", "absolute"),
        ] {
            let refused = BaseUrl::parse(text).expect_err(text).to_string();
            assert!(refused.contains(expected), "{text}: {refused}");
        }
        let of_length = |length: usize| {
            let start = "https://a.example/";
            format!("{start}{}/", "x".repeat(length - start.len() - 1))
        };
        BaseUrl::parse(&of_length(URL_BYTES_MAX)).expect("as long as one may be");
        let refused = BaseUrl::parse(&of_length(URL_BYTES_MAX + 1))
            .expect_err("too long")
            .to_string();
        assert!(refused.contains("expected at most 2048 bytes"), "{refused}");
    }

    #[test]
    fn a_folder_below_a_long_one_is_one() {
        let folder = "x".repeat(URL_BYTES_MAX - 20);
        let base = BaseUrl::parse(&format!("https://a.example/{folder}")).expect("a folder");
        let below = base.folder(&folder).expect("a folder below");
        assert_eq!(below.as_str(), format!("{base}{folder}/"));
        for bad in ["a?b", "a#b", "../a"] {
            base.folder(bad).expect_err(bad);
        }
    }

    #[test]
    fn nothing_below_a_folder_leads_out_of_it() {
        let base = BaseUrl::parse("https://cdn.example.com/live").expect("a folder");
        assert_eq!(
            base.join("a/b.m3u8?x=1").expect("below").as_str(),
            "https://cdn.example.com/live/a/b.m3u8?x=1"
        );
        assert_eq!(
            base.join("//evil.example/a").expect("below").as_str(),
            "https://cdn.example.com/live///evil.example/a"
        );
        for out in [
            "../a",
            "a/../../b",
            "%2e%2e/a",
            "\\..\\..\\a",
            "..%2f..%2Fa",
            "a/.%2E%5cb",
            "%2e.%5C",
        ] {
            base.join(out).expect_err(out);
        }
    }
}
