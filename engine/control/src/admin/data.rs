//! `/data`: lists, pushes, rolls back and removes data tables, and looks rows up.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use super::call::Call;
use super::cluster::tell_change;
use super::context::AdminContext;
use super::reply::AdminRefusal;
use super::samples::{Sample, gauges};
use crate::data::table_record::{TableNumber, TableVersion};
use crate::data::{DataError, DataState, TableEntry, TableStoreError};
use crate::rollout::VersionSet;
use crate::version_files::VersionFileError;
use tero_admin_api::endpoints::{LookUp, PushTable, RemoveTable, RollBackTable, Table, Tables};
use tero_admin_api::{
    ConfiguredTableReport, LookUpRequest, LookUpResponse, PushTableResponse, RemoveTableResponse,
    RollBackTableResponse, TableReport, TableRowReport, TableVersionReport, TablesResponse,
};
use tero_config::{TableFormat, TableKind};

/// Every table, by name.
pub(super) fn tables(
    context: &AdminContext,
    _: Call<'_, Tables>,
) -> Result<TablesResponse, AdminRefusal> {
    let (state, policies) = (context.data.state(), context.rollout.state());
    let tables = state
        .entries()
        .map(|(name, entry)| report(name, entry, &policies));
    Ok(TablesResponse {
        tables: tables.collect(),
    })
}

/// One table.
pub(super) fn table(
    context: &AdminContext,
    call: Call<'_, Table>,
) -> Result<TableReport, AdminRefusal> {
    let (state, name) = (context.data.state(), call.parameter());
    let entry = state.entry(name).map_err(|error| refusal(&error))?;
    Ok(report(name, entry, &context.rollout.state()))
}

/// Keeps a version, and has it decide.
pub(super) fn push(
    context: &AdminContext,
    call: Call<'_, PushTable>,
) -> Result<PushTableResponse, AdminRefusal> {
    let (name, request) = (call.parameter(), call.read()?);
    let format = request.format.as_deref().and_then(TableFormat::parse);
    let format = format.unwrap_or_else(|| format_of(&request.content));
    let kind = request.kind.as_deref().and_then(TableKind::parse);
    let push = context.data.push(
        name,
        &request.content,
        format,
        kind,
        request.signature.as_deref(),
    );
    let push = push.map_err(|error| refusal(&error))?;
    Ok(PushTableResponse {
        table: name.to_owned(),
        pushed: version(&push.version),
        was_known: push.was_known,
        fleet: tell_change(context),
    })
}

/// A content that begins with a brace is JSON.
fn format_of(content: &[u8]) -> TableFormat {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    match content.trim_ascii_start().first() {
        Some(b'{') => TableFormat::Json,
        _ => TableFormat::Csv,
    }
}

/// Looks a row up.
pub(super) fn look_up(
    context: &AdminContext,
    call: Call<'_, LookUp>,
) -> Result<LookUpResponse, AdminRefusal> {
    let (state, name) = (context.data.state(), call.parameter());
    let entry = state.entry(name).map_err(|error| refusal(&error))?;
    let request = call.read()?;
    let table = entry.active().ok_or_else(|| {
        let trouble = entry.trouble().unwrap_or("it has no version");
        AdminRefusal::conflict(
            format!("no version of the table `{name}` decides: {trouble}"),
            "push the table again",
        )
    })?;
    let row = match request {
        LookUpRequest::Key(key) => table.get(&key).map(|value| TableRowReport {
            value: value.into_owned(),
            key,
        }),
        LookUpRequest::Prefix(text) => table.longest_prefix(&text).map(|row| TableRowReport {
            key: row.key.into_owned(),
            value: row.value.into_owned(),
        }),
    };
    Ok(LookUpResponse {
        table: name.to_owned(),
        version: entry.active_number().to_string(),
        row,
    })
}

/// Has an earlier version decide again.
pub(super) fn roll_back(
    context: &AdminContext,
    call: Call<'_, RollBackTable>,
) -> Result<RollBackTableResponse, AdminRefusal> {
    let (name, request) = (call.parameter(), call.read()?);
    let version = context.data.roll_back(name, request.version.as_deref());
    let version = version.map_err(|error| refusal(&error))?;
    let fleet = tell_change(context);
    let state = context.data.state();
    let unsaved = state.entry(name).ok().and_then(TableEntry::unsaved);
    Ok(RollBackTableResponse {
        table: name.to_owned(),
        version: version.to_string(),
        unsaved: unsaved.map(str::to_owned),
        fleet,
    })
}

