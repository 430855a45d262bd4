//! What the state directory changes about a configuration: versions that decide in place of the
//! configuration's, policies that were added, tables that were pushed. `tero check --state` shows it.
//!
//! The directory is only read, without its lock: a running edge may hold that.

use std::fs;
use std::path::Path;

use crate::data::table_record::{TableNumber, TableRecord};
use crate::rollout::record::{PolicyRecord, Version, file_of};
use tero_config::{Config, forms};
use tero_policy_host::digest;
use tero_policy_host::trust::TrustedKeys;
use tero_state::trusted;

/// The largest record that is read, in bytes.
const MAX_RECORD_BYTES: u64 = 1 << 20;

/// A line for each thing that the next start of an edge with this configuration would take from its
/// state directory, or leave out. Empty without a state directory.
pub fn state_lines(config: &Config) -> Vec<String> {
    let Some(dir) = &config.policy_host.state_dir else {
        return Vec::new();
    };
    let trust = TrustedKeys::new(&config.policy_host.trusted_keys);
    let report = StateReport {
        config,
        dir,
        trust: &trust,
    };
    let mut lines = Vec::new();
    for name in names(&dir.join("policies")) {
        lines.extend(report.policy(&name));
    }
    for name in names(&dir.join("data")) {
        lines.extend(report.table(&name));
    }
    lines
}

/// Reads a state directory beside a configuration.
struct StateReport<'a> {
    config: &'a Config,
    dir: &'a Path,
    trust: &'a TrustedKeys,
}

impl StateReport<'_> {
    fn policy(&self, name: &str) -> Vec<String> {
        let path = self.dir.join("policies").join(format!("{name}.json"));
        let record = trusted::read(&path, MAX_RECORD_BYTES);
        let record = record.map_err(|error| error.to_string());
        let record =
            record.and_then(|text| PolicyRecord::parse(&text).map_err(|error| error.to_string()));
        let record = match record {
            Ok(record) => record,
            Err(error) => return vec![format!("policy {name}: {}: {error}", path.display())],
        };
        let is_configured = self.config.policies.iter().any(|it| *it.name == *name);
        let mut lines = Vec::new();
        match &record.added {
            Some(_) if is_configured => lines.push(format!(
                "policy {name}: it was added by a push, and is left out: the configuration has a policy of this name"
            )),
            Some(added) => {
                for placement in &added.placements {
                    let site = &placement.site;
                    let is_there = self.config.sites.iter().any(|it| *it.name == **site);
                    lines.push(match is_there {
                        true => format!("policy {name}: a push put it on the site {site}"),
                        false => format!(
                            "policy {name}: a push put it on the site {site}, which is not configured"
                        ),
                    });
                }
                lines.extend(self.doubt(name, &added.digest, "it is left out"));
            }
            None if !is_configured => lines.push(format!(
                "policy {name}: {} versions are kept; the configuration has no such policy",
                record.versions.len()
            )),
            None => {}
        }
        if let Version::Pushed(digest) = &record.active
            && (is_configured || record.added.is_some())
        {
            let number = record.pushed(digest).map_or(0, |version| version.number);
            lines.push(format!(
                "policy {name}: version {number} ({}) decides",
                digest.get(..12).unwrap_or(digest)
            ));
            lines.extend(self.doubt(name, digest, "the configuration's version decides"));
        }
        lines
    }

    /// Why a pushed version of a policy can't be used, and what happens instead.
    fn doubt(&self, policy: &str, version: &str, instead: &str) -> Option<String> {
        let path = self.dir.join("versions").join(file_of(policy, version));
        let why = self.doubt_of(&path, version, self.config.policy_host.max_module)?;
        Some(format!("policy {policy}: {instead}: {why}"))
    }

    fn doubt_of(&self, path: &Path, expected: &str, max_bytes: u64) -> Option<String> {
        match trusted::read(path, max_bytes) {
            Err(error) => Some(format!("{}: {error}", path.display())),
            Ok(content) if digest(&content) != expected => {
                Some(format!("{} is not what was pushed", path.display()))
            }
            Ok(content) => {
                let error = self.trust.check_file(path, &content).err()?;
                Some(format!("{}: {error}; {}", path.display(), error.cure()))
            }
        }
    }

    fn table(&self, name: &str) -> Vec<String> {
        let path = self.dir.join("data").join(format!("{name}.json"));
        let record = trusted::read(&path, MAX_RECORD_BYTES);
        let record = record.map_err(|error| error.to_string());
        let record =
            record.and_then(|text| TableRecord::parse(&text).map_err(|error| error.to_string()));
        let record = match record {
            Ok(record) => record,
            Err(error) => return vec![format!("table {name}: {}: {error}", path.display())],
        };
        let TableNumber::Pushed(number) = record.active else {
            return Vec::new();
        };
        let Some(version) = record.version(number) else {
            return Vec::new();
        };
        let is_configured = self.config.tables.iter().any(|it| *it.name == *name);
        let place = match is_configured {
            true => " in place of the configuration's",
            false => "; the configuration has no such table",
        };
        let mut lines = vec![format!("table {name}: version {number} decides{place}")];
        let path = self.dir.join("tables").join(version.file_of(name));
        let max_bytes = self.config.policy_host.max_table;
        if let Some(why) = self.doubt_of(&path, &version.digest, max_bytes) {
            let instead = match is_configured {
                true => "the configuration's table decides",
                false => "there is no such table",
            };
            lines.push(format!("table {name}: {instead}: {why}"));
        }
        lines
    }
}

/// The names of the records in a folder.
fn names(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = files
        .filter_map(|file| {
            let file = file.file_name();
            forms::name(file.to_str()?.strip_suffix(".json")?).ok()
        })
        .collect();
    names.sort_unstable();
    names
}
