//! Where visitors are, by real databases: which countries a target may serve, what is near, and whose reports are alike.

use serde_json::json;

use super::{
    audience::{Audience, BADLY, ONE_IS_HEARD, QUICK, WELL},
    site::{Site, sent, target},
};
use crate::{geo::databases, harness::eventually};

/// Addresses in MaxMind's test databases.
const LONDON: &str = "81.2.69.142";
const BOXFORD: &str = "2.125.160.216";
const LINKOPING: &str = "89.160.20.112";
const MILTON: &str = "216.160.83.56";
const TOKYO: &str = "2001:218::1";
/// In none of them.
const NOWHERE: &str = "192.0.2.1";

/// A site of an edge that knows places and autonomous systems; none where there are no databases.
fn located(targets: &[&str], variables: &[(&str, &str)]) -> Option<Site> {
    let databases = databases()?;
    let file = |name: &str| databases.join(name).to_str().expect("a path").to_owned();
    let (city, asn) = (file("GeoLite2-City-Test.mmdb"), file("GeoLite2-ASN-Test.mmdb"));
    let geo = [("WAYSIDE__GEO__CITY", city.as_str()), ("WAYSIDE__GEO__ASN", &asn)];
    Some(Site::start(targets, &[&geo, variables].concat()))
}

#[test]
fn a_target_for_one_country_serves_who_is_there_and_nobody_else() {
    let Some(site) = located(&["world"], &[]) else { return };
    let mut japan = target("japan");
    japan["countries"] = json!(["JP"]);
    site.write("POST", "/v1/targets", &japan);
    // Whoever may go elsewhere does.
    site.write("PUT", "/v1/targets/world/service", &json!({"service": "draining"}));
    eventually("who is there is served there", || sent(&site.edge, TOKYO) == "japan");
    for address in [LONDON, MILTON, NOWHERE, "2001:220::1"] {
        assert_eq!(sent(&site.edge, address), "world", "{address}");
    }
    let told = Site::explained(&site.edge, LONDON);
    assert_eq!(told["visitor"]["country"], "GB", "{told}");
    assert!(told.to_string().contains("not for this country"), "{told}");
    assert_eq!(Site::explained(&site.edge, TOKYO)["visitor"]["country"], "JP");
}

#[test]
fn the_region_of_the_nearest_target_is_near_and_a_coverage_zone_goes_before_it() {
    let Some(site) = located(&[], &[]) else { return };
    for (name, region, place) in [
        ("london", "eu", json!([51.5, -0.1])),
        ("kyoto", "asia", json!(null)),
        ("tokyo", "asia", json!([35.7, 139.7])),
        ("seattle", "us", json!([47.6, -122.3])),
    ] {
        let mut target = target(name);
        target["region"] = region.into();
        target["coordinates"] = place;
        site.write("POST", "/v1/targets", &target);
    }
    // One target is of each region but asia, where nothing but the balancer says which of the two.
    let near = |address: &str| match sent(&site.edge, address) {
        target if target == "kyoto" => "tokyo".to_owned(),
        target => target,
    };
    eventually("the targets are there", || near(MILTON) == "seattle");
    for (address, expected) in [
        (LONDON, "london"),
        (BOXFORD, "london"),
        (LINKOPING, "london"),
        (TOKYO, "tokyo"),
    ] {
        assert_eq!(near(address), expected, "{address}");
    }
    site.write("PUT", "/v1/targets/tokyo/service", &json!({"service": "draining"}));
    eventually("another of the region takes its place, near or not", || {
        sent(&site.edge, TOKYO) == "kyoto"
    });
    let zones = json!({"coverageZones": {
        "us": {"network": ["81.2.69.0/24"]},
        "asia": {"network": ["198.51.100.0/24"]},
        "unknown": {"network": ["2.125.160.0/24"]},
    }});
    site.write("PUT", "/v1/zones", &zones);
    eventually("the zone decides", || sent(&site.edge, LONDON) == "seattle");
    for (address, expected) in [
        // Of a zone without targets.
        (BOXFORD, "london"),
        // Of no zone.
        (LINKOPING, "london"),
        (MILTON, "seattle"),
        // Of a zone, and nowhere on the globe.
        ("198.51.100.7", "kyoto"),
    ] {
        assert_eq!(sent(&site.edge, address), expected, "{address}");
    }
    site.write("DELETE", "/v1/zones", &json!(null));
    eventually("the globe decides again", || sent(&site.edge, LONDON) == "london");
}

/// Players of one network report a target badly, those of another well, from the same target at the same time.
fn only_the_first_leave(site: &Site, bad: impl Fn(usize) -> String, well: impl Fn(usize) -> String) {
    let mut ill = Audience::begin_at(site, "film", (1..=40).map(bad));
    let mut others = Audience::begin_at(site, "film", (1..=40).map(well));
    let (whole, before) = (ill.on("a"), others.places());
    assert!(whole > 8 && others.on("a") > 8, "{whole} and {} on a", others.on("a"));
    eventually("half of those who are served badly have left", || {
        ill.play(|target| if target == "a" { BADLY } else { WELL });
        others.play(|_| WELL);
        ill.on("a") <= whole / 2
    });
    assert_eq!(others.places(), before, "the other network is served well");
    let begun: Vec<String> = (41..=80).map(|_| site.begin(&others.sessions[0].0).1).collect();
    assert!(begun.iter().any(|target| target == "a"), "and begins there: {begun:?}");
}

#[test]
fn what_one_autonomous_system_reports_moves_nobody_of_another() {
    let Some(site) = located(&["a", "b"], &[QUICK[0], QUICK[1], ONE_IS_HEARD]) else {
        return;
    };
    let asn = |address: &str| Site::explained(&site.edge, address)["visitor"]["asn"].clone();
    assert_eq!((asn("1.128.0.1"), asn("12.81.96.1")), (json!(1221), json!(7018)));
    only_the_first_leave(
        &site,
        |number| format!("1.128.0.{number}"),
        |number| format!("12.81.96.{number}"),
    );
}

#[test]
fn what_one_country_reports_moves_nobody_of_another() {
    let Some(site) = located(&["a", "b"], &[QUICK[0], QUICK[1], ONE_IS_HEARD]) else {
        return;
    };
    let visitor = |address: &str| Site::explained(&site.edge, address)["visitor"].clone();
    for (address, country) in [("2001:2f8:1::1", "JP"), ("2001:2b8:1::1", "KR")] {
        let visitor = visitor(address);
        assert_eq!((&visitor["country"], &visitor["asn"]), (&json!(country), &json!(null)));
    }
    // Each of another site: the addresses of one have two voices together.
    only_the_first_leave(
        &site,
        |number| format!("2001:2f8:{number:x}::1"),
        |number| format!("2001:2b8:{number:x}::1"),
    );
}
