//! Pushing, activating and rolling back versions of policies; taking over the configuration anew.

use serde_json::json;

use super::AdminContext;
use super::asked;
use super::reply::{AdminRefusal, AdminResponse};
use crate::reload::ReloadError;
use crate::rollout::{RollbackResult, RolloutError, VersionStoreError};
use tero_policy_host::PolicyError;
use tero_policy_host::check;

/// Checks and keeps a version.
pub(super) fn push(
    state: &AdminContext,
    name: &str,
    content: &[u8],
) -> Result<AdminResponse, AdminRefusal> {
    let version = state
        .rollout
        .push(name, content)
        .map_err(|error| refusal(&error))?;
    let pushed = version.pushed;
    Ok(AdminResponse::created(&json!({
        "policy": name,
        "version": pushed.digest,
        "bytes": pushed.bytes,
        "settings": pushed.settings,
        "cases": pushed.cases,
        "was_known": version.was_known,
    })))
}

/// Has a version decide.
pub(super) fn activate(
    state: &AdminContext,
    name: &str,
    content: &[u8],
) -> Result<AdminResponse, AdminRefusal> {
    known(state, name)?;
    let ask = asked::activate(content)?;
    let version = state
        .rollout
        .activate(name, &ask.digest)
        .map_err(|error| refusal(&error))?;
    Ok(AdminResponse::json(
        &json!({ "policy": name, "version": version.as_str() }),
    ))
}

/// Ends a canary, or has the version before decide again.
pub(super) fn roll_back(state: &AdminContext, name: &str) -> Result<AdminResponse, AdminRefusal> {
    match state
        .rollout
        .roll_back(name)
        .map_err(|error| refusal(&error))?
    {
        RollbackResult::To(version) => Ok(AdminResponse::json(
            &json!({ "policy": name, "version": version.as_str(), "ended_canary": null }),
        )),
        RollbackResult::Canary(ended) => {
            let rollout = state.rollout.state();
            let version = rollout
                .policy(name)
                .map_err(|error| refusal(&error))?
                .active_version();
            Ok(AdminResponse::json(
                &json!({ "policy": name, "version": version.as_str(), "ended_canary": ended.as_str() }),
            ))
        }
    }
}

/// Reads the configuration's file again.
pub(super) fn reload(state: &AdminContext) -> Result<AdminResponse, AdminRefusal> {
    match state.reloader.reload_file() {
        Ok(()) => {
            tracing::info!("the configuration has been read again");
            Ok(AdminResponse::json(&json!({ "reloaded": true })))
        }
        Err(error) => {
            tracing::error!("the old configuration stays: {error}");
            Err(not_reloaded(&error))
        }
    }
}

fn not_reloaded(error: &ReloadError) -> AdminRefusal {
    let kept = "the old configuration stays";
    match error {
        ReloadError::Config(errors) => {
            let list = errors.errors.iter().map(|error| json!(error)).collect();
            AdminRefusal::conflict(
                format!("{kept}: {errors}"),
                "correct the file; `tero check` shows every mistake",
            )
            .with_errors(list)
        }
        ReloadError::Rollout(error) => refusal(error),
        ReloadError::Plan(error) => AdminRefusal::conflict(
            format!("{kept}: {error}"),
            "correct the file; `tero check` shows every mistake",
        ),
    }
}

/// Another version is being uploaded.
pub(super) fn another_upload() -> AdminRefusal {
    AdminRefusal::not_ready(
        "another version is being pushed",
        "push it when that one is there",
    )
}

/// A policy that there is not is told before anything else.
pub(super) fn known(state: &AdminContext, name: &str) -> Result<(), AdminRefusal> {
    state
        .rollout
        .state()
        .policy(name)
        .map(|_| ())
        .map_err(|error| refusal(&error))
}

/// Why a change was refused, and what to do instead.
pub(super) fn refusal(error: &RolloutError) -> AdminRefusal {
    let text = error.to_string();
    match error {
        RolloutError::UnknownPolicy { .. } => AdminRefusal::unknown(
            text,
            "write one of those, or add a [[policy]] to the configuration",
        ),
        RolloutError::UnknownVersion { .. } => {
            AdminRefusal::unknown(text, "write one of those, or push the version first")
        }
        RolloutError::NothingBefore(_) => AdminRefusal::conflict(
            text,
            "GET /policies tells what is active and what was before",
        ),
        RolloutError::NoTrial { .. } => {
            AdminRefusal::unknown(text, "GET /policies tells what is on trial")
        }
        RolloutError::IsActive { .. } => AdminRefusal::conflict(text, "name another version"),
        RolloutError::OtherCanary { .. } => {
            AdminRefusal::conflict(text, "activate or stop the other one first")
        }
        RolloutError::LargeCanary(_) => AdminRefusal::bad(text, "write a smaller share"),
        RolloutError::BadGuard { .. } => AdminRefusal::bad(text, "or leave it out"),
        RolloutError::NoStateDir => {
            AdminRefusal::conflict(text, "for example state_dir = \"/var/lib/tero\"")
        }
        RolloutError::Policy(PolicyError::Engine { .. }) => AdminRefusal::failed(),
        RolloutError::Policy(error) => AdminRefusal::unprocessable(text, check::cure(error)),
        RolloutError::BadCases(errors) => {
            let list = errors.errors.iter().map(|error| json!(error)).collect();
            AdminRefusal::unprocessable(
                text,
                "correct the cases; `tero policy test` shows every mistake",
            )
            .with_errors(list)
        }
        RolloutError::TooManyCases { .. } => {
            AdminRefusal::unprocessable(text, "run the others with `tero policy test`")
        }
        RolloutError::FailedCase { outcome, .. } => {
            let cure = "correct the policy or the case; `tero policy test` runs all of them";
            AdminRefusal::unprocessable(text, cure).with_errors(json!([outcome]))
        }
        RolloutError::Shelf(VersionStoreError::Damaged(_)) => {
            AdminRefusal::conflict(text, "push the version again")
        }
        RolloutError::Shelf(_) => {
            tracing::error!("{text}");
            AdminRefusal::internal(
                text,
                "see that the folder is there, has room, and belongs to tero alone",
            )
        }
        RolloutError::Busy => AdminRefusal::not_ready(text, "try again"),
    }
}
