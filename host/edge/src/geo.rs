//! Where an address is, from MaxMind databases (GeoIP2, GeoLite2 or any in their format).
//!
//! A database is read whole, verified and asked for its type before it is used, so that a broken file, or one that
//! knows something else, is refused with its name and never answers a visitor; a node that already serves with a good
//! one keeps it.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use maxminddb::{Reader, geoip2};

/// What is known about an address. Everything may be unknown.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Geography {
    /// ISO 3166-1 alpha-2, upper case.
    pub country: Option<String>,
    /// AF, AN, AS, EU, NA, OC or SA.
    pub continent: Option<String>,
    /// The largest subdivision, ISO 3166-2 without the country.
    pub subdivision: Option<String>,
    /// The city's name in English.
    pub city: Option<String>,
    /// IANA time zone.
    pub time_zone: Option<String>,
    /// Whether the country is in the European Union; false when unknown.
    pub in_eu: bool,
    /// Degrees north.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
    /// The autonomous system's number.
    pub asn: Option<u32>,
    /// The autonomous system's organisation.
    pub organisation: Option<String>,
}

impl Geography {
    /// What it holds outside itself, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let texts = [
            &self.country,
            &self.continent,
            &self.subdivision,
            &self.city,
            &self.time_zone,
            &self.organisation,
        ];
        texts.into_iter().flatten().map(String::len).sum()
    }
}

/// Why a database cannot be used. What the system or the reader says of it is the error's source.
#[derive(Debug, thiserror::Error)]
pub enum GeoError {
    /// The file cannot be read.
    #[error("{}: read the geography database", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is no sound MaxMind database.
    #[error("{}: expected a sound MaxMind database (.mmdb)", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: maxminddb::MaxMindDbError,
    },
    /// The file is a sound database of something else: every look-up would find nothing.
    #[error("{}: found a database of the type `{found}`, expected {expected}", path.display())]
    OtherType {
        /// The file.
        path: PathBuf,
        /// The type it names.
        found: String,
        /// The types that would do.
        expected: &'static str,
    },
}

/// What is read from a database, and how the types that hold it are called.
struct Kind {
    /// One of these is in the type's name, as in `GeoLite2-City` or `GeoIP2-City-Europe`.
    words: &'static [&'static str],
    /// The types, for whoever named another.
    expected: &'static str,
}

const PLACES: Kind = Kind {
    words: &["City", "Country", "Enterprise"],
    expected: "one of places: GeoLite2 or GeoIP2 City, Country or Enterprise",
};

const SYSTEMS: Kind = Kind {
    words: &["ASN", "ISP"],
    expected: "one of autonomous systems: GeoLite2 ASN or GeoIP2 ISP",
};

impl Kind {
    fn holds(&self, database_type: &str) -> bool {
        // Other makers name the type whose records theirs are like: `DBIP-Location-ISP (compat=Enterprise)`.
        let like = database_type.rsplit("compat=").next().unwrap_or(database_type);
        self.words.iter().any(|word| like.contains(word))
    }
}

/// The databases of one node: city or country, and autonomous systems. Without any, everything is unknown.
#[derive(Debug, Default)]
pub struct Database {
    places: Option<Reader<Vec<u8>>>,
    systems: Option<Reader<Vec<u8>>>,
}

impl Database {
    /// Reads and verifies the named databases: the first must know places, the second autonomous systems.
    ///
    /// # Errors
    /// [`GeoError`], which names the file.
    pub fn open(places: Option<&Path>, systems: Option<&Path>) -> Result<Self, GeoError> {
        Ok(Self {
            places: places.map(|path| open(path, &PLACES)).transpose()?,
            systems: systems.map(|path| open(path, &SYSTEMS)).transpose()?,
        })
    }

    /// Whether there is any database.
    #[must_use]
    pub const fn is_present(&self) -> bool {
        self.places.is_some() || self.systems.is_some()
    }

