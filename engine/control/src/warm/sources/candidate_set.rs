//! The pages that a plan wants, each once, even if several sources name it.

use std::collections::HashMap;
use std::sync::Arc;

use super::pages;
use super::seen::SeenVariants;
use crate::warm::candidate::{Candidate, WantedVariant, wanted_of};
use crate::warm::path::Page;
use crate::warm::report::MAX_REASONS;
use tero_config::PlanVariants;
use tero_semantics::authority::Scheme;

/// The pages found so far, and problems while finding them.
pub(super) struct CandidateSet {
    /// The scheme of all pages, also of those that a sitemap names with another one: a key has that
    /// of the visitors.
    scheme: Scheme,
    /// The host of pages whose source names none.
    host: Arc<str>,
    variants: PlanVariants,
    seen: SeenVariants,
    found: HashMap<Page, usize>,
    list: Vec<Candidate>,
    notes: Vec<String>,
}

/// A page that a source names.
pub(super) struct SourceEntry<'s> {
    /// Path and query, as written.
    pub(super) target: &'s str,
    /// Its variants that are wanted; `None` stands for those of the plan.
    pub(super) wanted: Option<Vec<WantedVariant>>,
    /// Higher priorities go first.
    pub(super) priority: u8,
    /// The name of the source, for people.
    pub(super) source: &'static str,
}

impl CandidateSet {
    /// An empty set for a plan that wants `variants`. `seen` are the variants that visitors
    /// request.
    pub(super) fn new(
        scheme: Scheme,
        host: &Arc<str>,
        variants: &PlanVariants,
        seen: SeenVariants,
    ) -> CandidateSet {
        CandidateSet {
            scheme,
            host: Arc::clone(host),
            variants: variants.clone(),
            seen,
            found: HashMap::new(),
            list: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// The scheme of all pages.
    pub(super) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host of pages whose source names none.
    pub(super) fn host(&self) -> &Arc<str> {
        &self.host
    }

    /// Notes a problem.
    pub(super) fn note(&mut self, note: String) {
        if self.notes.len() < MAX_REASONS {
            self.notes.push(note);
        }
    }

    /// Adds a page, or notes that its target is not a path.
    pub(super) fn add_entry(&mut self, entry: SourceEntry<'_>) {
        let SourceEntry {
            target,
            wanted,
            priority,
            source,
        } = entry;
        let Some(target) = pages::target(target).map(str::to_owned) else {
            return self.note(format!("{target} from {source} is not a path: left out"));
        };
        let wanted = wanted.unwrap_or_else(|| self.of_plan(&target));
        let page = Page {
            scheme: self.scheme,
            host: Arc::clone(&self.host),
            target,
        };
        self.add(Candidate {
            page,
            wanted,
            priority,
            changed: None,
        });
    }

    /// The variants that the plan wants of a page.
    pub(super) fn of_plan(&self, target: &str) -> Vec<WantedVariant> {
        match &self.variants {
            PlanVariants::All => vec![WantedVariant::Every],
            PlanVariants::These(names) => wanted_of(names),
            PlanVariants::Seen => self.seen.variants(target),
        }
    }

    /// Adds a page. If the set has it already, it gets the variants of both and the higher
    /// priority.
    pub(super) fn add(&mut self, new: Candidate) {
        let Some(at) = self.found.get(&new.page) else {
            self.found.insert(new.page.clone(), self.list.len());
            return self.list.push(new);
        };
        let candidate = &mut self.list[*at];
        candidate.priority = candidate.priority.max(new.priority);
        candidate.changed = candidate.changed.max(new.changed);
        for wanted in new.wanted {
            if !candidate.wanted.contains(&wanted) {
                candidate.wanted.push(wanted);
            }
        }
    }

    /// The pages, the highest priority first, and the notes.
    pub(super) fn into_parts(self) -> (Vec<Candidate>, Vec<String>) {
        let mut list = self.list;
        // The sort is stable: pages of one priority keep the order in which they were found.
        list.sort_by_key(|candidate| std::cmp::Reverse(candidate.priority));
        (list, self.notes)
    }
}