/// Forgets the pushed versions.
pub(super) fn remove(
    context: &AdminContext,
    call: Call<'_, RemoveTable>,
) -> Result<RemoveTableResponse, AdminRefusal> {
    let name = call.parameter();
    let users = users(name, &context.rollout.state());
    context
        .data
        .remove(name, &users)
        .map_err(|error| refusal(&error))?;
    let is_left = context.data.state().entry(name).is_ok();
    Ok(RemoveTableResponse {
        table: name.to_owned(),
        version: is_left.then(|| TableNumber::Configured.to_string()),
        fleet: tell_change(context),
    })
}

/// The policies of sites that read a table: `prices of shop`.
fn users(table: &str, policies: &VersionSet) -> Vec<String> {
    let mut users = Vec::new();
    for (name, versions) in policies.policies() {
        if versions.reads_table(table) {
            let sites = policies.sites_of(name);
            users.extend(sites.into_iter().map(|site| format!("{name} of {site}")));
        }
    }
    users
}

fn report(name: &str, entry: &TableEntry, policies: &VersionSet) -> TableReport {
    let (record, active) = (entry.record(), entry.active());
    TableReport {
        name: name.to_owned(),
        version: active.map(|_| entry.active_number().to_string()),
        kind: active.map(|table| table.kind().as_str().to_owned()),
        rows: active.map_or(0, |table| table.rows() as u64),
        memory_bytes: active.map_or(0, |table| table.bytes() as u64),
        active_since_unix_secs: record.since_unix_secs,
        previous: record.leads_back_to().map(|version| version.to_string()),
        configuration: entry.configured().map(|data| ConfiguredTableReport {
            digest: data.digest.clone(),
            rows: data.table.rows() as u64,
            file_bytes: data.file_bytes,
        }),
        versions: record.versions.iter().rev().map(version).collect(),
        users: users(name, policies),
        trouble: entry.trouble().map(str::to_owned),
        unsaved: entry.unsaved().map(str::to_owned),
    }
}

fn version(version: &TableVersion) -> TableVersionReport {
    TableVersionReport {
        version: version.number,
        digest: version.digest.clone(),
        format: version.format.as_str().to_owned(),
        kind: version.kind.as_str().to_owned(),
        rows: version.rows,
        file_bytes: version.bytes,
        pushed_unix_secs: version.pushed_unix_secs,
    }
}

/// Why a change was refused, and what to do instead.
fn refusal(error: &DataError) -> AdminRefusal {
    let (text, cure) = (error.to_string(), error.cure());
    match error {
        DataError::Unknown { .. } | DataError::UnknownVersion(_) => {
            AdminRefusal::unknown(text, cure)
        }
        DataError::Untrusted(_)
        | DataError::Content(_)
        | DataError::Name(_)
        | DataError::File { .. } => AdminRefusal::unprocessable(text, cure),
        DataError::NothingBefore(_)
        | DataError::IsActive(..)
        | DataError::NotConfigured(_)
        | DataError::OfConfiguration(_)
        | DataError::InUse { .. }
        | DataError::TooMany(_)
        | DataError::NoStateDir
        | DataError::Store(TableStoreError::Files(
            VersionFileError::Damaged(_) | VersionFileError::Untrusted { .. },
        )) => AdminRefusal::conflict(text, cure),
        DataError::Store(_) => {
            tracing::error!("{text}");
            AdminRefusal::internal(text, cure)
        }
    }
}

/// The metrics of tables. Labels are bounded by `max_tables`.
pub(super) fn metrics(state: &DataState, encoder: &mut DescriptorEncoder) -> fmt::Result {
    let per_table = |value: fn(&TableEntry) -> u64| -> Vec<Sample<u64>> {
        let entries = state.entries();
        entries
            .map(|(name, entry)| (vec![("table", name.to_string())], value(entry)))
            .collect()
    };
    gauges(
        encoder,
        "tero_table_rows",
        "Rows of a data table",
        per_table(|entry| entry.active().map_or(0, |table| table.rows() as u64)),
    )?;
    gauges(
        encoder,
        "tero_table_bytes",
        "Memory of a data table",
        per_table(|entry| entry.active().map_or(0, |table| table.bytes() as u64)),
    )?;
    gauges(
        encoder,
        "tero_table_version",
        "The deciding version of a data table; 0 is that of the configuration",
        per_table(|entry| match entry.active_number() {
            TableNumber::Configured => 0,
            TableNumber::Pushed(number) => number,
        }),
    )
}
