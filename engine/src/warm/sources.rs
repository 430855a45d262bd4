//! Which pages a plan wants, in which variants: from lists, sitemaps, popularity and policies, each page once, the most wanted first.

use std::collections::HashMap;
use std::sync::Arc;

use super::path::{Page, Path, SiteFacts};
use super::sitemap::{self, MAX_SITEMAP_BYTES, MAX_SITEMAP_URLS, Sitemap};
use crate::config;
use crate::semantics::decision::{Device, PopularPage, WarmUrl};
use crate::telemetry::popularity::Hours;

/// How many hours a plan prepares for, beginning with the one it starts in.
pub const HOURS_AHEAD: u8 = 4;

/// The popular pages that policies are told of at least, and at most.
const POPULAR_FOR_POLICIES: (usize, usize) = (200, 2_000);

/// Where a policy says nothing else: lists go before what is popular, and that before sitemaps.
const PRIORITY_OF_URLS: u8 = 200;
const PRIORITY_OF_POPULAR: u8 = 150;
const PRIORITY_OF_SITEMAP: u8 = 50;

/// Longer targets are not fetched: no server has to take them.
const MAX_TARGET_BYTES: usize = 4_096;

/// A variant that a plan wants of a page.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// Each that some device gets.
    Every,
    /// What such a device gets.
    Of(Device),
    /// The one of that name; none stands for that without a name.
    Named(Option<Arc<str>>),
}

/// A page that a plan wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub page: Page,
    /// In which variants.
    pub wanted: Vec<Wanted>,
    /// The higher goes first.
    pub priority: u8,
}

/// What a plan wants, and what was odd about finding out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gathered {
    /// Each page once, the most wanted first.
    pub candidates: Vec<Candidate>,
    /// For the report.
    pub notes: Vec<String>,
}

/// Finds out what a plan wants now.
pub async fn gather(path: &Arc<dyn Path>, plan: &config::Plan, site: &SiteFacts, run: u64) -> Gathered {
    let Some(host) = &site.host else {
        let note = "the site takes any host, and nobody has asked for it yet: name a host in `hosts` to say under which to fetch";
        return Gathered { candidates: Vec::new(), notes: vec![note.to_owned()] };
    };
    let mut union = Union { host: Arc::clone(host), run, found: HashMap::new(), list: Vec::new(), notes: Vec::new() };
    let of_plan = wanted_of(&plan.variants);
    for url in &plan.urls {
        union.add_target(url, &of_plan, PRIORITY_OF_URLS, "the list");
    }
    let popular = popular(path, plan, site);
    for page in popular.iter().take(plan.popular) {
        let wanted = if plan.variants.is_empty() { vec![Wanted::Named(page.variant.clone())] } else { of_plan.clone() };
        union.add_target(&page.url, &wanted, PRIORITY_OF_POPULAR, "popularity");
    }
    for url in ask_policies(path, plan, site, popular).await {
        let wanted = if url.variants.is_empty() { of_plan.clone() } else { wanted_of(&url.variants) };
        union.add_target(&url.url, &wanted, url.priority, "a policy");
    }
    if let Some(target) = &plan.sitemap {
        let page = Page { host: Arc::clone(&union.host), target: target.clone() };
        read_sitemaps(path, site, page, &of_plan, &mut union).await;
    }
    // Stable, so that pages of one priority keep the order in which they were found.
    union.list.sort_by_key(|candidate| std::cmp::Reverse(candidate.priority));
    Gathered { candidates: union.list, notes: union.notes }
}

/// What is wanted in the coming hours: at these hours of the week, else at these hours of any day, else at any time.
fn popular(path: &Arc<dyn Path>, plan: &config::Plan, site: &SiteFacts) -> Vec<PopularPage> {
    let (least, _) = POPULAR_FOR_POLICIES;
    let n = plan.popular.max(least);
    let hours = Hours::from(path.clock().now(), site.zone, HOURS_AHEAD);
    let mut found: Vec<PopularPage> = Vec::new();
    for hours in [hours, hours.on_every_day(), Hours::ALL] {
        if found.len() >= n {
            break;
        }
        let known: std::collections::HashSet<(String, Option<Arc<str>>)> =
            found.iter().map(|page| (page.url.clone(), page.variant.clone())).collect();
        let more = path.popular(site.index, hours, n);
        found.extend(more.into_iter().filter(|page| !known.contains(&(page.url.clone(), page.variant.clone()))));
    }
    found.truncate(n);
    found
}

