//! Reads a plan's sitemaps, and those that their indexes or a `robots.txt` list, through the request
//! path. A bad sitemap (HTML, endless, a decompression bomb, on another host) costs no more than the
//! configured time and bytes, and is noted in the report. One that can't be read is counted.

use std::sync::Arc;
use std::time::Duration;

use super::PRIORITY_OF_SITEMAP;
use super::candidate_set::CandidateSet;
use super::pages::MAX_TARGET_BYTES;
use crate::warm::candidate::Candidate;
use crate::warm::path::{Page, PageReadError, RequestPath, SiteFacts};
use crate::warm::run::Run;
use crate::warm::sitemap::{self, MAX_SITEMAP_URLS, Sitemap, SitemapEntry};
use tero_semantics::timestamp::Timestamp;

/// How long a sitemap rests after it failed for the first time; after each further one twice as
/// long.
const REST: Duration = Duration::from_millis(500);

/// Adds the pages of the plan's sitemaps. Returns how many sitemaps could not be read.
pub(super) async fn add_pages(
    path: &Arc<dyn RequestPath>,
    run: &Run,
    site: &SiteFacts,
    set: &mut CandidateSet,
) -> u64 {
    let mut reader = SitemapReader {
        path,
        run,
        site,
        left: run.plan.max_sitemaps,
        pages: Vec::new(),
        cut: false,
        failed: 0,
    };
    for target in &run.plan.sitemaps {
        let page = Page {
            scheme: set.scheme(),
            host: Arc::clone(set.host()),
            target: target.clone(),
        };
        match reader.read(&page, set).await {
            None => {}
            Some(Sitemap::Pages(entries)) => reader.take(&page, entries, set),
            Some(Sitemap::Index(entries)) if is_robots(target) => {
                reader.follow_robots(entries, set).await;
            }
            Some(Sitemap::Index(entries)) => reader.follow(entries, set).await,
        }
    }
    let SitemapReader {
        mut pages,
        cut,
        failed,
        ..
    } = reader;
    if cut {
        set.note(format!(
            "the sitemaps name more than {MAX_SITEMAP_URLS} pages: the others are left out"
        ));
    }
    // Visitors request pages that changed lately more than old ones.
    pages.sort_by_key(|(_, changed)| std::cmp::Reverse(*changed));
    for (page, changed) in pages {
        let wanted = set.of_plan(&page.target);
        set.add(Candidate {
            page,
            wanted,
            priority: PRIORITY_OF_SITEMAP,
            changed,
        });
    }
    failed
}

/// Whether this is the file that names a site's sitemaps (RFC 9309 §2.3).
fn is_robots(target: &str) -> bool {
    target.split('?').next() == Some("/robots.txt")
}

struct SitemapReader<'r> {
    path: &'r Arc<dyn RequestPath>,
    run: &'r Run,
    site: &'r SiteFacts,
    /// How many more sitemaps may be read.
    left: usize,
    /// The pages, and when they changed last.
    pages: Vec<(Page, Option<Timestamp>)>,
    /// Whether pages beyond [`MAX_SITEMAP_URLS`] were left out.
    cut: bool,
    /// How many sitemaps could not be read.
    failed: u64,
}

