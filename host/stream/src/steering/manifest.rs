//! Steering manifests: `VERSION`, `TTL`, `RELOAD-URI`, `PATHWAY-PRIORITY`, `PATHWAY-CLONES`.
//!
//! In: pathways in order, and clones of targets that a playlist does not name. Out: JSON that the players understand alike:
//! version 1, a whole TTL, an absolute URL for the next request. It must not know how the order came about.
//!
//! Players differ with clones. hls.js keeps the first definition of an ID for as long as it plays, and with it the first
//! token: clones are called as their targets are, so that it plays from a clone until that token expires. dash.js wants `HOST` and adds `PARAMS` to each segment's URL; Shaka knows
//! `HOST` alone.

use std::fmt::Write as _;

use wayside_decide::{name::Name, stream::base::BaseUrl, target::Target};

use crate::{
    pathway::{Pathway, Proof},
    sign::token::Token,
};

/// Shortest and longest time between two requests of a player, in seconds.
pub const TTL_S: std::ops::RangeInclusive<u32> = 1..=3_600;
/// Most clones of a manifest.
pub const CLONES_MAX: usize = 64;

/// The MIME type of manifests for HLS, rfc8216bis §7.
pub const MIME_HLS: &str = "application/vnd.apple.steering-list";
/// What manifests for DASH are sent as: they are JSON.
pub const MIME_DASH: &str = "application/json";

/// Why there is no manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A time that is too short or too long.
    #[error("TTL: found {found} s, expected 1 to 3600 s")]
    Ttl {
        /// The time.
        found: u32,
    },
    /// No pathway.
    #[error("PATHWAY-PRIORITY: found no pathway, expected one at least")]
    Nobody,
    /// A pathway or a clone twice.
    #[error("{field}: found {found} twice, expected each once")]
    Twice {
        /// Where.
        field: &'static str,
        /// Which.
        found: Name,
    },
    /// None of the pathways is in the playlist, or a clone of one: a player would end.
    #[error("PATHWAY-PRIORITY: found none of the playlist's pathways or their clones, expected one at least")]
    Disjoint,
    /// A clone of what there is not.
    #[error(
        "PATHWAY-CLONES: found {found} as a clone of {base}, expected one of the playlist's pathways or of an earlier clone"
    )]
    Base {
        /// The clone.
        found: Name,
        /// What it is a clone of.
        base: Name,
    },
    /// A clone with the ID of a pathway that is in the playlist.
    #[error("PATHWAY-CLONES: found {found}, expected an ID that the playlist does not have")]
    Known {
        /// The clone.
        found: Name,
    },
    /// Too many clones.
    #[error("PATHWAY-CLONES: found {found}, expected 64 at most")]
    Clones {
        /// How many.
        found: usize,
    },
}

/// Why a target cannot be a clone of a pathway: players change the host of its URLs and their queries, nothing else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoClone {
    /// The scheme, the port or the path differ.
    #[error("clone {id} of {base}: found base URL {found}, expected {expected} but for the host's name")]
    Differs {
        /// The clone.
        id: Name,
        /// What it would be a clone of.
        base: Name,
        /// The clone's base URL.
        found: String,
        /// The pathway's.
        expected: String,
    },
    /// A token that stands in the path.
    #[error("clone {id} of {base}: found a token in the path, expected one in the query, or none")]
    Proof {
        /// The clone.
        id: Name,
        /// What it would be a clone of.
        base: Name,
    },
}

/// A target that a playlist does not name, as a change to one that it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathwayClone {
    base: Name,
    id: Name,
    host: Box<str>,
    parameters: Vec<(Box<str>, Box<str>)>,
}

impl PathwayClone {
    /// `clone` as a change to `base`.
    ///
    /// # Errors
    /// [`NoClone`] when more than the host's name and a token in the query differ.
    pub fn new(base: &Pathway<'_>, clone: &Pathway<'_>) -> Result<Self, NoClone> {
        if has_token_in_path(base) || has_token_in_path(clone) {
            return Err(NoClone::Proof {
                id: clone.id.clone(),
                base: base.id.clone(),
            });
        }
        if but_host(base.base) != but_host(clone.base) {
            return Err(NoClone::Differs {
                id: clone.id.clone(),
                base: base.id.clone(),
                found: clone.base.to_string(),
                expected: base.base.to_string(),
            });
        }
        let parameters = match clone.proof {
            Proof::Open => Vec::new(),
            Proof::Token(token) => parameters(token),
        };
        Ok(Self {
            base: base.id.clone(),
            id: clone.id.clone(),
            host: clone.base.host().into(),
            parameters,
        })
    }

