//! The record of a data table, which outlives a restart: its pushed versions, and which one is
//! active since when.

use std::fmt;

use serde::{Deserialize, Serialize};

use tero_config::{TableFormat, TableKind};
use tero_policy_host::tables::TableData;
use tero_semantics::timestamp::Timestamp;

/// The name of the configuration's version.
const CONFIGURATION: &str = "configuration";

/// The format of a record.
const FORMAT: u32 = 1;

/// How many earlier activations are remembered.
const MAX_PREVIOUS: usize = 32;

/// A version of a table: the configuration's, or a pushed one by its number, from 1 on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TableNumber {
    /// That of the configuration.
    #[default]
    Configured,
    /// A pushed version.
    Pushed(u64),
}

impl fmt::Display for TableNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TableNumber::Configured => formatter.write_str(CONFIGURATION),
            TableNumber::Pushed(number) => number.fmt(formatter),
        }
    }
}

/// A version of a table that was pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableVersion {
    /// Its number: the first one has 1, and none is used twice.
    pub number: u64,
    /// The SHA-256 of its content, in hexadecimal.
    pub digest: String,
    /// How it is written.
    pub format: TableFormat,
    /// How its rows are found.
    pub kind: TableKind,
    /// When it was pushed last.
    pub pushed_unix_secs: i64,
    /// The size of its content.
    pub bytes: u64,
    /// How many rows it has.
    pub rows: u64,
}

impl TableVersion {
    /// The name of its file.
    pub fn file_of(&self, table: &str) -> String {
        let (kind, format) = (self.kind.as_str(), self.format.as_str());
        format!("{table}-{kind}-{}.{format}", self.digest)
    }
}

/// The record of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TableRecord {
    /// The format of the file.
    format: u32,
    /// The pushed versions, the latest last.
    pub versions: Vec<TableVersion>,
    /// The version that decides.
    pub active: TableNumber,
    /// When it was activated; `None` if no version ever was.
    pub since_unix_secs: Option<i64>,
    /// The versions that were active before, the latest last.
    previous: Vec<TableNumber>,
    /// The number of the next version.
    next: u64,
}

impl Default for TableRecord {
    fn default() -> TableRecord {
        TableRecord {
            format: FORMAT,
            versions: Vec::new(),
            active: TableNumber::Configured,
            since_unix_secs: None,
            previous: Vec::new(),
            next: 1,
        }
    }
}

/// A text names no version of a table.
#[derive(Debug, thiserror::Error)]
#[error("`{version}` {problem} of the table `{table}`; its versions are {known}")]
pub struct UnknownTableVersion {
    table: String,
    version: String,
    /// Whether it names none, or may name several.
    problem: &'static str,
    known: String,
}

/// Why a file does not hold a record.
#[derive(Debug, thiserror::Error)]
pub enum TableRecordError {
    /// It is not the JSON of a record.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A newer version of tero wrote it.
    #[error("it has format {0}, which a newer version of tero wrote")]
    Newer(u32),
    /// Its values contradict each other.
    #[error("{0}")]
    Nonsense(&'static str),
}

#[derive(Deserialize)]
struct AnyTableRecord {
    #[serde(default)]
    format: u32,
}

impl TableRecord {
    /// A record of versions of which none is active.
    pub(super) fn of(versions: Vec<TableVersion>) -> TableRecord {
        let next = versions.iter().map(|version| version.number + 1).max();
        TableRecord {
            versions,
            next: next.unwrap_or(1),
            ..TableRecord::default()
        }
    }

