//! All data tables with their versions. The value never changes; it is replaced as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::data_error::DataError;
use super::table_record::{TableNumber, TableRecord};
use super::table_store::TableStore;
use tero_policy_host::tables::{Table, TableData};
use tero_policy_host::trust::TrustedKeys;

/// All data tables.
#[derive(Clone, Debug, Default)]
pub struct DataState {
    pub(super) entries: BTreeMap<Arc<str>, TableEntry>,
}

/// A table with its versions.
#[derive(Clone, Debug, Default)]
pub struct TableEntry {
    pub(super) configured: Option<TableData>,
    pub(super) record: TableRecord,
    /// The pushed version that decides.
    pub(super) pushed: Option<Arc<Table>>,
    /// Why the version that should be active is not.
    pub(super) trouble: Option<String>,
    /// Why the last change is not on disk.
    pub(super) unsaved: Option<String>,
}

impl DataState {
    /// The tables, in the order of their names.
    pub fn entries(&self) -> impl Iterator<Item = (&Arc<str>, &TableEntry)> {
        self.entries.iter()
    }

    /// The table of that name.
    ///
    /// # Errors
    /// [`DataError::Unknown`]
    pub fn entry(&self, name: &str) -> Result<&TableEntry, DataError> {
        self.entries.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.entries.keys().map(|name| &**name).collect();
            DataError::Unknown {
                name: name.escape_debug().to_string(),
                known: known.join(", "),
            }
        })
    }
}

impl TableEntry {
    /// The table of the configuration.
    pub fn configured(&self) -> Option<&TableData> {
        self.configured.as_ref()
    }

    /// The record of its pushed versions.
    pub fn record(&self) -> &TableRecord {
        &self.record
    }

    /// The table that decides; `None` if none can.
    pub fn active(&self) -> Option<&Arc<Table>> {
        let configured = self.configured.as_ref().map(|data| &data.table);
        self.pushed.as_ref().or(configured)
    }

    /// The version that decides.
    pub fn active_number(&self) -> TableNumber {
        match self.pushed {
            Some(_) => self.record.active,
            None => TableNumber::Configured,
        }
    }

    /// Why the version that should be active is not.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Why the last change is not on disk; a restart would forget it.
    pub fn unsaved(&self) -> Option<&str> {
        self.unsaved.as_deref()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.configured.is_none() && self.record.versions.is_empty() && self.trouble.is_none()
    }
}

/// A table as the state directory has it.
pub(super) fn recovered_entry(
    store: &TableStore,
    name: &str,
    max_table: u64,
    trust: &TrustedKeys,
) -> TableEntry {
    let record = match store.record(name) {
        Ok(record) => record,
        Err(error) => {
            tracing::error!(
                table = name,
                "no pushed version of the table decides: {error}"
            );
            return TableEntry {
                record: store.recovered(name, max_table, trust),
                trouble: Some(error.to_string()),
                ..TableEntry::default()
            };
        }
    };
    let mut entry = TableEntry {
        record,
        ..TableEntry::default()
    };
    let TableNumber::Pushed(number) = entry.record.active else {
        return entry;
    };
    let version = entry.record.version(number);
    match version.map(|version| store.table(name, version, max_table, trust)) {
        Some(Ok(table)) => entry.pushed = Some(table),
        Some(Err(error)) => entry.trouble = Some(error.to_string()),
        None => entry.trouble = Some(format!("its record has no version {number}")),
    }
    if let Some(trouble) = &entry.trouble {
        tracing::error!(
            table = name,
            "the configuration's table decides, if there is one: {trouble}"
        );
    }
    entry
}
