//! `[[warm]]`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;

use crate::forms;
use crate::mistakes::Mistake;
use crate::raw::RawKind;
use crate::reader::{TableReader, values};
use tero_semantics::authority::Scheme;
use tero_semantics::host_pattern::is_pattern;

section! {
    /// A warming plan.
    #[derive(Clone, Debug)]
    [[warm]]
    pub struct Plan in base_dir {
        place: FilePosition;
        /// The name that `tero warm` and `POST /warm/{plan}` use; unique.
        name: Arc<str> = required, Text("1 to 64 of `a-z`, `0-9`, `-`, `_`") => plan_name;
        /// The site whose pages are fetched.
        site: Arc<str> = required, Text("the name of a `[[site]]`") => forms::name;
        /// The scheme by which the pages are fetched: that of the visitors whom the responses are
        /// for.
        scheme: Option<Scheme> = rule("the one that most visitors use, else `http`"),
            OneOf("http" => Scheme::Http, "https" => Scheme::Https);
        /// The host under which pages are fetched: one that the site answers for.
        host: Option<String> = rule("the site's host that visitors request most; required if the site names none without `*`"),
            Text("a host name") => plan_host;
        /// When the plan runs, in the local time of `zone`.
        schedule: Option<String> = rule("none: not scheduled"),
            Text("a cron expression of five fields, or `@daily` and the like: see [schedules](policies/time.md#schedules)") => forms::schedule;
        /// The time zone of the schedule.
        zone: Option<Tz> = rule("the zone of the site's first policy that has one, else UTC"),
            Text("an IANA zone") => forms::zone;
        /// The period that the plan prepares for, from when it is due. A page that stays fresh
        /// until the end is not fetched, `popular` means pages requested in these hours, and
        /// fetched pages are kept until the end.
        window: Duration = "4h", Duration("1min", "7d");
        /// What happens to a run that was due while the edge was down (needs `state_dir`): `run`
        /// starts it when the edge starts, unless its window is over; `skip` never does.
        missed: MissedRunAction = "run",
            OneOf("run" => MissedRunAction::Run, "skip" => MissedRunAction::Skip);
        /// Pages to fetch.
        urls: Vec<String> = [], Texts("a path with its query") => forms::page;
        /// Files of pages: one path with its query per line. Empty lines and lines that begin with
        /// `#` are ignored. Read again for each run.
        url_files: Vec<PathBuf> = [], Texts("a path, relative to this file")
            => |path| base_dir.file(path, "a file of pages");
        /// Sitemaps on the site, of XML or of text, sitemap indexes, or `/robots.txt`, which names
        /// them.
        sitemaps as "sitemap": Vec<String> = rule("none", Vec::new()),
            Text("a path, or a list of them") by sitemaps;
        /// The largest sitemap, decompressed.
        max_sitemap_bytes: u64 = "50MiB", Size("1KiB", "1GiB");
        /// Maximum number of sitemaps that one run reads.
        max_sitemaps: usize = 50, Count(1, 50_000);
        /// Maximum time for one sitemap.
        sitemap_timeout: Duration = "30s", Duration("1s", "1h");
        /// How many of the most requested pages are fetched.
        popular: usize = 0, Count(0, 100_000);
        /// The variants in which each page is fetched. `seen`: those that visitors of these hours
        /// requested; all if nothing is known of these hours. `all`: every variant that the site's
        /// policies declare, and no variant. A list: exactly these.
        variants: PlanVariants = "seen",
            Text("`\"seen\"`, `\"all\"`, or a list of variants and device classes") by variants;
        /// Maximum number of fetches in one run, counting variants.
        max_urls: usize = 10000, Count(1, 1_000_000);
        /// Maximum number of concurrent fetches.
        concurrency: usize = 4, Count(1, 256);
        /// Maximum number of fetches per second.
        rate: f64 = 50, Number(0.1, 10_000.0);
        /// How often a page or a sitemap is fetched again after the origin failed or was overloaded.
        retries: u32 = 1, Count(0, 10);
        /// Maximum time of one run.
        deadline: Duration = "15min", Duration("1s", "24h");
    }
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

/// In which variants a plan fetches its pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PlanVariants {
    /// `"seen"`: those that visitors of the window's hours wanted the page in; of a page that
    /// nobody wanted then, those that they wanted any page in; and all where nothing is known of
    /// those hours.
    #[default]
    Seen,
    /// `"all"`: every variant that the site's policies declare, and none.
    All,
    /// A list of variants or device classes.
    These(Vec<String>),
}

/// A name that is not taken by the list of runs.
fn plan_name(text: &str) -> Result<String, Mistake> {
    if text == "runs" {
        return Err(Mistake::new(
            "`runs` stands for the list of runs",
            "give the plan another name",
        ));
    }
    forms::name(text)
}

/// A host that pages can be fetched under.
fn plan_host(text: &str) -> Result<String, Mistake> {
    let host = forms::host(text)?;
    if is_pattern(&host) {
        return Err(Mistake::new(
            format!("`{host}` is not a host to fetch under"),
            "write a host that visitors request, \"www.example.org\"",
        ));
    }
    Ok(host)
}

/// One path or a list of them.
fn sitemaps(reader: &TableReader<'_>, key: &str) -> Option<Vec<String>> {
    Some(values(reader.one_or_more_as(key, forms::page)))
}

/// One of two words, or a list of names.
fn variants(reader: &TableReader<'_>, key: &str) -> Option<PlanVariants> {
    let written = reader.written(key).map(|value| &value.kind);
    if !matches!(written, Some(RawKind::List(_))) {
        return reader.text_as(key, plan_variants);
    }
    let names: Vec<String> = values(reader.texts_as(key, forms::variant));
    Some(if names.is_empty() {
        PlanVariants::All
    } else {
        PlanVariants::These(names)
    })
}

/// In which variants a plan fetches, if they are not a list.
fn plan_variants(text: &str) -> Result<PlanVariants, Mistake> {
    match text {
        "seen" => Ok(PlanVariants::Seen),
        "all" => Ok(PlanVariants::All),
        _ => Err(Mistake::new(
            format!("`{text}` is not known here"),
            format!("write \"seen\", \"all\", or the list [\"{text}\"]"),
        )),
    }
}
