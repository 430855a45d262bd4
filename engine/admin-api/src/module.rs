//! A loaded module, as answers about policies and about trials show it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A module that is loaded, and how it does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModuleReport {
    /// The name of the policy.
    pub name: String,
    /// The SHA-256 of the module, in hexadecimal.
    pub digest: String,
    /// The zone whose time it is told.
    pub zone: Option<String>,
    /// The variants that it declares.
    pub variants: Vec<String>,
    /// The results of its decisions, by hook.
    pub hooks: BTreeMap<String, HookFigures>,
    /// Whether it is asked.
    #[serde(flatten)]
    pub status: ModuleStatus,
}

/// Whether a module is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum ModuleStatus {
    /// It is asked.
    Active,
    /// It failed too often, and is not asked for a while.
    SwitchedOff {
        /// When it was switched off.
        since_unix_secs: i64,
        /// When it is asked again.
        until_unix_secs: i64,
        /// Why it was switched off.
        reason: String,
    },
}

impl ModuleStatus {
    /// Its name in JSON.
    pub fn as_str(&self) -> &'static str {
        match self {
            ModuleStatus::Active => "active",
            ModuleStatus::SwitchedOff { .. } => "switched-off",
        }
    }
}

/// The results of a hook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HookFigures {
    /// Good answers.
    pub ok: u64,
    /// Traps.
    pub trap: u64,
    /// Deadlines that passed.
    pub deadline: u64,
    /// Memory limits that were hit.
    pub memory: u64,
    /// Answers that the contract does not allow.
    pub bad_answer: u64,
    /// Seconds spent in the hook.
    pub seconds: f64,
}
