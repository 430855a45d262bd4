//! Pushing, activating and rolling back versions of policies; taking over the configuration anew.

use serde_json::json;

use super::State;
use super::asked;
use super::reply::{Refusal, Reply};
use crate::reload::ReloadError;
use crate::rollout::{RollBack, RolloutError, ShelfError};
use tero_policy_host::PolicyError;
use tero_policy_host::check;

/// Checks and keeps a version.
pub(super) fn push(state: &State, name: &str, content: &[u8]) -> Result<Reply, Refusal> {
    let version = state
        .rollout
        .push(name, content)
        .map_err(|error| refusal(&error))?;
    let pushed = version.pushed;
    Ok(Reply::created(&json!({
        "policy": name,
        "version": pushed.digest,
        "bytes": pushed.bytes,
        "settings": pushed.settings,
        "cases": pushed.cases,
        "was_known": version.was_known,
    })))
}

/// Has a version decide.
pub(super) fn activate(state: &State, name: &str, content: &[u8]) -> Result<Reply, Refusal> {
    known(state, name)?;
    let ask = asked::activate(content)?;
    let version = state
        .rollout
        .activate(name, &ask.digest)
        .map_err(|error| refusal(&error))?;
    Ok(Reply::json(
        &json!({ "policy": name, "version": version.as_str() }),
    ))
}

/// Ends a canary, or has the version before decide again.
pub(super) fn roll_back(state: &State, name: &str) -> Result<Reply, Refusal> {
    match state
        .rollout
        .roll_back(name)
        .map_err(|error| refusal(&error))?
    {
        RollBack::To(version) => Ok(Reply::json(
            &json!({ "policy": name, "version": version.as_str(), "ended_canary": null }),
        )),
        RollBack::Canary(ended) => {
            let rollout = state.rollout.state();
            let version = rollout
                .line(name)
                .map_err(|error| refusal(&error))?
                .active_version();
            Ok(Reply::json(
                &json!({ "policy": name, "version": version.as_str(), "ended_canary": ended.as_str() }),
            ))
        }
    }
}

/// Reads the configuration's file again.
pub(super) fn reload(state: &State) -> Result<Reply, Refusal> {
    match state.reloader.reload_file() {
        Ok(()) => {
            tracing::info!("the configuration has been read again");
            Ok(Reply::json(&json!({ "reloaded": true })))
        }
        Err(error) => {
            tracing::error!("the old configuration stays: {error}");
            Err(not_reloaded(&error))
        }
    }
}

fn not_reloaded(error: &ReloadError) -> Refusal {
    let kept = "the old configuration stays";
    match error {
        ReloadError::Config(errors) => {
            let list = errors.errors.iter().map(|error| json!(error)).collect();
            Refusal::conflict(
                format!("{kept}: {errors}"),
                "correct the file; `tero check` shows every mistake",
            )
            .with_errors(list)
        }
        ReloadError::Rollout(error) => refusal(error),
        ReloadError::Plan(error) => Refusal::conflict(
            format!("{kept}: {error}"),
            "correct the file; `tero check` shows every mistake",
        ),
    }
}

/// Another version is being uploaded.
pub(super) fn another_upload() -> Refusal {
    Refusal::not_ready(
        "another version is being pushed",
        "push it when that one is there",
    )
}

/// A policy that there is not is told before anything else.
pub(super) fn known(state: &State, name: &str) -> Result<(), Refusal> {
    state
        .rollout
        .state()
        .line(name)
        .map(|_| ())
        .map_err(|error| refusal(&error))
}

/// Why a change was refused, and what to do instead.
pub(super) fn refusal(error: &RolloutError) -> Refusal {
    let text = error.to_string();
    match error {
        RolloutError::UnknownPolicy { .. } => Refusal::unknown(
            text,
            "write one of those, or add a [[policy]] to the configuration",
        ),
        RolloutError::UnknownVersion { .. } => {
            Refusal::unknown(text, "write one of those, or push the version first")
        }
        RolloutError::NothingBefore(_) => Refusal::conflict(
            text,
            "GET /policies tells what is active and what was before",
        ),
        RolloutError::NoTrial { .. } => {
            Refusal::unknown(text, "GET /policies tells what is on trial")
        }
        RolloutError::IsActive { .. } => Refusal::conflict(text, "name another version"),
        RolloutError::OtherCanary { .. } => {
            Refusal::conflict(text, "activate or stop the other one first")
        }
        RolloutError::LargeCanary(_) => Refusal::bad(text, "write a smaller share"),
        RolloutError::BadGuard { .. } => Refusal::bad(text, "or leave it out"),
        RolloutError::NoStateDir => {
            Refusal::conflict(text, "for example state_dir = \"/var/lib/tero\"")
        }
        RolloutError::Policy(PolicyError::Engine { .. }) => Refusal::failed(),
        RolloutError::Policy(error) => Refusal::unprocessable(text, check::cure(error)),
        RolloutError::BadCases(errors) => {
            let list = errors.errors.iter().map(|error| json!(error)).collect();
            Refusal::unprocessable(
                text,
                "correct the cases; `tero policy test` shows every mistake",
            )
            .with_errors(list)
        }
        RolloutError::TooManyCases { .. } => {
            Refusal::unprocessable(text, "run the others with `tero policy test`")
        }
        RolloutError::FailedCase { outcome, .. } => {
            let cure = "correct the policy or the case; `tero policy test` runs all of them";
            Refusal::unprocessable(text, cure).with_errors(json!([outcome]))
        }
        RolloutError::Shelf(ShelfError::Damaged(_)) => {
            Refusal::conflict(text, "push the version again")
        }
        RolloutError::Shelf(_) => {
            tracing::error!("{text}");
            Refusal::internal(
                text,
                "see that the folder is there, has room, and belongs to tero alone",
            )
        }
        RolloutError::Busy => Refusal::not_ready(text, "try again"),
    }
}
