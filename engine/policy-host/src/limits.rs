//! The limits of one instance: memory, tables, core modules. A denied growth is remembered. If the
//! guest then fails, the failure is known to be one of memory. The deadline is set and checked in
//! `guest/state`; `tero_config::PolicyLimits` holds the values.

use wasmtime::ResourceLimiter;

use tero_config::PolicyLimits;
use tero_config::units::show_size;

/// The most table elements of one instance. A large Python module has some twenty thousand.
const MAX_TABLE_ELEMENTS: usize = 100_000;
/// The most tables in one component: one for each of its core modules.
const MAX_TABLES: usize = 256;
/// The most linear memories in one component.
const MAX_MEMORIES: usize = 16;

/// The limits of one instance, and what it holds.
#[derive(Debug)]
pub(super) struct GuestLimits {
    memory_bytes: usize,
    core_instances: usize,
    memory_used: usize,
    last_growth: usize,
    table_elements: usize,
    denied: Option<LimitExceeded>,
}

/// The growth that a guest was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LimitExceeded {
    /// More memory than this limit, in bytes.
    Memory(usize),
    /// More memory than the module's own maximum, or the machine, allows.
    Machine,
    /// More table elements than any guest may have.
    Table,
}

impl std::fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LimitExceeded::Memory(limit) => write!(
                f,
                "more memory than {} (`memory`)",
                show_size(*limit as u64)
            ),
            LimitExceeded::Machine => {
                write!(f, "more memory than its module or the machine allows")
            }
            LimitExceeded::Table => write!(f, "more than {MAX_TABLE_ELEMENTS} table elements"),
        }
    }
}

impl GuestLimits {
    pub(super) fn new(limits: &PolicyLimits) -> GuestLimits {
        let memory_bytes = usize::try_from(limits.memory).unwrap_or(usize::MAX);
        GuestLimits {
            memory_bytes,
            core_instances: limits.core_instances,
            memory_used: 0,
            last_growth: 0,
            table_elements: 0,
            denied: None,
        }
    }

    /// The growth that was denied since the last call of [`GuestLimits::forgive`].
    pub(super) fn denied(&self) -> Option<LimitExceeded> {
        self.denied
    }

    /// The memory that the guest holds, in bytes. It never shrinks.
    pub(super) fn memory_used(&self) -> usize {
        self.memory_used
    }

    /// Forgets a denied growth, so that a guest that recovered starts the next question afresh.
    pub(super) fn forgive(&mut self) {
        self.denied = None;
    }
}

impl ResourceLimiter for GuestLimits {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.last_growth = desired.saturating_sub(current);
        let total = self.memory_used.saturating_add(self.last_growth);
        if total > self.memory_bytes {
            self.last_growth = 0;
            self.denied = Some(LimitExceeded::Memory(self.memory_bytes));
            return Ok(false);
        }
        self.memory_used = total;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        // The growth was granted here, but the module's own maximum or the machine refused it.
        self.memory_used = self
            .memory_used
            .saturating_sub(std::mem::take(&mut self.last_growth));
        self.denied = Some(LimitExceeded::Machine);
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self
            .table_elements
            .saturating_add(desired.saturating_sub(current));
        if total > MAX_TABLE_ELEMENTS {
            self.denied = Some(LimitExceeded::Table);
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.core_instances
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(memory: u64) -> GuestLimits {
        GuestLimits::new(&PolicyLimits {
            memory,
            ..PolicyLimits::default()
        })
    }

    #[test]
    fn memories_share_one_limit_and_a_denial_is_remembered_until_forgiven() {
        let mut limits = limits(3 << 16);
        assert!(limits.memory_growing(0, 2 << 16, None).unwrap());
        assert!(limits.memory_growing(0, 1 << 16, None).unwrap());
        assert_eq!(limits.denied(), None);
        assert!(!limits.memory_growing(1 << 16, 2 << 16, None).unwrap());
        assert_eq!(
            limits.denied().unwrap().to_string(),
            "more memory than 192KiB (`memory`)"
        );
        limits.forgive();
        assert_eq!(limits.denied(), None);
    }

    #[test]
    fn a_growth_that_the_machine_refused_does_not_count() {
        let mut limits = limits(2 << 16);
        assert!(limits.memory_growing(0, 2 << 16, Some(1 << 16)).unwrap());
        limits
            .memory_grow_failed(wasmtime::Error::msg("beyond its maximum"))
            .unwrap();
        assert!(limits.memory_growing(0, 2 << 16, None).unwrap());
    }

    #[test]
    fn table_elements_are_limited() {
        let mut limits = limits(1 << 16);
        assert!(limits.table_growing(0, MAX_TABLE_ELEMENTS, None).unwrap());
        assert!(!limits.table_growing(0, 1, None).unwrap());
    }
}
