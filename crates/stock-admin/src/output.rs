//! What a command answers: a table for people, JSON for machines.

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::Value;

/// An answer, in both forms.
pub struct Report {
    text: String,
    json: Value,
    faulty: bool,
}

impl Report {
    /// An answer whose JSON is `value`.
    pub fn new(text: impl Into<String>, value: &impl Serialize) -> Self {
        let json = serde_json::to_value(value).expect("an answer is always JSON");
        Self { text: text.into(), json, faulty: false }
    }

    /// An answer that is text in either form.
    pub fn text(text: String) -> Self {
        Self { json: Value::String(text.clone()), text, faulty: false }
    }

    /// The same answer, but it tells of something wrong: exit code 1.
    pub fn faulty_if(mut self, faulty: bool) -> Self {
        self.faulty = faulty;
        self
    }

    /// Prints it on stdout.
    pub fn print(&self, json: bool) {
        if json {
            println!("{:#}", self.json);
        } else {
            println!("{}", self.text.trim_end());
        }
    }

    /// The code this process ends with.
    pub fn exit_code(&self) -> u8 {
        u8::from(self.faulty)
    }
}

/// A table with `header`.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    table.to_string()
}
