//! The sources of a plan's pages: lists, files, sitemaps, popularity and policies. Together they
//! give each page once, with the wanted variants, the highest priority first.

mod candidate_set;
#[doc(hidden)] // Public for the fuzz targets and the replay of their corpus.
pub mod pages;
mod seen;
mod sitemaps;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::candidate_set::{CandidateSet, SourceEntry};
use self::seen::SeenVariants;
use super::candidate::{Candidate, WantedVariant, wanted_of};
use super::path::{RequestPath, SiteFacts};
use super::run::Run;
use tero_config as config;
use tero_config::PlanVariants;
use tero_edge::telemetry::popularity::Hours;
use tero_policy_host::{PopularPage, WarmUrl};

/// The least number of popular pages that is gathered, to learn variants from and to tell policies.
const POPULAR_AT_LEAST: usize = 2_000;

/// The largest number of popular pages that policies are told.
const POPULAR_FOR_POLICIES: usize = 2_000;

/// The priorities of pages that no policy names: lists first, then popular pages, then sitemaps.
const PRIORITY_OF_URLS: u8 = 200;
const PRIORITY_OF_POPULAR: u8 = 150;
const PRIORITY_OF_SITEMAP: u8 = 50;

/// The largest file with a list of pages, in bytes.
const MAX_URL_FILE_BYTES: u64 = 64 << 20;

/// The pages that a plan wants, and problems while gathering them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatherResult {
    /// Each page once, the highest priority first.
    pub candidates: Vec<Candidate>,
    /// How many sitemaps could not be read.
    pub sitemaps_failed: u64,
    /// The problems, for the report.
    pub notes: Vec<String>,
}

/// Gathers the pages that a run wants.
pub(super) async fn gather(
    path: &Arc<dyn RequestPath>,
    run: &Run,
    site: &SiteFacts,
) -> GatherResult {
    let plan = &run.plan;
    let Some(host) = host_of(plan, site) else {
        let note = "the site takes any host: name the host to fetch under as `host` of the plan";
        return GatherResult {
            notes: vec![note.to_owned()],
            ..GatherResult::default()
        };
    };
    let (popular, seen) = popular(path, run, site).await;
    let mut set = CandidateSet::new(
        plan.scheme.unwrap_or(site.scheme),
        &host,
        &plan.variants,
        seen,
    );
    add_listed(&mut set, plan).await;
    add_popular(&mut set, plan, &popular);
    for url in ask_policies(path, plan, site, popular).await {
        set.add_entry(SourceEntry {
            target: &url.url,
            wanted: (!url.variants.is_empty()).then(|| wanted_of(&url.variants)),
            priority: url.priority,
            source: "a policy",
        });
    }
    let sitemaps_failed = sitemaps::add_pages(path, run, site, &mut set).await;
    let (candidates, notes) = set.into_parts();
    GatherResult {
        candidates,
        sitemaps_failed,
        notes,
    }
}

/// The host under which a plan fetches; `None` if nothing names one.
pub(super) fn host_of(plan: &config::Plan, site: &SiteFacts) -> Option<Arc<str>> {
    let named = plan.host.as_deref().map(Arc::from);
    named.or_else(|| site.host.clone())
}

/// Adds the pages of the plan's list and files.
async fn add_listed(set: &mut CandidateSet, plan: &config::Plan) {
    for url in &plan.urls {
        set.add_entry(listed(url, "the list"));
    }
    for (file, read) in read_files(plan.url_files.clone()).await {
        match read {
            Err(error) => set.note(format!(
                "the file {} can't be read: {error}",
                file.display()
            )),
            Ok(urls) => urls
                .iter()
                .for_each(|url| set.add_entry(listed(url, "a file"))),
        }
    }
}

/// A page of a list, with the plan's variants.
fn listed<'s>(target: &'s str, source: &'static str) -> SourceEntry<'s> {
    SourceEntry {
        target,
        wanted: None,
        priority: PRIORITY_OF_URLS,
        source,
    }
}

