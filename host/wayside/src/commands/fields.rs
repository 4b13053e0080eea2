//! Things of the API that have many fields: read as JSON out of a file or from the origin, changed field by field, and
//! written whole, for the API knows no partial change.

use std::path::Path;

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use super::file::read_at_most;

/// The fields of a thing.
pub(super) type Fields = Map<String, Value>;

/// Longest file with one thing, in bytes.
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// What a file says, without what the origin only tells: what was shown can be written. Nothing without a file.
pub(super) fn from_file(file: Option<&Path>, told_only: &[&str]) -> anyhow::Result<Fields> {
    let read = file.map(read).transpose()?.unwrap_or_default();
    Ok(without(read, told_only))
}

/// Reads an object out of a file; of standard input, when it is called `-`.
fn read(path: &Path) -> anyhow::Result<Fields> {
    let text = read_at_most(path, FILE_BYTES_MAX)?;
    serde_json::from_slice(&text).with_context(|| format!("{}: expected a JSON object", path.display()))
}

/// The fields of a thing that the origin showed.
pub(super) fn of(shown: Value) -> anyhow::Result<Fields> {
    serde_json::from_value(shown).context("read it as it is")
}

/// The fields without those that the origin only tells.
pub(super) fn without(mut fields: Fields, told_only: &[&str]) -> Fields {
    fields.retain(|name, _| !told_only.contains(&name.as_str()));
    fields
}

/// Sets a field when a value was named.
pub(super) fn set(fields: &mut Fields, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        fields.insert(name.to_owned(), value.into());
    }
}

/// Sets a field that is a list, when items were named; the one item `none` empties it.
pub(super) fn set_list(fields: &mut Fields, name: &str, items: Vec<String>) {
    if !items.is_empty() {
        let items: Vec<String> = items.into_iter().filter(|item| item != "none").collect();
        fields.insert(name.to_owned(), json!(items));
    }
}

/// The fields of a thing within a thing, made when there is none.
pub(super) fn within<'f>(fields: &'f mut Fields, name: &str) -> anyhow::Result<&'f mut Fields> {
    let inner = fields.entry(name).or_insert(Value::Null);
    if inner.is_null() {
        *inner = json!({});
    }
    inner
        .as_object_mut()
        .with_context(|| format!("{name}: expected an object"))
}

/// Reads a whole number; `none` for no such thing.
pub(super) fn number_or_none(text: &str) -> Result<Value, String> {
    if text == "none" {
        return Ok(Value::Null);
    }
    let number: u64 = text.parse().map_err(|_| "expected a whole number, or `none`")?;
    Ok(number.into())
}

/// Reads some text; `none` for no such thing.
#[allow(clippy::unnecessary_wraps, reason = "clap asks for a result")]
pub(super) fn text_or_none(text: &str) -> Result<Value, String> {
    Ok(Some(text).filter(|text| *text != "none").into())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Fields, from_file, number_or_none, of, read, set, set_list, text_or_none, within, without};

    #[test]
    fn only_what_is_named_changes() {
        let shown = json!({"name": "a", "urls": ["x"], "probe": null, "updated_at": 1});
        let mut fields = without(of(shown).expect("fields"), &["updated_at"]);
        set(&mut fields, "weight", None::<u32>);
        set(&mut fields, "cost", Some(3));
        set(&mut fields, "sessions_max", Some(number_or_none("none").expect("none")));
        set_list(&mut fields, "urls", vec![]);
        set(within(&mut fields, "probe").expect("an object"), "path", Some("up"));
        let expected = json!({"name": "a", "urls": ["x"], "probe": {"path": "up"}, "cost": 3, "sessions_max": null});
        assert_eq!(Value::from(fields.clone()), expected);
        set_list(&mut fields, "urls", vec!["none".to_owned()]);
        assert_eq!(fields["urls"], json!([]));
        within(&mut fields, "name").expect_err("no object");
    }

    #[test]
    fn none_is_nothing() {
        assert_eq!(number_or_none("7"), Ok(json!(7)));
        number_or_none("-1").expect_err("no number");
        assert_eq!(
            (text_or_none("none"), text_or_none("up")),
            (Ok(Value::Null), Ok(json!("up")))
        );
    }

    #[test]
    fn a_file_holds_an_object() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("target.json");
        std::fs::write(&path, r#"{"name": "a"}"#).expect("a file");
        assert_eq!(
            read(&path).expect("fields"),
            Fields::from_iter([("name".to_owned(), "a".into())])
        );
        let written = from_file(Some(&path), &["name"]).expect("fields");
        assert_eq!(
            (written, from_file(None, &[]).expect("none")),
            (Fields::new(), Fields::new())
        );
        std::fs::write(&path, "[]").expect("a file");
        let refused = format!("{:#}", read(&path).expect_err("a list"));
        assert!(refused.contains("target.json: expected a JSON object"), "{refused}");
        read(&folder.path().join("none")).expect_err("no file");
    }
}
