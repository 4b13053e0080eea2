//! The SDK for JavaScript says of the contract what `wit/policy.wit` says.

use std::{collections::BTreeSet, fs};

use crate::guests;

fn read(path: &str) -> String {
    let path = guests().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `at-or-after` as componentize-js names it: `atOrAfter`.
fn camel(name: &str) -> String {
    let mut words = name.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (initial, rest) = word.split_at(1);
        name + &initial.to_uppercase() + rest
    })
}

/// `device-class` as a type of TypeScript: `DeviceClass`.
fn pascal(name: &str) -> String {
    camel(&format!("-{name}"))
}

/// A type of the contract in TypeScript. 64 bits do not fit into a number.
fn typescript(wit: &str) -> String {
    if let Some(inner) = wit.strip_prefix("option<").and_then(|rest| rest.strip_suffix('>')) {
        return format!("{} | undefined", typescript(inner));
    }
    if let Some(inner) = wit.strip_prefix("list<").and_then(|rest| rest.strip_suffix('>')) {
        return format!("{}[]", typescript(inner));
    }
    match wit {
        "string" => "string".to_owned(),
        "bool" => "boolean".to_owned(),
        "u64" | "s64" => "bigint".to_owned(),
        "u8" | "u16" | "u32" | "s32" | "f64" => "number".to_owned(),
        named => pascal(named),
    }
}

/// Every function, record and enum of the contract as TypeScript declares it, after its interface's name.
fn expected() -> BTreeSet<String> {
    let contract = read("../wit/policy.wit");
    let mut declared = BTreeSet::new();
    let mut interface = "";
    let mut record: Option<String> = None;
    for line in contract.lines().map(str::trim).filter(|line| !line.starts_with("///")) {
        if let Some(name) = line.strip_prefix("interface ") {
            interface = name.trim_end_matches(" {");
        } else if line.starts_with("world ") {
            break;
        } else if interface == "decisions" || interface == "plans" {
            // Passed at the border, not imported: `Decision` and `StreamDecision` of the SDK, held by the shared tests of the samples.
        } else if let Some(name) = line.strip_prefix("record ") {
            record = Some(format!("{interface} interface {}", pascal(name.trim_end_matches(" {"))));
        } else if line == "}" {
            declared.extend(record.take());
        } else if let Some((name, rest)) = line.strip_prefix("enum ").and_then(|rest| rest.split_once(" { ")) {
            let cases = rest.trim_end_matches(" }").split(", ");
            let cases: Vec<String> = cases.map(|case| format!("\"{case}\"")).collect();
            declared.insert(format!("{interface} type {} = {}", pascal(name), cases.join(" | ")));
        } else if let Some((name, rest)) = line.split_once(": func(") {
            let (parameters, result) = rest.trim_end_matches(';').split_once(')').expect("a function");
            let parameters = parameters.split(", ").filter(|one| !one.is_empty()).map(|one| {
                let (name, kind) = one.split_once(": ").expect("a parameter");
                format!("{}: {}", camel(name), typescript(kind))
            });
            let parameters: Vec<String> = parameters.collect();
            let result = result
                .trim()
                .strip_prefix("-> ")
                .map_or_else(|| "void".to_owned(), typescript);
            declared.insert(format!(
                "{interface} function {}({}): {result}",
                camel(name),
                parameters.join(", ")
            ));
        } else if let (Some(record), Some((name, kind))) = (&mut record, line.trim_end_matches(',').split_once(": ")) {
            *record += &format!(" {}: {};", camel(name), typescript(kind));
        }
    }
    declared
}

/// What `contract.d.ts` declares, in the same form.
fn declared() -> BTreeSet<String> {
    let mut declared = BTreeSet::new();
    let mut interface = String::new();
    let mut record: Option<String> = None;
    for line in read("js/src/contract.d.ts").lines().map(str::trim) {
        if let Some(module) = line.strip_prefix("declare module \"wayside:policy/") {
            let (name, version) = module.split_once('@').expect("a version");
            assert_eq!(version, "1.0.0\" {");
            interface = name.to_owned();
        } else if let Some(name) = line.strip_prefix("export interface ") {
            record = Some(format!("{interface} interface {}", name.trim_end_matches(" {")));
        } else if let Some(rest) = line.strip_prefix("export ") {
            declared.insert(format!("{interface} {}", rest.trim_end_matches(';')));
        } else if line == "}" {
            declared.extend(record.take());
        } else if let Some(record) = &mut record {
            *record += &format!(" {line}");
        }
    }
    declared
}

#[test]
fn the_javascript_sdk_declares_the_contract_as_it_is() {
    let (expected, declared) = (expected(), declared());
    assert!(expected.len() > 30, "the contract was not understood: {expected:#?}");
    let missing: Vec<_> = expected.difference(&declared).collect();
    let surplus: Vec<_> = declared.difference(&expected).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "guest/js/src/contract.d.ts lacks {missing:#?} and should not have {surplus:#?}"
    );
}

/// Authors reach every question: what is declared only would be of no use to them.
#[test]
fn the_javascript_sdk_offers_every_question() {
    for line in expected() {
        let mut words = line.splitn(3, ' ');
        let (interface, kind, rest) = (words.next(), words.next(), words.next());
        let (Some(interface), Some("function"), Some(rest)) = (interface, kind, rest) else {
            continue;
        };
        let name = rest.split('(').next().expect("a name");
        let module = read(&format!("js/src/{interface}.ts"));
        assert!(
            module.contains(&format!("contract.{name}(")),
            "guest/js/src/{interface}.ts never asks {name}"
        );
        // `log.write` has a function for each level instead.
        let is_offered = interface == "log" || module.contains(&format!("export function {name}"));
        assert!(is_offered, "guest/js/src/{interface}.ts does not export {name}");
        let index = read("js/src/index.ts");
        assert!(
            index.contains(&format!("export * as {interface} ")),
            "guest/js/src/index.ts does not export {interface}"
        );
    }
}
