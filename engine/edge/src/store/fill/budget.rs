//! The memory that fills share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A bound on the bytes that all fills together retain.
pub struct FillBudget {
    limit: u64,
    used: AtomicU64,
    /// All memory of the store; a large fill is refused bytes also where others have used it up.
    memory: u64,
    /// Tells the part of `memory` that is in use beside fills.
    beside: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl FillBudget {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Arc<FillBudget> {
        FillBudget::within(limit, u64::MAX, || 0)
    }

    /// A budget of `limit` bytes, of a memory of which others use so much.
    pub fn within(
        limit: u64,
        memory: u64,
        beside: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Arc<FillBudget> {
        Arc::new(FillBudget {
            limit,
            used: AtomicU64::new(0),
            memory,
            beside: Box::new(beside),
        })
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether fills use at most half of it.
    pub(super) fn is_half_free(&self) -> bool {
        self.used() <= self.limit / 2
    }

    /// Takes `bytes`; returns false, and takes none, if the limit doesn't allow it.
    pub(super) fn take(&self, bytes: u64) -> bool {
        self.take_up_to(bytes, self.limit)
    }

    /// The same for a large fill, which has to leave room for what else uses the memory.
    pub(super) fn take_for_large(&self, bytes: u64) -> bool {
        let room = self.memory.saturating_sub((self.beside)());
        self.take_up_to(bytes, self.limit.min(room))
    }

    fn take_up_to(&self, bytes: u64, limit: u64) -> bool {
        let taken = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|&sum| sum <= limit)
            });
        taken.is_ok()
    }

    /// Takes `bytes`, even if that exceeds the limit.
    pub(super) fn add(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Returns `bytes` that were taken.
    pub(super) fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Bytes of a budget. They are given back when it is dropped.
#[derive(Debug)]
pub struct BudgetShare {
    budget: Arc<FillBudget>,
    bytes: u64,
}

impl BudgetShare {
    /// Goes on counting bytes that a fill had and is about to give back.
    pub fn keep(budget: &Arc<FillBudget>, bytes: u64) -> BudgetShare {
        budget.add(bytes);
        BudgetShare {
            budget: Arc::clone(budget),
            bytes,
        }
    }
}

impl Drop for BudgetShare {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

impl std::fmt::Debug for FillBudget {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("FillBudget")
            .field("limit", &self.limit)
            .field("used", &self.used)
            .finish_non_exhaustive()
    }
}
