//! Values that must not be seen.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};

/// What is shown in a secret's place.
const MASK: &str = "********";

/// A secret. Printing it, by `Debug` or as configuration, shows a mask; so do errors about it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretVisitor)
    }
}

struct SecretVisitor;

impl Visitor<'_> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a secret text in quotes, not empty")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
        if text.is_empty() {
            return Err(E::invalid_length(0, &self));
        }
        Ok(Secret(text.to_owned()))
    }

    // Serde's own errors repeat a value of the wrong type: a secret that forgot its quotes may be a number of any size.
    fn visit_i64<E: Error>(self, _: i64) -> Result<Secret, E> {
        Err(without_quotes())
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<Secret, E> {
        Err(without_quotes())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Secret, E> {
        Err(without_quotes())
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<Secret, E> {
        Err(without_quotes())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Secret, E> {
        Err(without_quotes())
    }
}

/// The error about a secret that reads as a number.
fn without_quotes<E: Error>() -> E {
    E::custom("invalid type: a number, expected a secret text in quotes")
}

impl JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "writeOnly": true })
    }
}
