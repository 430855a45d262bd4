//! The tables in use, by name.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;

use super::Table;

/// The tables in use. All chains of policies share it.
#[derive(Debug, Default)]
pub struct TableSet {
    slots: Mutex<BTreeMap<Arc<str>, Arc<TableSlot>>>,
}

/// The place of a table: it stays while its table is replaced, and while there is none.
#[derive(Debug, Default)]
pub struct TableSlot {
    /// Written after `table`: whoever reads a version finds that table or a newer one.
    version: AtomicU64,
    table: ArcSwapOption<Table>,
}

impl TableSlot {
    /// The version of the table, and 0 if there is none. It is part of what a remembered decision
    /// depends on: read it before [`TableSlot::table`], so that no answer from an older table is
    /// remembered for a newer one.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The table, for a whole call.
    pub fn table(&self) -> Option<Arc<Table>> {
        self.table.load_full()
    }
}

impl TableSet {
    /// The place of a table with this name, whether there is a table or not.
    pub fn slot(&self, name: &str) -> Arc<TableSlot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        match slots.get(name) {
            Some(slot) => Arc::clone(slot),
            None => {
                let slot = Arc::new(TableSlot::default());
                slots.insert(Arc::from(name), Arc::clone(&slot));
                slot
            }
        }
    }

    /// Puts a table in the place of that name; `None` removes the table. Calls that have begun keep
    /// the table they have.
    pub fn put(&self, name: &str, table: Option<Arc<Table>>) {
        let slot = self.slot(name);
        // One change at a time: else the version of one table could stay with another.
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let version = table.as_ref().map_or(0, |table| table.version());
        slot.table.store(table);
        slot.version.store(version, Ordering::Release);
        drop(slot);
        // The names of policies that are gone.
        slots.retain(|_, slot| slot.version() != 0 || Arc::strong_count(slot) > 1);
    }

    /// The table of that name.
    pub fn table(&self, name: &str) -> Option<Arc<Table>> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.get(name)?.table()
    }

    /// The tables with these names, in that order, for a call.
    pub fn snapshot<N: AsRef<str>>(&self, names: &[N]) -> Vec<Option<Arc<Table>>> {
        names.iter().map(|name| self.table(name.as_ref())).collect()
    }

    /// The names of the tables that there are.
    pub fn names(&self) -> Vec<Arc<str>> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let full = slots.iter().filter(|(_, slot)| slot.version() != 0);
        full.map(|(name, _)| Arc::clone(name)).collect()
    }
}
