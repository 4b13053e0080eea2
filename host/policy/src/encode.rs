//! From a compiled core module to a component that says what it was made of.
//!
//! In: the core module a guest toolchain produced, with the contract's types in a custom section. Out: a component,
//! and in it the digest of its sources, so that a committed component that is older than its sources is noticed, and its
//! tests, so that whoever admits it can run them. It must not know where any of these came from.

use std::borrow::Cow;

use wasm_encoder::{ComponentSection as _, CustomSection, Module, RawSection};
use wasmparser::{BinaryReaderError, Parser, Payload};
use wayside_decide::digest::Digest;
use wit_component::ComponentEncoder;

use crate::world::World;

/// The custom section that holds the digest of the sources, as 64 hexadecimal digits.
const SOURCE_SECTION: &str = "wayside:source";
/// The custom section that holds the policy's tests, as they are written.
const TESTS_SECTION: &str = "wayside:tests";

/// A core module cannot become a component.
#[derive(Debug, thiserror::Error)]
#[error("make a component of the compiled module: {reason}; expected a module built on the Wayside SDK")]
pub struct EncodeError {
    reason: String,
}

/// The component around a core module, validated.
///
/// # Errors
/// [`EncodeError`] when the module is none, lacks the contract's types, or imports what is not in them.
pub fn component(core_module: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let failed = |reason| EncodeError { reason };
    let core_module = of_its_world(core_module).map_err(|error| failed(error.to_string()))?;
    let encode = || {
        ComponentEncoder::default()
            .validate(true)
            .module(&core_module)?
            .encode()
    };
    encode().map_err(|error| failed(format!("{error:#}")))
}

/// The module without the types of the world of streams, where it is no policy of streams: the SDK describes both to
/// whoever is built on it, and a component would seem to need what it never asks for.
fn of_its_world(core_module: &[u8]) -> Result<Cow<'_, [u8]>, BinaryReaderError> {
    let mut module = Module::new();
    for payload in Parser::new(0).parse_all(core_module) {
        let payload = payload?;
        match &payload {
            Payload::ExportSection(section) => {
                for export in section.clone() {
                    if export?.name == World::Stream.export() {
                        return Ok(Cow::Borrowed(core_module));
                    }
                }
            }
            Payload::CustomSection(section) if is_of_streams(section.name()) => continue,
            _ => {}
        }
        if let Some((id, range)) = payload.as_section() {
            let at = |place| usize::try_from(place).unwrap_or(usize::MAX);
            let data = core_module.get(at(range.start)..at(range.end)).unwrap_or_default();
            module.section(&RawSection { id, data });
        }
    }
    Ok(Cow::Owned(module.finish()))
}

/// Whether a section describes the world of streams, as the guests' bindings name it.
fn is_of_streams(section: &str) -> bool {
    section.starts_with("component-type:") && section.contains(":stream-policy")
}

/// The same component, with the digest of its sources at its end.
#[must_use]
pub fn with_source(component: Vec<u8>, source: Digest) -> Vec<u8> {
    with_section(component, SOURCE_SECTION, &source.to_string())
}

/// The same component, with its tests at its end.
#[must_use]
pub fn with_tests(component: Vec<u8>, tests: &str) -> Vec<u8> {
    with_section(component, TESTS_SECTION, tests)
}

fn with_section(mut component: Vec<u8>, name: &str, text: &str) -> Vec<u8> {
    let section = CustomSection {
        name: name.into(),
        data: Cow::Borrowed(text.as_bytes()),
    };
    section.append_to_component(&mut component);
    component
}

/// The digest of the sources a component was built from; none when it does not say, or is no component.
#[must_use]
pub fn source(component: &[u8]) -> Option<Digest> {
    Digest::parse(section(component, SOURCE_SECTION)?).ok()
}

/// The tests a component brings along; none when it brings none, or is no component.
#[must_use]
pub fn tests(component: &[u8]) -> Option<&str> {
    section(component, TESTS_SECTION)
}

/// The text of the component's own section of this name, the first where there are more.
fn section<'c>(component: &'c [u8], name: &str) -> Option<&'c str> {
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload.ok()? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section) if depth == 0 && section.name() == name => {
                return std::str::from_utf8(section.data()).ok();
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use wayside_decide::digest::Digest;

    use super::{component, source, tests, with_source, with_tests};

    #[test]
    fn the_digest_of_the_sources_can_be_read_back() {
        let plain = wat::parse_str("(component (core module))").expect("component");
        assert_eq!(source(&plain), None);
        let digest = Digest::of(b"sources");
        let marked = with_tests(with_source(plain, digest), "[[test]]");
        assert_eq!((source(&marked), tests(&marked)), (Some(digest), Some("[[test]]")));
    }

    #[test]
    fn what_holds_no_digest_has_none() {
        assert_eq!(source(b""), None);
        assert_eq!(source(b"\x7fELF"), None);
        // Inside a nested module it says nothing about the component.
        let nested =
            wat::parse_str("(component (core module (@custom \"wayside:source\" \"00\")))").expect("component");
        assert_eq!(source(&nested), None);
    }

    #[test]
    fn a_module_without_the_contract_is_refused() {
        let module = wat::parse_str("(module (import \"env\" \"f\" (func)))").expect("module");
        assert!(component(&module).is_err());
        assert!(component(b"nothing").is_err());
    }
}
