//! The file as it is written: a tree of values that remember where they stand, from TOML or from
//! JSON.
//!
//! It is a tree, not a set of structs, so that one walk finds every mistake: a derived reader stops
//! at the first.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// A value and the bytes of the file that it takes.
#[derive(Clone, Debug, PartialEq)]
pub struct RawValue {
    /// Where it stands, in bytes.
    pub at: Range<usize>,
    /// What it is.
    pub kind: RawKind,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub enum RawKind {
    /// `null`, in JSON only.
    Null,
    /// True or false.
    Flag(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// A text, its escapes resolved.
    Text(String),
    /// A date or a time as it is written, in TOML only.
    Datetime(String),
    /// A list.
    List(Vec<RawValue>),
    /// A table, or an object of JSON.
    Table(Vec<RawEntry>),
}

/// A key of a table with its value, in the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct RawEntry {
    /// The key, without quotes.
    pub key: String,
    /// Where the key stands, in bytes.
    pub key_at: Range<usize>,
    /// Its value.
    pub value: RawValue,
}

/// Why a text is not TOML or JSON.
#[derive(Clone, Debug)]
pub struct SyntaxError {
    /// Where reading stopped, in bytes.
    pub at: Range<usize>,
    /// Why, in lower case.
    pub problem: String,
}

impl RawValue {
    /// The kind of the value, in words for messages.
    pub fn describe(&self) -> &'static str {
        match self.kind {
            RawKind::Null => "nothing (null)",
            RawKind::Flag(_) => "true or false",
            RawKind::Integer(_) => "a whole number",
            RawKind::Float(_) => "a number with a fraction",
            RawKind::Text(_) => "a text",
            RawKind::Datetime(_) => "a date or time",
            RawKind::List(_) => "a list",
            RawKind::Table(_) => "a table",
        }
    }

    /// As JSON text, keys in the order of the file.
    pub fn to_json(&self) -> String {
        let mut json = String::new();
        self.write_json(&mut json);
        json
    }

    fn write_json(&self, out: &mut String) {
        match &self.kind {
            RawKind::Null => out.push_str("null"),
            RawKind::Flag(flag) => out.push_str(if *flag { "true" } else { "false" }),
            RawKind::Integer(number) => out.push_str(&number.to_string()),
            // JSON has no infinity; `serde_json` writes null, which a policy then refuses by name.
            RawKind::Float(number) => out.push_str(&serde_json::Value::from(*number).to_string()),
            RawKind::Text(text) | RawKind::Datetime(text) => out.push_str(&quote(text)),
            RawKind::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(comma_before(index));
                    item.write_json(out);
                }
                out.push(']');
            }
            RawKind::Table(entries) => {
                out.push('{');
                for (index, entry) in entries.iter().enumerate() {
                    out.push_str(comma_before(index));
                    out.push_str(&quote(&entry.key));
                    out.push(':');
                    entry.value.write_json(out);
                }
                out.push('}');
            }
        }
    }
}

/// The first entry of a table with that key.
pub(crate) fn find<'a>(entries: &'a [RawEntry], key: &str) -> Option<&'a RawValue> {
    entries
        .iter()
        .find(|entry| entry.key == key)
        .map(|entry| &entry.value)
}

fn comma_before(index: usize) -> &'static str {
    if index > 0 { "," } else { "" }
}

/// `text` as a JSON string, which is a TOML basic string too.
pub fn quote(text: &str) -> String {
    // Every character below 0x20 and the quotes are escaped; DEL alone is legal in JSON and not in
    // TOML.
    serde_json::Value::from(text)
        .to_string()
        .replace('\u{7f}', "\\u007f")
}

/// Reads TOML.
///
/// # Errors
/// Every place where the text is not TOML.
pub fn from_toml(text: &str) -> Result<RawValue, Vec<SyntaxError>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(errors
            .iter()
            .map(|error| SyntaxError {
                at: error.span().unwrap_or(0..0),
                problem: error.message().replace('\n', ", "),
            })
            .collect());
    }
    let at = table.span();
    Ok(RawValue {
        at,
        kind: RawKind::Table(entries(table.into_inner())),
    })
}

fn entries(table: DeTable<'_>) -> Vec<RawEntry> {
    table
        .into_iter()
        .map(|(key, value)| RawEntry {
            key_at: key.span(),
            key: key.into_inner().into_owned(),
            value: value_of(value.span(), value.into_inner()),
        })
        .collect()
}

fn value_of(at: Range<usize>, value: DeValue<'_>) -> RawValue {
    let kind = match value {
        DeValue::String(text) => RawKind::Text(text.into_owned()),
        // Past 64 bits only its size matters, and every range ends far below.
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(RawKind::Float(f64::MAX), RawKind::Integer),
        DeValue::Float(number) => RawKind::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => RawKind::Flag(flag),
        DeValue::Datetime(time) => RawKind::Datetime(time.to_string()),
        DeValue::Array(items) => RawKind::List(
            items
                .into_iter()
                .map(|item| value_of(item.span(), item.into_inner()))
                .collect(),
        ),
        DeValue::Table(table) => RawKind::Table(entries(table)),
    };
    RawValue { at, kind }
}

