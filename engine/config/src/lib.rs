//! The checked configuration: the file with every default filled in and every contradiction
//! refused.
//!
//! `raw` is the file as written. `sections` has a file per table, one line per key. `load` reads
//! the tables and checks the rules across them: the result is a [`Config`], or every mistake, each
//! with line, key and cure. A `Config` holds good values only; its users don't check them again.

#[macro_use]
mod section;

pub mod calendars;
mod files;
pub mod forms;
pub mod keys;
mod load;
mod mistakes;
pub mod raw;
pub mod reader;
pub mod sections;
pub mod units;

pub use self::calendars::CalendarSource;
pub use self::files::read_text;
pub use self::forms::{OriginAddress, OriginEndpoint, PeerNetwork, TrustedKey};
pub use self::load::{Config, Loader};
pub use self::mistakes::{ConfigError, ConfigErrors, FilePosition};
pub use self::mistakes::{Mistake, Mistakes, did_you_mean, place};
pub use self::sections::{
    AccessLog, AccessLogField, AccessLogFormat, Acme, AcmeChallenge, Admin, AtMostRule, Balance,
    BalanceBy, BasicAuth, Cache, CacheDisk, CertificateFiles, ClientAddressForm, ClientCertificate,
    Cluster, Compress, CountrySource, Credential, ErrorPage, ErrorStatus, Health, Hsts,
    HttpsRedirect, KeyPin, Limit, LimitHours, LimitMemory, ListenAddress, Listener, ListenerTls,
    LocalTime, MissedRunAction, ModuleSource, NeverEffects, NeverRule, Origin, OriginCodings,
    OriginHttp2, Otlp, Plan, PlanVariants, Policy, PolicyHost, PolicyLimits, Redirect,
    RedirectQuery, RefreshAhead, Respond, Retry, RetryMethod, RetryOn, Route, RouteCompress,
    Server, Shield, ShieldSource, Site, SitePurge, StatusRange, TableFile, TableFormat, TableKind,
    TlsVersion, UnderscoreFields, Webhook, WebhookFormat, WebhookSeverity, WhenBlind, WhenOff,
};
pub use self::units::Share;
pub use ipnet::IpNet;
pub use tero_semantics::reuse::ClientDirectives;
pub use tero_semantics::storability::CrawlerAdmission;
pub use tero_semantics::storability::FloorExceptions;

#[cfg(test)]
mod tests;
