//! The only place that writes to standard output.
//!
//! In: JSON as the API gives it, or a line of text. Out: a table for people or JSON for programs. A reader that has gone
//! away, as `head` does, is no failure: nothing more is written then, and the command ends as if all had been.

use std::io::{self, ErrorKind, Write as _};

use anyhow::Context as _;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use serde_json::Value;

use crate::dates;

/// How results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// Columns for people
    #[default]
    Table,
    /// JSON for programs
    Json,
}

/// Whether anybody still reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    Somebody,
    Nobody,
}

/// Writes a line, whatever the format.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    write(&format!("{text}\n")).map(drop)
}

/// Writes one of many lines, and says whether anybody still reads.
pub(crate) fn heard(text: &str) -> anyhow::Result<Heard> {
    write(&format!("{text}\n"))
}

/// Writes text as it stands, whatever the format.
pub(crate) fn text(text: &str) -> anyhow::Result<()> {
    write(text).map(drop)
}

/// Says that something was done: in a sentence for people, as a document for programs.
pub(crate) fn done(format: Format, sentence: &str, document: &Value) -> anyhow::Result<()> {
    match format {
        Format::Table => line(&printable(sentence)),
        Format::Json => json(document),
    }
}

/// Shows one thing: a field a line, those of nested objects by their whole path, those named in `first` before others.
pub(crate) fn record(format: Format, value: &Value, first: &[&str]) -> anyhow::Result<()> {
    match format {
        Format::Table => write(&fields_text(value, first)).map(drop),
        Format::Json => json(value),
    }
}

/// Writes a document.
pub(crate) fn json(document: &Value) -> anyhow::Result<()> {
    line(&format!("{document:#}"))
}

/// Many things of one kind, shown part by part: one table, whose columns stand below those of the first part, or one
/// JSON document `{"items": […]}`, as the API has it.
pub(crate) struct Listing<'l> {
    format: Format,
    columns: &'l [&'l str],
    is_begun: bool,
    /// What each column of the first part needed.
    widths: Vec<u16>,
}

impl<'l> Listing<'l> {
    /// A listing whose table has these fields as columns. JSON has them all.
    pub(crate) const fn new(format: Format, columns: &'l [&'l str]) -> Self {
        Self {
            format,
            columns,
            is_begun: false,
            widths: Vec::new(),
        }
    }

    /// Shows the next items.
    pub(crate) fn show(&mut self, items: &[Value]) -> anyhow::Result<Heard> {
        if items.is_empty() {
            return Ok(Heard::Somebody);
        }
        let text = match self.format {
            Format::Table => rows_text(self.columns, items, &mut self.widths),
            Format::Json => elements_text(items, !self.is_begun),
        };
        self.is_begun = true;
        write(&text)
    }

    /// Ends the listing.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        match (self.format, self.is_begun) {
            (Format::Json, true) => line(ELEMENTS_END),
            (Format::Json, false) => line(r#"{"items": []}"#),
            (Format::Table, true) => Ok(()),
            (Format::Table, false) => write(&rows_text(self.columns, &[], &mut self.widths)).map(drop),
        }
    }
}

/// The rows of a part, under titles when it is the first, for which `widths` is still empty.
fn rows_text(columns: &[&str], items: &[Value], widths: &mut Vec<u16>) -> String {
    let mut table = plain_table();
    let is_first = widths.is_empty();
    if is_first {
        table.add_row(columns.iter().map(|column| title(column)));
    }
    for item in items {
        table.add_row(columns.iter().map(|column| cell(column, &item[*column])));
    }
    if is_first {
        *widths = table.column_max_content_widths();
    } else {
        // A constraint counts the space on both sides of a column.
        let at_least = |width: &u16| ColumnConstraint::LowerBoundary(Width::Fixed(width.saturating_add(2)));
        table.set_constraints(widths.iter().map(at_least));
    }
    lines(&table)
}

/// A column's title: `expires_at` is headed EXPIRES.
fn title(column: &str) -> String {
    let words = column.strip_suffix("_at").unwrap_or(column);
    words.to_uppercase().replace('_', " ")
}

/// What stands before the first item, and after the last.
const ELEMENTS_BEGIN: &str = "{\"items\": [";
const ELEMENTS_END: &str = "\n]}";

/// An item a line, so that a long list can be read while it comes.
fn elements_text(items: &[Value], is_first: bool) -> String {
    let mut text = String::new();
    for (index, item) in items.iter().enumerate() {
        text.push_str(if is_first && index == 0 { ELEMENTS_BEGIN } else { "," });
        text.push_str(&format!("\n  {item}"));
    }
    text
}

