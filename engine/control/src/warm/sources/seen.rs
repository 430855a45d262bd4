//! The variants of pages that visitors request in some hours, so that other variants are not
//! fetched for these hours.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::WantedVariant;
use tero_policy_host::PopularPage;

/// For a page that no visitor requested in those hours, the usual variants are fetched: those with
/// at least this share of all requests.
const SMALLEST_SHARE: f64 = 0.01;

/// The requested variants of each page, and the usual variants of all pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SeenVariants {
    by_page: HashMap<String, Vec<Option<Arc<str>>>>,
    usual: Vec<Option<Arc<str>>>,
}

impl SeenVariants {
    pub(super) fn of(popular: &[PopularPage]) -> SeenVariants {
        let mut by_page: HashMap<String, Vec<Option<Arc<str>>>> = HashMap::new();
        let mut requests: BTreeMap<Option<Arc<str>>, u64> = BTreeMap::new();
        for page in popular {
            by_page
                .entry(page.url.clone())
                .or_default()
                .push(page.variant.clone());
            let sum = requests.entry(page.variant.clone()).or_default();
            *sum = sum.saturating_add(page.requests);
        }
        #[allow(clippy::cast_precision_loss)] // Of a share.
        let least = requests
            .values()
            .map(|requests| *requests as f64)
            .sum::<f64>()
            * SMALLEST_SHARE;
        #[allow(clippy::cast_precision_loss)]
        let usual = requests
            .into_iter()
            .filter(|(_, requests)| *requests as f64 >= least)
            .map(|(variant, _)| variant);
        SeenVariants {
            usual: usual.collect(),
            by_page,
        }
    }

    /// The requested variants of a page. If it was not requested, the usual variants; if no page
    /// was, every variant.
    pub(super) fn variants(&self, url: &str) -> Vec<WantedVariant> {
        let seen = self.by_page.get(url).unwrap_or(&self.usual);
        if seen.is_empty() {
            return vec![WantedVariant::Every];
        }
        seen.iter().cloned().map(WantedVariant::Named).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_gets_its_requested_variants_and_an_unknown_page_the_usual_ones() {
        let page = |url: &str, requests: u64, variant: Option<&str>| PopularPage {
            url: url.to_owned(),
            requests,
            variant: variant.map(Arc::from),
        };
        let named = |names: &[Option<&str>]| -> Vec<WantedVariant> {
            names
                .iter()
                .map(|name| WantedVariant::Named(name.map(Arc::from)))
                .collect()
        };
        let seen = SeenVariants::of(&[
            page("/", 90, Some("mobile")),
            page("/", 9, None),
            page("/img", 1, Some("tablet")),
            page("/x", 900, None),
        ]);
        assert_eq!(seen.variants("/"), named(&[Some("mobile"), None]));
        assert_eq!(seen.variants("/img"), named(&[Some("tablet")]));
        // One request in a thousand came from a tablet.
        assert_eq!(seen.variants("/new"), named(&[None, Some("mobile")]));
        assert_eq!(SeenVariants::of(&[]).variants("/"), [WantedVariant::Every]);
    }
}
