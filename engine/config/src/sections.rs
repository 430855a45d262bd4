//! The tables of the configuration, a file each.

mod access_log;
mod acme;
mod admin;
mod at_most;
mod balance;
mod basic_auth;
mod cache;
mod cache_disk;
pub(crate) mod cluster;
mod compress;
mod country;
mod error_page;
mod field_edits;
mod hsts;
mod https_redirect;
pub(crate) mod limit;
mod listener;
mod listener_tls;
mod never;
mod origin;
mod policies;
mod policy;
mod policy_limits;
mod redirect;
mod refresh_ahead;
mod respond;
mod route;
mod server;
mod shield;
mod site;
mod site_purge;
mod table;
mod telemetry;
mod time;
mod warm;
pub(crate) mod webhook;

use crate::keys::{self, Section};

pub use self::access_log::{AccessLog, AccessLogField, AccessLogFormat, ClientAddressForm};
pub use self::acme::{Acme, AcmeChallenge};
pub use self::admin::Admin;
pub use self::at_most::AtMostRule;
pub use self::balance::{Balance, BalanceBy, Health, Retry, RetryMethod, RetryOn, StatusRange};
pub use self::basic_auth::{BasicAuth, Credential};
pub use self::cache::Cache;
pub use self::cache_disk::CacheDisk;
pub use self::cluster::{Cluster, WhenBlind};
pub use self::compress::{Compress, OriginCodings, RouteCompress};
pub use self::country::CountrySource;
pub use self::error_page::{ErrorPage, ErrorStatus};
pub use self::hsts::Hsts;
pub use self::https_redirect::HttpsRedirect;
pub use self::limit::{Limit, LimitHours, LimitMemory};
pub use self::listener::{ListenAddress, Listener};
pub use self::listener_tls::{CertificateFiles, ClientCertificate, ListenerTls, TlsVersion};
pub use self::never::{NeverEffects, NeverRule};
pub use self::origin::{KeyPin, Origin, OriginHttp2};
pub use self::policies::PolicyHost;
pub use self::policy::{ModuleSource, Policy};
pub use self::policy_limits::{PolicyLimits, WhenOff};
pub use self::redirect::{Redirect, RedirectQuery};
pub use self::refresh_ahead::RefreshAhead;
pub use self::respond::Respond;
pub use self::route::Route;
pub use self::server::Server;
pub use self::shield::{Shield, ShieldSource};
pub use self::site::{Site, UnderscoreFields};
pub use self::site_purge::SitePurge;
pub use self::table::{TableFile, TableFormat, TableKind};
pub use self::telemetry::{Otlp, Telemetry};
pub use self::time::LocalTime;
pub use self::warm::{MissedRunAction, Plan, PlanVariants};
pub use self::webhook::{Webhook, WebhookFormat, WebhookSeverity};

/// Every table, in the order of the reference.
pub const SECTIONS: [&Section; 39] = [
    &Server::SECTION,
    &Listener::SECTION,
    &ListenerTls::SECTION,
    &CertificateFiles::SECTION,
    &Acme::SECTION,
    &Admin::SECTION,
    &Cache::SECTION,
    &CacheDisk::SECTION,
    &Cluster::SECTION,
    &AccessLog::SECTION,
    &Telemetry::SECTION,
    &Otlp::SECTION,
    &LocalTime::SECTION,
    &PolicyHost::SECTION,
    &Policy::SECTION,
    &PolicyLimits::SECTION,
    &TableFile::SECTION,
    &Site::SECTION,
    &Origin::SECTION,
    &Balance::SECTION,
    &Health::SECTION,
    &Retry::SECTION,
    &Shield::SECTION,
    &RefreshAhead::SECTION,
    &CountrySource::SECTION,
    &NeverRule::SECTION,
    &AtMostRule::SECTION,
    &SitePurge::SECTION,
    &Compress::SECTION,
    &Hsts::SECTION,
    &ErrorPage::SECTION,
    &Route::SECTION,
    &BasicAuth::SECTION,
    &Redirect::SECTION,
    &Respond::SECTION,
    &LimitMemory::SECTION,
    &Limit::SECTION,
    &Plan::SECTION,
    &Webhook::SECTION,
];

/// The reference of all keys as Markdown, as `tero check --keys` prints it.
pub fn reference() -> String {
    keys::tables(&SECTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_reference_is_the_one_in_the_documentation() {
        let page = include_str!("../../../docs/configuration.md");
        assert!(
            page.ends_with(&reference()),
            "docs/configuration.md is behind: replace what follows its introduction by the output of `tero check --keys`"
        );
    }
}
