//! Mistakes in a configuration: all of them at once, each with its place and its cure.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ConfigError {
    /// The file, as it was named.
    pub file: String,
    /// Line, from 1; 0 if the place is not known.
    pub line: usize,
    /// Column in characters, from 1; 0 if the place is not known.
    pub column: usize,
    /// The key with its tables, `site.origins`; empty if the mistake is not in a key.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub cure: String,
    /// The bytes of the file that are wrong.
    #[serde(skip)]
    pub at: Range<usize>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(formatter, "{}: ", self.file)?,
            line => write!(formatter, "{}:{line}:{}: ", self.file, self.column)?,
        }
        if !self.key.is_empty() {
            write!(formatter, "{}: ", self.key)?;
        }
        write!(formatter, "{}; {}", self.problem, self.cure)
    }
}

/// Every mistake of a configuration, at least one, in the order of the file.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The mistakes.
    pub errors: Vec<ConfigError>,
    /// The text of the file, for excerpts; empty if it could not be read. It may hold a token, so
    /// it is never printed whole.
    pub text: Arc<str>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            write!(formatter, "{}{error}", if index > 0 { "\n" } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(&self.errors).finish()
    }
}

impl std::error::Error for ConfigErrors {}

/// A mistake in one value whose place is not known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong, in lower case.
    pub problem: String,
    /// What to write instead.
    pub cure: String,
}

impl Mistake {
    /// A mistake with its cure.
    pub fn new(problem: impl Into<String>, cure: impl Into<String>) -> Mistake {
        Mistake {
            problem: problem.into(),
            cure: cure.into(),
        }
    }
}

/// A place in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilePosition {
    /// Line, from 1; 0 if there is no file.
    pub line: usize,
    /// Column in characters, from 1; 0 if there is no file.
    pub column: usize,
}

/// The mistakes of one file, as they are found.
#[derive(Debug)]
pub struct Mistakes<'a> {
    file: &'a str,
    text: &'a str,
    found: RefCell<Vec<ConfigError>>,
}

impl<'a> Mistakes<'a> {
    /// Starts without mistakes. `file` is the name that they give, `text` the content that their
    /// places are counted in.
    pub fn of(file: &'a str, text: &'a str) -> Mistakes<'a> {
        Mistakes {
            file,
            text,
            found: RefCell::default(),
        }
    }

    /// The line and column of byte `at` of the file.
    pub(crate) fn position(&self, at: usize) -> FilePosition {
        place(self.text, at)
    }

    /// Records a mistake about `key` at these bytes of the file.
    pub fn add(&self, at: &Range<usize>, key: &str, mistake: Mistake) {
        let FilePosition { line, column } = self.position(at.start);
        let error = ConfigError {
            file: self.file.to_owned(),
            line,
            column,
            key: bounded(key),
            problem: bounded(&mistake.problem),
            cure: bounded(&mistake.cure),
            at: at.clone(),
        };
        // A table of a list may be read twice.
        let mut found = self.found.borrow_mut();
        if !found.contains(&error) {
            found.push(error);
        }
    }

    /// Ends the search.
    ///
    /// # Errors
    /// Every recorded mistake, in the order of the file, if there is one.
    pub fn into_result(self) -> Result<(), ConfigErrors> {
        let mut errors = self.found.into_inner();
        if errors.is_empty() {
            return Ok(());
        }
        errors.sort_by_key(|error| (error.line, error.column));
        Err(ConfigErrors {
            errors,
            text: self.text.into(),
        })
    }
}

/// Characters of a message without white space that are shown in one piece. Values that are quoted
/// may be of any length.
const MAX_PIECE: usize = 120;
/// Characters of a message that are shown at all.
const MAX_MESSAGE: usize = 2_000;

/// A message without the rest of what is too long in it.
fn bounded(text: &str) -> String {
    let mut out = String::new();
    let (mut piece, mut shown) = (0, 0);
    for character in text.chars() {
        piece = if character.is_whitespace() {
            0
        } else {
            piece + 1
        };
        let kept = match piece.cmp(&MAX_PIECE) {
            Ordering::Less => character,
            Ordering::Equal => '…',
            // What closes a quotation is shown.
            Ordering::Greater if character == '`' => character,
            Ordering::Greater => continue,
        };
        if shown == MAX_MESSAGE {
            out.push('…');
            break;
        }
        out.push(kept);
        shown += 1;
    }
    out
}

/// The line and column of byte `at` of `text`; of the end if `at` is beyond it.
pub fn place(text: &str, at: usize) -> FilePosition {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line_start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |newline| newline + 1);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    FilePosition {
        line,
        column: String::from_utf8_lossy(&before[line_start..])
            .chars()
            .count()
            + 1,
    }
}

/// The candidate that `written` is most similar to, if it is similar enough for a slip.
pub fn did_you_mean<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written = written.to_ascii_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::jaro_winkler(&written, &candidate.to_ascii_lowercase()),
                candidate,
            )
        })
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let text = "a\né = 1\n";
        for (at, line, column) in [
            (0, 1, 1),
            (1, 1, 2),
            (2, 2, 1),
            (4, 2, 2),
            (9, 3, 1),
            (1_000, 3, 1),
        ] {
            assert_eq!(place(text, at), FilePosition { line, column }, "byte {at}");
        }
    }

    #[test]
    fn long_values_in_a_message_are_cut_and_others_are_not() {
        let long = "x".repeat(5_000);
        let cut = format!("{}…", "x".repeat(MAX_PIECE - 2));
        for (text, expected) in [
            ("`a b` is not a name", "`a b` is not a name".to_owned()),
            (
                &format!("`{long}` is not a name"),
                format!("`{cut}` is not a name"),
            ),
            (&format!("é{long}"), format!("é{cut}")),
        ] {
            assert_eq!(bounded(text), expected);
        }
        assert_eq!(
            bounded(&"a ".repeat(5_000)).chars().count(),
            MAX_MESSAGE + 1
        );
    }

    #[test]
    fn a_misspelled_word_is_recognised() {
        let keys = ["listen", "workers", "max_headers", "max_header_bytes"];
        for (written, meant) in [
            ("worker", Some("workers")),
            ("Listen", Some("listen")),
            ("max_header", Some("max_headers")),
            ("zzz", None),
        ] {
            assert_eq!(did_you_mean(written, keys), meant, "{written}");
        }
    }
}
