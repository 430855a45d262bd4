//! What came of the cases of a file.

use serde::Serialize;

use crate::manifest::Hook;

/// What came of all cases of a file.
#[derive(Clone, Debug, Serialize)]
pub struct CasesReport {
    /// The file, as it was named.
    pub file: String,
    /// The SHA-256 of the policy's module, in hexadecimal.
    pub digest: String,
    /// Every question, in the order of the file.
    pub outcomes: Vec<CaseOutcome>,
}

/// What came of one question.
#[derive(Clone, Debug, Serialize)]
pub struct CaseOutcome {
    /// The case's name.
    pub case: String,
    /// Its line in the file.
    pub line: usize,
    /// The hook that was asked.
    #[serde(serialize_with = "as_str")]
    pub hook: Hook,
    /// What the fresh instance answered, by field; null where it failed.
    pub answer: serde_json::Value,
    /// What is not as expected; a case without has passed.
    pub problems: Vec<Mismatch>,
    /// About how many instructions of WebAssembly the answer took: the larger of the fresh and the
    /// used instance's.
    pub fuel: u64,
    /// How many microseconds it took the used instance, this time.
    pub micros: f64,
}

/// One thing that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// The field of the answer, or what else is wrong.
    pub field: String,
    /// What was expected.
    pub expected: String,
    /// What there is.
    pub got: String,
}

fn as_str<S: serde::Serializer>(hook: &Hook, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(hook.as_str())
}

impl CasesReport {
    /// Whether every case has passed.
    pub fn has_passed(&self) -> bool {
        self.outcomes
            .iter()
            .all(|outcome| outcome.problems.is_empty())
    }
}
