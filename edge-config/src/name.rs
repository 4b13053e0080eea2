//! Names of places.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use crate::text::parsed;

const BYTES_MAX: usize = 64;

/// The name of a region or a PoP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct PlaceName(String);

impl PlaceName {
    /// The name, when it is one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let is_of_set = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let fits = (1..=BYTES_MAX).contains(&text.len());
        (fits && text.bytes().all(is_of_set)).then(|| Self(text.to_owned()))
    }

    /// The place of a node that was told nothing.
    pub(crate) fn local() -> Self {
        Self("local".to_owned())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for PlaceName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(
            deserializer,
            "a name of 1 to 64 letters, digits, `-`, `_` or `.`",
            Self::new,
        )
    }
}

impl JsonSchema for PlaceName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PlaceName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$" })
    }
}
