//! `tero policy inspect`: shows what a module is, needs and declares.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;

use super::push::settings;
use crate::cli::compile::compiler;
use crate::cli::policy::desk_settings;
use crate::cli::{fail, print, print_json, used_wrongly};
use tero_config as config;
use tero_config::{ModuleSource, PolicyLimits, units};
use tero_policy_host::{
    Abilities, BucketRule, Host, Inspection, Manifest, NetworkPrefix, PolicyError, compare,
};

const EXAMPLE: &str = "\
Examples:
  tero policy inspect target/wasm32-unknown-unknown/release/hours.wasm
  tero policy inspect hours.wasm --settings hours.json
  tero policy inspect builtin:json-rules --settings rules.json --json

A manifest depends on the settings. If settings are missing, the policy's
refusal names them. Exit code: 0 if an edge can use it with these settings, 1
if not, 2 if the command is used wrongly.";

/// Shows what a module is: contract, imports, size, digest and manifest
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct InspectCommand {
    /// A module, or a shipped policy as builtin:NAME
    #[arg(value_name = "FILE.wasm")]
    module: String,
    /// Settings as JSON, or a JSON file [default: {}]
    #[arg(long, value_name = "JSON|FILE")]
    settings: Option<String>,
    /// Prints the result as JSON
    #[arg(long)]
    json: bool,
}

impl InspectCommand {
    pub(super) fn run(self) -> ExitCode {
        let policy = match policy_of(&self.module, self.settings.as_deref()) {
            Ok(policy) => policy,
            Err(message) => return used_wrongly(&message),
        };
        let host = match Host::with_compiler(&desk_settings(), &compiler()) {
            Ok(host) => host,
            Err(error) => return fail(&error.to_string()),
        };
        let inspection = match host.inspect(&policy) {
            Ok(inspection) => inspection,
            Err(error) => return fail(&error.to_string()),
        };
        let shown = if self.json {
            print_json(&InspectReport::of(&self.module, &inspection))
        } else {
            print(&self.table(&inspection))
        };
        match &inspection.policy {
            Ok(_) => shown,
            Err(_) if self.json => ExitCode::FAILURE,
            Err(error @ PolicyError::Settings { .. }) if self.settings.is_none() => {
                fail(&format!("{error}; give it some with --settings"))
            }
            Err(error) => fail(&error.to_string()),
        }
    }

    fn table(&self, inspection: &Inspection) -> String {
        let mut table = Table::new();
        table.load_preset(NOTHING);
        let kind = if inspection.is_component {
            "a component"
        } else {
            "a core module"
        };
        table.add_row(["module", &format!("{}, {kind}", self.module)]);
        table.add_row(["size", &size(inspection.size)]);
        table.add_row(["digest", &inspection.digest]);
        let contract = contract(inspection);
        table.add_row(["contract", contract.as_deref().unwrap_or("unknown")]);
        for (index, import) in inspection.imports.iter().enumerate() {
            let head = if index == 0 { "imports" } else { "" };
            table.add_row([head, &format!("{}: {}", import.name, import.given.as_str())]);
        }
        if let Ok(policy) = &inspection.policy {
            for (name, value) in ManifestReport::of(policy.manifest()).rows() {
                table.add_row([name, &value]);
            }
        }
        format!("{table}\n")
            .lines()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect()
    }
}

/// The policy of a module, or of a shipped policy as builtin:NAME.
pub(super) fn policy_of(source: &str, given: Option<&str>) -> Result<config::Policy, String> {
    let (name, module) = match source.strip_prefix("builtin:") {
        Some(name) => (name.to_owned(), ModuleSource::Builtin(name.to_owned())),
        None => {
            let path = PathBuf::from(source);
            let stem = path.file_stem().map_or_else(
                || "policy".into(),
                |stem| stem.to_string_lossy().into_owned(),
            );
            (stem, ModuleSource::File(path))
        }
    };
    Ok(config::Policy {
        place: config::FilePosition::default(),
        name: name.into(),
        module,
        settings: given.map_or_else(|| Ok("{}".to_owned()), settings)?,
        calendar: None,
        limits: PolicyLimits::default(),
    })
}

