//! `POST /purge`: drops the stored responses of a URL, tag, prefix or site, or marks them stale.

use super::call::Call;
use super::context::AdminContext;
use super::reply::AdminRefusal;
use crate::purge::{self, PurgeError};
use tero_admin_api::{PurgeResponse, endpoints::Purge};

/// Purges the target of the question, and answers with the number of responses.
pub(super) fn purge(
    context: &AdminContext,
    call: Call<'_, Purge>,
) -> Result<PurgeResponse, AdminRefusal> {
    let request = call.read()?;
    let purge = purge::resolve(&context.edge, &request).map_err(refusal)?;
    let purged = purge.apply(&context.edge);
    let purged = purged.map_err(|_| AdminRefusal::handed_over())?;
    tracing::info!(target = ?request.target, soft = request.soft, purged, "purged");
    Ok(PurgeResponse { purged })
}

fn refusal(error: PurgeError) -> AdminRefusal {
    let text = error.to_string();
    match error {
        PurgeError::Target(error) => AdminRefusal::bad(text, error.cure()),
        PurgeError::UnknownHost { sites, .. } | PurgeError::UnknownSite { sites, .. } => {
            AdminRefusal::unknown(text, format!("the sites are {}", sites.join(", ")))
        }
    }
}
