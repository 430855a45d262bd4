//! What is answered instead, when something is wrong.

use serde::{Deserialize, Serialize};

/// What is wrong with a request, and what to do instead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Problem {
    /// What is wrong.
    pub error: String,
    /// What to do instead.
    pub cure: String,
    /// The mistakes one by one, if a file was read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Mistake>,
}

impl Problem {
    /// A problem without a list of mistakes.
    pub fn new(error: impl Into<String>, cure: impl Into<String>) -> Problem {
        Problem {
            error: error.into(),
            cure: cure.into(),
            errors: Vec::new(),
        }
    }
}

/// One of several mistakes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Mistake {
    /// In a configuration, or in a file of test cases.
    File(FileMistake),
    /// A test case that a policy does not pass.
    Case(CaseMistake),
}

/// A mistake in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FileMistake {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The key with its tables, `site.origins`; empty if the mistake is not in a key.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub cure: String,
}

/// A test case that a policy does not pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CaseMistake {
    /// The name of the case.
    pub case: String,
    /// Its line in the file, from 1.
    pub line: usize,
    /// The hook that was asked.
    pub hook: String,
    /// What the policy answered, by field; null if it failed.
    pub answer: serde_json::Value,
    /// What is not as expected.
    pub problems: Vec<CaseMismatch>,
    /// About how many instructions of WebAssembly the answer took.
    pub fuel: u64,
    /// How many microseconds it took.
    pub micros: f64,
}

/// A field that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CaseMismatch {
    /// The field of the answer, or what else is wrong.
    pub field: String,
    /// What was expected.
    pub expected: String,
    /// What came.
    pub got: String,
}
