//! `GET /certificates`: which certificates are in force, and what became of orders by ACME.

use chrono::DateTime;

use super::call::Call;
use super::context::AdminContext;
use super::reply::AdminRefusal;
use crate::acme::NameReport;
use tero_admin_api::endpoints::Certificates;
use tero_admin_api::{AcmeReport, CertificateFileReport, CertificatesResponse};
use tero_semantics::timestamp::Timestamp;

/// All certificates.
pub(super) fn certificates(
    context: &AdminContext,
    _: Call<'_, Certificates>,
) -> Result<CertificatesResponse, AdminRefusal> {
    let orders = context.orders.as_ref();
    let names = orders.map(|orders| orders.report()).unwrap_or_default();
    let now = context.edge.clock.wall();
    let files = context.certificates.statuses().into_iter();
    Ok(CertificatesResponse {
        acme: names.into_iter().map(|name| of_name(name, now)).collect(),
        files: files
            .map(|status| CertificateFileReport {
                listener: status.listener,
                file: status.file.display().to_string(),
                not_after: time(status.validity.not_after),
            })
            .collect(),
    })
}

fn of_name(report: NameReport, now: Timestamp) -> AcmeReport {
    AcmeReport {
        name: report.name.to_string(),
        not_after: report.validity.map(|validity| time(validity.not_after)),
        next_order: time(report.next_order.max(now)),
        failures: report.failures,
        reason: report.reason,
    }
}

/// In RFC 3339, in UTC.
fn time(at: Timestamp) -> String {
    DateTime::from_timestamp(at.unix_secs(), 0)
        .unwrap_or_default()
        .to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
