//! Hours and days by what calendars say, and horizons by looking at every second around them.

use jiff::{
    Timestamp,
    tz::{TimeZone, TimeZoneDatabase},
};
use proptest::prelude::*;

use super::Zone;

fn zone(name: &str) -> Zone {
    Zone::parse(name).unwrap_or_else(|error| panic!("{error}"))
}

fn second(text: &str) -> u64 {
    let at: Timestamp = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    u64::try_from(at.as_second()).expect("after 1970")
}

#[test]
fn zones_are_known_by_name_in_any_case() {
    assert_eq!(zone("europe/BERLIN"), zone("Europe/Berlin"));
    assert_eq!(zone("europe/berlin").name(), "Europe/Berlin");
    assert_eq!(zone("utc").name(), "UTC");
    assert_ne!(zone("UTC"), zone("Etc/UTC"));
    let long = "Europe/".to_owned() + &"x".repeat(100);
    for name in [
        "",
        "Berlin",
        "Europe/Berln",
        "Europe/Berlin ",
        "+02:00",
        "CET-1CEST",
        "Etc/Unknown",
        "local",
        &long,
    ] {
        let error = Zone::parse(name).expect_err(name).to_string();
        assert!(error.starts_with("time zone: found \""), "{error}");
        assert!(error.ends_with("such as `Europe/Berlin` or `UTC`"), "{error}");
    }
}

#[test]
fn every_zone_of_the_database_can_be_named() {
    let mut known = 0;
    for name in TimeZoneDatabase::bundled().available().map(|name| name.to_string()) {
        if name != "Etc/Unknown" {
            assert_eq!(zone(&name).name(), name);
            known += 1;
        }
    }
    assert!(known > 400, "{known}");
}

#[test]
fn hours_and_their_ends_are_those_of_the_zone() {
    for (name, now, hour, until) in [
        ("UTC", "2025-06-15T12:34:56Z", 12, "2025-06-15T13:00:00Z"),
        ("UTC", "2025-06-15T13:00:00Z", 13, "2025-06-15T14:00:00Z"),
        ("Asia/Kolkata", "2025-06-15T12:34:56Z", 18, "2025-06-15T13:30:00Z"),
        ("Asia/Kathmandu", "2025-06-15T12:34:56Z", 18, "2025-06-15T13:15:00Z"),
        // Forward from 2:00 to 3:00: the hour after 1 is 3.
        ("Europe/Berlin", "2025-03-30T00:30:00Z", 1, "2025-03-30T01:00:00Z"),
        ("Europe/Berlin", "2025-03-30T01:00:00Z", 3, "2025-03-30T02:00:00Z"),
        // Back from 3:00 to 2:00: it is 2 o'clock for two hours.
        ("Europe/Berlin", "2025-10-26T00:30:00Z", 2, "2025-10-26T02:00:00Z"),
        // Back by half an hour from 2:00 to 1:30: it is 1 o'clock for one and a half.
        ("Australia/Lord_Howe", "2025-04-05T14:00:00Z", 1, "2025-04-05T15:30:00Z"),
        // Forward by half an hour from 2:00 to 2:30.
        ("Australia/Lord_Howe", "2025-10-04T15:30:00Z", 2, "2025-10-04T16:00:00Z"),
        // 44 minutes and 30 seconds behind, until 1972.
        ("Africa/Monrovia", "1971-06-01T00:00:00Z", 23, "1971-06-01T00:44:30Z"),
    ] {
        let (zone, now) = (zone(name), second(now));
        let found = (zone.hour(now), zone.hour_holds_until(now));
        assert_eq!(found, (hour, Some(second(until))), "{name} at {now}");
    }
}

#[test]
fn days_and_their_ends_are_those_of_the_zone() {
    for (name, now, weekday, until) in [
        ("UTC", "1970-01-01T00:00:00Z", 3, "1970-01-02T00:00:00Z"),
        ("UTC", "2025-06-15T23:59:59Z", 6, "2025-06-16T00:00:00Z"),
        ("UTC", "2025-06-16T00:00:00Z", 0, "2025-06-17T00:00:00Z"),
        ("Asia/Kolkata", "2025-06-15T18:29:59Z", 6, "2025-06-15T18:30:00Z"),
        ("America/New_York", "2025-06-16T03:00:00Z", 6, "2025-06-16T04:00:00Z"),
        // A day of 23 hours, and one of 25.
        ("Europe/Berlin", "2025-03-29T23:00:00Z", 6, "2025-03-30T22:00:00Z"),
        ("Europe/Berlin", "2025-10-25T22:00:00Z", 6, "2025-10-26T23:00:00Z"),
        // Midnight itself is left out: the day begins at 1:00.
        ("America/Santiago", "2025-09-07T03:59:59Z", 5, "2025-09-07T04:00:00Z"),
        // Back from midnight to 23:00: Saturday goes on for an hour.
        ("America/Santiago", "2025-04-06T02:30:00Z", 5, "2025-04-06T04:00:00Z"),
        // A Friday that never was: over the date line.
        ("Pacific/Apia", "2011-12-30T09:59:59Z", 3, "2011-12-30T10:00:00Z"),
        ("Pacific/Apia", "2011-12-30T10:00:00Z", 5, "2011-12-31T10:00:00Z"),
    ] {
        let (zone, now) = (zone(name), second(now));
        let found = (zone.weekday(now), zone.weekday_holds_until(now));
        assert_eq!(found, (weekday, Some(second(until))), "{name} at {now}");
    }
}

