//! URLs of an asset's files on targets: on those that the node can sign for.
//!
//! In: copies in order, and what is to be made for each. Out: what was made, one after the other. A target that cannot be
//! signed for is passed over, also where that was not known when it was chosen: that is no reason to tell of no other. It
//! must not know who is told.

use wayside_decide::{name::Name, target::Target};
use wayside_stream::select::set::TargetIndex;

use super::{
    assets::Copy,
    tokens::{Pass, SigningError, Tokens},
};
use crate::refusal::Refusal;

/// What URLs are signed by for one request.
#[derive(Clone, Copy)]
pub(super) struct Signs<'r> {
    pub(super) tokens: &'r Tokens,
    pub(super) tenant: &'r Name,
    /// Whether the player came by `https`.
    pub(super) is_secure: bool,
    pub(super) now_s: u64,
}

/// Why there is no URL of a file on a target.
pub(super) enum NoUrl {
    /// It cannot be signed.
    Unsigned(SigningError),
    /// The file is none below the asset, or not with this query.
    Refused(Refusal),
}

/// Copies that the node can sign for.
pub(super) struct Signable<'r, I> {
    signs: Signs<'r>,
    copies: I,
    problem: Option<Refusal>,
}

impl<'r, 'c, I: Iterator<Item = (TargetIndex, &'c Copy)>> Signable<'r, I> {
    /// Those of `copies`.
    pub(super) const fn of(signs: Signs<'r>, copies: I) -> Self {
        Self {
            signs,
            copies,
            problem: None,
        }
    }

    /// What `make` makes for the next one that it can be made for; none when there is no other.
    ///
    /// # Errors
    /// What `make` refuses.
    pub(super) async fn next<T>(
        &mut self,
        make: impl Fn(&'c Copy, Pass) -> Result<T, NoUrl>,
    ) -> Result<Option<(TargetIndex, &'c Copy, T)>, Refusal> {
        for (index, copy) in self.copies.by_ref() {
            let pass = copy.pass(self.signs).await;
            match pass.map_err(NoUrl::Unsigned).and_then(|pass| make(copy, pass)) {
                Ok(made) => return Ok(Some((index, copy, made))),
                Err(NoUrl::Refused(refusal)) => return Err(refusal),
                Err(NoUrl::Unsigned(error)) => {
                    // A line for each request would be too many: that a key cannot be used was said when it was read.
                    tracing::debug!(tenant = %self.signs.tenant, target = %copy.name, %error, "passed over a target");
                    self.problem = Some(unsigned(copy, &error));
                }
            }
        }
        Ok(None)
    }

    /// Why the last one that was passed over was.
    pub(super) fn problem(self) -> Option<Refusal> {
        self.problem
    }
}

fn unsigned(copy: &Copy, error: &SigningError) -> Refusal {
    Refusal::StreamUnavailable(format!("sign a URL of target {}: {error}", copy.name))
}

/// The URL of a file on a copy.
pub(super) fn file_url(
    copy: &Copy,
    pass: &Pass,
    is_secure: bool,
    file: &str,
    query: Option<&str>,
) -> Result<Target, NoUrl> {
    let base = copy.base(is_secure);
    if query.is_none()
        && let Some(signed) = pass.below(base, file)
    {
        return Ok(signed);
    }
    // A path that leads out of the asset's folder is none of its files.
    let below = base.join(file).map_err(|_| NoUrl::Refused(Refusal::NotFound))?;
    if let Some(query) = query {
        let with_query = below.with_query(query);
        let with_query = with_query.map_err(|invalid| NoUrl::Refused(Refusal::LocationRefused(invalid)))?;
        // A query that names what a token names cannot be signed: then the file is what was meant.
        if let Ok(signed) = pass.sign(with_query) {
            return Ok(signed);
        }
    }
    pass.sign(below).map_err(|error| NoUrl::Unsigned(error.into()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use wayside_decide::{
        name::Name,
        stream::{
            base::BaseUrl,
            signing::{Scheme, SigningSpec},
        },
    };
    use wayside_stream::select::set::TargetIndex;

    use super::{NoUrl, Signable, Signs, file_url};
    use crate::{
        refusal::Refusal,
        streams::{
            assets::Copy,
            secrets::{Signers, Variable},
            tokens::Tokens,
        },
    };

    fn name(text: &str) -> Name {
        Name::parse("name", text).expect(text)
    }

    fn copy(target: &str, signed: Option<(Scheme, &str)>) -> Copy {
        let base = BaseUrl::parse(&format!("https://{target}.example/film")).expect("a folder");
        let signing = signed.map(|(scheme, secret)| SigningSpec {
            scheme,
            secret: name(secret),
            valid_s: 600,
            window_s: 60,
            skew_s: 0,
            has_start: false,
        });
        Copy::on(name(target), base, signing)
    }

    /// The files' URLs on those that can be signed for, and why another could not.
    async fn urls(copies: &[Copy], file: &str) -> Result<(Vec<String>, Option<String>), Refusal> {
        let variables = HashMap::from([("T__K".to_owned(), Variable::new("c2VjcmV0".to_owned()))]);
        let (tokens, tenant) = (Tokens::new(Signers::new(None, variables)), name("t"));
        let signs = Signs {
            tokens: &tokens,
            tenant: &tenant,
            is_secure: true,
            now_s: 1_800_000_000,
        };
        let copies = (0..).map_while(TargetIndex::new).zip(copies);
        let mut signable = Signable::of(signs, copies);
        let mut urls = Vec::new();
        while let Some((_, copy, url)) = signable
            .next(|copy, pass| file_url(copy, &pass, true, file, None))
            .await?
        {
            assert!(url.as_str().contains(copy.name.as_str()));
            urls.push(url.to_string());
        }
        let problem = signable.problem().map(|problem| match problem {
            Refusal::StreamUnavailable(text) => text,
            other => panic!("{}", other.label()),
        });
        Ok((urls, problem))
    }

    #[tokio::test]
    async fn who_cannot_be_signed_for_keeps_nobody_else_from_being_told_of() {
        let copies = [
            copy("keyless", Some((Scheme::Akamai, "missing"))),
            copy("open", None),
            copy("each", Some((Scheme::Fastly, "k"))),
            copy("last", None),
        ];
        let (all, problem) = urls(&copies, "v1/main.m3u8").await.expect("URLs");
        assert_eq!(all.len(), 3, "{all:?}");
        assert_eq!(all[0], "https://open.example/film/v1/main.m3u8");
        assert!(
            all[1].starts_with("https://each.example/film/v1/main.m3u8?token="),
            "{all:?}"
        );
        assert!(
            problem
                .expect("a problem")
                .contains("sign a URL of target keyless: secret missing")
        );
        // It has its key, and this file cannot be signed by it.
        let (some, problem) = urls(&copies[1..], "v1/main.m3u8?token=1").await.expect("URLs");
        assert_eq!(
            some,
            [
                "https://open.example/film/v1/main.m3u8?token=1",
                "https://last.example/film/v1/main.m3u8?token=1"
            ]
        );
        assert!(problem.expect("a problem").contains("sign a URL of target each"));
        let (none, problem) = urls(&copies[..1], "a").await.expect("no URLs");
        assert!(none.is_empty() && problem.is_some());
        assert!(matches!(urls(&copies[1..], "../a").await, Err(Refusal::NotFound)));
    }

    #[tokio::test]
    async fn a_query_stays_unless_it_names_what_a_token_names() {
        let variables = HashMap::from([("T__K".to_owned(), Variable::new("c2VjcmV0".to_owned()))]);
        let tokens = Tokens::new(Signers::new(None, variables));
        let signs = Signs {
            tokens: &tokens,
            tenant: &name("t"),
            is_secure: true,
            now_s: 1_800_000_000,
        };
        let each = copy("each", Some((Scheme::Fastly, "k")));
        let pass = each.pass(signs).await.expect("a key");
        for (query, expected) in [
            ("a=1", "?a=1&token="),
            ("token=1", "?token=18"),
            ("a=1&token=1", "?token=18"),
        ] {
            let Ok(url) = file_url(&each, &pass, true, "a.ts", Some(query)) else {
                panic!("no URL with {query}")
            };
            assert!(url.as_str().contains(expected), "{url}");
        }
        let long = "x".repeat(20_000);
        let refused = file_url(&each, &pass, true, "a.ts", Some(&long));
        assert!(matches!(refused, Err(NoUrl::Refused(Refusal::LocationRefused(_)))));
    }
}
