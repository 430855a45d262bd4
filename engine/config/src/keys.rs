//! What may be written: a table of the file with its keys, and their reference as Markdown.

use std::fmt::Write as _;

use Fallback::{Required, Rule, Value};
use Form::{
    Count, Duration, Flag, Nested, NestedList, Number, OneOf, Size, SomeOf, Table, Text, Texts,
};

/// A table of the file.
#[derive(Debug)]
pub struct Section {
    /// As it is written in the file: `[server]`, `[[site]]`.
    pub header: &'static str,
    /// Without brackets.
    pub name: &'static str,
    /// What the table is about, in one sentence of Markdown.
    pub doc: &'static str,
    /// Its keys, in the order of the documentation.
    pub keys: &'static [ConfigKey],
}

/// A key of a section.
#[derive(Debug)]
pub struct ConfigKey {
    /// As it is written in the file.
    pub name: &'static str,
    /// What its value looks like.
    pub form: Form,
    /// What holds if it is not written.
    pub fallback: Fallback,
    /// What it means, in Markdown.
    pub doc: &'static str,
}

/// What the value of a key looks like. Both bounds belong to the range.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// A text; the words describe it.
    Text(&'static str),
    /// A list of texts; the words describe one of them.
    Texts(&'static str),
    /// True or false.
    Flag,
    /// A whole number.
    Count(u64, u64),
    /// A number.
    Number(f64, f64),
    /// A duration with its unit.
    Duration(&'static str, &'static str),
    /// A number of bytes with its unit.
    Size(&'static str, &'static str),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of any of these words.
    SomeOf(&'static [&'static str]),
    /// A table of any keys.
    Table,
    /// A table with keys of its own.
    Nested(&'static Section),
    /// Any number of tables with keys of their own.
    NestedList(&'static Section),
}

/// What holds if the key is not written.
#[derive(Clone, Copy, Debug)]
pub enum Fallback {
    /// The key is required.
    Required,
    /// This value of TOML.
    Value(&'static str),
    /// What the words say.
    Rule(&'static str),
}

/// Makes a key of a section.
pub const fn key(
    name: &'static str,
    form: Form,
    fallback: Fallback,
    doc: &'static str,
) -> ConfigKey {
    ConfigKey {
        name,
        form,
        fallback,
        doc,
    }
}

impl Section {
    /// The key of that name.
    ///
    /// # Panics
    /// If the section has no such key.
    pub fn key(&self, name: &str) -> &'static ConfigKey {
        self.keys
            .iter()
            .find(|key| key.name == name)
            .unwrap_or_else(|| panic!("{} has no key {name}", self.header))
    }
}

impl Form {
    /// What to write, in Markdown.
    pub fn describe(self) -> String {
        match self {
            Text(words) => words.to_owned(),
            Texts(words) => format!("a list of: {words}"),
            Flag => "`true` or `false`".to_owned(),
            Count(min, max) => format!("{} to {}", thousands(min), thousands(max)),
            Number(min, max) => format!("{min} to {max}"),
            Duration(min, max) | Size(min, max) => format!("`\"{min}\"` to `\"{max}\"`"),
            OneOf(words) => list(words, "or"),
            SomeOf(words) => format!("a list of any of: {}", list(words, "and")),
            Table | Nested(_) => "a table".to_owned(),
            NestedList(section) => format!("tables `{}`", section.header),
        }
    }
}

/// The reference of these sections as Markdown: a table of keys for each, then the units.
pub fn tables(sections: &[&Section]) -> String {
    let mut markdown = String::new();
    for section in sections {
        let _ = writeln!(markdown, "### `{}`\n\n{}\n", section.header, section.doc);
        markdown.push_str("| key | value | default | meaning |\n|---|---|---|---|\n");
        for key in section.keys {
            let _ = writeln!(markdown, "{}", row(key));
        }
        markdown.push('\n');
    }
    markdown.push_str(UNITS);
    markdown
}

fn row(key: &ConfigKey) -> String {
    let form = key.form.describe();
    let fallback = match key.fallback {
        Required => "required".to_owned(),
        // A long value is broken into lines when it becomes text.
        Value(value) => format!(
            "`{}`",
            value.split_whitespace().collect::<Vec<_>>().join(" ")
        ),
        Rule(words) => words.to_owned(),
    };
    format!("| `{}` | {form} | {fallback} | {} |", key.name, key.doc)
}

const UNITS: &str = "A duration is a whole number and a unit: `ms`, `s`, `min`, `h`, `d` or `y` (365 days). \
    A size is a whole number and a unit: `B`, `KiB`, `MiB`, `GiB`, `TiB` (by 1024) or `KB`, `MB`, `GB`, \
    `TB` (by 1000). Unknown keys are refused.\n";

/// `` `"a"`, `"b"` or `"c"` ``
fn list(words: &[&str], last: &str) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
    match words.split_last() {
        Some((end, start)) if !start.is_empty() => format!("{} {last} {end}", start.join(", ")),
        _ => words.concat(),
    }
}

/// `1,000,000`
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
