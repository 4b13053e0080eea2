//! Media playlists: each URL signed, §4.4.4.
//!
//! For targets whose tokens are for one URL each, and for tokens that segments would not inherit. Segments, maps, keys,
//! parts and hints become absolute; rendition reports stay, for they name playlists as the player knows them.

use wayside_decide::invalid::quote;

use super::{
    attributes::attributes,
    lines::{self, Kind, Line},
};
use crate::{
    pathway::{NoUrl, Pathway, Place, Source},
    splice::{Edits, Error},
};

/// Tags whose attribute `URI` names a file of the asset.
const WITH_URI: [&str; 4] = ["#EXT-X-MAP", "#EXT-X-KEY", "#EXT-X-PART", "#EXT-X-PRELOAD-HINT"];
/// Tags that only multivariant playlists have.
const OF_MULTIVARIANT: [&str; 2] = ["#EXT-X-STREAM-INF", "#EXT-X-MEDIA"];

/// A media playlist whose files players fetch from `pathway`, each with its token.
///
/// # Errors
/// [`Error`] when the playlist is broken, too large, multivariant, or names what is not on the target.
pub fn rewrite(playlist: &[u8], source: &Source, pathway: &Pathway<'_>) -> Result<Vec<u8>, Error> {
    let mut edits = Edits::new(playlist)?;
    let (_, lines) = lines::playlist(playlist)?;
    for line in lines {
        let uri = match line.kind() {
            Kind::Uri(uri) => Some(uri),
            Kind::Tag(name, Some(value)) if WITH_URI.contains(&name) => uri_of(&line, value)?,
            Kind::Tag(name, _) if OF_MULTIVARIANT.contains(&name) => {
                return Err(Error::line(
                    line.number,
                    quote(line.text),
                    "a media playlist, without variants",
                ));
            }
            Kind::Tag(..) | Kind::Other => None,
        };
        let Some(uri) = uri else { continue };
        let located = source.locate(uri);
        let place = located.map_err(|expected| Error::line(line.number, quote(uri), expected))?;
        if let Place::Below(below) = place {
            let url = pathway.url(&below).map_err(|refused| match refused {
                NoUrl::Sign(error) => Error::Sign {
                    line: line.number,
                    error,
                },
                NoUrl::Expected(expected) => Error::line(line.number, quote(uri), expected),
            })?;
            edits.replace(line.place_of(uri), url.to_string())?;
        }
    }
    Ok(edits.apply())
}

