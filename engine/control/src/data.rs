//! The data tables: those of the configuration, and versions that were pushed in their place.
//!
//! As with policies, the configuration's table is version zero, and a pushed version takes its place
//! until it is rolled back. A pushed version decides at once: a table is data, which the policies
//! that read it are ready for. The state directory keeps pushed versions and which one is active. A
//! change is on disk before it takes effect.

mod data_error;
mod data_state;
pub mod table_record;
mod table_store;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use data_state::recovered_entry;
use table_record::{TableNumber, TableRecord, TableVersion};
use table_store::TableStore;
use tero_config::{Config, TableFormat, TableKind};
use tero_policy_host::Host;
use tero_policy_host::tables::TableData;
use tero_state::dir::StateDir;
use tero_time::clock::Clock;

pub use data_error::DataError;
pub use data_state::{DataState, TableEntry};
pub use table_store::TableStoreError;

/// The data tables, and the way to change them.
#[derive(Debug)]
pub struct DataTables {
    host: Arc<Host>,
    store: Option<TableStore>,
    max_table: u64,
    max_tables: usize,
    max_versions: usize,
    clock: Clock,
    state: Mutex<Arc<DataState>>,
    /// One change at a time.
    changes: Mutex<()>,
}

/// The tables of a configuration, read and not in effect yet.
#[derive(Debug)]
pub struct ConfiguredTables(BTreeMap<Arc<str>, TableData>);

/// A version that was pushed.
#[derive(Clone, Debug)]
pub struct TablePush {
    /// Its record.
    pub version: TableVersion,
    /// Whether the same version had been pushed before.
    pub was_known: bool,
}

impl DataTables {
    /// Reads the tables of a configuration and those of the state directory, and puts them where
    /// policies find them. A pushed version that can't be read gives way to the configuration's
    /// table, or else to the latest one that can.
    ///
    /// # Errors
    /// [`DataError`]: the folder of tables can't be used, a table of the configuration can't be read, or
    /// there are more tables than may be. A pushed version that can't be read is no error: the entry's
    /// `trouble` says it.
    pub fn open(
        config: &Config,
        host: &Arc<Host>,
        state_dir: Option<&Arc<StateDir>>,
        clock: &Clock,
    ) -> Result<DataTables, DataError> {
        let store = state_dir.map(TableStore::open).transpose()?;
        let limits = &config.policy_host;
        let mut entries = BTreeMap::new();
        for name in store.iter().flat_map(TableStore::names) {
            let store = store.as_ref().expect("names come from it");
            entries.insert(
                name.clone(),
                recovered_entry(store, &name, limits.max_table, host.trust()),
            );
        }
        if let Some(store) = &store {
            store.remove_unnamed();
        }
        let new = DataTables {
            host: Arc::clone(host),
            store,
            max_table: limits.max_table,
            max_tables: limits.max_tables,
            max_versions: limits.max_versions,
            clock: clock.clone(),
            state: Mutex::new(Arc::new(DataState { entries })),
            changes: Mutex::default(),
        };
        let configured = new.read(config)?;
        new.install(configured);
        Ok(new)
    }

