//! The report on a file of test cases.

use serde::Serialize;

use crate::manifest::Hook;

/// The outcomes of all cases of a file.
#[derive(Clone, Debug, Serialize)]
pub struct CasesReport {
    /// The name of the file.
    pub file: String,
    /// The SHA-256 of the policy's module, in hexadecimal.
    pub digest: String,
    /// The outcome of every question, in the order of the file.
    pub outcomes: Vec<CaseOutcome>,
}

/// The outcome of one question.
#[derive(Clone, Debug, Serialize)]
pub struct CaseOutcome {
    /// The name of the case.
    pub case: String,
    /// The line of the case in the file.
    pub line: usize,
    /// The hook that was asked.
    #[serde(serialize_with = "as_str")]
    pub hook: Hook,
    /// The answer of the fresh instance, by field; null if it failed.
    pub answer: serde_json::Value,
    /// The differences from the expected answer. The question has passed if there are none.
    pub problems: Vec<Mismatch>,
    /// The fuel of the answer, about one unit per WebAssembly instruction: the larger of the fresh
    /// and the used instance's.
    pub fuel: u64,
    /// The time that the used instance took, in microseconds.
    pub micros: f64,
}

/// A difference from the expected answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// The field of the answer, or another defect.
    pub field: String,
    /// The expected value.
    pub expected: String,
    /// The actual value.
    pub got: String,
}

fn as_str<S: serde::Serializer>(hook: &Hook, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(hook.as_str())
}

impl CasesReport {
    /// Whether every question has passed.
    pub fn has_passed(&self) -> bool {
        self.outcomes
            .iter()
            .all(|outcome| outcome.problems.is_empty())
    }
}
