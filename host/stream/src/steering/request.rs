//! What players say when they ask for a steering manifest.
//!
//! In: the query of a request, which anybody may have written. Out: which pathways a player used, and how fast each was. It
//! must not know which pathways there are.
//!
//! HLS sends one pathway, in quotes by the standard and without them by every player; DASH a list of all used since it
//! last asked, in quotes or not, and throughputs by their positions in it. A first request has neither.

use std::borrow::Cow;

use url::form_urlencoded;
use wayside_decide::name::Name;

/// Longest query that is looked at, in bytes.
const QUERY_BYTES_MAX: usize = 8 * 1024;
/// Most parameters that are looked at.
const PARAMETERS_MAX: usize = 64;
/// Most pathways of one request.
pub const USED_MAX: usize = 16;
/// Highest throughput that is believed, in bit/s.
pub const THROUGHPUT_MAX: u64 = 100_000_000_000;
/// What is known of a throughput that went below zero: hls.js cuts numbers to 32 bits with a sign.
const THROUGHPUT_OVERFLOWN: u64 = i32::MAX as u64;

/// By which standard a player asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP Live Streaming.
    Hls,
    /// Dynamic Adaptive Streaming over HTTP.
    Dash,
}

/// A pathway that a player used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// Which; none when what was sent is no name.
    pub pathway: Option<Name>,
    /// How fast it was, in bit/s, when the player said so.
    pub throughput: Option<u64>,
}

/// What a player said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// By which standard; none when there was no parameter of either.
    pub protocol: Option<Protocol>,
    /// What it used, in the order in which it said so.
    pub used: Vec<Used>,
}

/// Reads the query of a request. What is malformed is left out, never refused: a player must get its manifest.
#[must_use]
pub fn read(query: &str) -> Asked {
    let query = query.strip_prefix('?').unwrap_or(query);
    if query.len() > QUERY_BYTES_MAX {
        return Asked::default();
    }
    let (mut protocol, mut pathways, mut throughputs) = (None, Cow::Borrowed(""), Cow::Borrowed(""));
    for (name, value) in form_urlencoded::parse(query.as_bytes()).take(PARAMETERS_MAX) {
        // The last of several counts: dash.js adds new ones behind those that the URL has already.
        let (of, into) = match &*name {
            "_HLS_pathway" => (Protocol::Hls, &mut pathways),
            "_DASH_pathway" => (Protocol::Dash, &mut pathways),
            "_HLS_throughput" => (Protocol::Hls, &mut throughputs),
            "_DASH_throughput" => (Protocol::Dash, &mut throughputs),
            _ => continue,
        };
        // Nobody speaks both; whoever comes first is believed.
        if *protocol.get_or_insert(of) == of {
            *into = value;
        }
    }
    let used = match protocol {
        Some(_) => used(&pathways, &throughputs),
        None => Vec::new(),
    };
    Asked { protocol, used }
}

/// Pairs pathways and throughputs by their places.
fn used(pathways: &str, throughputs: &str) -> Vec<Used> {
    let (mut pathways, mut throughputs) = (items(pathways), items(throughputs));
    let mut used = Vec::new();
    while used.len() < USED_MAX {
        let (pathway, throughput) = (pathways.next(), throughputs.next());
        if pathway.is_none() && throughput.is_none() {
            break;
        }
        used.push(Used {
            pathway: pathway.and_then(|text| Name::parse("pathway", text).ok()),
            throughput: throughput.and_then(bits_per_second),
        });
    }
    used
}

/// The items of a list, quotes around it or around each taken off.
fn items(list: &str) -> impl Iterator<Item = &str> {
    let whole = Some(list).filter(|list| !list.is_empty());
    whole
        .into_iter()
        .flat_map(|list| list.split(','))
        .map(|item| item.trim_matches([' ', '"']))
}

