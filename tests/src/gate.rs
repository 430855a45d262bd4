//! A point at which a scripted origin waits until the test lets it through.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::GUARD;

/// A gate, closed when new. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<GateInner>);

#[derive(Debug, Default)]
struct GateInner {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    open: bool,
    arrived: usize,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Gate {
        Gate::default()
    }

    /// Opens the gate for all who wait, and for all who come later.
    pub fn open(&self) {
        self.0
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .open = true;
        self.0.changed.notify_all();
    }

    /// Closes the gate for all who come later.
    pub fn close(&self) {
        self.0
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .open = false;
    }

    /// Waits until `count` connections have come to the gate since it was made.
    ///
    /// # Panics
    /// If that takes longer than [`GUARD`].
    pub fn wait_for_arrivals(&self, count: usize) {
        let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (state, wait) = self
            .0
            .changed
            .wait_timeout_while(state, GUARD, |state| state.arrived < count)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(
            !wait.timed_out(),
            "{} of {count} came to the gate",
            state.arrived
        );
    }

    /// Waits until the gate is open. Gives up after twice [`GUARD`]: by then the test has failed.
    pub(crate) fn pass(&self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.arrived += 1;
        self.0.changed.notify_all();
        drop(
            self.0
                .changed
                .wait_timeout_while(state, GUARD * 2, |state| !state.open),
        );
    }
}
