//! Which functions of the contract a component can call: what it can ask, more closely than by the interfaces.

use std::collections::BTreeSet;

use wasmparser::{Parser, Payload};

const PACKAGE: &str = "wayside:policy/";

/// The functions that the component's core modules import, in the words of the contract: `request.header`. Of bytes that
/// are no component, those that can be read.
#[must_use]
pub fn functions(component: &[u8]) -> BTreeSet<String> {
    let payloads = Parser::new(0).parse_all(component).map_while(Result::ok);
    let sections = payloads.filter_map(|payload| match payload {
        Payload::ImportSection(section) => Some(section),
        _ => None,
    });
    let imports = sections.flat_map(|section| section.into_imports().map_while(Result::ok));
    let asked = imports.filter_map(|import| {
        let (interface, _) = import.module.strip_prefix(PACKAGE)?.split_once('@')?;
        Some(format!("{interface}.{}", import.name))
    });
    asked.collect()
}
