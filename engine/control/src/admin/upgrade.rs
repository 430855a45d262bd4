//! `POST /upgrade`: leaves serving to another process, and what is not answered meanwhile.

use http::Method;

use super::call::Call;
use super::context::AdminContext;
use super::reply::AdminRefusal;
use crate::handover::UpgradeError;
use tero_admin_api::Endpoint as _;
use tero_admin_api::UpgradeResponse;
use tero_admin_api::endpoints::{Explain, Purge, Upgrade};

/// Starts the program again, and leaves serving to that.
pub(super) fn upgrade(
    context: &AdminContext,
    _: Call<'_, Upgrade>,
) -> Result<UpgradeResponse, AdminRefusal> {
    let successor = context
        .handover
        .upgrade()
        .map_err(|error| refusal(&error))?;
    Ok(UpgradeResponse {
        process: successor.process,
        version: successor.version,
        commit: successor.commit,
        before: std::process::id(),
    })
}

fn refusal(error: &UpgradeError) -> AdminRefusal {
    let text = format!("this process serves on: {error}");
    match error {
        UpgradeError::Busy => AdminRefusal::conflict(text, "wait until that has ended"),
        UpgradeError::Stopping => AdminRefusal::not_ready(text, "ask the process after it"),
        UpgradeError::FirstProcess => AdminRefusal::conflict(text, "replace the container"),
        UpgradeError::NotAProgram => AdminRefusal::conflict(text, "start it by `tero serve`"),
        UpgradeError::Start { .. } => AdminRefusal::conflict(text, "put a program in its place"),
        UpgradeError::Offer(_) => AdminRefusal::conflict(text, "the log may say more"),
        UpgradeError::Failed(_) | UpgradeError::Ended(_) => AdminRefusal::conflict(
            text,
            "correct that, or put the program from before in its place; `tero check` shows every mistake of a configuration",
        ),
        UpgradeError::Late(_) => {
            AdminRefusal::conflict(text, "set server.upgrade_timeout above admin.ready_within")
        }
    }
}

/// Whether a request is not answered while a successor starts: it would change what that has read
/// already.
pub(super) fn is_put_off(method: &Method, path: &str) -> bool {
    *method != Method::GET && ![Purge::PATH, Explain::PATH, Upgrade::PATH].contains(&path)
}

/// The refusal meanwhile.
pub(super) fn put_off(is_handed_over: bool) -> AdminRefusal {
    match is_handed_over {
        true => AdminRefusal::handed_over(),
        false => AdminRefusal::not_ready("an upgrade is under way", "ask again once it has ended"),
    }
}
