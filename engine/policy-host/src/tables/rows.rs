//! The rows of a table: one piece of memory with all keys and values, and an index into it.
//!
//! A row is the length of its key, the key, the length of its value and the value. The index is a
//! hash table with open addressing: a place has the offset of a row, and a byte of its hash, so that
//! nearly all rows that are read are those that were meant. Four of five places are taken.

use std::hash::{BuildHasher as _, Hasher as _};

use foldhash::fast::RandomState;
use tero_config::{TableKind, forms};

use super::network::NetworkKey;
use super::table_error::{TableError, shown};
use super::{MAX_TABLE_KEY_BYTES, MAX_TABLE_VALUE_BYTES};

/// The rows of a table.
#[derive(Debug)]
pub(super) struct Rows {
    text: Box<[u8]>,
    count: usize,
    offsets: Box<[u32]>,
    /// Of a free place 0.
    tags: Box<[u8]>,
    seed: RandomState,
    /// What kinds of keys there are, in ascending order: their lengths, or the classes of networks.
    key_classes: Box<[u16]>,
}

/// A row in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'t> {
    pub(super) key: &'t [u8],
    pub(super) value: Value<'t>,
}

/// The value of a row: a text, or the texts of its columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'t>(&'t [u8]);

impl<'t> Value<'t> {
    /// The value of a table without columns.
    pub(super) fn text(self) -> &'t str {
        std::str::from_utf8(self.0).expect("values are made from text")
    }

    /// The values of the columns.
    pub(super) fn cells(self) -> impl Iterator<Item = &'t str> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (cell, after) = piece(rest)?;
            rest = after;
            Some(Value(cell).text())
        })
    }
}

impl Rows {
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn bytes(&self) -> usize {
        self.text.len() + 4 * self.offsets.len() + self.tags.len() + 2 * self.key_classes.len()
    }

    pub(super) fn key_classes(&self) -> &[u16] {
        &self.key_classes
    }

    /// The row with this key.
    pub(super) fn find(&self, key: &[u8]) -> Option<Row<'_>> {
        self.at(hash(&self.seed, key), key)
    }

    /// The row with the longest key that `text` begins with. The bytes of `text` are hashed once,
    /// and the table is asked at each length that a key has.
    pub(super) fn longest_prefix(&self, text: &[u8]) -> Option<Row<'_>> {
        let mut hasher = self.seed.build_hasher();
        let mut hashed = 0;
        let mut found = None;
        for length in self.key_classes.iter().map(|length| usize::from(*length)) {
            let Some(new) = text.get(hashed..length) else {
                break;
            };
            new.iter().for_each(|byte| hasher.write_u8(*byte));
            hashed = length;
            found = self.at(hasher.finish(), &text[..length]).or(found);
        }
        found
    }

    fn at(&self, hash: u64, key: &[u8]) -> Option<Row<'_>> {
        let tag = tag(hash);
        let mut place = place(hash, self.tags.len());
        loop {
            match self.tags[place] {
                0 => return None,
                other if other == tag => {
                    let row = row(&self.text, self.offsets[place]);
                    if row.key == key {
                        return Some(row);
                    }
                }
                _ => {}
            }
            place += 1;
            if place == self.tags.len() {
                place = 0;
            }
        }
    }
}

/// The bytes one after the other: so the hash of a text is also that of each of its beginnings.
fn hash(seed: &RandomState, key: &[u8]) -> u64 {
    let mut hasher = seed.build_hasher();
    key.iter().for_each(|byte| hasher.write_u8(*byte));
    hasher.finish()
}

fn tag(hash: u64) -> u8 {
    (hash as u8).max(1)
}

/// The first place for a hash among so many: by its upper half, whose bits no tag has.
fn place(hash: u64, places: usize) -> usize {
    (((hash >> 32) * places as u64) >> 32) as usize
}

/// A length and so many bytes, and what follows them.
fn piece(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length = 0;
    for (index, byte) in text.iter().enumerate().take(5) {
        length |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return text[index + 1..].split_at_checked(length);
        }
    }
    None
}

fn row(text: &[u8], offset: u32) -> Row<'_> {
    let (key, rest) = piece(&text[offset as usize..]).expect("a row begins here");
    let (value, _) = piece(rest).expect("a row has a value");
    Row {
        key,
        value: Value(value),
    }
}

/// Collects the rows of a table.
#[derive(Debug)]
pub(super) struct RowWriter {
    kind: TableKind,
    text: Vec<u8>,
    offsets: Vec<u32>,
    /// The line of each row, if its format tells lines.
    lines: Vec<u32>,
    /// The cells of a row while they are written.
    cells: Vec<u8>,
}

impl RowWriter {
    /// For a table whose file has so many bytes.
    pub(super) fn new(kind: TableKind, file_bytes: usize) -> RowWriter {
        RowWriter {
            kind,
            text: Vec::with_capacity(file_bytes),
            offsets: Vec::new(),
            lines: Vec::new(),
            cells: Vec::new(),
        }
    }

    /// Adds a row with one value.
    pub(super) fn push(
        &mut self,
        line: Option<u64>,
        key: &str,
        value: &str,
    ) -> Result<(), TableError> {
        self.key(line, key)?;
        check_value(line, key, value)?;
        put(&mut self.text, value.as_bytes());
        Ok(())
    }