fn fields_text(value: &Value, first: &[&str]) -> String {
    let mut table = plain_table();
    let mut fields = Vec::new();
    flatten("", value, &mut fields);
    let rank = |name: &str| first.iter().position(|field| *field == name).unwrap_or(first.len());
    // Stable: those without a rank keep their order.
    fields.sort_by_key(|(name, _)| rank(name));
    for (name, text) in fields {
        table.add_row([name, text]);
    }
    lines(&table)
}

fn flatten(name: &str, value: &Value, fields: &mut Vec<(String, String)>) {
    let Some(object) = value.as_object().filter(|object| !object.is_empty()) else {
        let key = name.rsplit('.').next().unwrap_or_default();
        fields.push((printable(name), cell(key, value)));
        return;
    };
    for (key, value) in object {
        let name = if name.is_empty() {
            key.clone()
        } else {
            format!("{name}.{key}")
        };
        flatten(&name, value, fields);
    }
}

/// One field's text. A field whose name ends in `_at` is an instant, in seconds since 1970.
fn cell(name: &str, value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(is_so) => (if *is_so { "yes" } else { "no" }).to_owned(),
        Value::Number(number) => match number.as_u64() {
            Some(seconds) if name.ends_with("_at") => dates::show(seconds),
            _ => number.to_string(),
        },
        Value::String(text) => printable(text),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| cell(name, item)).collect();
            items.join(", ")
        }
        Value::Object(object) if object.is_empty() => "-".to_owned(),
        Value::Object(object) => {
            let pairs: Vec<String> = object
                .iter()
                .map(|(key, value)| format!("{}={}", printable(key), cell(key, value)))
                .collect();
            pairs.join(", ")
        }
    }
}

/// Text that cannot command the terminal, nor break a row.
fn printable(text: &str) -> String {
    let escape = |character: char| -> String {
        if character.is_control() {
            character.escape_default().collect()
        } else {
            character.to_string()
        }
    };
    text.chars().map(escape).collect()
}

fn plain_table() -> Table {
    let mut table = Table::new();
    // Neither borders nor wrapped lines: a row is a line, for `grep` too.
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn lines(table: &Table) -> String {
    table.lines().map(|line| format!("{}\n", line.trim())).collect()
}

fn write(text: &str) -> anyhow::Result<Heard> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(Heard::Somebody),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Heard::Nobody),
        Err(error) => Err(error).context("write to standard output"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{ELEMENTS_END, elements_text, fields_text, rows_text};

    #[test]
    fn a_table_has_a_row_for_each_item_and_no_borders() {
        let items = [
            json!({"path": "/a", "status": 302, "tags": ["x", "y"], "expires_at": null}),
            json!({"path": "/longer", "status": 301, "tags": [], "expires_at": 1_767_225_600}),
        ];
        let columns = ["path", "status", "tags", "expires_at"];
        let text = rows_text(&columns, &items, &mut Vec::new());
        let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[0], ["PATH", "STATUS", "TAGS", "EXPIRES"]);
        assert_eq!(words[1], ["/a", "302", "x,", "y", "-"]);
        assert_eq!(words[2], ["/longer", "301", "-", "2026-01-01T00:00:00Z"]);
        assert!(
            text.lines().all(|line| !line.starts_with(' ') && !line.ends_with(' ')),
            "{text}"
        );
    }

    #[test]
    fn later_parts_of_a_listing_stand_below_the_first() {
        let mut widths = Vec::new();
        let first = rows_text(&["a", "b"], &[json!({"a": "a-long-one", "b": 1})], &mut widths);
        let later = rows_text(&["a", "b"], &[json!({"a": "x", "b": 2})], &mut widths);
        assert_eq!(first, "A           B\na-long-one  1\n");
        assert_eq!(later, "x           2\n");
    }

    #[test]
    fn the_parts_of_a_listing_make_one_json_document() {
        let parts = [
            vec![json!({"a": "x\ny"}), json!({"a": [1, 2]})],
            vec![json!({"a": null})],
        ];
        let text = format!(
            "{}{}{ELEMENTS_END}",
            elements_text(&parts[0], true),
            elements_text(&parts[1], false)
        );
        let whole: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(whole, json!({ "items": parts.concat() }));
    }

    #[test]
    fn a_record_shows_nested_fields_by_their_path() {
        let text = fields_text(
            &json!({"edge": {"ready": true, "started_at": 0}, "name": "x", "none": {}}),
            &["name"],
        );
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            rows,
            [
                vec!["name", "x"],
                vec!["edge.ready", "yes"],
                vec!["edge.started_at", "1970-01-01T00:00:00Z"],
                vec!["none", "-"]
            ]
        );
    }

    #[test]
    fn what_others_wrote_cannot_command_the_terminal() {
        let text = fields_text(&json!({"name": "a\u{1b}[2Jb\nc"}), &[]);
        assert!(!text.contains('\u{1b}'), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}
