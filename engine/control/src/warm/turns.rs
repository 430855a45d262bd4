//! Turns in a fleet: of the nodes whose plan has come due, one runs it first, so that the shields have
//! its pages; the others run it after that, and find them there.

use std::fmt::Debug;

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
}

impl RunTurn {
    /// A note for the run's report; `None` for a node alone.
    pub(super) fn note(self) -> Option<&'static str> {
        match self {
            RunTurn::Alone => None,
            RunTurn::First => {
                Some("this node ran the plan first, the others of its fleet after it")
            }
            RunTurn::Later => Some("another node of the fleet ran the plan first"),
        }
    }
}

/// The other nodes, as plans need them: turns, and what their visitors ask for.
pub trait RunTurns: Debug + Send + Sync {
    /// Waits for the turn of this node, on a thread that may. A node that runs the plan first and dies
    /// gives its turn to another one.
    fn wait(&self, plan: &str, due: Timestamp) -> RunTurn;

    /// The run of this node has ended. Does nothing if it was not the first.
    fn ended(&self, plan: &str, due: Timestamp);

    /// The `n` pages of a site that visitors of all nodes request most in these hours; `None` if the
    /// other nodes can't be asked. Waits for their answers.
    fn popular(&self, site: &str, hours: Hours, n: usize) -> Option<Vec<PopularPage>>;
}
