//! The variants that edges in front have told a site, so that a purge of a URL finds all of them: this
//! tier's own policies have not declared them.

use std::sync::Arc;

use arc_swap::ArcSwap;

/// The variants that edges have told, at most as many as policies may declare.
#[derive(Debug)]
pub struct EdgeVariants {
    names: Arc<ArcSwap<Vec<Arc<str>>>>,
    max: usize,
}

impl EdgeVariants {
    /// No variants, or those that were told `before`; at most `max` from now on.
    pub fn new(max: usize, before: Option<&EdgeVariants>) -> EdgeVariants {
        EdgeVariants {
            names: before.map_or_else(Arc::default, |before| Arc::clone(&before.names)),
            max,
        }
    }

    /// Remembers a variant. Returns whether it is known now: an edge that goes on to tell new ones
    /// fills no more memory.
    pub(super) fn learn(&self, variant: &Arc<str>) -> bool {
        let is_known = |names: &[Arc<str>]| names.contains(variant);
        if is_known(&self.names.load()) {
            return true;
        }
        self.names.rcu(|names| {
            let mut names = Vec::clone(names);
            if !is_known(&names) && names.len() < self.max {
                names.push(Arc::clone(variant));
            }
            names
        });
        is_known(&self.names.load())
    }

    /// Those that are known.
    pub(super) fn names(&self) -> Arc<Vec<Arc<str>>> {
        self.names.load_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_known_as_may_be() {
        let variants = EdgeVariants::new(2, None);
        let learn = |variants: &EdgeVariants, name: &str| variants.learn(&Arc::from(name));
        assert!(learn(&variants, "a") && learn(&variants, "a") && learn(&variants, "b"));
        assert!(!learn(&variants, "c"));
        // A reload keeps them, and may allow more.
        let after = EdgeVariants::new(3, Some(&variants));
        assert!(learn(&after, "c") && learn(&after, "a") && !learn(&after, "d"));
        assert_eq!(after.names().len(), 3);
    }
}
