//! What can be asked about the visitor.

use crate::contract::visitor as contract;

/// The kind of device, by the size and use of its screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// A computer with a screen of its own.
    Desktop,
    /// A phone.
    Phone,
    /// A tablet.
    Tablet,
    /// A television or a box beside one.
    Tv,
    /// Nothing that could be told.
    Unknown,
}

/// The country, ISO 3166-1 alpha-2 in upper case.
#[must_use]
pub fn country() -> Option<String> {
    contract::country()
}

/// AF, AN, AS, EU, NA, OC or SA.
#[must_use]
pub fn continent() -> Option<String> {
    contract::continent()
}

/// The largest subdivision, ISO 3166-2 without the country: `CA`, `ENG`.
#[must_use]
pub fn subdivision() -> Option<String> {
    contract::subdivision()
}

/// The city, in English.
#[must_use]
pub fn city() -> Option<String> {
    contract::city()
}

/// The time zone, IANA name.
#[must_use]
pub fn time_zone() -> Option<String> {
    contract::time_zone()
}

/// Whether the country is in the European Union; false when unknown.
#[must_use]
pub fn in_eu() -> bool {
    contract::in_eu()
}

/// The autonomous system.
#[must_use]
pub fn asn() -> Option<u32> {
    contract::asn()
}

/// Whether the address is in one of these networks, written `192.0.2.0/24`. A text that is no network is a failure of
/// the policy.
#[must_use]
pub fn in_network(networks: &[&str]) -> bool {
    let networks: Vec<String> = networks.iter().map(|&network| network.to_owned()).collect();
    contract::in_network(&networks)
}

/// Which of these points is nearest to where the visitor is, by great circle: its name. A point is a name, degrees north
/// and degrees east. Of those equally near it is the first; none when it is not known where the visitor is. More than 64
/// points, a name that is there twice, or a point that is nowhere on the globe is a failure of the policy.
///
/// ```ignore
/// let nearest = visitor::nearest(&[("fra", 50.11, 8.68), ("nyc", 40.71, -74.01)]);
/// ```
#[must_use]
pub fn nearest(points: &[(&str, f64, f64)]) -> Option<String> {
    let point = |&(name, latitude, longitude): &(&str, f64, f64)| contract::Point {
        name: name.to_owned(),
        latitude,
        longitude,
    };
    let points: Vec<contract::Point> = points.iter().map(point).collect();
    contract::nearest(&points)
}

/// The device.
#[must_use]
pub fn device() -> Device {
    match contract::device() {
        contract::DeviceClass::Desktop => Device::Desktop,
        contract::DeviceClass::Phone => Device::Phone,
        contract::DeviceClass::Tablet => Device::Tablet,
        contract::DeviceClass::Tv => Device::Tv,
        contract::DeviceClass::Unknown => Device::Unknown,
    }
}

/// `android`, `ios`, `windows`, `macos`, `linux`, `chromeos` or `other`.
#[must_use]
pub fn os() -> String {
    contract::os()
}

/// `chrome`, `safari`, `firefox`, `edge`, `opera`, `samsung` or `other`.
#[must_use]
pub fn browser() -> String {
    contract::browser()
}

/// Whether the visitor says that it is a program.
#[must_use]
pub fn bot() -> bool {
    contract::bot()
}

/// In which of `count` buckets the visitor falls for this salt: 0 to `count` - 1, stable for each visitor, without a
/// cookie. Different salts give independent buckets; a `count` of 0 is a failure of the policy.
#[must_use]
pub fn bucket(salt: &str, count: u32) -> u32 {
    contract::bucket(salt, count)
}
