//! Data tables: rows of a key and a value that policies look things up in.
//!
//! A [`Table`] never changes. A [`TableSet`] holds the table of each name; replacing one is a swap,
//! and a call keeps the tables that it began with. `csv` and `json` read the two formats, `rows`
//! holds the rows and their index, `network` the keys of networks.

mod csv;
mod json;
mod network;
mod rows;
mod table_error;
mod table_file;
mod table_set;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

use tero_config::{TableFormat, TableKind};

use network::NetworkKey;
use rows::{Rows, Value};

pub use table_error::TableError;
pub use table_file::{TableData, TableFileError};
pub use table_set::{TableSet, TableSlot};

/// The longest key, in bytes.
pub const MAX_TABLE_KEY_BYTES: usize = 1024;

/// The longest value, in bytes. With several columns, the longest of each column.
pub const MAX_TABLE_VALUE_BYTES: usize = 64 << 10;

/// The most columns beside the key.
pub const MAX_TABLE_COLUMNS: usize = 64;

/// A data table. Its text lies in one piece of memory, with an index of about six bytes per row.
#[derive(Debug)]
pub struct Table {
    version: u64,
    kind: TableKind,
    /// With several columns, the name of each as JSON with its colon.
    columns: Box<[Box<str>]>,
    rows: Rows,
}

/// A row that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRow<'t> {
    /// Its key. Of a network, the network as text.
    pub key: Cow<'t, str>,
    /// Its value.
    pub value: Cow<'t, str>,
}

impl Table {
    /// Reads a table from the content of its file. Each table has a version of its own.
    ///
    /// # Errors
    /// [`TableError`]: the line, what is wrong, and the cure.
    pub fn parse(
        content: &[u8],
        format: TableFormat,
        kind: TableKind,
    ) -> Result<Table, TableError> {
        static NEXT_VERSION: AtomicU64 = AtomicU64::new(1);
        let text = text_of(content)?;
        let (rows, columns) = match format {
            TableFormat::Csv => csv::read(text, kind)?,
            TableFormat::Json => (json::read(text, kind)?, Box::default()),
        };
        Ok(Table {
            version: NEXT_VERSION.fetch_add(1, Ordering::Relaxed),
            kind,
            columns,
            rows,
        })
    }

    /// Its number: above 0, and different from that of every other table of this process.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How its rows are found.
    pub fn kind(&self) -> TableKind {
        self.kind
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.rows.count()
    }

    /// The memory that it takes, in bytes.
    pub fn bytes(&self) -> usize {
        let columns: usize = self.columns.iter().map(|column| column.len()).sum();
        size_of::<Table>() + columns + self.rows.bytes()
    }

    /// The value of a key. The key of a table of networks is a network or an address.
    pub fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        let row = match self.kind {
            TableKind::Keys => self.rows.find(key.as_bytes())?,
            TableKind::Networks => self.rows.find(NetworkKey::of_text(key)?.as_bytes())?,
        };
        Some(self.value(row.value))
    }

    /// The row with the longest key that `text` begins with. In a table of networks, `text` is an
    /// address or a network, and the row is that of the smallest network that contains it.
    pub fn longest_prefix(&self, text: &str) -> Option<TableRow<'_>> {
        match self.kind {
            TableKind::Keys => {
                let row = self.rows.longest_prefix(text.as_bytes())?;
                let key = std::str::from_utf8(row.key).expect("keys are made from text");
                Some(TableRow {
                    key: Cow::Borrowed(key),
                    value: self.value(row.value),
                })
            }
            TableKind::Networks => {
                let asked = NetworkKey::of_text(text)?;
                let row = asked
                    .surrounding(self.rows.key_classes())
                    .find_map(|network| self.rows.find(network.as_bytes()))?;
                Some(TableRow {
                    key: Cow::Owned(NetworkKey::text_of(row.key)),
                    value: self.value(row.value),
                })
            }
        }
    }

    fn value<'t>(&'t self, value: Value<'t>) -> Cow<'t, str> {
        if self.columns.is_empty() {
            return Cow::Borrowed(value.text());
        }
        let mut object = String::from("{");
        for (name, cell) in self.columns.iter().zip(value.cells()) {
            if object.len() > 1 {
                object.push(',');
            }
            object.push_str(name);
            object.push_str(&serde_json::Value::from(cell).to_string());
        }
        object.push('}');
        Cow::Owned(object)
    }
}

/// The content as text, without a byte order mark.
fn text_of(content: &[u8]) -> Result<&str, TableError> {
    if content.starts_with(&[0xFF, 0xFE]) || content.starts_with(&[0xFE, 0xFF]) {
        return Err(TableError::new(
            Some(1),
            "the file is UTF-16",
            "save it as UTF-8",
        ));
    }
    let text = std::str::from_utf8(content).map_err(|error| {
        let good = &content[..error.valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count() as u64;
        TableError::new(Some(line), "this is not UTF-8", "save the file as UTF-8")
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}