    /// Reads a record from JSON.
    ///
    /// # Errors
    /// [`TableRecordError`]
    pub fn parse(bytes: &[u8]) -> Result<TableRecord, TableRecordError> {
        if let Ok(AnyTableRecord { format }) = serde_json::from_slice(bytes)
            && format > FORMAT
        {
            return Err(TableRecordError::Newer(format));
        }
        let record: TableRecord = serde_json::from_slice(bytes)?;
        let is_digest = |text: &str| {
            let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            text.len() == 64 && text.bytes().all(is_digit)
        };
        if !record
            .versions
            .iter()
            .all(|version| is_digest(&version.digest))
        {
            return Err(TableRecordError::Nonsense("a version has no digest"));
        }
        let mut numbers = record.versions.iter().map(|version| version.number);
        if numbers.any(|number| number == 0 || number >= record.next) {
            return Err(TableRecordError::Nonsense(
                "a version has no number of its own",
            ));
        }
        let named = [record.active]
            .into_iter()
            .chain(record.previous.iter().copied());
        let is_known = |number: TableNumber| match number {
            TableNumber::Configured => true,
            TableNumber::Pushed(number) => record.version(number).is_some(),
        };
        if !named.into_iter().all(is_known) {
            return Err(TableRecordError::Nonsense(
                "it names a version that it has not",
            ));
        }
        Ok(record)
    }

    /// Writes the record as JSON, with a line feed at the end.
    ///
    /// # Errors
    /// If `serde_json` fails.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// The pushed version with that number.
    pub fn version(&self, number: u64) -> Option<&TableVersion> {
        let mut versions = self.versions.iter();
        versions.find(|version| version.number == number)
    }

    /// The version that a roll-back leads to.
    pub fn leads_back_to(&self) -> Option<TableNumber> {
        let mut earlier = self.previous.iter().rev();
        earlier.find(|version| **version != self.active).copied()
    }

    /// The version that `text` names: `configuration`, a number, or the beginning of one digest
    /// only. A number of a version goes before a digest.
    ///
    /// # Errors
    /// [`UnknownTableVersion`]
    pub(super) fn number(
        &self,
        table: &str,
        text: &str,
    ) -> Result<TableNumber, UnknownTableVersion> {
        if text == CONFIGURATION {
            return Ok(TableNumber::Configured);
        }
        let number = text.parse().ok().and_then(|number| self.version(number));
        if let Some(version) = number {
            return Ok(TableNumber::Pushed(version.number));
        }
        let begins = |version: &&TableVersion| !text.is_empty() && version.digest.starts_with(text);
        let meant: Vec<&TableVersion> = self.versions.iter().filter(begins).collect();
        let problem = match meant.as_slice() {
            [version] => return Ok(TableNumber::Pushed(version.number)),
            [] => "is not a version",
            _ => "may mean several versions",
        };
        let known = self.versions.iter().map(|version| {
            let digest = version.digest.get(..12).unwrap_or(&version.digest);
            format!("{} ({digest})", version.number)
        });
        let known: Vec<String> = known.chain([CONFIGURATION.to_owned()]).collect();
        Err(UnknownTableVersion {
            table: table.to_owned(),
            version: text.escape_debug().to_string(),
            problem,
            known: known.join(", "),
        })
    }

    /// Adds a version, or the same one again, and has it decide from `now` on. Gives the version, and
    /// whether it was there.
    pub(super) fn push(&mut self, data: &TableData, now: Timestamp) -> (TableVersion, bool) {
        let kind = data.table.kind();
        let same = self.versions.iter().position(|version| {
            (&version.digest, version.format, version.kind) == (&data.digest, data.format, kind)
        });
        let known = same.map(|index| self.versions.remove(index));
        let was_known = known.is_some();
        let number = known.map_or(self.next, |version| version.number);
        self.next = self.next.max(number + 1);
        let version = TableVersion {
            number,
            digest: data.digest.clone(),
            format: data.format,
            kind,
            pushed_unix_secs: now.unix_secs(),
            bytes: data.file_bytes,
            rows: data.table.rows() as u64,
        };
        self.versions.push(version.clone());
        self.activate(TableNumber::Pushed(number), now);
        (version, was_known)
    }

    /// Notes that a version decides from `now` on. The way back to the version before leaves no
    /// trace, so that the next one leads further back.
    pub(super) fn activate(&mut self, version: TableNumber, now: Timestamp) {
        if version == self.active {
            self.since_unix_secs.get_or_insert(now.unix_secs());
            return;
        }
        let is_back = self.leads_back_to() == Some(version);
        let before = std::mem::replace(&mut self.active, version);
        if is_back {
            while self
                .previous
                .pop()
                .is_some_and(|earlier| earlier != version)
            {}
        } else {
            self.previous.push(before);
        }
        let surplus = self.previous.len().saturating_sub(MAX_PREVIOUS);
        self.previous.drain(..surplus);
        self.since_unix_secs = Some(now.unix_secs());
    }