/// A throughput, whole or broken.
fn bits_per_second(text: &str) -> Option<u64> {
    let number: f64 = text.parse().ok()?;
    if number.is_nan() {
        return None;
    }
    if number < 0.0 {
        return Some(THROUGHPUT_OVERFLOWN);
    }
    // The cast cuts off at both ends.
    Some((number as u64).min(THROUGHPUT_MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
    use wayside_decide::name::Name;

    use super::{Asked, Protocol, THROUGHPUT_MAX, USED_MAX, read};

    fn told(query: &str) -> String {
        let asked = read(query);
        let protocol = match asked.protocol {
            Some(Protocol::Hls) => "hls",
            Some(Protocol::Dash) => "dash",
            None => "none",
        };
        let used = asked.used.iter().map(|used| {
            let pathway = used.pathway.as_ref().map_or("?", Name::as_str);
            let throughput = used
                .throughput
                .map_or_else(|| "?".to_owned(), |throughput| throughput.to_string());
            format!(" {pathway}={throughput}")
        });
        format!("{protocol}{}", used.collect::<String>())
    }

    #[test]
    fn every_player_s_form_is_understood() {
        for (query, expected) in [
            ("", "none"),
            ("session=1", "none"),
            ("_HLS_pathway=a&_HLS_throughput=5000000", "hls a=5000000"),
            ("?_HLS_pathway=%22a%22&_HLS_throughput=5", "hls a=5"),
            ("_HLS_pathway=\"a\"", "hls a=?"),
            ("_HLS_throughput=12.9", "hls ?=12"),
            ("_HLS_pathway=a&_HLS_throughput=-1294967296", "hls a=2147483647"),
            ("_HLS_pathway=a&_HLS_throughput=NaN", "hls a=?"),
            ("_HLS_pathway=a&_HLS_throughput=1e99", "hls a=100000000000"),
            ("_HLS_pathway=a&_HLS_throughput=inf", "hls a=100000000000"),
            ("_HLS_pathway=a&_HLS_throughput=", "hls a=?"),
            ("_HLS_pathway=a%20b&_HLS_throughput=7", "hls ?=7"),
            ("_HLS_pathway=.&_HLS_throughput=7", "hls ?=7"),
            ("_DASH_pathway=%22a%2Cb%22&_DASH_throughput=1,2", "dash a=1 b=2"),
            ("_DASH_pathway=\"a\",\"b\"&_DASH_throughput=\"1\"", "dash a=1 b=?"),
            ("_DASH_pathway=a&_DASH_throughput=1,2,3", "dash a=1 ?=2 ?=3"),
            ("_DASH_pathway=a,,b&_DASH_throughput=,,3", "dash a=? ?=? b=3"),
            ("_DASH_pathway=a&x=1&_DASH_pathway=b", "dash b=?"),
            ("_HLS_pathway=a&_DASH_pathway=b", "hls a=?"),
            ("_HLS_pathway", "hls"),
            ("_hls_pathway=a", "none"),
            ("%5FHLS_pathway=a", "hls a=?"),
            ("_HLS_pathway=%ff%22", "hls ?=?"),
        ] {
            assert_eq!(told(query), expected, "{query}");
        }
    }

    #[test]
    fn what_is_too_much_is_left_out() {
        let many = format!("_DASH_pathway={}", vec!["a"; 1_000].join(","));
        assert_eq!(read(&many).used.len(), USED_MAX);
        assert_eq!(
            read(&format!("_HLS_pathway=a&x={}", "y".repeat(9_000))),
            Asked::default()
        );
        let behind = format!("{}_HLS_pathway=a", "x=1&".repeat(100));
        assert_eq!(read(&behind), Asked::default());
    }

    proptest! {
        #[test]
        fn no_query_is_too_strange(
            query in any::<String>(), pieces in proptest::collection::vec(0_usize..10, 0..20),
        ) {
            const PIECES: [&str; 10] = ["_HLS_pathway=", "_DASH_pathway=", "_HLS_throughput=", "_DASH_throughput=", "&", "a", ",", "%22", "-9", "é"];
            let pieced: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
            for query in [query, pieced] {
                let asked = read(&query);
                prop_assert!(asked.used.len() <= USED_MAX);
                prop_assert!(asked.used.iter().all(|used| used.throughput.is_none_or(|throughput| throughput <= THROUGHPUT_MAX)));
                prop_assert_eq!(asked.protocol.is_none() && !asked.used.is_empty(), false);
            }
        }
    }
}