#[test]
fn the_end_of_time_is_no_panic() {
    let last_s = u64::try_from(Timestamp::MAX.as_second()).expect("after 1970");
    for name in ["UTC", "Europe/Berlin", "Pacific/Kiritimati"] {
        let zone = zone(name);
        for now_s in [last_s, last_s + 1, u64::try_from(i64::MAX).expect("positive"), u64::MAX] {
            assert_eq!(zone.hour_holds_until(now_s), None, "{name}");
            assert_eq!(zone.weekday_holds_until(now_s), None, "{name}");
            assert_eq!(
                (zone.hour(now_s), zone.weekday(now_s)),
                (zone.hour(last_s), zone.weekday(last_s))
            );
        }
    }
}

/// Any zone, and an instant anywhere or close to a change of its clock.
fn zones_and_instants() -> impl Strategy<Value = (Zone, u64)> {
    let names: Vec<String> = TimeZoneDatabase::bundled()
        .available()
        .map(|name| name.to_string())
        .filter(|name| name != "Etc/Unknown")
        .collect();
    let instants = 0_u64..5_000_000_000;
    (
        prop::sample::select(names),
        instants,
        any::<bool>(),
        -100_000_i64..100_000,
    )
        .prop_map(|(name, anywhere_s, is_close, distance_s)| {
            let zone = zone(&name);
            let at = i64::try_from(anywhere_s).expect("small");
            let change = zone.0.following(super::timestamp(anywhere_s)).next();
            let at = change
                .filter(|_| is_close)
                .map_or(at, |change| change.timestamp().as_second() + distance_s);
            (zone, u64::try_from(at.max(0)).expect("not negative"))
        })
}

/// Every second near both ends, and some between.
fn sampled(now_s: u64, until_s: u64) -> impl Iterator<Item = u64> {
    let near_both = (now_s..until_s.min(now_s + 60)).chain(until_s.saturating_sub(60).max(now_s)..until_s);
    near_both.chain((now_s..until_s).step_by(97))
}

fn check(name: &str, now_s: u64, until_s: Option<u64>, answer: impl Fn(u64) -> u64) -> Result<(), TestCaseError> {
    let Some(until_s) = until_s else {
        return Err(TestCaseError::fail(format!("{name} at {now_s} stands still")));
    };
    prop_assert!(
        until_s > now_s && until_s - now_s <= 50 * 3_600,
        "{} at {}: {}",
        name,
        now_s,
        until_s
    );
    for then_s in sampled(now_s, until_s) {
        prop_assert_eq!(
            answer(then_s),
            answer(now_s),
            "{} at {}, before {}",
            name,
            then_s,
            until_s
        );
    }
    prop_assert_ne!(answer(until_s), answer(now_s), "{} at {}", name, until_s);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn an_answer_holds_up_to_its_horizon_and_no_further((zone, now_s) in zones_and_instants()) {
        check(zone.name(), now_s, zone.hour_holds_until(now_s), |then_s| zone.hour(then_s))?;
        check(zone.name(), now_s, zone.weekday_holds_until(now_s), |then_s| zone.weekday(then_s))?;
    }

    /// By way of the library's own calendar, which this crate does not use.
    #[test]
    fn hours_and_days_are_those_of_the_calendar((zone, now_s) in zones_and_instants()) {
        let tz: TimeZone = zone.0.clone();
        let zoned = super::timestamp(now_s).to_zoned(tz);
        prop_assert_eq!(zone.hour(now_s), u64::try_from(zoned.hour()).expect("not negative"));
        let weekday = zoned.weekday().to_monday_zero_offset();
        prop_assert_eq!(zone.weekday(now_s), u64::try_from(weekday).expect("not negative"));
    }
}
