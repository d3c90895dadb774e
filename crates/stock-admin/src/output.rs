//! What a command answers: a table for people, JSON for machines.

use std::io::Write;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::Value;

/// An answer, in both forms.
pub struct Report {
    text: String,
    json: Value,
    faulty: bool,
    shown: bool,
}

impl Report {
    /// An answer whose JSON is `value`.
    pub fn new(text: impl Into<String>, value: &impl Serialize) -> Self {
        let json = serde_json::to_value(value).expect("an answer is always JSON");
        Self { text: text.into(), json, faulty: false, shown: false }
    }

    /// An answer that is text in either form.
    pub fn text(text: String) -> Self {
        Self { json: Value::String(text.clone()), text, faulty: false, shown: false }
    }

    /// An answer of which nothing is left to print.
    pub fn shown() -> Self {
        Self::text(String::new()).into_shown()
    }

    /// The same answer, printed already.
    pub fn into_shown(self) -> Self {
        Self { shown: true, ..self }
    }

    /// The same answer, but it tells of something wrong: exit code 1.
    pub fn faulty_if(mut self, faulty: bool) -> Self {
        self.faulty = faulty;
        self
    }

    /// The form for people.
    pub fn as_text(&self) -> &str {
        self.text.trim_end()
    }

    /// The form for machines, in one line.
    pub fn json_line(&self) -> String {
        self.json.to_string()
    }

    /// Prints it on stdout.
    pub fn print(&self, json: bool) {
        match (self.shown, json) {
            (true, _) => {}
            (false, true) => put(&format!("{:#}\n", self.json)),
            (false, false) => put(&format!("{}\n", self.as_text())),
        }
    }

    /// The code this process ends with.
    pub fn exit_code(&self) -> u8 {
        u8::from(self.faulty)
    }
}

/// Puts `text` on stdout. A reader that has gone away (`… | head`) is no failure: what was asked for is done.
pub fn put(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// `1 order is`, `2 orders are`, from `"order is"` and `"orders are"`.
pub fn counted(count: usize, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// `text` without what a terminal would obey or break a line at. For what strangers have sent.
pub fn harmless(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

/// A table with `header`, or else `none`, if there is nothing in it.
pub fn table_or(none: &str, header: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() { none.to_owned() } else { table(header, rows) }
}

/// Columns below which a terminal's own word on its width is not taken: some pseudo-terminals say 0, and a table
/// that broke its lines to fit would have one letter in each.
const NARROWEST_TERMINAL: u16 = 20;

/// A table with `header`, as wide as the terminal allows.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    if table.width().is_some_and(|columns| columns >= NARROWEST_TERMINAL) {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    table.to_string()
}
