//! Pushes, activates and rolls back versions of policies; reads the configuration again.

use super::call::Call;
use super::cluster::tell_change;
use super::context::AdminContext;
use super::reply::AdminRefusal;
use super::reports;
use crate::reload::ReloadError;
use crate::rollout::record::PlacementRecord;
use crate::rollout::{PushedVersion, RollbackResult, RolloutError, VersionStoreError};
use crate::version_files::VersionFileError;
use tero_admin_api::endpoints::{Activate, PushVersion, Reload, RemovePolicy, Rollback};
use tero_admin_api::{
    ActivateResponse, PolicyModule, PushResponse, ReloadResponse, RemovePolicyResponse,
    RollbackResponse,
};
use tero_policy_host::PolicyError;
use tero_policy_host::check;

/// Checks and keeps a version.
pub(super) fn push(
    context: &AdminContext,
    call: Call<'_, PushVersion>,
) -> Result<PushResponse, AdminRefusal> {
    let name = call.parameter();
    let PolicyModule {
        signature,
        sites,
        after,
        ..
    } = call.read()?;
    let (content, signature) = (call.content(), signature.as_deref());
    let placements = sites.iter().map(|site| PlacementRecord {
        site: site.clone(),
        after: after.clone(),
    });
    let placements: Vec<PlacementRecord> = placements.collect();
    let pushed = match placements.as_slice() {
        [] if after.is_some() => {
            return Err(AdminRefusal::bad(
                "`after` is written without a site",
                "write ?site=SITE too",
            ));
        }
        [] => context.rollout.push(name, content, signature),
        placements => context.rollout.add(name, content, signature, placements),
    };
    let PushedVersion { pushed, was_known } = pushed.map_err(|error| refusal(&error))?;
    Ok(PushResponse {
        fleet: tell_change(context),
        policy: name.to_owned(),
        version: pushed.digest,
        number: pushed.number,
        sites,
        bytes: pushed.bytes,
        settings: pushed.settings,
        cases: pushed.cases,
        was_known,
    })
}

/// Takes an added policy off its sites, and forgets it.
pub(super) fn remove(
    context: &AdminContext,
    call: Call<'_, RemovePolicy>,
) -> Result<RemovePolicyResponse, AdminRefusal> {
    let policy = call.parameter().to_owned();
    let sites = context.rollout.remove(&policy);
    let sites = sites.map_err(|error| refusal(&error))?;
    Ok(RemovePolicyResponse {
        policy,
        sites,
        fleet: tell_change(context),
    })
}

/// Makes a version decide.
pub(super) fn activate(
    context: &AdminContext,
    call: Call<'_, Activate>,
) -> Result<ActivateResponse, AdminRefusal> {
    let name = call.parameter();
    known(context, name)?;
    let version = context
        .rollout
        .activate(name, &call.read()?.digest)
        .map_err(|error| refusal(&error))?;
    Ok(ActivateResponse {
        policy: name.to_owned(),
        version: version.to_string(),
        fleet: tell_change(context),
    })
}

/// Ends a canary, or makes the version before decide again.
pub(super) fn roll_back(
    context: &AdminContext,
    call: Call<'_, Rollback>,
) -> Result<RollbackResponse, AdminRefusal> {
    let name = call.parameter();
    let result = context
        .rollout
        .roll_back(name)
        .map_err(|error| refusal(&error))?;
    let fleet = tell_change(context);
    let rollout = context.rollout.state();
    let versions = rollout.policy(name).map_err(|error| refusal(&error))?;
    let (version, ended_canary) = match result {
        RollbackResult::To(version) => (version, None),
        RollbackResult::Canary(ended) => (versions.active_version(), Some(ended.to_string())),
    };
    Ok(RollbackResponse {
        policy: name.to_owned(),
        version: version.to_string(),
        ended_canary,
        unsaved: versions.unsaved(),
        fleet,
    })
}