    /// All tables.
    pub fn state(&self) -> Arc<DataState> {
        Arc::clone(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The largest file of a table, in bytes.
    pub fn max_table(&self) -> u64 {
        self.max_table
    }

    /// Reads the tables of a configuration. Those whose files have not changed keep their versions.
    /// Tables that were pushed count among those that there may be.
    ///
    /// # Errors
    /// [`DataError::File`] or [`DataError::TooMany`]
    pub fn read(&self, config: &Config) -> Result<ConfiguredTables, DataError> {
        let state = self.state();
        let is_configured = |name: &Arc<str>| config.tables.iter().any(|own| own.name == *name);
        let pushed = state
            .entries
            .iter()
            .filter(|(name, entry)| !entry.record.versions.is_empty() && !is_configured(name));
        if config.tables.len() + pushed.count() > self.max_tables {
            return Err(DataError::TooMany(self.max_tables));
        }
        let read = config.tables.iter().map(|entry| {
            let before = state.entries.get(&entry.name);
            let before = before.and_then(|before| before.configured.as_ref());
            let data = TableData::read(entry, self.max_table, self.host.trust(), before);
            match data {
                Ok(data) => Ok((Arc::clone(&entry.name), data)),
                Err(source) => Err(DataError::File {
                    table: entry.name.to_string(),
                    source,
                }),
            }
        });
        read.collect::<Result<_, _>>().map(ConfiguredTables)
    }

    /// Puts the tables of a configuration in the place of those of the one before. Pushed versions
    /// stay.
    pub fn install(&self, configured: ConfiguredTables) {
        let _one = self.one_change();
        let mut new = DataState::clone(&self.state());
        for entry in new.entries.values_mut() {
            entry.configured = None;
        }
        for (name, data) in configured.0 {
            new.entries.entry(name).or_default().configured = Some(data);
        }
        self.replace(new);
    }

    /// Checks a version of a table, keeps it, and has it decide. Without `kind` it is of the kind of
    /// the table before, or of keys.
    ///
    /// # Errors
    /// [`DataError`]; nothing changes then.
    pub fn push(
        &self,
        name: &str,
        content: &[u8],
        format: TableFormat,
        kind: Option<TableKind>,
        signature: Option<&str>,
    ) -> Result<TablePush, DataError> {
        if tero_config::forms::name(name).is_err() {
            return Err(DataError::Name(name.escape_debug().to_string()));
        }
        let store = self.store.as_ref().ok_or(DataError::NoStateDir)?;
        self.host.trust().check(content, signature)?;
        let before = self.state().entries.get(name).cloned();
        let kind = kind.or_else(|| Some(before?.active()?.kind()));
        let kind = kind.unwrap_or_default();
        let data = TableData::of(content, format, kind)?;
        let _one = self.one_change();
        let state = self.state();
        let entry = state.entries.get(name);
        if entry.is_none() && state.entries.len() >= self.max_tables {
            return Err(DataError::TooMany(self.max_tables));
        }
        let mut entry = entry.cloned().unwrap_or_default();
        let now = self.clock.wall();
        let (version, was_known) = entry.record.push(&data, now);
        entry.record.thin_out(self.max_versions);
        store.keep_version(name, &version, content, signature)?;
        store.keep_record(name, &entry.record)?;
        entry.pushed = Some(data.table);
        entry.trouble = None;
        entry.unsaved = None;
        store.thin_out(name, &entry.record);
        self.replace_entry(name, Some(entry));
        tracing::info!(table = name, version = version.number, "a table was pushed");
        Ok(TablePush { version, was_known })
    }

    /// The content of a pushed version, with its signature if it has one.
    ///
    /// # Errors
    /// [`DataError`]
    pub fn pushed_content(
        &self,
        name: &str,
        digest: &str,
    ) -> Result<(Vec<u8>, Option<String>), DataError> {
        let store = self.store.as_ref().ok_or(DataError::NoStateDir)?;
        let state = self.state();
        let mut versions = state.entry(name)?.record.versions.iter();
        let version = versions.find(|version| version.digest == digest);
        let version = version.ok_or_else(|| DataError::NothingBefore(name.to_owned()))?;
        Ok(store.content(name, version, self.max_table)?)
    }

    /// Has an earlier version decide again: the one that `version` names, or the one before. The way
    /// back takes effect even if it can't be written to disk; [`TableEntry::unsaved`] says so then.
    ///
    /// # Errors
    /// [`DataError`]; nothing changes then.
    pub fn roll_back(&self, name: &str, version: Option<&str>) -> Result<TableNumber, DataError> {
        let _one = self.one_change();
        let mut entry = self.state().entry(name)?.clone();
        let to = match version {
            Some(text) => entry.record.number(name, text)?,
            None => {
                let before = entry.record.leads_back_to();
                before.ok_or_else(|| DataError::NothingBefore(name.to_owned()))?
            }
        };
        if to == entry.record.active && entry.trouble.is_none() {
            return Err(DataError::IsActive(name.to_owned(), to));
        }
        entry.pushed = match to {
            TableNumber::Configured if entry.configured.is_none() => {
                return Err(DataError::NotConfigured(name.to_owned()));
            }
            TableNumber::Configured => None,
            TableNumber::Pushed(number) => {
                let store = self.store.as_ref().ok_or(DataError::NoStateDir)?;
                let version = entry.record.version(number);
                let version = version.expect("the record names versions that it has");
                Some(store.table(name, version, self.max_table, self.host.trust())?)
            }
        };
        entry.record.activate(to, self.clock.wall());
        entry.trouble = None;
        entry.unsaved = self.save(name, &entry.record);
        self.replace_entry(name, Some(entry));
        tracing::info!(table = name, version = %to, "a table was rolled back");
        Ok(to)
    }

    /// Forgets the pushed versions of a table. The configuration's table decides again; without one
    /// the table is gone, which is refused while `users`, policies of sites, need it.
    ///
    /// # Errors
    /// [`DataError`]; nothing changes then.
    pub fn remove(&self, name: &str, users: &[String]) -> Result<(), DataError> {
        let _one = self.one_change();
        let state = self.state();
        let entry = state.entry(name)?;
        if entry.record.versions.is_empty() && entry.trouble.is_none() {
            return Err(DataError::OfConfiguration(name.to_owned()));
        }
        if entry.configured.is_none() && !users.is_empty() {
            return Err(DataError::InUse {
                table: name.to_owned(),
                users: users.join(", "),
            });
        }
        let store = self.store.as_ref().ok_or(DataError::NoStateDir)?;
        store.remove(name)?;
        let configured = entry.configured.clone();
        let left = configured.map(|data| TableEntry {
            configured: Some(data),
            ..TableEntry::default()
        });
        self.replace_entry(name, left);
        tracing::info!(table = name, "the pushed versions were removed");
        Ok(())
    }

    fn one_change(&self) -> MutexGuard<'_, ()> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a record; says why if it can't be written.
    fn save(&self, name: &str, record: &TableRecord) -> Option<String> {
        let error = self.store.as_ref()?.keep_record(name, record).err()?;
        tracing::error!(
            table = name,
            "the change is in effect, but a restart would forget it: {error}"
        );
        Some(error.to_string())
    }

    fn replace_entry(&self, name: &str, entry: Option<TableEntry>) {
        let mut new = DataState::clone(&self.state());
        match entry {
            Some(entry) => new.entries.insert(Arc::from(name), entry),
            None => new.entries.remove(name),
        };
        self.replace(new);
    }

    /// Puts a state in the place of the one before, and each table where policies find it.
    fn replace(&self, mut new: DataState) {
        new.entries.retain(|_, entry| !entry.is_empty());
        let tables = self.host.tables();
        for name in tables.names() {
            if !new.entries.contains_key(&name) {
                tables.put(&name, None);
            }
        }
        for (name, entry) in &new.entries {
            let table = entry.active();
            let version = table.map(|table| table.version());
            if tables.table(name).map(|table| table.version()) != version {
                tables.put(name, table.cloned());
            }
        }
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
    }
}