    /// What the databases say about `address`. A record that cannot be decoded counts as unknown.
    #[must_use]
    pub fn look_up(&self, address: IpAddr) -> Geography {
        let mut geography = Geography::default();
        if let Some(city) = self
            .places
            .as_ref()
            .and_then(|places| record::<geoip2::City<'_>>(places, address))
        {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            geography.country = owned(city.country.iso_code);
            geography.continent = owned(city.continent.code);
            geography.subdivision = owned(city.subdivisions.first().and_then(|subdivision| subdivision.iso_code));
            geography.city = owned(city.city.names.english);
            geography.time_zone = owned(city.location.time_zone);
            geography.in_eu = city.country.is_in_european_union.unwrap_or(false);
            geography.latitude = city.location.latitude;
            geography.longitude = city.location.longitude;
        }
        if let Some(system) = self
            .systems
            .as_ref()
            .and_then(|systems| record::<geoip2::Asn<'_>>(systems, address))
        {
            geography.asn = system.autonomous_system_number;
            geography.organisation = system.autonomous_system_organization.map(str::to_owned);
        }
        geography
    }
}

fn open(path: &Path, kind: &Kind) -> Result<Reader<Vec<u8>>, GeoError> {
    let bytes = std::fs::read(path).map_err(|source| GeoError::Read {
        path: path.to_owned(),
        source,
    })?;
    let broken = |source| GeoError::Broken {
        path: path.to_owned(),
        source,
    };
    let reader = Reader::from_source(bytes).map_err(broken)?;
    // Walks the whole tree and every record it leads to: a database that opens may still be torn further in.
    reader.verify().map_err(broken)?;
    let found = &reader.metadata().database_type;
    if !kind.holds(found) {
        return Err(GeoError::OtherType {
            path: path.to_owned(),
            found: found.clone(),
            expected: kind.expected,
        });
    }
    Ok(reader)
}

fn record<'r, T: serde::Deserialize<'r>>(reader: &'r Reader<Vec<u8>>, address: IpAddr) -> Option<T> {
    reader.lookup(address).ok()?.decode().ok()?
}

#[cfg(test)]
mod tests {
    use std::{error::Error as _, path::PathBuf};

    use super::{Database, GeoError, PLACES, SYSTEMS};

    /// MaxMind's own test databases, which the project does not copy; see CONTRIBUTING.md.
    fn shared(name: &str) -> Option<PathBuf> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/geo");
        if !folder.is_dir() {
            eprintln!("left out: needs MaxMind's test databases in ../shared/geo beside the checkout");
            return None;
        }
        Some(folder.join(name))
    }

    #[test]
    fn places_and_systems_are_found() {
        let (Some(places), Some(systems)) = (shared("GeoLite2-City-Test.mmdb"), shared("GeoLite2-ASN-Test.mmdb"))
        else {
            return;
        };
        let database = Database::open(Some(&places), Some(&systems)).expect("databases");
        let london = database.look_up("81.2.69.142".parse().expect("address"));
        assert_eq!(london.country.as_deref(), Some("GB"));
        assert_eq!(london.continent.as_deref(), Some("EU"));
        assert_eq!(london.subdivision.as_deref(), Some("ENG"));
        assert_eq!(london.city.as_deref(), Some("London"));
        assert_eq!(london.time_zone.as_deref(), Some("Europe/London"));
        assert!(!london.in_eu && london.latitude.is_some());
        assert!(database.look_up("89.160.20.112".parse().expect("address")).in_eu);
        assert_eq!(database.look_up("1.128.0.0".parse().expect("address")).asn, Some(1221));
        assert_eq!(
            database.look_up("127.0.0.1".parse().expect("address")),
            super::Geography::default()
        );
    }

    #[test]
    fn broken_databases_are_refused_by_name() {
        for name in [
            "MaxMind-DB-test-broken-pointers-24.mmdb",
            "MaxMind-DB-test-broken-search-tree-24.mmdb",
            "GeoIP2-City-Test-Broken-Double-Format.mmdb",
            "GeoIP2-City-Test-Invalid-Node-Count.mmdb",
        ] {
            let Some(path) = shared(name) else { return };
            let error = Database::open(Some(&path), None).expect_err(name);
            assert!(matches!(error, GeoError::Broken { .. }), "{error}");
            assert!(error.to_string().contains(name), "{error}");
            let cause = error.source().expect("a cause").to_string();
            assert!(!error.to_string().contains(&cause), "told twice: {error}");
        }
    }

    #[test]
    fn databases_of_something_else_are_refused_by_name_and_type() {
        for (name, kind, is_of_places) in [
            ("GeoIP2-Anonymous-IP-Test.mmdb", "GeoIP2-Anonymous-IP", true),
            ("GeoIP2-Anonymous-IP-Test.mmdb", "GeoIP2-Anonymous-IP", false),
            ("GeoLite2-ASN-Test.mmdb", "GeoLite2-ASN", true),
            ("GeoLite2-City-Test.mmdb", "GeoLite2-City", false),
        ] {
            let Some(path) = shared(name) else { return };
            let (places, systems) = if is_of_places {
                (Some(&*path), None)
            } else {
                (None, Some(&*path))
            };
            let error = Database::open(places, systems).expect_err(name).to_string();
            let expected = if is_of_places {
                PLACES.expected
            } else {
                SYSTEMS.expected
            };
            assert!(
                error.contains(name) && error.contains(&format!("`{kind}`")) && error.contains(expected),
                "{error}"
            );
        }
    }

    #[test]
    fn types_are_known_by_what_their_records_hold() {
        for (database_type, has_places, has_systems) in [
            ("GeoLite2-City", true, false),
            ("GeoIP2-City-North-America", true, false),
            ("GeoIP2-Country", true, false),
            ("GeoIP2-Enterprise", true, false),
            ("GeoLite2-ASN", false, true),
            ("GeoIP2-ISP", false, true),
            ("DBIP-City-Lite", true, false),
            ("DBIP-ASN-Lite (compat=GeoLite2-ASN)", false, true),
            ("DBIP-Location-ISP (compat=Enterprise)", true, false),
            ("GeoIP2-Anonymous-IP", false, false),
            ("GeoIP2-Connection-Type", false, false),
            ("GeoIP2-Domain", false, false),
            ("GeoIP2-User-Count", false, false),
            ("", false, false),
        ] {
            let found = (PLACES.holds(database_type), SYSTEMS.holds(database_type));
            assert_eq!(found, (has_places, has_systems), "{database_type}");
        }
    }

    #[test]
    fn what_is_no_database_is_refused() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("empty.mmdb");
        std::fs::write(&path, b"").expect("write");
        assert!(matches!(
            Database::open(Some(&path), None),
            Err(GeoError::Broken { .. })
        ));
        let missing = folder.path().join("missing.mmdb");
        assert!(matches!(
            Database::open(None, Some(&missing)),
            Err(GeoError::Read { .. })
        ));
    }
}
