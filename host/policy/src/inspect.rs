//! Looks at a component without compiling it.
//!
//! In: bytes from anybody. Out: what they import, or a refusal. Cheap by design: compiling is what an attacker wants
//! to make expensive, so whatever can be refused is refused here.

use wasmparser::{
    ComponentExternalKind, ComponentTypeRef, MemoryType, Parser, Payload, TableType, Validator, WasmFeatures,
};
use wayside_decide::{invalid::quote, limits::COMPONENT_BYTES_MAX};

use crate::{
    limits::{Class, MODULES_MAX},
    refusal::Refusal,
    world::World,
};

/// The interfaces a policy may import. `wit/policy.wit` says the same.
const INTERFACES: [&str; 10] = [
    "request",
    "visitor",
    "link",
    "clock",
    "node",
    "settings",
    "streams",
    "log",
    "decisions",
    "plans",
];

/// The package of the interfaces, and its version that is live.
const PACKAGE: &str = "wayside:policy/";
const VERSION: &str = "@1.0.0";

/// Components inside a component: those that give its exports their types.
const COMPONENTS_MAX: u32 = 16;

/// What a component says of itself.
pub(crate) struct Inspected {
    /// The world it implements.
    pub(crate) world: World,
    /// The interfaces it imports.
    pub(crate) imports: Vec<String>,
}

/// Checks everything about a component that can be told without compiling it.
pub(crate) fn inspect(component: &[u8]) -> Result<Inspected, Refusal> {
    check_kind(component)?;
    if component.len() > COMPONENT_BYTES_MAX {
        return Err(Refusal::TooLong { found: component.len() });
    }
    let mut seen = Seen::new(Class::of(component.len()));
    for payload in Parser::new(0).parse_all(component) {
        seen.payload(payload.map_err(|error| invalid(&error))?)?;
    }
    let world = world(&seen);
    for import in &seen.imports {
        check_import(import, world.as_ref().ok())?;
    }
    let world = world?;
    let mut validator = Validator::new_with_features(features());
    validator.validate_all(component).map_err(|error| invalid(&error))?;
    Ok(Inspected {
        world,
        imports: seen.imports,
    })
}

/// The world whose function it exports. What exports those of several would be bound for one thing and decide another.
fn world(seen: &Seen) -> Result<World, Refusal> {
    match seen.worlds[..] {
        [world] => Ok(world),
        _ => Err(Refusal::Export {
            found: some_of(&seen.exports),
        }),
    }
}

/// The features that are on in [`Engine`](crate::engine::Engine), so that the others are refused before compiling.
fn features() -> WasmFeatures {
    WasmFeatures::MVP
        | WasmFeatures::FLOATS
        | WasmFeatures::MUTABLE_GLOBAL
        | WasmFeatures::SATURATING_FLOAT_TO_INT
        | WasmFeatures::SIGN_EXTENSION
        | WasmFeatures::MULTI_VALUE
        | WasmFeatures::BULK_MEMORY
        | WasmFeatures::BULK_MEMORY_OPT
        | WasmFeatures::REFERENCE_TYPES
        | WasmFeatures::CALL_INDIRECT_OVERLONG
        | WasmFeatures::EXTENDED_CONST
        | WasmFeatures::COMPONENT_MODEL
}

fn invalid(error: &wasmparser::BinaryReaderError) -> Refusal {
    Refusal::Invalid {
        reason: error.to_string(),
    }
}

