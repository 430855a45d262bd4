//! A file of test cases, checked.

use std::net::IpAddr;
use std::sync::Arc;

use chrono_tz::Tz;
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

use crate::device::{Device, DeviceSource};
use crate::facts::PopularPage;
use crate::manifest::Hook;
use crate::tables::TableSet;
use tero_config as config;
use tero_semantics::timestamp::Timestamp;
use tero_time::local_time::LocalDateTime;

/// A checked file of test cases.
#[derive(Clone, Debug)]
pub struct Cases {
    /// The name of the file.
    pub file: Arc<str>,
    pub(super) text: Arc<str>,
    /// The policy with its settings, calendar and limits.
    pub policy: config::Policy,
    /// The zone of `at`. Without it, the policy's own zone is used, or else UTC.
    pub(super) zone: Option<Tz>,
    /// The files that it names, beside the module: settings and calendar.
    pub(super) named_files: Vec<std::path::PathBuf>,
    /// The data tables that the file gives.
    pub(super) tables: Arc<TableSet>,
    pub(super) cases: Vec<Case>,
}

/// One case: its questions and the expected answers.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) at: LocalDateTime,
    pub(super) request: CaseRequest,
    pub(super) response: Option<CaseResponse>,
    pub(super) plan: String,
    pub(super) popular: Vec<PopularPage>,
    /// The expected answer of each hook.
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
    pub(super) device_source: DeviceSource,
    pub(super) client: Option<IpAddr>,
    pub(super) country: Option<String>,
    pub(super) region: Option<String>,
    pub(super) bucket: Option<u16>,
    pub(super) route: Option<String>,
    pub(super) variant: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct CaseResponse {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
}

/// The expected value of one field of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expectation {
    /// This value. Of a list of tables, only the written keys are compared.
    Is(&'static str, Value),
    /// A text that contains this one.
    Contains(&'static str, String),
}

impl Cases {
    /// The number of cases.
    pub fn len(&self) -> usize {
        self.cases.len()
    }

    /// Whether there is no case. A file without cases is refused.
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }
}

/// An instant as it is shown and compared: in UTC.
pub(super) fn instant(at: Timestamp) -> String {
    let shown = chrono::DateTime::from_timestamp(at.unix_secs(), 0);
    shown.map_or_else(|| at.unix_secs().to_string(), |it| it.to_rfc3339())
}
