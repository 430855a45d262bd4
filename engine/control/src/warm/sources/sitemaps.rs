//! Reads a plan's sitemaps, and those that their indexes list, through the request path. A bad
//! sitemap (HTML, endless, a decompression bomb, on another host) costs no more than the configured
//! time and bytes, and is noted in the report.

use std::sync::Arc;

use super::PRIORITY_OF_SITEMAP;
use super::candidate_set::CandidateSet;
use super::pages::MAX_TARGET_BYTES;
use crate::warm::candidate::Candidate;
use crate::warm::path::{Page, RequestPath, SiteFacts};
use crate::warm::run::Run;
use crate::warm::sitemap::{self, MAX_SITEMAP_URLS, Sitemap, SitemapEntry};
use tero_semantics::timestamp::Timestamp;

/// Adds the pages of the plan's sitemaps.
pub(super) async fn add_pages(
    path: &Arc<dyn RequestPath>,
    run: &Run,
    site: &SiteFacts,
    set: &mut CandidateSet,
) {
    let mut reader = SitemapReader {
        path,
        run,
        site,
        left: run.plan.max_sitemaps,
        pages: Vec::new(),
        cut: false,
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
            Some(Sitemap::Index(entries)) => reader.follow(entries, set).await,
        }
    }
    let SitemapReader { mut pages, cut, .. } = reader;
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
        let plan = &self.run.plan;
        let max_bytes = usize::try_from(plan.max_sitemap_bytes).unwrap_or(usize::MAX);
        let read = self
            .path
            .clock()
            .timeout(
                plan.sitemap_timeout,
                self.path.read(page, self.run.id, max_bytes),
            )
            .await;
        let read = read.unwrap_or_else(|_| Err("did not end within sitemap_timeout".to_owned()));
        let parsed = read.and_then(|bytes| sitemap::parse(&bytes, max_bytes));
        parsed
            .inspect_err(|reason| {
                set.note(format!("the sitemap {} {reason}: left out", page.target))
            })
            .ok()
    }

    /// Reads the sitemaps of an index, the last changed first.
    async fn follow(&mut self, mut entries: Vec<SitemapEntry>, set: &mut CandidateSet) {
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
            match self.read(&page, set).await {
                Some(Sitemap::Pages(entries)) => self.take(&page, entries, set),
                Some(Sitemap::Index(_)) => set.note(format!(
                    "the sitemap {} is an index in an index: left out",
                    page.target
                )),
                None => {}
            }
        }
        if listed > may_read {
            set.note(format!(
                "{} sitemaps of an index are more than max_sitemaps: left out",
                listed - may_read
            ));
        }
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
        let ours = is_common || self.site.hosts.contains(&host);
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
