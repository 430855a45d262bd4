//! Turns in a fleet: of the nodes whose plan has come due, one plans its pages, and all share them, so that
//! the shields have each. Where they can't be shared, that node runs the plan first; the others run it after
//! that, and find the pages at the shields.

use std::fmt::Debug;
use std::sync::Arc;

use super::shared::PageSharing;

use tero_edge::telemetry::popularity::Hours;
use tero_policy_host::PopularPage;
use tero_semantics::timestamp::Timestamp;

/// When this node runs a plan that has come due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunTurn {
    /// It is alone, or can't hear of the others.
    #[default]
    Alone,
    /// Before all others.
    First,
    /// After the first one.
    Later,
    /// Together with others, of which one has planned.
    Joined,
}

impl RunTurn {
    /// A note for the run's report. A node alone has none, and for the first one it depends on whether the
    /// others share the pages: see [`FIRST_ALONE`] and [`FIRST_SHARED`].
    pub(super) fn note(self) -> Option<&'static str> {
        match self {
            RunTurn::Alone | RunTurn::First => None,
            RunTurn::Later => Some("another node of the fleet ran the plan first"),
            RunTurn::Joined => Some("another node planned the pages, and the fleet shared them"),
        }
    }
}

/// The note of a node that ran the plan first.
pub(super) const FIRST_ALONE: &str =
    "this node ran the plan first, the others of its fleet after it";
/// The note of a node that shared what it had planned.
pub(super) const FIRST_SHARED: &str = "this node planned the pages, and the fleet shared them";

/// The other nodes, as plans need them: turns, and what their visitors ask for.
pub trait RunTurns: Debug + Send + Sync {
    /// Waits for the turn of this node, on a thread that may. A node that runs the plan first and dies
    /// gives its turn to another one.
    fn wait(&self, plan: &str, due: Timestamp) -> RunTurn;

    /// The pages that nodes share; `None` if they share none.
    fn pages(&self) -> Option<Arc<dyn PageSharing>>;

    /// The run of this node has ended. Does nothing if it was not the first.
    fn ended(&self, plan: &str, due: Timestamp);

    /// The `n` pages of a site that visitors of all nodes request most in these hours; `None` if the
    /// other nodes can't be asked. Waits for their answers.
    fn popular(&self, site: &str, hours: Hours, n: usize) -> Option<Vec<PopularPage>>;
}
