//! Places on the globe, and which of several is nearest.

use std::{
    cmp::Ordering,
    collections::HashSet,
    fmt,
    hash::{Hash, Hasher},
};

use crate::{
    invalid::{Invalid, quote},
    limits::{NEAREST_POINTS_MAX, QUESTION_BYTES_MAX},
};

const MICRO: f64 = 1e6;
const LATITUDE_MAX: f64 = 90.0;
const LONGITUDE_MAX: f64 = 180.0;

/// A place on the globe, to a millionth of a degree: 11 cm.
#[derive(Debug, Clone, Copy)]
pub struct Coordinates {
    latitude_micro: i32,
    longitude_micro: i32,
    /// Where it is seen from the globe's centre: the unit vector, so that comparing distances needs no angles.
    direction: [f64; 3],
}

impl Coordinates {
    /// The place at these degrees north and east.
    ///
    /// # Errors
    /// [`Invalid`] when one of them is past its end, or no number.
    pub fn new(latitude: f64, longitude: f64) -> Result<Self, Invalid> {
        let latitude_micro = micro("latitude", latitude, LATITUDE_MAX)?;
        let longitude_micro = micro("longitude", longitude, LONGITUDE_MAX)?;
        let north = degrees(latitude_micro).to_radians();
        let east = degrees(longitude_micro).to_radians();
        Ok(Self {
            latitude_micro,
            longitude_micro,
            direction: [north.cos() * east.cos(), north.cos() * east.sin(), north.sin()],
        })
    }

    /// Degrees north and east.
    #[must_use]
    pub fn degrees(&self) -> (f64, f64) {
        (degrees(self.latitude_micro), degrees(self.longitude_micro))
    }

    /// The square of the straight line through the globe, which grows as the great circle's arc does. Near places are
    /// told apart by it to centimetres, where the angle's cosine is flat.
    fn chord_squared(&self, other: &Self) -> f64 {
        let pairs = self.direction.iter().zip(other.direction);
        pairs.map(|(one, other)| (one - other) * (one - other)).sum()
    }

    const fn identity(&self) -> (i32, i32) {
        (self.latitude_micro, self.longitude_micro)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "180 million at most, and a whole number once rounded"
)]
fn micro(what: &'static str, degrees: f64, max: f64) -> Result<i32, Invalid> {
    // A NaN is in no range.
    if !(-max..=max).contains(&degrees) {
        let expected = format!("a number of degrees from -{max} to {max}");
        return Err(Invalid::other(what, degrees.to_string(), expected));
    }
    Ok((degrees * MICRO).round() as i32)
}

fn degrees(micro: i32) -> f64 {
    f64::from(micro) / MICRO
}

impl PartialEq for Coordinates {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Coordinates {}

impl PartialOrd for Coordinates {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Coordinates {
    fn cmp(&self, other: &Self) -> Ordering {
        self.identity().cmp(&other.identity())
    }
}

impl Hash for Coordinates {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl fmt::Display for Coordinates {
    /// Degrees north and east: `52.52 13.405`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} {}",
            degrees(self.latitude_micro),
            degrees(self.longitude_micro)
        )
    }
}

/// Named places to choose from: at most [`NEAREST_POINTS_MAX`], each name once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Points(Box<[(Box<str>, Coordinates)]>);

impl Points {
    /// These places: name, degrees north, degrees east.
    ///
    /// # Errors
    /// [`Invalid`] when there are too many, a name is there twice, or one is nowhere on the globe.
    pub fn new<N: Into<Box<str>>>(points: impl IntoIterator<Item = (N, f64, f64)>) -> Result<Self, Invalid> {
        let points = points.into_iter().map(|(name, north, east)| (name.into(), north, east));
        let points: Vec<(Box<str>, f64, f64)> = points.collect();
        if points.len() > NEAREST_POINTS_MAX {
            let found = format!("{} of them", points.len());
            return Err(Invalid::other("points", found, format!("at most {NEAREST_POINTS_MAX}")));
        }
        let bytes: usize = points.iter().map(|(name, ..)| name.len()).sum();
        if bytes > QUESTION_BYTES_MAX {
            let found = format!("{bytes} bytes of names");
            return Err(Invalid::other("points", found, format!("at most {QUESTION_BYTES_MAX}")));
        }
        let mut names = HashSet::new();
        if let Some((name, ..)) = points.iter().find(|(name, ..)| !names.insert(name)) {
            let found = format!("{} twice", quote(name));
            return Err(Invalid::other("points", found, "each name once"));
        }
        let placed = points.into_iter().map(|(name, north, east)| {
            let place = Coordinates::new(north, east).map_err(|invalid| Invalid {
                found: format!("{} of {}", invalid.found, quote(&name)),
                ..invalid
            })?;
            Ok((name, place))
        });
        placed.collect::<Result<_, _>>().map(Self)
    }

