//! What a plan wants, each page once, however many sources name it.

use std::collections::HashMap;
use std::sync::Arc;

use super::pages;
use super::seen::SeenVariants;
use crate::warm::candidate::{Candidate, WantedVariant, wanted_of};
use crate::warm::path::Page;
use crate::warm::report::MAX_REASONS;
use tero_config::PlanVariants;

/// The pages that have been found so far, and what was odd about finding them.
pub(super) struct CandidateSet {
    /// Under which pages without a host are asked for.
    host: Arc<str>,
    variants: PlanVariants,
    seen: SeenVariants,
    found: HashMap<Page, usize>,
    list: Vec<Candidate>,
    notes: Vec<String>,
}

/// A page as a source names it.
pub(super) struct SourceEntry<'s> {
    /// Path and query, as written.
    pub(super) target: &'s str,
    /// In which variants; none stands for those of the plan.
    pub(super) wanted: Option<Vec<WantedVariant>>,
    /// The higher goes first.
    pub(super) priority: u8,
    /// Where it comes from, for people.
    pub(super) source: &'static str,
}

impl CandidateSet {
    /// An empty set of a plan that wants `variants`, or those that were `seen`.
    pub(super) fn new(
        host: &Arc<str>,
        variants: &PlanVariants,
        seen: SeenVariants,
    ) -> CandidateSet {
        CandidateSet {
            host: Arc::clone(host),
            variants: variants.clone(),
            seen,
            found: HashMap::new(),
            list: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Under which pages without a host are asked for.
    pub(super) fn host(&self) -> &Arc<str> {
        &self.host
    }

    /// Notes what was odd.
    pub(super) fn note(&mut self, note: String) {
        if self.notes.len() < MAX_REASONS {
            self.notes.push(note);
        }
    }

    /// Adds a page of the site, or notes that it is none.
    pub(super) fn add_entry(&mut self, entry: SourceEntry<'_>) {
        let SourceEntry {
            target,
            wanted,
            priority,
            source,
        } = entry;
        let Some(target) = pages::target(target).map(str::to_owned) else {
            return self.note(format!("{target} from {source} is no path: left out"));
        };
        let wanted = wanted.unwrap_or_else(|| self.of_plan(&target));
        let page = Page {
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

    /// Adds a page; one that is there already is wanted in the variants of both.
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

    /// The pages, the most wanted first, and the notes.
    pub(super) fn into_parts(self) -> (Vec<Candidate>, Vec<String>) {
        let mut list = self.list;
        // Stable, so that pages of one priority keep the order in which they were found.
        list.sort_by_key(|candidate| std::cmp::Reverse(candidate.priority));
        (list, self.notes)
    }
}
