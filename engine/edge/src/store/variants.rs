//! The stored responses of one key.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use super::stored::{StoredHead, StoredResponse};
use tero_semantics::vary::SecondaryKey;

/// The stored responses of one key, the latest first.
#[derive(Clone, Debug)]
pub struct Variants(VariantList);

/// A single response needs no list.
#[derive(Clone, Debug)]
enum VariantList {
    One(Arc<StoredResponse>),
    Many(Arc<[Arc<StoredResponse>]>),
}

impl Variants {
    /// Some responses, the latest first.
    pub(crate) fn new(all: Vec<Arc<StoredResponse>>) -> Variants {
        match &all[..] {
            [one] => Variants(VariantList::One(Arc::clone(one))),
            _ => Variants(VariantList::Many(all.into())),
        }
    }

    /// No responses: not for a request.
    pub(super) fn none() -> Variants {
        Variants(VariantList::Many(Arc::default()))
    }

    /// Whether they are parts of responses.
    pub(super) fn are_parts(&self) -> bool {
        self.all().iter().any(|stored| stored.parts().is_some())
    }

    /// The response that a request with these fields selects (§4.1): of several, the latest that
    /// has a `Vary`, else the latest.
    pub fn select(&self, request: &HeaderMap) -> Option<&Arc<StoredResponse>> {
        match &self.0 {
            VariantList::One(one) => one.head.secondary_key.selects(request).then_some(one),
            VariantList::Many(all) => select_of_many(all, request),
        }
    }

    /// As [`Variants::select`], without the others.
    #[inline]
    pub fn into_selected(self, request: &HeaderMap) -> Option<Arc<StoredResponse>> {
        match self.0 {
            VariantList::One(one) => one.head.secondary_key.selects(request).then_some(one),
            VariantList::Many(all) => select_of_many(&all, request).cloned(),
        }
    }

    /// The request fields by which any of these responses is selected.
    pub(super) fn vary_fields(&self) -> impl Iterator<Item = &HeaderName> {
        let keys = self.all().iter().map(|stored| &stored.head.secondary_key);
        keys.flat_map(SecondaryKey::fields)
    }

    /// All responses, the latest first.
    pub fn all(&self) -> &[Arc<StoredResponse>] {
        match &self.0 {
            VariantList::One(one) => std::slice::from_ref(one),
            VariantList::Many(all) => all,
        }
    }

    /// Bytes of the large pieces of these responses.
    pub(super) fn large_bytes(&self) -> u64 {
        let all = self.all().iter();
        all.map(|stored| stored.large_bytes()).sum()
    }

    /// Calls `each` once with every surrogate key of these responses.
    pub(super) fn each_tag(&self, mut each: impl FnMut(&str)) {
        match &self.0 {
            VariantList::One(one) => one.head.fields.tags().for_each(each),
            VariantList::Many(all) => {
                let mut tags: Vec<&str> = all
                    .iter()
                    .flat_map(|stored| stored.head.fields.tags())
                    .collect();
                tags.sort_unstable();
                tags.dedup();
                tags.into_iter().for_each(&mut each);
            }
        }
    }

    /// The memory that they use, in bytes, without their key.
    pub(super) fn weight(&self) -> u64 {
        self.all().iter().map(|stored| stored.weight()).sum()
    }
}

/// As [`Variants::select`]. A response without secondary key was stored before those beside it, and
/// nothing tells any more which requests it is for: none selects it.
fn select_of_many<'v>(
    all: &'v [Arc<StoredResponse>],
    request: &HeaderMap,
) -> Option<&'v Arc<StoredResponse>> {
    let mut without_vary = None;
    for stored in all {
        let key = &stored.head.secondary_key;
        if key.fields().is_empty() || !key.selects(request) {
            continue;
        }
        if key.is_by_vary() {
            return Some(stored);
        }
        without_vary = without_vary.or(Some(stored));
    }
    without_vary
}

/// Whether a new response replaces an old one: the same requests select both.
pub(super) fn is_same_variant(old: &StoredHead, new: &StoredHead) -> bool {
    old.secondary_key == new.secondary_key
}

/// Whether an old response can't be selected beside a new one: it has no secondary key, and the new
/// one has.
pub(super) fn is_out_of_reach(old: &StoredHead, new: &StoredHead) -> bool {
    let has_key = |head: &StoredHead| !head.secondary_key.fields().is_empty();
    has_key(new) && !has_key(old)
}

/// Whether an old response has no place beside a new one, for either reason.
pub(super) fn is_older(old: &StoredHead, new: &StoredHead) -> bool {
    is_same_variant(old, new) || is_out_of_reach(old, new)
}
