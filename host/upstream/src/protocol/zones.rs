//! Coverage zones as they are uploaded: the JSON of Traffic Control's coverage zone file.
//!
//! In: bytes that anybody may have written. Out: groups with their networks. Other keys of the file, such as a zone's
//! coordinates, are left out. It must not know which targets are of a group.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use ipnet::IpNet;
use serde::Deserialize;
use wayside_decide::{
    invalid::{Invalid, quote},
    limits::ZONE_NETWORKS_MAX,
    name::Name,
};

/// What it is about, in messages.
const WHAT: &str = "coverage zones";
/// Largest file, in bytes.
pub const ZONES_BYTES_MAX: usize = 8 * 1024 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    coverage_zones: BTreeMap<String, Zone>,
}

#[derive(Deserialize)]
struct Zone {
    #[serde(default)]
    network: Vec<String>,
    #[serde(default)]
    network6: Vec<String>,
}

/// Reads a file, each network once: `{"coverageZones": {"GROUP": {"network": ["192.0.2.0/24"], "network6": ["2001:db8::/32"]}}}`.
///
/// # Errors
/// [`Invalid`] when it is too long or no such JSON, names a group that is no name or a network that is none, has more
/// networks than a tenant may, or one network in two groups.
pub fn parse(body: &[u8]) -> Result<Vec<(Name, Vec<IpNet>)>, Invalid> {
    if body.len() > ZONES_BYTES_MAX {
        let expected = format!("at most {ZONES_BYTES_MAX}");
        return Err(Invalid::other(WHAT, format!("{} bytes", body.len()), expected));
    }
    let file: File = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
    let mut whose: HashMap<IpNet, Name> = HashMap::new();
    let mut groups = Vec::with_capacity(file.coverage_zones.len());
    for (name, zone) in file.coverage_zones {
        let name = Name::parse("coverage zone", &name)?;
        let mut networks = Vec::with_capacity(zone.network.len() + zone.network6.len());
        for text in zone.network.iter().chain(&zone.network6) {
            let network = network(text, &name)?;
            match whose.insert(network, name.clone()) {
                // It may stand twice in one.
                Some(other) if other == name => continue,
                Some(other) => {
                    let found = format!("{network} in `{other}` and `{name}`");
                    return Err(Invalid::other(WHAT, found, "each network in one zone"));
                }
                None => {}
            }
            if whose.len() > ZONE_NETWORKS_MAX {
                let expected = format!("at most {ZONE_NETWORKS_MAX}");
                return Err(Invalid::other(
                    WHAT,
                    format!("{} networks or more", whose.len()),
                    expected,
                ));
            }
            networks.push(network);
        }
        groups.push((name, networks));
    }
    Ok(groups)
}

/// What stands in place of such a file, in words of JSON.
fn unreadable(error: &serde_json::Error) -> Invalid {
    let text = error.to_string();
    let place = format!("at line {} column {}", error.line(), error.column());
    let problem = text.strip_suffix(&place).unwrap_or(&text).trim_end();
    let of_type = problem.strip_prefix("invalid type: ");
    let of_type = of_type.map(|rest| rest.rsplit_once(", expected ").map_or(rest, |(found, _)| found));
    let found = match (of_type, problem.strip_prefix("duplicate field ")) {
        _ if !error.is_data() => format!("no JSON {place}: {}", quote(problem)),
        (Some("map"), _) => format!("an object {place}"),
        (Some("sequence"), _) => format!("a list {place}"),
        (Some(found), _) => format!("{} {place}", quote(found)),
        (None, Some(name)) => format!("{name} twice {place}"),
        (None, None) if problem.starts_with("missing field ") => "nothing".to_owned(),
        (None, None) => format!("{} {place}", quote(problem)),
    };
    let expected = "the field `coverageZones`, an object of groups, each an object with `network` and `network6`, lists \
                    of networks as text";
    Invalid::other(WHAT, found, expected)
}

/// A network, or a single address.
fn network(text: &str, zone: &Name) -> Result<IpNet, Invalid> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    let network = text.parse::<IpNet>().ok().or_else(address);
    network.map(|network| network.trunc()).ok_or_else(|| {
        let expected = format!("a network such as 192.0.2.0/24 or 2001:db8::/32 in zone `{zone}`");
        Invalid::text("network", text, expected)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::parse;

    #[test]
    fn a_file_of_traffic_control_is_read() {
        let file = json!({
            "customerName": "example", "revision": "2026-01-01",
            "coverageZones": {
                "cache-group-02": {"coordinates": {"latitude": 1.1, "longitude": 2.2},
                    "network6": ["2001:db8:1::/48"], "network": ["192.0.2.77/25", "198.51.100.7", "192.0.2.0/25"]},
                "cache-group-01": {"network": ["192.0.2.128/25"]},
                "empty": {},
            }
        });
        let groups = parse(file.to_string().as_bytes()).expect("zones");
        let shown: Vec<String> = groups
            .iter()
            .map(|(name, networks)| {
                let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
                format!("{name}: {}", networks.join(" "))
            })
            .collect();
        let expected = [
            "cache-group-01: 192.0.2.128/25",
            "cache-group-02: 192.0.2.0/25 198.51.100.7/32 2001:db8:1::/48",
            "empty: ",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_is_no_such_file_is_named() {
        let many: Vec<String> = (0..=100_000_u32)
            .map(|number| std::net::Ipv4Addr::from(number << 8).to_string() + "/24")
            .collect();
        for (file, expected) in [
            (
                json!({}),
                "coverage zones: found nothing, expected the field `coverageZones`, an object of groups",
            ),
            (
                json!({"coverageZones": []}),
                "found a list at line 1 column 17, expected the field",
            ),
            (
                json!({"coverageZones": {"a": {"network": {}}}}),
                "found an object at line 1 column 33, expected",
            ),
            (
                json!({"coverageZones": {"a": 1}}),
                "found \"integer `1`\" at line 1 column 23, expected",
            ),
            (json!({"coverageZones": {"a b": {}}}), "coverage zone: found \"a b\""),
            (
                json!({"coverageZones": {"eu": {"network": ["192.0.2.0/33"]}}}),
                "network: found \"192.0.2.0/33\", expected a network such as 192.0.2.0/24 or 2001:db8::/32 in zone `eu`",
            ),
            (
                json!({"coverageZones": {"a": {"network": ["192.0.2.1/24"]}, "b": {"network": ["192.0.2.0/24"]}}}),
                "found 192.0.2.0/24 in `a` and `b`",
            ),
            (
                json!({"coverageZones": {"a": {"network": many}}}),
                "found 100001 networks or more",
            ),
        ] {
            let refused = parse(file.to_string().as_bytes()).expect_err(expected).to_string();
            assert!(refused.contains(expected), "{refused}");
        }
        for (file, expected) in [
            (
                &b"\xff"[..],
                "found no JSON at line 1 column 1: \"expected value\", expected the field",
            ),
            (
                b"{\"coverageZones\": {}, \"coverageZones\": {}}",
                "found `coverageZones` twice at line 1 column",
            ),
        ] {
            let refused = parse(file).expect_err(expected).to_string();
            assert!(refused.contains(expected), "{refused}");
        }
    }
}