    /// Whether `clone` can be a change to `base`. Cheap: nothing is copied.
    #[must_use]
    pub fn can_be(base: &Pathway<'_>, clone: &Pathway<'_>) -> bool {
        !has_token_in_path(base) && !has_token_in_path(clone) && but_host(base.base) == but_host(clone.base)
    }

    /// About how long it is in JSON.
    fn weight(&self) -> usize {
        let pairs = self.parameters.iter().map(|(name, value)| name.len() + value.len() + 6);
        128 + self.host.len() + pairs.sum::<usize>()
    }
}

const fn has_token_in_path(pathway: &Pathway<'_>) -> bool {
    matches!(pathway.proof, Proof::Token(token) if token.is_in_path())
}

/// What a clone has in common with what it is a clone of: scheme, port and path.
fn but_host(url: &BaseUrl) -> (&str, &str, &str) {
    (url.scheme(), port(url), url.path())
}

fn parameters(token: &Token) -> Vec<(Box<str>, Box<str>)> {
    token
        .parameters()
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

/// The port with its colon, empty when it is the scheme's own.
fn port(url: &BaseUrl) -> &str {
    &url.authority()[url.host().len()..]
}

/// A steering manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest<'m> {
    ttl_s: u32,
    reload: &'m Target,
    priority: &'m [&'m Name],
    clones: &'m [PathwayClone],
}

