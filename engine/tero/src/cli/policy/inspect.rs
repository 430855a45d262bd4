//! `tero policy inspect`: what a module is, what it wants, and what it says about itself.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde_json::{Value, json};

use super::push::settings;
use crate::cli::{fail, print, used_wrongly};
use tero_config as config;
use tero_config::{ModuleSource, PolicyHost, PolicyLimits, units};
use tero_policy_host::{Host, Inspection, Manifest, PolicyError};

const EXAMPLE: &str = "\
Examples:
  tero policy inspect target/wasm32-unknown-unknown/release/hours.wasm
  tero policy inspect hours.wasm --settings '{\"zone\": \"UTC\", \"open\": \"09:00\", \"close\": \"18:00\"}'
  tero policy inspect builtin:json-rules --settings rules.json --json | jq .manifest

A manifest depends on the settings: without them, a policy that needs some refuses, and says which.
Exit code: 0 if an edge can use it with these settings, 1 if not, 2 if the command is used wrongly.";

/// Shows what a module is: contract, imports, size, digest and manifest
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct InspectCommand {
    /// A module, or a shipped policy as builtin:NAME
    #[arg(value_name = "FILE.wasm")]
    module: String,
    /// Settings as JSON, or a file of them [default: {}]
    #[arg(long, value_name = "JSON|FILE")]
    settings: Option<String>,
    /// Prints the result as JSON
    #[arg(long)]
    json: bool,
}

impl InspectCommand {
    pub(super) fn run(self) -> ExitCode {
        let policy = match self.policy() {
            Ok(policy) => policy,
            Err(message) => return used_wrongly(&message),
        };
        let host = match Host::new(&PolicyHost::default()) {
            Ok(host) => host,
            Err(error) => return fail(&error.to_string()),
        };
        let inspection = match host.inspect(&policy) {
            Ok(inspection) => inspection,
            Err(error) => return fail(&error.to_string()),
        };
        let shown = if self.json {
            print(&format!("{}\n", as_json(&self.module, &inspection)))
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

    fn policy(&self) -> Result<config::Policy, String> {
        let (name, module) = match self.module.strip_prefix("builtin:") {
            Some(name) => (name.to_owned(), ModuleSource::Builtin(name.to_owned())),
            None => {
                let path = PathBuf::from(&self.module);
                let stem = path.file_stem().map_or_else(
                    || "policy".into(),
                    |stem| stem.to_string_lossy().into_owned(),
                );
                (stem, ModuleSource::File(path))
            }
        };
        let settings = self
            .settings
            .as_deref()
            .map_or_else(|| Ok("{}".to_owned()), settings)?;
        Ok(config::Policy {
            place: config::FilePosition::default(),
            name: name.into(),
            module,
            settings,
            calendar: None,
            limits: PolicyLimits::default(),
        })
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
        let contract = inspection
            .contract
            .as_ref()
            .map_or("unknown".to_owned(), |version| {
                format!("tero:policy@{version}")
            });
        table.add_row(["contract", &contract]);
        for (index, import) in inspection.imports.iter().enumerate() {
            let head = if index == 0 { "imports" } else { "" };
            table.add_row([head, &format!("{}: {}", import.name, import.given.as_str())]);
        }
        if let Ok(policy) = &inspection.policy {
            for (name, value) in manifest(policy.manifest()) {
                table.add_row([name, &shown(&value)]);
            }
        }
        format!("{table}\n")
            .lines()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect()
    }
}

/// With one digit behind the point.
pub(super) fn size(bytes: usize) -> String {
    #[allow(clippy::cast_precision_loss)] // One digit is shown.
    let kib = bytes as f64 / 1024.0;
    match kib {
        ..1.0 => units::show_size(bytes as u64),
        ..1024.0 => format!("{kib:.1} KiB"),
        _ => format!("{:.1} MiB", kib / 1024.0),
    }
}

/// The parts of a manifest by name, in the order of the contract.
fn manifest(manifest: &Manifest) -> [(&'static str, Value); 8] {
    fn names(names: &[http::HeaderName]) -> Value {
        names
            .iter()
            .map(http::HeaderName::as_str)
            .collect::<Vec<_>>()
            .into()
    }
    [
        (
            "hooks",
            manifest
                .hooks
                .iter()
                .map(|hook| hook.as_str())
                .collect::<Vec<_>>()
                .into(),
        ),
        ("headers", names(&manifest.headers)),
        (
            "cookies",
            manifest
                .cookies
                .iter()
                .map(|name| &**name)
                .collect::<Vec<_>>()
                .into(),
        ),
        ("response-headers", names(&manifest.response_headers)),
        ("query", manifest.query.into()),
        ("device", manifest.device.into()),
        ("zone", manifest.zone.map(|zone| zone.name()).into()),
        (
            "variants",
            manifest
                .variants
                .iter()
                .map(|name| &**name)
                .collect::<Vec<_>>()
                .into(),
        ),
    ]
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(false) => "no".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn as_json(module: &str, inspection: &Inspection) -> Value {
    let imports: Vec<Value> = inspection
        .imports
        .iter()
        .map(|import| json!({ "name": import.name, "given": import.given.as_str() }))
        .collect();
    let described = inspection
        .policy
        .as_ref()
        .ok()
        .map(|policy| Value::from_iter(manifest(policy.manifest())));
    json!({
        "module": module,
        "is_component": inspection.is_component,
        "size_bytes": inspection.size,
        "digest": inspection.digest,
        "contract": inspection.contract.as_ref().map(|version| format!("tero:policy@{version}")),
        "imports": imports,
        "manifest": described,
        "error": inspection.policy.as_ref().err().map(ToString::to_string),
    })
}
