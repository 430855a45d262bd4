//! `POST /purge`: drops or marks stale what is stored under a URL, a tag, a prefix or a site.

use super::call::Call;
use super::context::AdminContext;
use super::reply::AdminRefusal;
use crate::purge::{self, PurgeError};
use tero_admin_api::{PurgeResponse, endpoints::Purge};

/// Purges what the content names and answers how many stored responses that were.
pub(super) fn purge(
    context: &AdminContext,
    call: Call<'_, Purge>,
) -> Result<PurgeResponse, AdminRefusal> {
    let request = call.read()?;
    let purge = purge::resolve(&context.edge, &request).map_err(refusal)?;
    let purged = purge::apply(&context.edge, &purge);
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