    /// The name of the one nearest to `place` by great circle, the first of those equally near; none when there are
    /// none.
    #[must_use]
    pub fn nearest(&self, place: &Coordinates) -> Option<&str> {
        let distances = self.0.iter().map(|(name, point)| (name, point.chord_squared(place)));
        // The first of the smallest: `min_by` says so.
        let nearest = distances.min_by(|(_, one), (_, other)| one.total_cmp(other));
        nearest.map(|(name, _)| &**name)
    }

    /// What it holds outside itself, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let names: usize = self.0.iter().map(|(name, _)| name.len()).sum();
        names + size_of_val::<[(Box<str>, Coordinates)]>(&self.0)
    }
}

impl fmt::Display for Points {
    /// In their order: `"fra" 50.11 8.68, "nyc" 40.71 -74`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, place)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(formatter, "{comma}{} {place}", quote(name))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Coordinates, Points};
    use crate::limits::{NEAREST_POINTS_MAX, QUESTION_BYTES_MAX};

    const CITIES: [(&str, f64, f64); 5] = [
        ("fra", 50.1109, 8.6821),
        ("nyc", 40.7128, -74.006),
        ("sin", 1.3521, 103.8198),
        ("syd", -33.8688, 151.2093),
        ("akl", -36.8485, 174.7633),
    ];

    fn at(latitude: f64, longitude: f64) -> Coordinates {
        Coordinates::new(latitude, longitude).expect("on the globe")
    }

    fn nearest(points: &[(&str, f64, f64)], latitude: f64, longitude: f64) -> Option<String> {
        let points = Points::new(points.iter().copied()).expect("points");
        points.nearest(&at(latitude, longitude)).map(str::to_owned)
    }

    #[test]
    fn the_nearest_is_found_over_poles_and_the_date_line() {
        for (latitude, longitude, expected) in [
            (52.52, 13.405, "fra"),
            (42.36, -71.06, "nyc"),
            (13.75, 100.5, "sin"),
            // Tonga, east of the date line.
            (-21.14, -175.2, "akl"),
            (-90.0, 0.0, "akl"),
            (90.0, 17.0, "fra"),
        ] {
            let found = nearest(&CITIES, latitude, longitude);
            assert_eq!(found.as_deref(), Some(expected), "{latitude} {longitude}");
        }
        assert_eq!(nearest(&[], 0.0, 0.0), None);
        // Metres apart.
        let close = [("a", 50.0, 8.0), ("b", 50.0001, 8.0)];
        assert_eq!(nearest(&close, 50.00006, 8.0).as_deref(), Some("b"));
    }

    #[test]
    fn of_those_equally_near_the_first_is_taken() {
        let one = ("one", 10.0, 20.0);
        let same = ("same", 10.0, 20.0);
        assert_eq!(nearest(&[one, same], 3.0, 4.0).as_deref(), Some("one"));
        assert_eq!(nearest(&[same, one], 3.0, 4.0).as_deref(), Some("same"));
        let (north, south) = (("north", 30.0, 5.0), ("south", -30.0, 5.0));
        assert_eq!(nearest(&[south, north], 0.0, 77.0).as_deref(), Some("south"));
        assert_eq!(nearest(&[north, south], 0.0, 77.0).as_deref(), Some("north"));
    }