/// Reads JSON.
///
/// # Errors
/// The first place where the text is not JSON.
pub fn from_json(text: &str) -> Result<RawValue, SyntaxError> {
    // serde_json checks the whole text first, its depth included, so the walk below sees good JSON
    // only.
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        let line_start: usize = text
            .split_inclusive('\n')
            .take(error.line().saturating_sub(1))
            .map(str::len)
            .sum();
        let at = (line_start + error.column().saturating_sub(1)).min(text.len());
        let message = error.to_string();
        let problem = message
            .split(" at line ")
            .next()
            .unwrap_or(&message)
            .to_owned();
        return Err(SyntaxError {
            at: at..at,
            problem,
        });
    }
    let mut reader = JsonReader { text, at: 0 };
    Ok(reader.value())
}

struct JsonReader<'a> {
    text: &'a str,
    at: usize,
}

impl JsonReader<'_> {
    fn value(&mut self) -> RawValue {
        self.skip_space();
        let start = self.at;
        let kind = match self.peek() {
            b'{' => self.table(),
            b'[' => self.list(),
            b'"' => RawKind::Text(self.string()),
            _ => self.scalar(),
        };
        RawValue {
            at: start..self.at,
            kind,
        }
    }

    fn table(&mut self) -> RawKind {
        let mut entries = Vec::new();
        self.at += 1;
        loop {
            self.skip_separators();
            if self.peek() != b'"' {
                self.at += 1;
                return RawKind::Table(entries);
            }
            let start = self.at;
            let key = self.string();
            let key_at = start..self.at;
            self.skip_separators();
            entries.push(RawEntry {
                key,
                key_at,
                value: self.value(),
            });
        }
    }

    fn list(&mut self) -> RawKind {
        let mut items = Vec::new();
        self.at += 1;
        loop {
            self.skip_separators();
            if matches!(self.peek(), b']' | 0) {
                self.at += 1;
                return RawKind::List(items);
            }
            items.push(self.value());
        }
    }

    fn string(&mut self) -> String {
        let start = self.at;
        self.at += 1;
        while !matches!(self.peek(), b'"' | 0) {
            self.at += if self.peek() == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
        serde_json::from_str(&self.text[start..self.at]).unwrap_or_default()
    }

    fn scalar(&mut self) -> RawKind {
        let rest = &self.text[self.at..];
        let length = rest
            .find(|end: char| end.is_ascii_whitespace() || matches!(end, ',' | ']' | '}'))
            .unwrap_or(rest.len())
            .max(1);
        let word = &rest[..length.min(rest.len())];
        self.at += length;
        match word {
            "true" => RawKind::Flag(true),
            "false" => RawKind::Flag(false),
            "null" => RawKind::Null,
            number => match number.parse::<i64>() {
                Ok(number) => RawKind::Integer(number),
                Err(_) => RawKind::Float(number.parse().unwrap_or(f64::NAN)),
            },
        }
    }

    /// The next byte; 0 at the end, since JSON never holds a zero byte.
    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn skip_space(&mut self) {
        while self.peek().is_ascii_whitespace() {
            self.at += 1;
        }
    }

    fn skip_separators(&mut self) {
        while self.peek().is_ascii_whitespace() || matches!(self.peek(), b',' | b':') {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_with_positions_and_in_order() {
        let text = "{ \"b\": [1, -2.5, \"é\\\"}\"],\n  \"a\": { \"yes\": true, \"none\": null } }";
        let value = from_json(text).unwrap();
        assert_eq!(
            value.to_json(),
            r#"{"b":[1,-2.5,"é\"}"],"a":{"yes":true,"none":null}}"#
        );
        let RawKind::Table(entries) = &value.kind else {
            panic!("a table was expected")
        };
        assert_eq!(&text[entries[1].key_at.clone()], "\"a\"");
        assert_eq!(&text[entries[0].value.at.clone()], "[1, -2.5, \"é\\\"}\"]");
    }

    #[test]
    fn bad_json_is_refused_with_its_place() {
        for (text, at) in [("{", 0), ("{\"a\": tru}", 9), ("", 0), ("[1,\n  x]", 6)] {
            let unreadable = from_json(text).unwrap_err();
            assert_eq!(unreadable.at.start, at, "{text}: {}", unreadable.problem);
        }
        let deep = "[".repeat(100_000);
        assert!(from_json(&deep).is_err());
    }

    #[test]
    fn toml_becomes_json_in_the_order_of_the_file() {
        let value =
            from_toml("z = 1\n[a]\ny = [true, \"x\"]\nb = { q = 1.5, p = 1979-05-27 }\n").unwrap();
        assert_eq!(
            value.to_json(),
            r#"{"z":1,"a":{"y":[true,"x"],"b":{"q":1.5,"p":"1979-05-27"}}}"#
        );
    }

    #[test]
    fn every_syntax_error_of_toml_is_recorded() {
        let errors = from_toml("a = \nb = 1\nc = [1\n").unwrap_err();
        assert!(errors.len() >= 2, "{errors:?}");
    }

    #[test]
    fn deeply_nested_toml_is_refused() {
        assert!(from_toml(&format!("a = {}", "[".repeat(100_000))).is_err());
    }
}