impl<'m> Manifest<'m> {
    /// A manifest after which players ask `reload` again in `ttl_s`. `has` knows the pathways that the player's playlist
    /// has.
    ///
    /// # Errors
    /// [`Refused`] when a player would not understand it, or would end.
    pub fn new(
        ttl_s: u32,
        reload: &'m Target,
        priority: &'m [&'m Name],
        clones: &'m [PathwayClone],
        has: impl Fn(&Name) -> bool,
    ) -> Result<Self, Refused> {
        if !TTL_S.contains(&ttl_s) {
            return Err(Refused::Ttl { found: ttl_s });
        }
        if clones.len() > CLONES_MAX {
            return Err(Refused::Clones { found: clones.len() });
        }
        check_clones(clones, &has)?;
        if priority.is_empty() {
            return Err(Refused::Nobody);
        }
        let twice = priority
            .iter()
            .enumerate()
            .find(|(place, id)| priority[..*place].contains(id));
        if let Some((_, found)) = twice {
            let field = "PATHWAY-PRIORITY";
            let found = (*found).clone();
            return Err(Refused::Twice { field, found });
        }
        let is_there = |id: &Name| has(id) || clones.iter().any(|clone| clone.id == *id);
        if !priority.iter().any(|id| is_there(id)) {
            return Err(Refused::Disjoint);
        }
        Ok(Self {
            ttl_s,
            reload,
            priority,
            clones,
        })
    }

    /// The manifest as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let cloned: usize = self.clones.iter().map(PathwayClone::weight).sum();
        let listed: usize = self.priority.iter().map(|id| id.as_str().len() + 3).sum();
        let mut json = String::with_capacity(96 + self.reload.as_str().len() + listed + cloned);
        // Writing to a string does not fail.
        let _ = write!(json, r#"{{"VERSION":1,"TTL":{},"RELOAD-URI":"#, self.ttl_s);
        text(&mut json, self.reload.as_str());
        json.push_str(r#","PATHWAY-PRIORITY":["#);
        separated(&mut json, self.priority, |json, id| text(json, id.as_str()));
        json.push(']');
        if !self.clones.is_empty() {
            json.push_str(r#","PATHWAY-CLONES":["#);
            separated(&mut json, self.clones, clone);
            json.push(']');
        }
        json.push('}');
        json
    }
}

/// Each clone's ID is new, and its base stands before it.
fn check_clones(clones: &[PathwayClone], has: impl Fn(&Name) -> bool) -> Result<(), Refused> {
    for (place, clone) in clones.iter().enumerate() {
        let before = &clones[..place];
        let found = clone.id.clone();
        if before.iter().any(|other| other.id == clone.id) {
            let field = "PATHWAY-CLONES";
            return Err(Refused::Twice { field, found });
        }
        if has(&clone.id) {
            return Err(Refused::Known { found });
        }
        if !has(&clone.base) && !before.iter().any(|other| other.id == clone.base) {
            let base = clone.base.clone();
            return Err(Refused::Base { found, base });
        }
    }
    Ok(())
}

fn clone(json: &mut String, clone: &PathwayClone) {
    json.push_str(r#"{"BASE-ID":"#);
    text(json, clone.base.as_str());
    json.push_str(r#","ID":"#);
    text(json, clone.id.as_str());
    json.push_str(r#","URI-REPLACEMENT":{"HOST":"#);
    text(json, &clone.host);
    if !clone.parameters.is_empty() {
        json.push_str(r#","PARAMS":{"#);
        separated(json, &clone.parameters, |json, (name, value)| {
            text(json, name);
            json.push(':');
            text(json, value);
        });
        json.push('}');
    }
    json.push_str("}}");
}

fn separated<T>(json: &mut String, items: &[T], write: impl Fn(&mut String, &T)) {
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            json.push(',');
        }
        write(json, item);
    }
}

/// A string, RFC 8259 §7.
fn text(json: &mut String, text: &str) {
    json.push('"');
    let mut rest = text;
    // Each is one byte long, so that what is before and behind is text.
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
        let (plain, behind) = rest.split_at(at);
        let (special, behind) = behind.split_at(1);
        json.push_str(plain);
        match special {
            "\"" | "\\" => {
                json.push('\\');
                json.push_str(special);
            }
            _ => {
                for byte in special.bytes() {
                    // Writing to a string does not fail.
                    let _ = write!(json, "\\u{byte:04x}");
                }
            }
        }
        rest = behind;
    }
    json.push_str(rest);
    json.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};
    use serde_json::{Value, json};
    use wayside_decide::{name::Name, stream::base::BaseUrl, target::Target};

    use super::{Manifest, NoClone, PathwayClone, Refused, text};
    use crate::{
        pathway::{Pathway, Proof},
        sign::{
            Signing,
            akamai::Akamai,
            hmac::{Placement, PlainHmac},
            secret::Secret,
            token::Token,
            validity::Window,
        },
    };

    fn name(text: &str) -> Name {
        Name::parse("name", text).expect(text)
    }

    fn url(text: &str) -> Target {
        Target::parse(text).expect(text)
    }

    const WINDOW: Window = Window {
        issued_s: 0,
        starts_s: None,
        expires_s: 77,
        next_s: 1,
    };

    fn token(signing: &Signing) -> Token {
        signing
            .token(&BaseUrl::parse("https://b.example/x").expect("a folder"), &WINDOW)
            .expect("a token")
    }

    fn akamai() -> Signing {
        Signing::Akamai(Akamai::new(Secret::from_bytes(*b"k").expect("a key")))
    }

    /// `id` at `url` as a clone of `base` at `of`.
    fn cloned(base: &str, of: &str, id: &str, url: &str, proof: Proof<'_>) -> Result<PathwayClone, NoClone> {
        let (base_id, base_url) = (name(base), BaseUrl::parse(of).expect(of));
        let (id, url) = (name(id), BaseUrl::parse(url).expect(url));
        let base = Pathway {
            id: &base_id,
            base: &base_url,
            proof: Proof::Open,
        };
        let clone = Pathway {
            id: &id,
            base: &url,
            proof,
        };
        let made = PathwayClone::new(&base, &clone);
        assert_eq!(PathwayClone::can_be(&base, &clone), made.is_ok(), "{made:?}");
        made
    }

    fn simple(base: &str, id: &str) -> PathwayClone {
        cloned(base, "https://a.example/x", id, "https://b.example/x", Proof::Open).expect("a clone")
    }

    /// The manifest's JSON.
    fn made(ttl_s: u32, priority: &[&str], clones: &[PathwayClone]) -> Result<String, Refused> {
        let reload = url("https://edge.example/.wayside/steer/e?s=1&t=\\");
        let priority: Vec<Name> = priority.iter().map(|id| name(id)).collect();
        let priority: Vec<&Name> = priority.iter().collect();
        let has = |id: &Name| ["a", "z"].contains(&id.as_str());
        Manifest::new(ttl_s, &reload, &priority, clones, has).map(|manifest| manifest.to_json())
    }

    #[test]
    fn a_manifest_is_what_the_standard_says() {
        let token = token(&akamai());
        let signed = cloned(
            "a",
            "https://a.example/x",
            "b",
            "https://b.example/x",
            Proof::Token(&token),
        )
        .expect("a clone");
        let manifest = made(10, &["c", "b", "a"], &[signed, simple("b", "c")]).expect("a manifest");
        let read: Value = serde_json::from_str(&manifest).expect("JSON");
        let (_, value) = token.parameters().next().expect("a parameter");
        let expected = json!({
            "VERSION": 1,
            "TTL": 10,
            "RELOAD-URI": "https://edge.example/.wayside/steer/e?s=1&t=\\",
            "PATHWAY-PRIORITY": ["c", "b", "a"],
            "PATHWAY-CLONES": [
                {
                    "BASE-ID": "a",
                    "ID": "b",
                    "URI-REPLACEMENT": {
                        "HOST": "b.example",
                        "PARAMS": {"__token__": value},
                    },
                },
                {"BASE-ID": "b", "ID": "c", "URI-REPLACEMENT": {"HOST": "b.example"}},
            ],
        });
        assert_eq!(read, expected);
        let plain = made(300, &["a"], &[]).expect("a manifest");
        assert!(
            plain.starts_with(r#"{"VERSION":1,"TTL":300,"RELOAD-URI":"#) && !plain.contains("CLONES"),
            "{plain}"
        );
    }

    #[test]
    fn what_players_would_not_survive_is_refused() {
        for (ttl_s, priority, clones, expected) in [
            (0, vec!["a"], vec![], "TTL: found 0 s, expected 1 to 3600 s"),
            (3_601, vec!["a"], vec![], "TTL: found 3601 s, expected 1 to 3600 s"),
            (
                9,
                vec![],
                vec![],
                "PATHWAY-PRIORITY: found no pathway, expected one at least",
            ),
            (
                9,
                vec!["a", "z", "a"],
                vec![],
                "PATHWAY-PRIORITY: found a twice, expected each once",
            ),
            (
                9,
                vec!["q"],
                vec![],
                "PATHWAY-PRIORITY: found none of the playlist's pathways or their clones, expected one at least",
            ),
            (
                9,
                vec!["a"],
                vec![simple("a", "b"), simple("a", "b")],
                "PATHWAY-CLONES: found b twice, expected each once",
            ),
            (
                9,
                vec!["a"],
                vec![simple("a", "z")],
                "PATHWAY-CLONES: found z, expected an ID that the playlist does not have",
            ),
            (
                9,
                vec!["a"],
                vec![simple("c", "b"), simple("a", "c")],
                "PATHWAY-CLONES: found b as a clone of c, expected one of the playlist's pathways or of an earlier clone",
            ),
        ] {
            assert_eq!(
                made(ttl_s, &priority, &clones).expect_err(expected).to_string(),
                expected
            );
        }
        let many: Vec<_> = (0..65).map(|place| simple("a", &format!("c{place}"))).collect();
        assert_eq!(made(9, &["a"], &many), Err(Refused::Clones { found: 65 }));
        made(9, &["b"], &[simple("a", "b")]).expect("a clone of what is there is there");
    }

    #[test]
    fn only_what_players_change_can_differ_in_a_clone() {
        let clone = |of, at| cloned("a", of, "b", at, Proof::Open);
        clone("https://a.example:8443/x", "https://b.example:8443/x").expect("one port, which players leave as it is");
        for (of, at) in [
            ("https://a.example/x", "http://b.example/x"),
            ("https://a.example/x", "https://b.example:8443/x"),
            ("https://a.example/x", "https://b.example/y"),
        ] {
            let text = clone(of, at).expect_err(at).to_string();
            assert_eq!(
                text,
                format!("clone b of a: found base URL {at}/, expected {of}/ but for the host's name")
            );
        }
        let key = Secret::from_bytes(*b"k").expect("a key");
        let in_path = Signing::Hmac(PlainHmac::new(key, Placement::Path));
        let token = token(&in_path);
        let proof = Proof::Token(&token);
        let refused = cloned("a", "https://a.example/x", "b", "https://b.example/x", proof).expect_err("refused");
        assert_eq!(
            refused,
            NoClone::Proof {
                id: name("b"),
                base: name("a")
            }
        );
    }

    #[test]
    fn every_control_character_is_escaped() {
        let controls: String = ('\u{0}'..='\u{20}').collect();
        let mut json = String::new();
        text(&mut json, &controls);
        assert!(!json.contains(char::is_control) && json.contains("\\u001f "), "{json}");
    }

    proptest! {
        #[test]
        fn any_text_comes_through_json(any in any::<String>()) {
            let mut json = String::new();
            text(&mut json, &any);
            prop_assert_eq!(serde_json::from_str::<String>(&json).expect("a string"), any);
        }
    }
}
