//! The nearest target on the globe.

/// Degrees from the equator to a pole.
const LATITUDE_MAX: f64 = 90.0;
/// Degrees from Greenwich to the other side.
const LONGITUDE_MAX: f64 = 180.0;

/// What is no place.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{what}: found {found}, expected a number of degrees from -{max} to {max}")]
pub struct NoPlace {
    what: &'static str,
    found: f64,
    max: f64,
}

/// A place on the globe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// The direction from the globe's centre, of length 1: comparing distances then needs no angles.
    direction: [f64; 3],
}

impl Place {
    /// The place at these degrees north and east.
    ///
    /// # Errors
    /// [`NoPlace`] when one of them is past its end, or no number.
    pub fn new(latitude: f64, longitude: f64) -> Result<Self, NoPlace> {
        let north = radians("latitude", latitude, LATITUDE_MAX)?;
        let east = radians("longitude", longitude, LONGITUDE_MAX)?;
        Ok(Self {
            direction: [north.cos() * east.cos(), north.cos() * east.sin(), north.sin()],
        })
    }

    /// The square of the straight line through the globe: it grows as the way over the surface does, and tells near
    /// places apart, where the angle's cosine is flat.
    fn chord_squared(&self, other: &Self) -> f64 {
        let pairs = self.direction.iter().zip(other.direction);
        pairs.map(|(one, other)| (one - other).powi(2)).sum()
    }
}

fn radians(what: &'static str, degrees: f64, max: f64) -> Result<f64, NoPlace> {
    // A NaN is in no range.
    if (-max..=max).contains(&degrees) {
        Ok(degrees.to_radians())
    } else {
        Err(NoPlace {
            what,
            found: degrees,
            max,
        })
    }
}

/// The available target that is nearest to `from`, the first of equals; none when none is available.
pub fn pick(from: &Place, targets: &[Place], is_available: impl Fn(usize) -> bool) -> Option<usize> {
    let available = targets.iter().enumerate().filter(|(index, _)| is_available(*index));
    let nearest =
        available.min_by(|(_, one), (_, other)| from.chord_squared(one).total_cmp(&from.chord_squared(other)));
    nearest.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::{Place, pick};

    /// The angle between two places by the formula of haversines: another way than the one under test.
    fn angle(from: (f64, f64), to: (f64, f64)) -> f64 {
        let (north, other_north) = (from.0.to_radians(), to.0.to_radians());
        let haversine = |angle: f64| (angle / 2.0).sin().powi(2);
        let east = (to.1 - from.1).to_radians();
        let sum = haversine(other_north - north) + north.cos() * other_north.cos() * haversine(east);
        2.0 * sum.sqrt().min(1.0).asin()
    }

    #[test]
    fn the_date_line_is_no_edge_of_the_world() {
        let place = |north, east| Place::new(north, east).expect("a place");
        let (fiji, samoa, brisbane) = (place(-17.7, 178.0), place(-13.8, -171.8), place(-27.5, 153.0));
        assert_eq!(pick(&fiji, &[brisbane, samoa], |_| true), Some(1));
        assert_eq!(pick(&fiji, &[brisbane, samoa], |target| target == 0), Some(0));
        assert_eq!(pick(&fiji, &[], |_| true), None);
    }

    #[test]
    fn what_is_no_place_is_named() {
        let text = |north, east| Place::new(north, east).expect_err("no place").to_string();
        assert_eq!(
            text(90.5, 0.0),
            "latitude: found 90.5, expected a number of degrees from -90 to 90"
        );
        assert!(text(0.0, f64::NAN).starts_with("longitude: found NaN"));
    }

    proptest! {
        #[test]
        fn nothing_available_is_nearer_than_what_is_taken(
            from in (-90.0..=90.0_f64, -180.0..=180.0_f64),
            targets in proptest::collection::vec((-90.0..=90.0_f64, -180.0..=180.0_f64, any::<bool>()), 0..12),
        ) {
            let places: Vec<Place> =
                targets.iter().map(|(north, east, _)| Place::new(*north, *east).expect("a place")).collect();
            let picked = pick(&Place::new(from.0, from.1).expect("a place"), &places, |target| targets[target].2);
            prop_assert_eq!(picked.is_some(), targets.iter().any(|target| target.2));
            if let Some(picked) = picked {
                prop_assert!(targets[picked].2);
                let way = |target: &(f64, f64, bool)| angle(from, (target.0, target.1));
                let least = way(&targets[picked]);
                prop_assert!(targets.iter().filter(|target| target.2).all(|other| way(other) >= least - 1e-6));
            }
        }
    }
}