    #[test]
    fn points_that_are_nowhere_too_many_or_ambiguous_are_refused() {
        let refused = |points: &[(&str, f64, f64)]| match Points::new(points.iter().copied()) {
            Ok(_) => "none".to_owned(),
            Err(error) => error.to_string(),
        };
        for (latitude, longitude, expected) in [
            (
                90.000_001,
                0.0,
                "latitude: found 90.000001 of \"x\", expected a number of degrees from -90 to 90",
            ),
            (
                f64::NAN,
                0.0,
                "latitude: found NaN of \"x\", expected a number of degrees from -90 to 90",
            ),
            (
                0.0,
                -180.5,
                "longitude: found -180.5 of \"x\", expected a number of degrees from -180 to 180",
            ),
            (
                0.0,
                f64::INFINITY,
                "longitude: found inf of \"x\", expected a number of degrees from -180 to 180",
            ),
        ] {
            assert_eq!(refused(&[("x", latitude, longitude)]), expected);
        }
        let twice = [("x", 0.0, 0.0), ("y", 0.0, 0.0), ("x", 1.0, 1.0)];
        assert_eq!(refused(&twice), "points: found \"x\" twice, expected each name once");
        let names: Vec<String> = (0..=NEAREST_POINTS_MAX).map(|number| number.to_string()).collect();
        let many: Vec<_> = names.iter().map(|name| (name.as_str(), 0.0, 0.0)).collect();
        assert_eq!(refused(&many), "points: found 65 of them, expected at most 64");
        assert_eq!(refused(&many[1..]), "none");
        let long = "x".repeat(QUESTION_BYTES_MAX + 1);
        assert_eq!(
            refused(&[(&long, 0.0, 0.0)]),
            "points: found 8193 bytes of names, expected at most 8192"
        );
        assert_eq!(refused(&[(&long[1..], 90.0, -180.0)]), "none");
    }

    #[test]
    fn points_are_told_apart_by_name_place_and_order() {
        let points = |points: &[(&str, f64, f64)]| Points::new(points.iter().copied()).expect("points");
        assert_eq!(points(&[("a", 0.0, -0.0)]), points(&[("a", -0.0, 0.000_000_4)]));
        assert_ne!(points(&[("a", 0.0, 0.0)]), points(&[("a", 0.0, 0.000_001)]));
        assert_ne!(points(&[("a", 0.0, 0.0)]), points(&[("b", 0.0, 0.0)]));
        assert_ne!(points(&CITIES[..2]), points(&[CITIES[1], CITIES[0]]));
        assert_eq!(
            points(&CITIES[..2]).to_string(),
            r#""fra" 50.1109 8.6821, "nyc" 40.7128 -74.006"#
        );
    }

    /// The arc by the formula of haversines, in radians.
    fn arc(one: (f64, f64), other: (f64, f64)) -> f64 {
        let (north, south) = (one.0.to_radians(), other.0.to_radians());
        let half = |angle: f64| (angle / 2.0).sin().powi(2);
        let haversine = half(north - south) + north.cos() * south.cos() * half((one.1 - other.1).to_radians());
        2.0 * haversine.sqrt().min(1.0).asin()
    }

    fn places() -> impl Strategy<Value = (f64, f64)> {
        (-90.0_f64..=90.0, -180.0_f64..=180.0)
    }

    proptest! {
        #[test]
        fn no_other_point_is_nearer(
            visitor in places(),
            points in prop::collection::vec(places(), 1..NEAREST_POINTS_MAX),
        ) {
            let named = points.iter().enumerate().map(|(index, (north, east))| (index.to_string(), *north, *east));
            let named = Points::new(named).expect("points");
            let nearest = named.nearest(&at(visitor.0, visitor.1)).expect("one at least");
            let nearest = arc(visitor, points[nearest.parse::<usize>().expect("an index")]);
            for point in points {
                // Within what rounding to a millionth of a degree moves both.
                prop_assert!(arc(visitor, point) >= nearest - 1e-7, "{:?} {:?}", visitor, point);
            }
        }
    }
}