/// Reads the configuration's file again.
pub(super) fn reload(
    context: &AdminContext,
    _: Call<'_, Reload>,
) -> Result<ReloadResponse, AdminRefusal> {
    match context.reloader.reload_file() {
        Ok(waiting) => {
            tracing::info!("the configuration has been read again");
            Ok(ReloadResponse {
                reloaded: true,
                waiting,
            })
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
        ReloadError::Config(errors) => AdminRefusal::conflict(
            format!("{kept}: {errors}"),
            "correct the file; `tero check` shows every mistake",
        )
        .with_mistakes(reports::mistakes(errors)),
        ReloadError::UpgradeUnderWay => {
            AdminRefusal::not_ready(format!("{kept}: {error}"), "ask again once it has ended")
        }
        ReloadError::Rollout(error) => refusal(error),
        ReloadError::Tls(error) => AdminRefusal::conflict(format!("{kept}: {error}"), error.cure()),
        ReloadError::Plan(error) => AdminRefusal::conflict(
            format!("{kept}: {error}"),
            "correct the file; `tero check` shows every mistake",
        ),
        ReloadError::Listen { .. } => AdminRefusal::conflict(
            format!("{kept}: {error}"),
            "write an address of this machine that no other process has",
        ),
        ReloadError::AccessLog { .. } => AdminRefusal::conflict(
            format!("{kept}: {error}"),
            "write a file in a folder that exists and that tero may write to",
        ),
        ReloadError::Worker(_) => AdminRefusal::failed(),
        ReloadError::Data(error) => {
            AdminRefusal::conflict(format!("{kept}: {error}"), error.cure())
        }
        ReloadError::ZoneData(error) => AdminRefusal::conflict(
            format!("{kept}: {error}"),
            "name a folder of zone files in `[time] zoneinfo`",
        ),
    }
}

/// The refusal while another version is uploaded.
pub(super) fn another_upload() -> AdminRefusal {
    AdminRefusal::not_ready(
        "another version or table is being pushed",
        "push it once that has ended",
    )
}

/// Checks that the policy exists, before anything else is checked.
pub(super) fn known(context: &AdminContext, name: &str) -> Result<(), AdminRefusal> {
    context
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
        RolloutError::UnknownPolicy { known, .. } if known.is_empty() => {
            AdminRefusal::unknown(text, "add a [[policy]] to the configuration")
        }
        RolloutError::UnknownPolicy { .. } => AdminRefusal::unknown(
            text,
            "write one of those, add a [[policy]] to the configuration, or put the new policy on a site (tero policy push --site SITE)",
        ),
        RolloutError::Name(_) => {
            AdminRefusal::unprocessable(text, "write 1 to 64 of a-z, 0-9, - and _")
        }
        RolloutError::PolicyExists(_) => AdminRefusal::conflict(
            text,
            "push a version without --site, or remove the policy that was added (tero policy remove)",
        ),
        RolloutError::ManyAdded => {
            AdminRefusal::conflict(text, "remove one, or write it into the configuration")
        }
        RolloutError::UnknownSite { .. } | RolloutError::NotOfSite { .. } => {
            AdminRefusal::unprocessable(text, "write one of those")
        }
        RolloutError::OfConfiguration(_) => AdminRefusal::conflict(
            text,
            "remove it from the configuration, and reload; `tero policy rollback` goes back to a version before",
        ),
        RolloutError::UnknownTable { .. } => AdminRefusal::unprocessable(
            text,
            "push the table first (tero data push), or write a [[table]] into the configuration",
        ),
        RolloutError::UnknownVersion { .. } => {
            AdminRefusal::unknown(text, "write one of those, or push the version first")
        }
        RolloutError::NothingBefore(_) => AdminRefusal::conflict(
            text,
            "`tero policy list` (GET /policies) shows the active version and the one before",
        ),
        RolloutError::NoTrial { .. } => AdminRefusal::unknown(
            text,
            "`tero policy list` (GET /policies) shows the versions on trial",
        ),
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
        RolloutError::BadForecast => AdminRefusal::unprocessable(
            text,
            "attach what `tero simulate --json` printed (tero policy push --forecast FILE)",
        ),
        RolloutError::BadCases(errors) => AdminRefusal::unprocessable(
            text,
            "correct the cases; `tero policy test` shows every mistake",
        )
        .with_mistakes(reports::mistakes(errors)),
        RolloutError::TooManyCases { .. } | RolloutError::LongCases { .. } => {
            AdminRefusal::unprocessable(text, "run the others with `tero policy test`")
        }
        RolloutError::FailedCase { outcome, .. } => {
            let cure = "correct the policy or the case; `tero policy test` runs all of them";
            AdminRefusal::unprocessable(text, cure)
                .with_mistakes(vec![reports::case_mistake(outcome)])
        }
        RolloutError::Untrusted(error) => AdminRefusal::unprocessable(text, error.cure()),
        RolloutError::VersionStore(VersionStoreError::Files(VersionFileError::Untrusted {
            ..
        })) => AdminRefusal::conflict(text, "push the version again with its signature"),
        RolloutError::VersionStore(VersionStoreError::Files(VersionFileError::Damaged(_))) => {
            AdminRefusal::conflict(text, "push the version again")
        }
        RolloutError::VersionStore(_) => {
            tracing::error!("{text}");
            AdminRefusal::internal(
                text,
                "make sure that the folder exists, has room, and belongs to tero alone",
            )
        }
        RolloutError::DeviceModels(_) => {
            AdminRefusal::unprocessable(text, "correct `device_models` in [server]")
        }
        RolloutError::OriginTls { .. } => AdminRefusal::unprocessable(
            text,
            "correct the files that [[site.origin]] names; `tero check` tries them",
        ),
        RolloutError::Busy => AdminRefusal::not_ready(text, "try again"),
        RolloutError::GivenUp => AdminRefusal::failed(),
    }
}
