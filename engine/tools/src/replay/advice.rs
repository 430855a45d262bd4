//! Advice from an access log: what of a configuration could be better for its traffic.
//!
//! A [`LogStudy`] hears every request of a log, in bounded memory, and makes proposals: lifetimes by
//! path pattern, query parameters that don't count, devices that get the same content, warming before
//! the rush, revalidation ahead. It says why. What a proposal is worth is for a simulation to say, and
//! [`ConfigText`] writes it into the text of a configuration, to be shown as a difference.

mod changes;
mod edit;
mod patch;
mod plain;
mod query;
mod rule_text;
mod rules;
mod rush;
mod siblings;

use std::hash::{DefaultHasher, Hash, Hasher};

use chrono_tz::Tz;
use http::{Method, StatusCode};

use super::record::{LogRecord, LoggedCache};
use changes::ChangeStudy;
use query::QueryStudy;
use rush::RushStudy;
use siblings::DeviceStudy;
use tero_semantics::cache_control::ResponseDirectives;

pub use edit::{ConfigEdit, ConfigText, EditRefusal};
pub use patch::difference;

/// How many path patterns are studied. Those that come first in the log are.
pub const MAX_PATTERNS: usize = 500;

/// A proposal.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// What it proposes, in a few words.
    pub title: String,
    /// What the log shows.
    pub reason: String,
    /// How the configuration changes.
    pub edits: Vec<ConfigEdit>,
}

/// What a log shows about a site.
#[derive(Debug)]
pub struct LogStudy {
    changes: ChangeStudy,
    query: QueryStudy,
    devices: DeviceStudy,
    rush: RushStudy,
    requests: u64,
    never_stored: u64,
    not_plain: u64,
}

/// A request, as the studies see it.
#[derive(Clone, Copy, Debug)]
struct StudiedAnswer<'r> {
    record: &'r LogRecord,
    /// The pattern of its path.
    pattern: &'r str,
    /// The class of the device.
    device: &'r str,
    /// The content: a hash of the entity tag, or else of the length.
    content: u64,
    /// The content is known by its entity tag.
    has_tag: bool,
}

impl LogStudy {
    /// A study of a site in this zone.
    pub fn new(zone: Tz) -> LogStudy {
        LogStudy {
            changes: ChangeStudy::default(),
            query: QueryStudy::default(),
            devices: DeviceStudy::default(),
            rush: RushStudy::new(zone),
            requests: 0,
            never_stored: 0,
            not_plain: 0,
        }
    }

    /// Hears a request of the log. `device` is the class of its device.
    pub fn add(&mut self, record: &LogRecord, device: &str) {
        self.requests += 1;
        // What the server answered by itself tells nothing of the site's content.
        if record.cache == Some(LoggedCache::Own) {
            return;
        }
        if !may_be_stored(record) {
            self.never_stored += 1;
            return;
        }
        let (content, has_tag) = match (record.etag(), record.representation_bytes()) {
            (Some(tag), _) => (hashed(&tag.as_bytes()), true),
            (None, Some(bytes)) => (hashed(&bytes), false),
            (None, None) => return,
        };
        let Some(pattern) = plain::pattern_of(record.path()) else {
            self.not_plain += 1;
            return;
        };
        let answer = StudiedAnswer {
            record,
            pattern: &pattern,
            device,
            content,
            has_tag,
        };
        self.changes.add(&answer);
        self.query.add(&answer);
        self.devices.add(&answer);
        self.rush.add(record);
    }

    /// How many requests it has heard.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// The share of requests whose answers are not stored: for one visitor alone, methods other than
    /// GET, and statuses other than 200.
    pub fn never_stored(&self) -> f64 {
        self.never_stored as f64 / self.requests.max(1) as f64
    }

    /// The share of requests that were not studied: no pattern is made of their path, since it is long, or
    /// has signs that mean something in a configuration.
    pub fn not_plain(&self) -> f64 {
        self.not_plain as f64 / self.requests.max(1) as f64
    }

    /// What it proposes for this configuration, the greatest expected gain first.
    pub fn proposals(&self, config: &ConfigText) -> Vec<Proposal> {
        let mut proposals = Vec::new();
        proposals.extend(self.query.proposal());
        proposals.extend(self.changes.proposals());
        proposals.extend(self.devices.proposals());
        proposals.extend(refresh_ahead(config));
        proposals.extend(self.rush.proposal(config));
        proposals
    }

    /// Patterns whose content changes so often that no lifetime and no stale window could spare
    /// visitors the wait, with their share of the requests: what bounds the gain.
    pub fn bounds(&self) -> Vec<(String, f64)> {
        self.changes.restless()
    }
}

/// Proposes revalidation ahead where the site has none.
fn refresh_ahead(config: &ConfigText) -> Option<Proposal> {
    (!config.site_has_table("refresh_ahead")).then(|| Proposal {
        title: "revalidate popular responses before they expire".to_owned(),
        reason: "the site has no [site.refresh_ahead]: the first visitor after each expiry waits, or gets a stale response"
            .to_owned(),
        edits: vec![ConfigEdit::SiteTable {
            name: "refresh_ahead".to_owned(),
            keys: vec![
                ("before".to_owned(), "\"10s\"".to_owned()),
                ("min_hits".to_owned(), "3".to_owned()),
            ],
        }],
    })
}

/// Whether a shared cache could have stored the response, as far as the log tells.
fn may_be_stored(record: &LogRecord) -> bool {
    let is_whole = record.method == Method::GET && record.status == StatusCode::OK;
    let directives = ResponseDirectives::of(&record.response);
    is_whole
        && record.cache != Some(LoggedCache::Pass)
        && !directives.no_store
        && !directives.private.is_all()
}

fn hashed(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Parameters that advertisements and newsletters add, in every site's traffic.
fn is_tracking(name: &str) -> bool {
    name.starts_with("utm_")
        || matches!(
            name,
            "fbclid"
                | "gclid"
                | "gbraid"
                | "wbraid"
                | "msclkid"
                | "dclid"
                | "yclid"
                | "ttclid"
                | "mc_cid"
                | "mc_eid"
        )
}

/// The parameters of a query, sorted, without tracking ones and those that `leave_out` names.
fn parameters<'q>(query: &'q str, leave_out: &str) -> Vec<&'q str> {
    let mut parameters: Vec<&str> = query
        .split('&')
        .filter(|parameter| !parameter.is_empty())
        .filter(|parameter| {
            let name = parameter.split('=').next().unwrap_or_default();
            !is_tracking(name) && name != leave_out
        })
        .collect();
    parameters.sort_unstable();
    parameters
}

/// A share as people read it.
fn percent(part: u64, whole: u64) -> String {
    format!("{:.1} %", 100.0 * part as f64 / whole.max(1) as f64)
}

#[cfg(test)]
mod tests;
