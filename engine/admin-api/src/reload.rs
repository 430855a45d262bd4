//! `POST /reload`.

use serde::{Deserialize, Serialize};

/// The configuration was taken over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReloadResponse {
    /// Always true: a refusal says what was wrong.
    pub reloaded: bool,
    /// The keys that wait for a restart, such as `server.workers`: they differ from the values in
    /// force, and can't be changed while the edge runs.
    pub waiting: Vec<String>,
}