/// Adds as many of the most popular pages as the plan wants.
fn add_popular(set: &mut CandidateSet, plan: &config::Plan, popular: &[PopularPage]) {
    for page in popular.iter().take(plan.popular) {
        let own = || vec![WantedVariant::Named(page.variant.clone())];
        set.add_entry(SourceEntry {
            target: &page.url,
            wanted: (plan.variants == PlanVariants::Seen).then(own),
            priority: PRIORITY_OF_POPULAR,
            source: "popularity",
        });
    }
}

/// The popular pages of the hours of the run's window, and the variants that visitors requested in
/// these hours. Pages of these hours of the week come first, then those of these hours of any day,
/// then those of any time.
async fn popular(
    path: &Arc<dyn RequestPath>,
    run: &Run,
    site: &SiteFacts,
) -> (Vec<PopularPage>, SeenVariants) {
    let n = run.plan.popular.max(POPULAR_AT_LEAST);
    let hours = Hours::between(path.clock().wall(), run.until, site.zone);
    path.count();
    let mut found: Vec<PopularPage> = Vec::new();
    let mut seen = SeenVariants::default();
    for (hours, are_those) in [
        (hours, true),
        (hours.on_every_day(), true),
        (Hours::ALL, false),
    ] {
        if found.len() >= n {
            break;
        }
        if !are_those {
            seen = SeenVariants::of(&found);
        }
        let known: HashSet<(String, Option<Arc<str>>)> = found
            .iter()
            .map(|page| (page.url.clone(), page.variant.clone()))
            .collect();
        let of_fleet = popular_in_fleet(run, hours, n).await;
        let more = of_fleet.unwrap_or_else(|| path.popular(site.index, hours, n));
        found.extend(
            more.into_iter()
                .filter(|page| !known.contains(&(page.url.clone(), page.variant.clone()))),
        );
    }
    if found.len() >= n {
        seen = SeenVariants::of(&found);
    }
    found.truncate(n);
    (found, seen)
}

/// The pages that visitors of all nodes request; `None` for a node alone.
async fn popular_in_fleet(run: &Run, hours: Hours, n: usize) -> Option<Vec<PopularPage>> {
    let fellows = Arc::clone(run.fellows.as_ref()?);
    let site = run.plan.site.to_string();
    let asked = tokio::task::spawn_blocking(move || fellows.popular(&site, hours, n));
    asked.await.ok().flatten()
}

/// Reads files with lists of pages, on a thread that may wait for a disk.
async fn read_files(files: Vec<PathBuf>) -> Vec<(PathBuf, Result<Vec<String>, String>)> {
    let read_all = move || {
        files
            .into_iter()
            .map(|file| {
                let urls = read_file(&file);
                (file, urls)
            })
            .collect()
    };
    tokio::task::spawn_blocking(read_all)
        .await
        .unwrap_or_default()
}

/// Reads a file with a list of pages, one per line.
fn read_file(file: &Path) -> Result<Vec<String>, String> {
    let size = std::fs::metadata(file)
        .map_err(|error| error.to_string())?
        .len();
    if size > MAX_URL_FILE_BYTES {
        return Err(format!("it is larger than {MAX_URL_FILE_BYTES} bytes"));
    }
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    Ok(pages::listed(&text).map(str::to_owned).collect())
}

async fn ask_policies(
    path: &Arc<dyn RequestPath>,
    plan: &config::Plan,
    site: &SiteFacts,
    mut popular: Vec<PopularPage>,
) -> Vec<WarmUrl> {
    popular.truncate(POPULAR_FOR_POLICIES);
    let (path, name, index) = (Arc::clone(path), Arc::clone(&plan.name), site.index);
    // A policy may take a second to answer; other plans go on meanwhile.
    let asked = tokio::task::spawn_blocking(move || path.plan_warm(index, &name, &popular)).await;
    asked.unwrap_or_default()
}
