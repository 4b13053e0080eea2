//! Where a target's copy of an asset begins.
//!
//! In: what an operator wrote. Out: a URL that ends with a slash, and what stands below it. It must not know how the
//! target is signed or chosen.

use std::fmt;

use crate::{
    invalid::Invalid,
    limits::{TARGET_BYTES_MAX, URL_BYTES_MAX},
    target::Target,
};

/// An absolute `http` or `https` URL of a folder: it ends with `/` and has neither user, query nor fragment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BaseUrl(Target);

impl BaseUrl {
    /// Reads the URL of a folder; a slash at its end is added when it lacks.
    ///
    /// # Errors
    /// [`Invalid`] when it is no absolute `http` or `https` URL, names a user, has a query or a fragment, or is longer than
    /// [`URL_BYTES_MAX`] in its normal form.
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

    /// What stands at `relative` below this folder.
    ///
    /// # Errors
    /// [`Invalid`] when that leads out of the folder, or is no URL.
    pub fn join(&self, relative: &str) -> Result<Target, Invalid> {
        // Most paths are plain, and need no parser: it would change nothing.
        if is_plain(relative) && self.as_str().len() + relative.len() <= TARGET_BYTES_MAX {
            return Ok(Target::of_normal([self.as_str(), relative].concat()));
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
fn leads_up(path: &str) -> bool {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    if !path.contains('%') {
        return false;
    }
    let plain = path.to_ascii_lowercase().replace("%2e", ".");
    let plain = plain.replace("%2f", "/").replace("%5c", "/");
    plain.split(['/', '\\']).any(|segment| segment == "..")
}

/// Whether a parser of URLs leaves a path as it is: nothing in it is escaped, to be escaped, or a segment of dots.
fn is_plain(path: &str) -> bool {
    let is_of_path = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte);
    let has_dots = |segment: &str| segment == "." || segment == "..";
    path.bytes().all(is_of_path) && !path.split('/').any(has_dots)
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::{BaseUrl, is_plain};
    use crate::{limits::URL_BYTES_MAX, target::Target};

    proptest! {
        #[test]
        fn what_is_plain_is_what_a_parser_leaves_as_it_is(path in "[a-c./:@~!$&'()*+,;=_ %{}|^\\[\\]-]{0,12}") {
            let text = format!("https://cdn.example.com/live/{path}");
            if is_plain(&path) {
                let parsed = Target::parse_at_edge(&text).expect("a URL");
                prop_assert_eq!(parsed.as_str(), &text);
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