/// A size with one decimal.
pub(super) fn size(bytes: usize) -> String {
    #[allow(clippy::cast_precision_loss)] // One digit is shown.
    let kib = bytes as f64 / 1024.0;
    match kib {
        ..1.0 => units::show_size(bytes as u64),
        ..1024.0 => format!("{kib:.1} KiB"),
        _ => format!("{:.1} MiB", kib / 1024.0),
    }
}

/// The description of a module, for JSON.
#[derive(Serialize)]
struct InspectReport<'a> {
    module: &'a str,
    is_component: bool,
    size_bytes: usize,
    digest: &'a str,
    contract: Option<String>,
    imports: Vec<ImportReport<'a>>,
    manifest: Option<ManifestReport>,
    error: Option<String>,
}

#[derive(Serialize)]
struct ImportReport<'a> {
    name: &'a str,
    given: &'a str,
}

/// The parts of a manifest, in the order of the contract.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ManifestReport {
    hooks: Vec<String>,
    headers: Vec<String>,
    cookies: Vec<String>,
    response_headers: Vec<String>,
    query: bool,
    device: bool,
    device_source: bool,
    zone: Option<String>,
    network: Option<NetworkReport>,
    country: bool,
    region: bool,
    bucket: Option<BucketReport>,
    route: bool,
    tables: Vec<String>,
    variants: Vec<String>,
    query_rules: Vec<String>,
    key_parts: Vec<String>,
    origins: Vec<String>,
    rate_classes: Vec<String>,
    request_edits: Vec<String>,
    response_edits: Vec<String>,
    stored_edits: Vec<String>,
    abilities: Vec<&'static str>,
    path_patterns: Option<PathPatternsReport>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct PathPatternsReport {
    patterns: Vec<String>,
    each_response: bool,
}

#[derive(Clone, Copy, Serialize)]
struct NetworkReport {
    ipv4: u8,
    ipv6: u8,
}

#[derive(Serialize)]
struct BucketReport {
    experiment: String,
    buckets: u16,
    cookie: Option<String>,
    network: NetworkReport,
}

impl NetworkReport {
    fn of(prefix: NetworkPrefix) -> NetworkReport {
        NetworkReport {
            ipv4: prefix.ipv4,
            ipv6: prefix.ipv6,
        }
    }

    fn words(self) -> String {
        format!("{} bits of IPv4, {} of IPv6", self.ipv4, self.ipv6)
    }
}

impl BucketReport {
    fn of(rule: &BucketRule) -> BucketReport {
        BucketReport {
            experiment: rule.experiment.to_string(),
            buckets: rule.buckets,
            cookie: rule.cookie.as_ref().map(ToString::to_string),
            network: NetworkReport::of(rule.network),
        }
    }

    fn words(&self) -> String {
        let by = match &self.cookie {
            Some(cookie) => format!("the cookie {cookie}, or {}", self.network.words()),
            None => self.network.words(),
        };
        format!("{} of {}, by {by}", self.buckets, self.experiment)
    }
}

/// The names of the abilities that a manifest has.
fn abilities(may: Abilities) -> Vec<&'static str> {
    [
        (may.rewrite, "rewrite"),
        (may.answer, "answer"),
        (may.log_tag, "log-tag"),
        (may.admission, "admission"),
        (may.error_ttl, "error-ttl"),
        (may.expiry, "expiry"),
    ]
    .into_iter()
    .filter_map(|(is_named, name)| is_named.then_some(name))
    .collect()
}

