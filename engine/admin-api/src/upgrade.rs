//! `POST /upgrade`.

use serde::{Deserialize, Serialize};

/// Another process serves now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UpgradeResponse {
    /// The number of the process that serves.
    pub process: u32,
    /// Its version.
    pub version: String,
    /// The commit that it was built from.
    pub commit: String,
    /// The number of the process before, which ends its connections.
    pub before: u32,
}