impl SitemapReader<'_> {
    async fn read(&mut self, page: &Page, set: &mut CandidateSet) -> Option<Sitemap> {
        if self.left == 0 {
            set.note(format!(
                "the sitemap {} is one more than max_sitemaps: left out",
                page.target
            ));
            return None;
        }
        self.left -= 1;
        let parsed = self.read_with_retries(page).await;
        parsed
            .inspect_err(|reason| {
                self.failed += 1;
                set.note(format!("the sitemap {} {reason}: left out", page.target));
            })
            .ok()
    }

    /// Reads a sitemap, and again after a rest if the next hop failed; as often as a page.
    async fn read_with_retries(&self, page: &Page) -> Result<Sitemap, String> {
        let plan = &self.run.plan;
        let max_bytes = usize::try_from(plan.max_sitemap_bytes).unwrap_or(usize::MAX);
        let mut tries = 0;
        loop {
            match self.read_once(page, max_bytes).await {
                Ok(bytes) if is_robots(&page.target) => {
                    return sitemap::parse_robots(&bytes, max_bytes);
                }
                Ok(bytes) => return sitemap::parse(&bytes, max_bytes),
                Err(error) if error.may_pass && tries < plan.retries => {
                    let rest = REST * 2_u32.saturating_pow(tries.min(16));
                    self.path.clock().sleep(rest).await;
                    tries += 1;
                }
                Err(error) => return Err(error.reason),
            }
        }
    }

    async fn read_once(&self, page: &Page, max_bytes: usize) -> Result<Vec<u8>, PageReadError> {
        let read = self.path.read(page, self.run.id, max_bytes);
        let clock = self.path.clock();
        clock
            .timeout(self.run.plan.sitemap_timeout, read)
            .await
            .unwrap_or_else(|_| {
                Err(PageReadError {
                    reason: "did not end within sitemap_timeout".to_owned(),
                    may_pass: true,
                })
            })
    }

    /// Reads the sitemaps that a `robots.txt` names, which may be indexes.
    async fn follow_robots(&mut self, entries: Vec<SitemapEntry>, set: &mut CandidateSet) {
        for (page, sitemap) in self.read_all(entries, set).await {
            match sitemap {
                Sitemap::Pages(entries) => self.take(&page, entries, set),
                Sitemap::Index(entries) => self.follow(entries, set).await,
            }
        }
    }

    /// Reads the sitemaps of an index.
    async fn follow(&mut self, entries: Vec<SitemapEntry>, set: &mut CandidateSet) {
        for (page, sitemap) in self.read_all(entries, set).await {
            match sitemap {
                Sitemap::Pages(entries) => self.take(&page, entries, set),
                Sitemap::Index(_) => set.note(format!(
                    "the sitemap {} is an index in an index: left out",
                    page.target
                )),
            }
        }
    }

    /// Reads the sitemaps that a list names, the last changed first.
    async fn read_all(
        &mut self,
        mut entries: Vec<SitemapEntry>,
        set: &mut CandidateSet,
    ) -> Vec<(Page, Sitemap)> {
        let mut found = Vec::new();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.changed));
        let (listed, may_read) = (entries.len(), self.left);
        for entry in entries.into_iter().take(may_read) {
            let Some(page) = self.page_of(&entry.url, set) else {
                set.note(format!(
                    "the sitemap {} is not on this site: left out",
                    entry.url
                ));
                continue;
            };
            if let Some(sitemap) = self.read(&page, set).await {
                found.push((page, sitemap));
            }
        }
        if listed > may_read {
            set.note(format!(
                "{} sitemaps of an index are more than max_sitemaps: left out",
                listed - may_read
            ));
        }
        found
    }

    fn take(&mut self, sitemap: &Page, entries: Vec<SitemapEntry>, set: &mut CandidateSet) {
        let mut elsewhere = 0_usize;
        for entry in entries {
            if self.pages.len() >= MAX_SITEMAP_URLS {
                self.cut = true;
                break;
            }
            match self.page_of(&entry.url, set) {
                Some(page) => self.pages.push((page, entry.changed)),
                None => elsewhere += 1,
            }
        }
        if elsewhere > 0 {
            set.note(format!(
                "the sitemap {} names {elsewhere} pages that are not on this site: left out",
                sitemap.target
            ));
        }
    }

    /// The page of this site that an absolute URL names; `None` if it is on another site.
    fn page_of(&self, url: &str, set: &CandidateSet) -> Option<Page> {
        let (host, target) = sitemap::split_url(url)?;
        // A sitemap names a page without the port that a listener has.
        let is_common = is_host_of(set.host(), &host);
        let ours = is_common || self.site.is_below(&host) || self.site.hosts.contains(&host);
        (ours && target.len() <= MAX_TARGET_BYTES).then(|| Page {
            scheme: set.scheme(),
            host: if is_common {
                Arc::clone(set.host())
            } else {
                host.into()
            },
            target,
        })
    }
}

/// Whether this is the host of an authority, which is well-formed.
fn is_host_of(authority: &str, host: &str) -> bool {
    authority
        .strip_prefix(host)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}
