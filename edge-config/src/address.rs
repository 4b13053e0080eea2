//! Addresses to listen on, and networks.

use std::{borrow::Cow, fmt, net::SocketAddr};

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, IntoDeserializer as _, SeqAccess, Visitor},
};

use crate::text::parsed;

/// An address to listen on. Port 0 lets the system pick one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Listen(pub SocketAddr);

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "an IP address and a port, such as `127.0.0.1:8080` or `[::]:8080`";
        parsed(deserializer, expected, |text| text.parse().ok().map(Self))
    }
}

impl JsonSchema for Listen {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Listen".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["127.0.0.1:8080", "[::]:8080"] })
    }
}

/// A network in CIDR notation. The bits after the prefix are zero: what looks like one machine is not a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr(pub IpNet);

impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "a network such as `10.0.0.0/8` or `2001:db8::/32`, with nothing but zeros after the prefix";
        let whole = |network: &IpNet| network.trunc() == *network;
        parsed(deserializer, expected, |text| text.parse().ok().filter(whole).map(Self))
    }
}

impl JsonSchema for Cidr {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Cidr".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["10.0.0.0/8", "2001:db8::/32"] })
    }
}

/// Networks: a list, or one text with commas between them, which is how an environment variable says it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Networks(pub Vec<Cidr>);

impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NetworksVisitor)
    }
}

struct NetworksVisitor;

impl<'de> Visitor<'de> for NetworksVisitor {
    type Value = Networks;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of networks such as `[\"10.0.0.0/8\"]`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Networks, E> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        let networks = items.map(|item| Cidr::deserialize(item.into_deserializer()));
        networks.collect::<Result<_, _>>().map(Networks)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Networks, A::Error> {
        let mut networks = Vec::new();
        while let Some(network) = items.next_element()? {
            networks.push(network);
        }
        Ok(Networks(networks))
    }
}

impl JsonSchema for Networks {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Networks".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let network = generator.subschema_for::<Cidr>();
        json_schema!({ "anyOf": [{ "type": "array", "items": network }, { "type": "string" }] })
    }
}
