//! Why the content of a data table is refused.

/// Why the content of a data table is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}; {cure}", place(*.line))]
pub struct TableError {
    /// The line, from 1 on, if the mistake has one.
    pub line: Option<u64>,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub cure: String,
}

impl TableError {
    pub(super) fn new(
        line: Option<u64>,
        problem: impl Into<String>,
        cure: impl Into<String>,
    ) -> TableError {
        TableError {
            line,
            problem: problem.into(),
            cure: cure.into(),
        }
    }
}

fn place(line: Option<u64>) -> String {
    line.map_or_else(String::new, |line| format!("line {line}: "))
}

/// The beginning of a text of the file, for messages.
pub(super) fn shown(text: &str) -> String {
    const MAX_CHARS: usize = 60;
    let mut shown: String = text
        .chars()
        .take(MAX_CHARS)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        shown.push('…');
    }
    shown
}
