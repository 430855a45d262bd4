//! The checked configuration: what the file says, with every default filled in and every
//! contradiction refused.
//!
//! `raw` is the file as written; `load` reads it by the table in `keys` and turns it into the types
//! below, or into every mistake it found, each with line, key and cure. A value that exists here is
//! good: nobody checks it again.

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

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;

pub use self::calendars::CalendarSource;
pub use self::files::read_text;
pub use self::forms::{OriginAddress, PlanVariants};
pub use self::load::{Config, Loader};
pub use self::mistakes::{ConfigError, ConfigErrors, FilePosition};
pub use self::mistakes::{Mistake, Mistakes, did_you_mean, place};
pub use self::sections::{
    AccessLog, AccessLogFormat, Admin, Cache, ModuleSource, Policy, PolicyHost, PolicyLimits,
    RefreshAhead, Server, Site,
};
pub use tero_semantics::reuse::ClientDirectives;
pub use tero_semantics::storability::FloorExceptions;

/// `[[warm]]`: a warming plan.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the entry stands in the file.
    pub place: FilePosition,
    /// `name`: 1 to 64 bytes of `a-z`, `0-9`, `-`, `_`.
    pub name: Arc<str>,
    /// `site`: the name of a site.
    pub site: Arc<str>,
    /// `schedule`: a cron expression of five fields, in `zone`. Default none: started from outside.
    pub schedule: Option<String>,
    /// `zone`. Default: the zone of the site's first policy that has one, else UTC.
    pub zone: Option<Tz>,
    /// `window`: how long after it comes due visitors are to find what it fetched; 1min to 7d.
    /// Default 4h.
    pub window: Duration,
    /// `missed`: what becomes of a run whose time came while the edge was down. Default `run`.
    pub missed: MissedRunAction,
    /// `urls`: paths with their queries.
    pub urls: Vec<String>,
    /// `url_files`: files of such paths, one a line, read anew for each run.
    pub url_files: Vec<PathBuf>,
    /// `sitemap`: the paths of sitemaps on the site.
    pub sitemaps: Vec<String>,
    /// `max_sitemap_bytes`: of one sitemap, unpacked; 1KiB to 1GiB. Default 50MiB.
    pub max_sitemap_bytes: u64,
    /// `max_sitemaps`: sitemaps that are read in one run; 1 to 50,000. Default 50.
    pub max_sitemaps: usize,
    /// `sitemap_timeout`: for one sitemap; 1s to 1h. Default 30s.
    pub sitemap_timeout: Duration,
    /// `popular`: that many of the most wanted pages; 0 to 100,000. Default 0.
    pub popular: usize,
    /// `variants`: what each page is fetched as. Default `seen`.
    pub variants: PlanVariants,
    /// `max_urls`: fetches in one run, variants counted; 1 to 1,000,000. Default 10,000.
    pub max_urls: usize,
    /// `concurrency`; 1 to 256. Default 4.
    pub concurrency: usize,
    /// `rate`: fetches a second; 0.1 to 10,000. Default 50.
    pub rate: f64,
    /// `retries`: how often a page is tried again that failed since the origin had too much to do;
    /// 0 to 10. Default 1.
    pub retries: u32,
    /// `deadline`: of one run; 1s to 24h. Default 15min.
    pub deadline: Duration,
}

/// What becomes of a run whose time came while the edge was down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedRunAction {
    /// It runs when the edge starts, if its window is not over.
    #[default]
    Run,
    /// It does not run.
    Skip,
}

#[cfg(test)]
mod tests;