/// Refuses what is no component by saying what it is instead.
fn check_kind(bytes: &[u8]) -> Result<(), Refusal> {
    let (found, remedy) = match bytes {
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => return Ok(()),
        [] => ("an empty file", "build the policy first: `wayside policy build DIR`"),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => (
            "a core WebAssembly module",
            "`wayside policy build DIR` makes a component of it",
        ),
        [0, b'a', b's', b'm', ..] => (
            "WebAssembly of another version",
            "build it with the tools of component-model 1.0, such as `wayside policy build DIR`",
        ),
        [0x7f, b'E', b'L', b'F', ..] => (
            "a program or a compiled artefact (ELF, .cwasm)",
            "upload the component itself: compiled code is never accepted, each node compiles for itself",
        ),
        [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => ("a compressed file", "upload it uncompressed"),
        _ if is_text_form(bytes) => (
            "the text form of WebAssembly",
            "turn it into a binary first: `wasm-tools parse FILE -o FILE.wasm`",
        ),
        _ => {
            let start: Vec<String> = bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            return Err(Refusal::NotAComponent {
                found: format!("a file that starts with the bytes {}", start.join(" ")),
                remedy: "build the policy with `wayside policy build DIR`",
            });
        }
    };
    Err(Refusal::NotAComponent {
        found: found.to_owned(),
        remedy,
    })
}

fn is_text_form(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii_start();
    [&b"(component"[..], b"(module", b";;", b"(;"]
        .iter()
        .any(|start| text.starts_with(start))
}

fn check_import(import: &str, world: Option<&World>) -> Result<(), Refusal> {
    let interface = import.strip_prefix(PACKAGE);
    let of_version = interface.and_then(|interface| interface.strip_suffix(VERSION));
    let known = of_version.filter(|interface| INTERFACES.contains(interface));
    let is_foreign = known.is_some_and(|interface| world.is_some_and(|world| world.foreign().contains(&interface)));
    if known.is_some() && !is_foreign {
        return Ok(());
    }
    let remedy = if is_foreign {
        "only a policy that exports `plan`, of the world `stream-policy`, can ask about streams"
    } else if import.starts_with("wasi:") {
        "a policy has no WASI: build it for wasm32-unknown-unknown, and in JavaScript switch off stdio, random, clocks \
         and http"
    } else if interface.is_some() {
        "this node speaks version 1.0.0 of the contract: build the policy against that version's SDK"
    } else {
        "a policy can only ask: remove whatever needs this import"
    };
    Err(Refusal::Import {
        import: import.to_owned(),
        remedy,
    })
}

/// The first few names, quoted: they are whatever an uploader wrote.
fn some_of(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(5).map(|name| quote(name)).collect();
    match names.len().saturating_sub(shown.len()) {
        0 if shown.is_empty() => "nothing".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// What was seen of a component so far.
struct Seen {
    class: Class,
    /// How many modules and components are open around the place being read.
    depth: u32,
    modules: u32,
    components: u32,
    functions: u32,
    types: u32,
    core_imports: u32,
    imports: Vec<String>,
    exports: Vec<String>,
    /// Those whose function is exported.
    worlds: Vec<World>,
}

impl Seen {
    const fn new(class: Class) -> Self {
        Self {
            class,
            depth: 0,
            modules: 0,
            components: 0,
            functions: 0,
            types: 0,
            core_imports: 0,
            imports: Vec::new(),
            exports: Vec::new(),
            worlds: Vec::new(),
        }
    }

    fn payload(&mut self, payload: Payload<'_>) -> Result<(), Refusal> {
        match payload {
            Payload::ModuleSection { .. } => {
                self.depth += 1;
                self.modules += 1;
                self.limit("core modules", u64::from(self.modules), u64::from(MODULES_MAX))
            }
            Payload::ComponentSection { .. } => {
                self.depth += 1;
                self.components += 1;
                self.limit(
                    "nested components",
                    u64::from(self.components),
                    u64::from(COMPONENTS_MAX),
                )
            }
            Payload::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                Ok(())
            }
            Payload::TypeSection(section) => self.types(section.count()),
            Payload::CoreTypeSection(section) => self.types(section.count()),
            Payload::ComponentTypeSection(section) => self.types(section.count()),
            Payload::ImportSection(section) => {
                self.core_imports = self.core_imports.saturating_add(section.count());
                self.limit(
                    "core imports",
                    u64::from(self.core_imports),
                    u64::from(self.class.imports_max()),
                )
            }
            Payload::FunctionSection(section) => {
                self.functions = self.functions.saturating_add(section.count());
                self.limit(
                    "functions",
                    u64::from(self.functions),
                    u64::from(self.class.functions_max()),
                )
            }
            Payload::CodeSectionEntry(body) => {
                let bytes = body.range().end.saturating_sub(body.range().start);
                self.limit("a function of bytes", bytes, self.class.function_bytes_max() as u64)
            }
            Payload::MemorySection(section) => section
                .into_iter()
                .try_for_each(|memory| self.memory(&memory.map_err(|error| invalid(&error))?)),
            Payload::TableSection(section) => section
                .into_iter()
                .try_for_each(|table| self.table(&table.map_err(|error| invalid(&error))?.ty)),
            Payload::ComponentImportSection(section) if self.depth == 0 => section.into_iter().try_for_each(|import| {
                let import = import.map_err(|error| invalid(&error))?;
                // A type gives no access to anything; the world's `use decisions.{decision}` is one.
                if matches!(import.ty, ComponentTypeRef::Type(_)) {
                    return Ok(());
                }
                self.imports.push(import.name.full_name().into_owned());
                Ok(())
            }),
            Payload::ComponentExportSection(section) if self.depth == 0 => section.into_iter().try_for_each(|export| {
                let export = export.map_err(|error| invalid(&error))?;
                let of =
                    |world: &World| export.kind == ComponentExternalKind::Func && export.name.name == world.export();
                self.worlds.extend(World::ALL.into_iter().find(of));
                self.exports.push(export.name.full_name().into_owned());
                Ok(())
            }),
            _ => Ok(()),
        }
    }

    fn types(&mut self, count: u32) -> Result<(), Refusal> {
        self.types = self.types.saturating_add(count);
        self.limit("types", u64::from(self.types), u64::from(self.class.types_max()))
    }

    fn memory(&self, memory: &MemoryType) -> Result<(), Refusal> {
        let page_bytes = 1_u64 << memory.page_size_log2.unwrap_or(16).min(16);
        let bytes = memory.initial.saturating_mul(page_bytes);
        self.limit(
            "a memory whose bytes are at least",
            bytes,
            self.class.memory_bytes_max() as u64,
        )
    }

    fn table(&self, table: &TableType) -> Result<(), Refusal> {
        self.limit(
            "a table whose elements are at least",
            table.initial,
            self.class.table_elements_max() as u64,
        )
    }

    fn limit(&self, what: &'static str, found: u64, limit: u64) -> Result<(), Refusal> {
        if found <= limit {
            return Ok(());
        }
        Err(Refusal::Limit {
            what,
            found,
            limit,
            class: self.class,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{INTERFACES, VERSION, World, check_import, check_kind};

    #[test]
    fn the_interfaces_are_those_of_the_contract() {
        let contract = include_str!("../../../wit/policy.wit");
        let defined: Vec<&str> = contract
            .lines()
            .filter_map(|line| line.strip_prefix("interface ")?.strip_suffix(" {"))
            .collect();
        assert_eq!(defined, INTERFACES);
        assert!(contract.contains(&format!("package wayside:policy{VERSION};")));
    }

    #[test]
    fn an_import_is_of_the_contract_or_refused_with_a_remedy() {
        for world in World::ALL {
            assert_eq!(check_import("wayside:policy/visitor@1.0.0", Some(&world)), Ok(()));
        }
        assert_eq!(
            check_import("wayside:policy/streams@1.0.0", Some(&World::Stream)),
            Ok(())
        );
        for (import, remedy) in [
            ("wasi:cli/environment@0.2.3", "no WASI"),
            ("wayside:policy/visitor@2.0.0", "version 1.0.0"),
            ("wayside:policy/visitor", "version 1.0.0"),
            ("wayside:policy/secrets@1.0.0", "version 1.0.0"),
            ("visitor", "can only ask"),
            ("wayside:policy/streams@1.0.0", "exports `plan`"),
            ("wayside:policy/plans@1.0.0", "exports `plan`"),
        ] {
            let refusal = check_import(import, Some(&World::Redirect))
                .expect_err(import)
                .to_string();
            assert!(refusal.contains(import) && refusal.contains(remedy), "{refusal}");
        }
    }

    #[test]
    fn what_is_no_component_is_named() {
        for (bytes, name) in [
            (&b""[..], "an empty file"),
            (b"\0asm\x01\0\0\0", "a core WebAssembly module"),
            (b"\0asm\x0c\0\x01\0", "another version"),
            (b"\x7fELF\x02", ".cwasm"),
            (b"\x1f\x8b\x08", "compressed"),
            (b"\n (component)", "text form"),
            (b"<html>", "bytes 3c 68 74 6d"),
        ] {
            let refusal = check_kind(bytes).expect_err(name).to_string();
            assert!(refusal.contains(name), "{refusal}");
        }
        assert_eq!(check_kind(b"\0asm\x0d\0\x01\0"), Ok(()));
    }
}