/// The URI among a tag's attributes; a key of method NONE has none.
fn uri_of<'a>(line: &Line<'_>, value: &'a str) -> Result<Option<&'a str>, Error> {
    let read = attributes(value).map_err(|(found, expected)| Error::line(line.number, found, expected))?;
    let Some(uri) = read.iter().find(|attribute| attribute.name == "URI") else {
        return Ok(None);
    };
    let text = uri.text();
    text.map(Some)
        .ok_or_else(|| Error::line(line.number, quote(uri.value), "a quoted URI"))
}

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_STANDARD};
    use proptest::prelude::{any, prop_assert, proptest};
    use wayside_decide::{name::Name, stream::base::BaseUrl, target::Target};

    use super::rewrite;
    use crate::{
        pathway::{Pathway, Proof, Source},
        sign::{Signing, fastly::Fastly, secret::Secret, validity::Window},
        splice::Error,
    };

    fn rewritten(playlist: &[u8], proof: Proof<'_>) -> Result<Vec<u8>, Error> {
        let folder = BaseUrl::parse("https://origin.example/live").expect("a folder");
        let url = Target::parse("https://origin.example/live/v1/main.m3u8").expect("a URL");
        let source = Source::new(&url, &folder).expect("below");
        let (id, base) = (
            Name::parse("id", "a").expect("a name"),
            BaseUrl::parse("https://a.example/x").expect("a folder"),
        );
        rewrite(
            playlist,
            &source,
            &Pathway {
                id: &id,
                base: &base,
                proof,
            },
        )
    }

    #[test]
    fn each_file_becomes_absolute_and_the_rest_stays() {
        let playlist = "#EXTM3U\r\n#EXT-X-TARGETDURATION:6\r\n#EXT-X-MAP:URI=\"init.mp4\",BYTERANGE=\"9@0\"\r\n\
            #EXT-X-KEY:METHOD=NONE\r\n#EXT-X-KEY:METHOD=AES-128,URI=\"skd://k\"\r\n#EXT-X-KEY:METHOD=AES-128,URI=\"../k\"\r\n\
            #EXTINF:6,a\r\n1.ts?x=1\r\n#EXT-X-UNKNOWN:URI=\"z\"\r\n#EXT-X-PART:DURATION=1,URI=\"p.ts\"\r\n\
            #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"h.ts\"\r\n#EXT-X-RENDITION-REPORT:URI=\"../v2/main.m3u8\"\r\n\
            #EXTINF:6,\r\nhttps://ads.example/1.ts\r\n\r\n# end";
        let expected = "#EXTM3U\r\n#EXT-X-TARGETDURATION:6\r\n#EXT-X-MAP:URI=\"https://a.example/x/v1/init.mp4\",BYTERANGE=\"9@0\"\r\n\
            #EXT-X-KEY:METHOD=NONE\r\n#EXT-X-KEY:METHOD=AES-128,URI=\"skd://k\"\r\n#EXT-X-KEY:METHOD=AES-128,URI=\"https://a.example/x/k\"\r\n\
            #EXTINF:6,a\r\nhttps://a.example/x/v1/1.ts?x=1\r\n#EXT-X-UNKNOWN:URI=\"z\"\r\n#EXT-X-PART:DURATION=1,URI=\"https://a.example/x/v1/p.ts\"\r\n\
            #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"https://a.example/x/v1/h.ts\"\r\n#EXT-X-RENDITION-REPORT:URI=\"../v2/main.m3u8\"\r\n\
            #EXTINF:6,\r\nhttps://ads.example/1.ts\r\n\r\n# end";
        let found = rewritten(playlist.as_bytes(), Proof::Open).expect("rewritten");
        assert_eq!(String::from_utf8_lossy(&found), expected);
    }

    #[test]
    fn a_token_for_one_url_is_made_for_each() {
        let key = BASE64_STANDARD.encode("secret");
        let signing = Signing::Fastly(Fastly::new(Secret::from_base64(&key).expect("a key")));
        let window = Window {
            issued_s: 0,
            starts_s: None,
            expires_s: 50,
            next_s: 9,
        };
        let found = rewritten(
            b"#EXTM3U\n#EXTINF:1,\n1.ts\n#EXTINF:1,\n2.ts",
            Proof::Each(&signing, &window),
        );
        let found = String::from_utf8(found.expect("rewritten")).expect("text");
        for file in ["1.ts", "2.ts"] {
            let url = Target::parse(&format!("https://a.example/x/v1/{file}")).expect("a URL");
            let signed = signing.sign(&url, &window).expect("signed");
            assert!(found.lines().any(|line| line == signed.as_str()), "{found}");
        }
        let taken = rewritten(b"#EXTM3U\n\n1.ts?token=1", Proof::Each(&signing, &window));
        let text = taken.expect_err("a parameter of that name").to_string();
        assert!(
            text.starts_with("line 3: query of https://a.example/x/v1/1.ts?token=1: found `token`"),
            "{text}"
        );
    }

    #[test]
    fn what_is_no_media_playlist_is_named_by_its_line() {
        for (playlist, expected) in [
            ("", "line 1: found an empty file, expected #EXTM3U"),
            ("#EXTM3U8\n", "line 1: found \"#EXTM3U8\", expected #EXTM3U"),
            (
                "#EXTM3U\n#EXT-X-MEDIA:A=1",
                "line 2: found \"#EXT-X-MEDIA:A=1\", expected a media playlist, without variants",
            ),
            (
                "#EXTM3U\n#EXT-X-MAP:URI=x",
                "line 2: found \"x\", expected a quoted URI",
            ),
            (
                "#EXTM3U\n#EXT-X-MAP:URI=\"x",
                "line 2: found \"\\\"x\", expected a closing quotation mark",
            ),
            (
                "#EXTM3U\n../../1.ts",
                "line 2: found \"../../1.ts\", expected a URI below the asset's folder https://origin.example/live/",
            ),
            (
                "#EXTM3U\n{$a}.ts",
                "line 2: found \"{$a}.ts\", expected a URI without a variable",
            ),
        ] {
            let refused = rewritten(playlist.as_bytes(), Proof::Open).expect_err(playlist);
            assert_eq!(refused.to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(
            bytes in proptest::collection::vec(any::<u8>(), 0..100), pieces in proptest::collection::vec(0_usize..9, 0..20),
        ) {
            const PIECES: [&str; 9] = ["#EXTM3U", "\n", "\r\n", "#EXT-X-MAP:URI=", "\"", "a.ts", "../", "{$", "\u{feff}"];
            let text: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
            for input in [bytes, text.into_bytes(), [b"#EXTM3U\n", pieces.iter().map(|piece| PIECES[*piece]).collect::<String>().as_bytes()].concat()] {
                if let Ok(found) = rewritten(&input, Proof::Open) {
                    prop_assert!(found.len() >= input.len(), "URLs only grow");
                }
            }
        }
    }
}
