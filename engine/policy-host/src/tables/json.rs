//! Tables as JSON: an object. A text is a value as it is; any other value is its JSON text.

use std::borrow::Cow;

use serde::de::{DeserializeOwned, IgnoredAny};
use tero_config::TableKind;

use super::rows::{RowWriter, Rows};
use super::table_error::TableError;

/// Reads the rows.
pub(super) fn read(text: &str, kind: TableKind) -> Result<Rows, TableError> {
    let mut writer = RowWriter::new(kind, text.len());
    let mut json = JsonText {
        text,
        at: 0,
        line: 1,
    };
    if json.peek().is_none() {
        let cure = "write `{}` for a table without rows";
        return Err(TableError::new(None, "the file is empty", cure));
    }
    json.expect(b'{', "this is not an object")?;
    let mut is_first = true;
    while json.peek() != Some(b'}') {
        if !is_first {
            json.expect(b',', "a comma or the end of the object is missing")?;
        }
        is_first = false;
        let key: String = json.value()?;
        json.expect(b':', "a colon is missing")?;
        let line = json.line;
        let value = match json.peek() {
            Some(b'"') => Cow::Owned(json.value::<String>()?),
            _ => Cow::Borrowed(json.raw_value()?),
        };
        writer.push(Some(line), &key, &value)?;
    }
    json.expect(b'}', "the object is not closed")?;
    match json.peek() {
        None => writer.finish(),
        Some(_) => Err(json.error("something follows the object".to_owned())),
    }
}

/// JSON that is read value by value. `serde_json` reads the values; this steps over what is between
/// them, so that the text and the line of each value are known.
struct JsonText<'t> {
    text: &'t str,
    at: usize,
    line: u64,
}

impl<'t> JsonText<'t> {
    /// The first byte after white space.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        let spaces = rest.iter().take_while(is_space).count();
        self.advance(spaces);
        self.text.as_bytes().get(self.at).copied()
    }

    fn expect(&mut self, byte: u8, problem: &str) -> Result<(), TableError> {
        if self.peek() != Some(byte) {
            return Err(self.error(problem.to_owned()));
        }
        self.advance(1);
        Ok(())
    }

    fn value<T: DeserializeOwned>(&mut self) -> Result<T, TableError> {
        let mut values = serde_json::Deserializer::from_str(&self.text[self.at..]).into_iter();
        let value = match values.next() {
            Some(Ok(value)) => value,
            Some(Err(error)) => {
                self.line += error.line() as u64 - 1;
                let words = error.to_string();
                let problem = words.split(" at line ").next().unwrap_or(&words);
                return Err(self.error(problem.to_owned()));
            }
            None => return Err(self.error("the file ends within the object".to_owned())),
        };
        let length = values.byte_offset();
        self.advance(length);
        Ok(value)
    }

    fn raw_value(&mut self) -> Result<&'t str, TableError> {
        let start = self.at;
        let IgnoredAny = self.value()?;
        Ok(self.text[start..self.at].trim())
    }

    fn advance(&mut self, bytes: usize) {
        let over = &self.text.as_bytes()[self.at..self.at + bytes];
        self.line += over.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.at += bytes;
    }

    fn error(&self, problem: String) -> TableError {
        let cure = "write an object, `{\"key\": \"value\"}`";
        TableError::new(Some(self.line), problem, cure)
    }
}