async fn ask_policies(
    path: &Arc<dyn Path>,
    plan: &config::Plan,
    site: &SiteFacts,
    mut popular: Vec<PopularPage>,
) -> Vec<WarmUrl> {
    popular.truncate(POPULAR_FOR_POLICIES.1);
    let (path, name, index) = (Arc::clone(path), Arc::clone(&plan.name), site.index);
    // Policies may think about a plan for a second: other plans go on meanwhile.
    let asked = tokio::task::spawn_blocking(move || path.plan_warm(index, &name, &popular)).await;
    asked.unwrap_or_default()
}

/// Reads a sitemap, and if it is an index, those that it lists.
async fn read_sitemaps(path: &Arc<dyn Path>, site: &SiteFacts, first: Page, wanted: &[Wanted], union: &mut Union) {
    let mut left = MAX_SITEMAP_URLS;
    match read_sitemap(path, &first, union).await {
        None => {}
        Some(Sitemap::Pages(urls)) => union.add_urls(&first, urls, site, wanted, &mut left),
        Some(Sitemap::Index(sitemaps)) => {
            for url in sitemaps {
                let Some(page) = union.page_of(&url, site) else {
                    union.note(format!("the sitemap {url} is not on this site: left out"));
                    continue;
                };
                match read_sitemap(path, &page, union).await {
                    Some(Sitemap::Pages(urls)) => union.add_urls(&page, urls, site, wanted, &mut left),
                    Some(Sitemap::Index(_)) => {
                        union.note(format!("the sitemap {} is an index in an index: left out", page.target))
                    }
                    None => {}
                }
            }
        }
    }
}

async fn read_sitemap(path: &Arc<dyn Path>, page: &Page, union: &mut Union) -> Option<Sitemap> {
    let read = path.read(page, union.run, MAX_SITEMAP_BYTES).await.and_then(|bytes| sitemap::parse(&bytes));
    read.inspect_err(|reason| union.note(format!("the sitemap {} {reason}", page.target))).ok()
}

/// Names of variants or device classes. A name that is both is that of the device: it gets the variant of that name where there is one.
fn wanted_of(names: &[String]) -> Vec<Wanted> {
    if names.is_empty() {
        return vec![Wanted::Every];
    }
    let one = |name: &String| match Device::from_name(name) {
        Some(device) => Wanted::Of(device),
        None => Wanted::Named(Some(name.as_str().into())),
    };
    names.iter().map(one).collect()
}

struct Union {
    /// Under which pages without a host are asked for.
    host: Arc<str>,
    run: u64,
    found: HashMap<Page, usize>,
    list: Vec<Candidate>,
    notes: Vec<String>,
}

impl Union {
    fn note(&mut self, note: String) {
        if self.notes.len() < super::report::MAX_REASONS {
            self.notes.push(note);
        }
    }

    fn add_target(&mut self, target: &str, wanted: &[Wanted], priority: u8, source: &str) {
        let good = target.starts_with('/') && target.len() <= MAX_TARGET_BYTES && target.parse::<http::Uri>().is_ok();
        if !good {
            return self.note(format!("{target} from {source} is no path: left out"));
        }
        // A fragment never leaves the browser.
        let target = target.split('#').next().unwrap_or("/").to_owned();
        self.add(Page { host: Arc::clone(&self.host), target }, wanted, priority);
    }

    fn add_urls(&mut self, sitemap: &Page, urls: Vec<String>, site: &SiteFacts, wanted: &[Wanted], left: &mut usize) {
        let mut elsewhere = 0_usize;
        for url in urls.iter().take(*left) {
            match self.page_of(url, site) {
                Some(page) => self.add(page, wanted, PRIORITY_OF_SITEMAP),
                None => elsewhere += 1,
            }
        }
        if elsewhere > 0 {
            self.note(format!("the sitemap {} names {elsewhere} pages that are not on this site: left out", sitemap.target));
        }
        if urls.len() > *left {
            self.note(format!("the sitemaps name more than {MAX_SITEMAP_URLS} pages: the rest is left out"));
        }
        *left = left.saturating_sub(urls.len());
    }

    /// The page of this site that an absolute URL names.
    fn page_of(&self, url: &str, site: &SiteFacts) -> Option<Page> {
        let (host, target) = sitemap::split_url(url)?;
        let ours = host == *self.host || site.hosts.contains(&host);
        (ours && target.len() <= MAX_TARGET_BYTES).then(|| Page { host: host.into(), target })
    }

    fn add(&mut self, page: Page, wanted: &[Wanted], priority: u8) {
        match self.found.get(&page) {
            Some(at) => {
                let candidate = &mut self.list[*at];
                candidate.priority = candidate.priority.max(priority);
                for wanted in wanted {
                    if !candidate.wanted.contains(wanted) {
                        candidate.wanted.push(wanted.clone());
                    }
                }
            }
            None => {
                self.found.insert(page.clone(), self.list.len());
                self.list.push(Candidate { page, wanted: wanted.to_vec(), priority });
            }
        }
    }
}