    /// Removes the oldest versions beyond `max` that are not in use.
    pub(super) fn thin_out(&mut self, max: usize) {
        let surplus = self.versions.len().saturating_sub(max);
        let in_use = [Some(self.active), self.leads_back_to()];
        let numbers = self.versions.iter().map(|version| version.number);
        let gone: Vec<u64> = numbers
            .filter(|number| !in_use.contains(&Some(TableNumber::Pushed(*number))))
            .take(surplus)
            .collect();
        let is_gone = |number: &u64| gone.contains(number);
        self.versions.retain(|version| !is_gone(&version.number));
        self.previous
            .retain(|version| !matches!(version, TableNumber::Pushed(number) if is_gone(number)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(record: &mut TableRecord, text: &str) -> (u64, bool) {
        let data = TableData::of(text.as_bytes(), TableFormat::Csv, TableKind::Keys).unwrap();
        let (version, was_known) = record.push(&data, Timestamp::from_unix_secs(5));
        (version.number, was_known)
    }

    #[test]
    fn a_record_is_read_back_and_nonsense_is_refused() {
        let mut record = TableRecord::default();
        push(&mut record, "a,1\n");
        push(&mut record, "a,2\n");
        let text = String::from_utf8(record.to_bytes().unwrap()).unwrap();
        assert_eq!(TableRecord::parse(text.as_bytes()).unwrap(), record);
        assert_eq!(TableRecord::parse(b"{}").unwrap(), TableRecord::default());
        for (written, wrong) in [
            ("\"active\": 2", "\"active\": 3"),
            ("\"active\": 2", "\"active\": -1"),
            ("\"next\": 3", "\"next\": 2"),
            ("\"number\": 1", "\"number\": 0"),
            ("\"format\": 1", "\"format\": 2"),
            ("\"kind\": \"keys\"", "\"kind\": \"other\""),
            (&*record.versions[0].digest, "../../elsewhere"),
            ("\"next\"", "\"later\""),
        ] {
            assert!(text.contains(written), "{written}: {text}");
            let bad = text.replacen(written, wrong, 1);
            assert!(TableRecord::parse(bad.as_bytes()).is_err(), "{wrong}");
        }
        for end in 0..text.len() - 1 {
            assert!(
                TableRecord::parse(&text.as_bytes()[..end]).is_err(),
                "{end}"
            );
        }
    }

    #[test]
    fn numbers_are_not_used_twice_and_roll_backs_lead_further_back() {
        let mut record = TableRecord::default();
        assert_eq!(push(&mut record, "a,1\n"), (1, false));
        assert_eq!(push(&mut record, "a,2\n"), (2, false));
        assert_eq!(push(&mut record, "a,1\n"), (1, true));
        assert_eq!(push(&mut record, "a,3\n"), (3, false));
        let now = Timestamp::from_unix_secs(9);
        let mut back = Vec::new();
        while let Some(version) = record.leads_back_to() {
            record.activate(version, now);
            back.push(version.to_string());
        }
        assert_eq!(back, ["1", "configuration"]);
        push(&mut record, "a,4\n");
        record.thin_out(1);
        assert_eq!(record.versions.len(), 1);
        assert_eq!(push(&mut record, "a,1\n"), (5, false));
        let number = |text: &str| record.number("prices", text).map(|it| it.to_string());
        assert_eq!(number("5").unwrap(), "5");
        assert_eq!(number("configuration").unwrap(), "configuration");
        let digest = record.versions[0].digest.clone();
        assert_eq!(number(&digest[..9]).unwrap(), "4");
        for unknown in ["", "6", "1", "x"] {
            let error = number(unknown).unwrap_err().to_string();
            assert!(error.contains("its versions are 4 ("), "{error}");
        }
    }
}
