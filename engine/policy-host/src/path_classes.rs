//! Decisions by the class of a path: pages that the same patterns of the policies match are decided
//! alike, so that their policies are asked once for all of them.
//!
//! The patterns are in the policies' manifests, and the policies are taken at their word. So that a
//! wrong word does no lasting harm, one remembered decision in [`CHECKED`] is asked for again, with
//! the page at hand; where the answer differs, the chain is asked about each page from then on.
//!
//! Decisions about requests are in the [decision cache](crate::decisions). Those about responses depend
//! on the second, so each thread keeps a few of the last ones.

use std::cell::{Cell, RefCell};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use foldhash::quality::FixedState;

use tero_semantics::decision::ResponseDecision;

/// Of so many remembered decisions one is checked.
const CHECKED: u32 = 64;
/// How many decisions about responses each thread keeps.
const KEPT_BY_THREAD: usize = 64;
/// The longest key that is kept, in bytes.
const MAX_KEPT_KEY: usize = 1024;
/// The most bytes of tags and fields of a decision that is kept. With [`MAX_KEPT_KEY`] and
/// [`KEPT_BY_THREAD`] it bounds what a thread keeps to a third of a mebibyte.
const MAX_KEPT_TEXTS: usize = 4096;

/// What a chain and its clones know of their classes.
#[derive(Debug, Default)]
pub(crate) struct PathClasses {
    is_distrusted: AtomicBool,
    recalled: AtomicU32,
}

impl PathClasses {
    /// Whether the policies have kept their word so far.
    pub(crate) fn are_trusted(&self) -> bool {
        !self.is_distrusted.load(Ordering::Relaxed)
    }

    /// Counts a remembered decision. `true` if it is to be checked.
    pub(crate) fn is_check_due(&self) -> bool {
        let before = self.recalled.fetch_add(1, Ordering::Relaxed);
        before % CHECKED == CHECKED - 1
    }

    /// Remembers nothing by class any more, and says so once.
    pub(crate) fn distrust(&self, policies: &[&str], path: &str) {
        if !self.is_distrusted.swap(true, Ordering::Relaxed) {
            tracing::error!(
                policies = policies.join(", "),
                path,
                "a policy decides by more of the path than the `path-patterns` of its manifest: the policies are asked \
                 about each page from now on; let the manifest name what they depend on"
            );
        }
    }
}

type KeptDecision = Option<(Box<[u8]>, ResponseDecision)>;

thread_local! {
    static KEPT: RefCell<Vec<KeptDecision>> = RefCell::new((0..KEPT_BY_THREAD).map(|_| None).collect());
    static KEY: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Gives `work` this thread's buffer for keys.
pub(crate) fn with_key<T>(work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let mut key = KEY.take();
    let done = work(&mut key);
    KEY.set(key);
    done
}

/// The decision about a response that this thread keeps under this key.
pub(crate) fn recall(key: &[u8]) -> Option<ResponseDecision> {
    KEPT.with_borrow(|kept| {
        let (known, decision) = kept[place(key)].as_ref()?;
        (**known == *key).then(|| decision.clone())
    })
}

/// Keeps a decision about a response, unless it is large.
pub(crate) fn remember(key: &[u8], decision: &ResponseDecision) {
    if key.len() > MAX_KEPT_KEY || texts(decision) > MAX_KEPT_TEXTS {
        return;
    }
    KEPT.with_borrow_mut(|kept| kept[place(key)] = Some((key.into(), decision.clone())));
}

fn place(key: &[u8]) -> usize {
    FixedState::default().hash_one(key) as usize % KEPT_BY_THREAD
}

fn texts(decision: &ResponseDecision) -> usize {
    let tags = decision.tags.iter().map(|tag| tag.len() + size_of_val(tag));
    let set = decision.fields.set.iter();
    let set = set.map(|(name, value)| name.as_str().len() + value.len());
    let removed = decision.fields.remove.iter();
    let removed = removed.map(|name| name.as_str().len());
    tags.chain(set).chain(removed).sum()
}

#[cfg(test)]
mod tests {
    use tero_semantics::decision::ResponseDecision;

    use super::*;

    fn tagged(bytes: usize) -> ResponseDecision {
        ResponseDecision {
            tags: vec!["x".repeat(bytes).into()],
            ..ResponseDecision::default()
        }
    }

    #[test]
    fn a_thread_keeps_neither_long_keys_nor_large_decisions() {
        let is_kept = |key: &[u8], decision: &ResponseDecision| {
            remember(key, decision);
            recall(key).is_some()
        };
        let room = MAX_KEPT_TEXTS - size_of_val(&tagged(0).tags[0]);
        assert!(is_kept(&[1; MAX_KEPT_KEY], &tagged(0)));
        assert!(!is_kept(&[1; MAX_KEPT_KEY + 1], &tagged(0)));
        assert!(is_kept(b"2", &tagged(room)));
        assert!(!is_kept(b"3", &tagged(room + 1)));
    }

    #[test]
    fn a_thread_keeps_so_many_decisions_at_most() {
        let keys: Vec<[u8; 4]> = (0..10_000_u32).map(u32::to_le_bytes).collect();
        keys.iter().for_each(|key| remember(key, &tagged(1)));
        let kept = keys.iter().filter(|key| recall(*key).is_some()).count();
        assert!((1..=KEPT_BY_THREAD).contains(&kept), "{kept}");
    }
}
