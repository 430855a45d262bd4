//! Which process tells of events: at an upgrade the successor goes on where the process before stops, so
//! that each event is told once.

use tokio::sync::{RwLock, RwLockReadGuard};

/// The turn of this process. Whoever tells something holds it meanwhile.
#[derive(Debug, Default)]
pub(crate) struct EventTurn(RwLock<TurnState>);

#[derive(Debug, Default)]
struct TurnState {
    /// Whether this process knows what was told before it.
    has_begun: bool,
    /// Whether another process tells.
    has_left: bool,
}

impl TurnState {
    fn is_ours(&self) -> bool {
        self.has_begun && !self.has_left
    }
}

/// As long as this is held, no other process tells.
#[derive(Debug)]
pub(crate) struct Telling<'t>(
    #[expect(dead_code, reason = "it is held")] RwLockReadGuard<'t, TurnState>,
);

impl EventTurn {
    /// This process knows what was told before it.
    pub(crate) async fn begin(&self) {
        self.0.write().await.has_begun = true;
    }

    /// The turn, if it is this process's.
    pub(crate) async fn telling(&self) -> Option<Telling<'_>> {
        let state = self.0.read().await;
        state.is_ours().then(|| Telling(state))
    }

    /// Waits until what is being told was told, does the last thing if this process had the turn, and
    /// leaves it to another process. Not for a thread that runs tasks.
    pub(crate) fn leave(&self, last: impl FnOnce()) {
        let mut state = self.0.blocking_write();
        if state.is_ours() {
            last();
        }
        state.has_left = true;
    }

    /// The other process can't serve.
    pub(crate) fn take_back(&self) {
        self.0.blocking_write().has_left = false;
    }
}