    /// Adds a row with the values of columns.
    pub(super) fn push_cells<'c>(
        &mut self,
        line: Option<u64>,
        key: &str,
        cells: impl Iterator<Item = &'c str>,
    ) -> Result<(), TableError> {
        self.key(line, key)?;
        self.cells.clear();
        for cell in cells {
            check_value(line, key, cell)?;
            put(&mut self.cells, cell.as_bytes());
        }
        put(&mut self.text, &self.cells);
        Ok(())
    }

    fn key(&mut self, line: Option<u64>, key: &str) -> Result<(), TableError> {
        let Ok(offset) = u32::try_from(self.text.len()) else {
            return Err(TableError::new(
                line,
                "the table has over 4 GiB",
                "divide it into several tables",
            ));
        };
        match self.kind {
            TableKind::Keys => {
                check_key(line, key)?;
                put(&mut self.text, key.as_bytes());
            }
            TableKind::Networks => {
                let network = forms::network(key.trim()).map_err(|mistake| {
                    let (problem, cure) = (mistake.problem, mistake.cure);
                    TableError::new(line, problem, cure)
                })?;
                put(&mut self.text, NetworkKey::of(network).as_bytes());
            }
        }
        self.offsets.push(offset);
        if let Some(line) = line {
            self.lines.push(u32::try_from(line).unwrap_or(u32::MAX));
        }
        Ok(())
    }

    /// The rows with their index.
    pub(super) fn finish(self) -> Result<Rows, TableError> {
        let count = self.offsets.len();
        let places = count + count / 4 + 1;
        let mut rows = Rows {
            text: self.text.into_boxed_slice(),
            count,
            offsets: vec![0; places].into(),
            tags: vec![0; places].into(),
            seed: RandomState::default(),
            key_classes: Box::default(),
        };
        let mut classes = vec![false; MAX_TABLE_KEY_BYTES + 1];
        for offset in &self.offsets {
            let key = row(&rows.text, *offset).key;
            let class = match self.kind {
                TableKind::Keys => key.len(),
                TableKind::Networks => usize::from(key[0]),
            };
            classes[class] = true;
            let hash = hash(&rows.seed, key);
            if rows.at(hash, key).is_some() {
                return Err(duplicate(
                    self.kind,
                    key,
                    &rows.text,
                    &self.offsets,
                    &self.lines,
                ));
            }
            let mut place = place(hash, places);
            while rows.tags[place] != 0 {
                place = (place + 1) % places;
            }
            rows.tags[place] = tag(hash);
            rows.offsets[place] = *offset;
        }
        rows.key_classes = (0..)
            .zip(classes)
            .filter_map(|(class, is_there)| is_there.then_some(class))
            .collect();
        Ok(rows)
    }
}

fn put(text: &mut Vec<u8>, bytes: &[u8]) {
    let mut length = bytes.len();
    while length >= 0x80 {
        text.push((length & 0x7F) as u8 | 0x80);
        length >>= 7;
    }
    text.push(length as u8);
    text.extend_from_slice(bytes);
}

fn check_key(line: Option<u64>, key: &str) -> Result<(), TableError> {
    if key.is_empty() {
        return Err(TableError::new(
            line,
            "the key is empty",
            "give each row a key, or remove the row",
        ));
    }
    if key.len() > MAX_TABLE_KEY_BYTES {
        let problem = format!("the key `{}` has {} bytes", shown(key), key.len());
        let cure = format!("a key has at most {MAX_TABLE_KEY_BYTES} bytes");
        return Err(TableError::new(line, problem, cure));
    }
    if key.contains(char::is_control) {
        let problem = format!("the key `{}` has a control character", shown(key));
        return Err(TableError::new(line, problem, "remove it"));
    }
    if key.trim() != key {
        let problem = format!("the key `{}` begins or ends with a space", shown(key));
        return Err(TableError::new(line, problem, "remove the space"));
    }
    Ok(())
}

fn check_value(line: Option<u64>, key: &str, value: &str) -> Result<(), TableError> {
    if value.len() > MAX_TABLE_VALUE_BYTES {
        let problem = format!("a value of `{}` has {} bytes", shown(key), value.len());
        let cure = format!("a value has at most {MAX_TABLE_VALUE_BYTES} bytes");
        return Err(TableError::new(line, problem, cure));
    }
    let is_bad = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
    match value.chars().find(|c| is_bad(*c)) {
        None => Ok(()),
        Some(bad) => Err(TableError::new(
            line,
            format!(
                "a value of `{}` has the control character U+{:04X}",
                shown(key),
                u32::from(bad)
            ),
            "remove it",
        )),
    }
}

/// The error about a key that comes twice.
fn duplicate(
    kind: TableKind,
    key: &[u8],
    text: &[u8],
    offsets: &[u32],
    lines: &[u32],
) -> TableError {
    let shown_key = match kind {
        TableKind::Keys => shown(&String::from_utf8_lossy(key)),
        TableKind::Networks => NetworkKey::text_of(key),
    };
    let mut places = offsets
        .iter()
        .enumerate()
        .filter(|(_, offset)| row(text, **offset).key == key)
        .map(|(number, _)| lines.get(number).copied().map(u64::from));
    let first = places.next().flatten();
    let second = places.next().flatten();
    let problem = match first {
        Some(first) => format!("the key `{shown_key}` stands in line {first} already"),
        None => format!("the key `{shown_key}` comes twice"),
    };
    TableError::new(second, problem, "remove one of the two rows")
}
