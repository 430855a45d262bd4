//! A file of cases as it was written, checked.

use std::path::Path;
use std::sync::Arc;

use chrono_tz::Tz;
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

use super::read::{self, TestedPolicy};
use crate::device::Device;
use crate::facts::PopularPage;
use crate::manifest::Hook;
use tero_config as config;
use tero_config::{ConfigErrors, Mistakes, ModuleSource, read_text};
use tero_time::local_time::LocalDateTime;

/// A file of cases, checked.
#[derive(Clone, Debug)]
pub struct Cases {
    /// The file, as it was named.
    pub file: Arc<str>,
    pub(super) text: Arc<str>,
    /// The policy with its settings, calendar and limits.
    pub policy: config::Policy,
    /// Whose clock `at` shows; unless written, the policy's own zone, else UTC.
    pub(super) zone: Option<Tz>,
    pub(super) cases: Vec<Case>,
}

/// One case: a question or two, and what is expected.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) at: LocalDateTime,
    pub(super) request: CaseRequest,
    pub(super) response: Option<CaseResponse>,
    pub(super) plan: String,
    pub(super) popular: Vec<PopularPage>,
    /// What is expected of each hook's answer.
    pub(super) expected: Vec<(Hook, Vec<Expectation>)>,
}

#[derive(Clone, Debug)]
pub(super) struct CaseRequest {
    pub(super) method: Method,
    pub(super) scheme: String,
    pub(super) host: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) device: Device,
    pub(super) variant: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct CaseResponse {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
}

/// What one field of an answer should be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expectation {
    /// This value. Of a list of tables, only the keys that are written.
    Is(&'static str, Value),
    /// A text that holds this one.
    Contains(&'static str, String),
}

impl Cases {
    /// Reads and checks the file at `path`. Where `module` is given, it is tried in place of the
    /// one that the file names.
    ///
    /// # Errors
    /// Every mistake in the file, or one that says why it can't be read.
    pub fn load(path: &Path, module: Option<ModuleSource>) -> Result<Cases, ConfigErrors> {
        let file = path.display().to_string();
        match read_text(path) {
            Ok(text) => Cases::parse(&text, &file, path.parent().unwrap_or(Path::new("")), module),
            Err(mistake) => {
                let mistakes = Mistakes::of(&file, "");
                mistakes.add(&(0..0), "", mistake);
                Err(mistakes
                    .into_result()
                    .expect_err("a mistake was just added"))
            }
        }
    }

    /// Checks the `text` of a file. `file` is what mistakes call it; paths in it are relative to
    /// `base_dir`.
    ///
    /// # Errors
    /// Every mistake in the text.
    pub fn parse(
        text: &str,
        file: &str,
        base_dir: &Path,
        module: Option<ModuleSource>,
    ) -> Result<Cases, ConfigErrors> {
        read::parse(text, file, base_dir, TestedPolicy::Written(module))
    }

    /// How many cases there are.
    pub fn len(&self) -> usize {
        self.cases.len()
    }

    /// Whether there is no case; a file without one is refused.
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }

    /// Checks the `text` of a file whose cases are for `policy`, whatever policy the file tells of.
    ///
    /// # Errors
    /// Every mistake in the text.
    pub fn for_policy(
        text: &str,
        file: &str,
        policy: config::Policy,
    ) -> Result<Cases, ConfigErrors> {
        read::parse(
            text,
            file,
            Path::new(""),
            TestedPolicy::Given(Box::new(policy)),
        )
    }
}