impl ManifestReport {
    fn of(manifest: &Manifest) -> ManifestReport {
        fn names<T: ToString>(names: &[T]) -> Vec<String> {
            names.iter().map(T::to_string).collect()
        }
        let hooks = manifest.hooks.iter();
        ManifestReport {
            hooks: hooks.map(|hook| hook.as_str().to_owned()).collect(),
            headers: names(&manifest.headers),
            cookies: names(&manifest.cookies),
            response_headers: names(&manifest.response_headers),
            query: manifest.query,
            device: manifest.device,
            device_source: manifest.device_source,
            zone: manifest.zone.map(|zone| zone.name().to_owned()),
            network: manifest.network.map(NetworkReport::of),
            country: manifest.country,
            region: manifest.region,
            bucket: manifest.bucket.as_ref().map(BucketReport::of),
            route: manifest.route,
            tables: names(&manifest.tables),
            variants: names(&manifest.variants),
            query_rules: manifest.query_rules.iter().map(compare::query).collect(),
            key_parts: names(&manifest.key_parts),
            origins: names(&manifest.origins),
            rate_classes: names(&manifest.rate_classes),
            request_edits: names(&manifest.request_edits),
            response_edits: names(&manifest.response_edits),
            stored_edits: names(&manifest.stored_edits),
            abilities: abilities(manifest.abilities),
            path_patterns: manifest
                .path_patterns
                .as_ref()
                .map(|paths| PathPatternsReport {
                    patterns: names(&paths.patterns),
                    each_response: paths.each_response,
                }),
        }
    }

    /// Each part with its name, for people. Of what 0.2 added, only what the manifest names.
    fn rows(&self) -> Vec<(&'static str, String)> {
        let list = |names: &[String]| {
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        };
        let answer = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
        let mut rows = vec![
            ("hooks", list(&self.hooks)),
            ("headers", list(&self.headers)),
            ("cookies", list(&self.cookies)),
            ("response-headers", list(&self.response_headers)),
            ("query", answer(self.query)),
            ("device", answer(self.device)),
            ("zone", self.zone.clone().unwrap_or_else(|| answer(false))),
            ("variants", list(&self.variants)),
        ];
        let flags = [
            ("device-source", self.device_source),
            ("country", self.country),
            ("region", self.region),
            ("route", self.route),
        ];
        let flags = flags.into_iter().filter(|(_, is_named)| *is_named);
        rows.extend(flags.map(|(name, _)| (name, answer(true))));
        rows.extend(self.network.map(|network| ("network", network.words())));
        rows.extend(self.bucket.as_ref().map(|rule| ("bucket", rule.words())));
        let lists = [
            ("tables", &self.tables),
            ("query-rules", &self.query_rules),
            ("key-parts", &self.key_parts),
            ("origins", &self.origins),
            ("rate-classes", &self.rate_classes),
            ("request-edits", &self.request_edits),
            ("response-edits", &self.response_edits),
            ("stored-edits", &self.stored_edits),
        ];
        let lists = lists.into_iter().filter(|(_, names)| !names.is_empty());
        rows.extend(lists.map(|(name, names)| (name, list(names))));
        if !self.abilities.is_empty() {
            rows.push(("abilities", self.abilities.join(", ")));
        }
        if let Some(paths) = &self.path_patterns {
            let each = if paths.each_response {
                ", and each response"
            } else {
                ""
            };
            rows.push(("path-patterns", list(&paths.patterns) + each));
        }
        rows
    }
}

impl InspectReport<'_> {
    fn of<'a>(module: &'a str, inspection: &'a Inspection) -> InspectReport<'a> {
        let imports = inspection.imports.iter();
        let policy = inspection.policy.as_ref();
        InspectReport {
            module,
            is_component: inspection.is_component,
            size_bytes: inspection.size,
            digest: &inspection.digest,
            contract: contract(inspection),
            imports: imports
                .map(|import| ImportReport {
                    name: &import.name,
                    given: import.given.as_str(),
                })
                .collect(),
            manifest: policy
                .ok()
                .map(|policy| ManifestReport::of(policy.manifest())),
            error: policy.err().map(ToString::to_string),
        }
    }
}

fn contract(inspection: &Inspection) -> Option<String> {
    let version = inspection.contract.as_ref();
    version.map(|version| format!("tero:policy@{version}"))
}
