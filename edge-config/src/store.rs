//! Where an origin's record is, when it is not in a file.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};
use url::Url;

const EXPECTED: &str = "a URL such as `postgres://user@host/database`, without a password after `?`";
/// What is shown in a password's place.
const MASK: &str = "********";

/// The URL of a Postgres database. It may hold a password: printing it, by `Debug` or as configuration, shows a mask, and
/// errors about it do not repeat it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl(Url);

impl StoreUrl {
    /// The URL, when it is one of Postgres's.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let is_postgres = matches!(url.scheme(), "postgres" | "postgresql");
        // A password there would be shown.
        let hides_password = url.query_pairs().any(|(name, _)| name == "password");
        let has_database = url.path().len() > 1;
        (is_postgres && has_database && !hides_password && url.fragment().is_none()).then_some(Self(url))
    }

    /// The URL itself, with the password.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it holds a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.0.password().is_some()
    }

    fn masked(&self) -> String {
        let mut url = self.0.clone();
        if url.password().is_some() && url.set_password(Some(MASK)).is_err() {
            return MASK.to_owned();
        }
        url.into()
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.masked())
    }
}

impl Serialize for StoreUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.masked())
    }
}

impl<'de> Deserialize<'de> for StoreUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(StoreUrlVisitor)
    }
}

struct StoreUrlVisitor;

impl Visitor<'_> for StoreUrlVisitor {
    type Value = StoreUrl;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<StoreUrl, E> {
        StoreUrl::new(text).ok_or_else(|| {
            E::custom(format_args!(
                "invalid value: a text that is no such URL, expected {EXPECTED}"
            ))
        })
    }
}

impl JsonSchema for StoreUrl {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "StoreUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "uri", "examples": ["postgres://wayside@db.example/wayside"] })
    }
}

#[cfg(test)]
mod tests {
    use super::StoreUrl;

    #[test]
    fn a_password_is_never_shown() {
        let url = StoreUrl::new("postgres://wayside:hunter2@db.example:5433/wayside?sslmode=require").expect("a URL");
        assert!(url.has_password() && url.reveal().contains("hunter2"));
        let shown = [format!("{url:?}"), serde_json::to_string(&url).expect("JSON")];
        for shown in shown {
            assert!(
                !shown.contains("hunter2") && shown.contains("db.example:5433/wayside?sslmode=require"),
                "{shown}"
            );
        }
        let error = serde_json::from_str::<StoreUrl>(r#""mysql://wayside:hunter2@db/wayside""#).expect_err("no");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn a_store_is_a_database_of_postgres() {
        for good in [
            "postgres://u@h/d",
            "postgresql://u:p@h:1/d?sslmode=verify-full",
            "postgres:///d?host=/run/postgresql",
        ] {
            assert!(StoreUrl::new(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "u@h/d",
            "sqlite:///d",
            "postgres://u@h",
            "postgres://u@h/",
            "postgres://u@h/d?password=p",
        ] {
            assert!(StoreUrl::new(bad).is_none(), "{bad}");
        }
    }
}
