//! `builtin:popular-pages`: warms the pages that visitors requested in the hours that a plan
//! prepares for.
//!
//! ```toml
//! [[policy]]
//! name = "popular"
//! module = "builtin:popular-pages"
//! settings = { top = 200, min_requests = 3, exclude = ["/mi-cuenta/*", "/checkout/*"] }
//! ```
//!
//! # Settings
//! | key | meaning | default |
//! |---|---|---|
//! | `top` | how many pages are warmed, the most requested first; 1 to 10,000 | 100 |
//! | `min_requests` | pages with fewer requests in all variants together are left out; at least 1 | 2 |
//! | `include` | 1 to 256 patterns over paths: only these pages | `["*"]` |
//! | `exclude` | at most 256 patterns over paths: not these pages | `[]` |
//! | `plans` | names of the plans that it answers, at most 256 | every plan |
//! | `variants` | `"as-seen"`: each page in the variants in which visitors requested it; `"plan"`: in those of the plan; or a list of variants and device classes | `"as-seen"` |
//! | `min_share` | with `"as-seen"`, variants with a smaller share of the page's requests are left out; in percent, 0 to 100 | 0 |
//!
//! A page that was requested without a variant is warmed for the device class `desktop`. Priorities
//! fall from 255 by rank, so the most requested pages are warm first, even if the plan's deadline
//! ends the run early.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer};
use tero_policy::{
    Manifest, Moment, PathPattern, Policy, PopularPage, VariantName, WarmUrl, any_matches,
};

/// The settings as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    #[serde(default = "hundred")]
    top: usize,
    #[serde(default = "two")]
    min_requests: u64,
    #[serde(default = "everything")]
    include: Vec<PathPattern>,
    #[serde(default)]
    exclude: Vec<PathPattern>,
    plans: Option<Vec<String>>,
    #[serde(default)]
    variants: Variants,
    #[serde(default)]
    min_share: u8,
}

fn hundred() -> usize {
    100
}

fn two() -> u64 {
    2
}

fn everything() -> Vec<PathPattern> {
    vec!["*".parse().expect("a star is a pattern")]
}

/// The value of `variants`.
#[derive(Debug, Default, PartialEq, Eq)]
enum Variants {
    #[default]
    AsSeen,
    Plan,
    These(Vec<VariantName>),
}

impl<'de> Deserialize<'de> for Variants {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Variants, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "it is neither \"as-seen\" nor \"plan\" nor a list of variants and device classes"
        )]
        enum Raw {
            Word(Word),
            List(Vec<VariantName>),
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        enum Word {
            AsSeen,
            Plan,
        }
        Ok(match Raw::deserialize(deserializer)? {
            Raw::Word(Word::AsSeen) => Variants::AsSeen,
            Raw::Word(Word::Plan) => Variants::Plan,
            Raw::List(names) => Variants::These(names),
        })
    }
}

/// The policy.
#[derive(Debug)]
pub struct PopularPages(Settings);

impl Policy for PopularPages {
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<PopularPages, String> {
        if !(1..=10_000).contains(&settings.top) {
            return Err(format!("`top` is {}: write 1 to 10000", settings.top));
        }
        if settings.min_requests == 0 {
            return Err("`min_requests` is 0: write at least 1".to_owned());
        }
        if !(1..=256).contains(&settings.include.len()) {
            return Err(format!(
                "`include` has {} entries: name 1 to 256, or leave it out for all pages",
                settings.include.len()
            ));
        }
        if settings.exclude.len() > 256 {
            return Err(format!(
                "`exclude` has {} entries: at most 256",
                settings.exclude.len()
            ));
        }
        if settings
            .plans
            .as_ref()
            .is_some_and(|plans| !(1..=256).contains(&plans.len()))
        {
            return Err("`plans` is empty or names more than 256: name 1 to 256, or leave it out for every plan".to_owned());
        }
        if settings.variants == Variants::These(Vec::new()) {
            return Err("`variants` is empty: write \"plan\" for those of the plan".to_owned());
        }
        if settings.min_share > 100 {
            return Err(format!(
                "`min_share` is {}: write 0 to 100 percent",
                settings.min_share
            ));
        }
        Ok(PopularPages(settings))
    }

    fn manifest(&self) -> Manifest {
        Manifest::new().plan_warm()
    }

    fn plan_warm(&self, plan: &str, popular: &[PopularPage], _: &Moment) -> Vec<WarmUrl> {
        if self
            .0
            .plans
            .as_ref()
            .is_some_and(|plans| !plans.iter().any(|name| name == plan))
        {
            return Vec::new();
        }
        let mut pages = self.pages(popular);
        pages.retain(|page| page.requests >= self.0.min_requests);
        // The sort is stable, so pages with equal requests keep the order of `popular`, which is
        // the same every time.
        pages.sort_by_key(|page| std::cmp::Reverse(page.requests));
        pages.truncate(self.0.top);
        let count = pages.len();
        let priority = |rank: usize| u8::try_from(255 - 255 * rank / count).unwrap_or(0);
        pages
            .into_iter()
            .enumerate()
            .map(|(rank, page)| {
                WarmUrl::new(page.url)
                    .variants(self.variants(&page))
                    .priority(priority(rank))
            })
            .collect()
    }
}

tero_policy::export!(PopularPages);

/// A page with the variants in which it was requested.
struct Page<'a> {
    url: &'a str,
    requests: u64,
    variants: Vec<(&'a str, u64)>,
}

impl PopularPages {
    /// The pages that count, each once, in the order of `popular`.
    fn pages<'a>(&self, popular: &'a [PopularPage]) -> Vec<Page<'a>> {
        let mut pages: Vec<Page<'a>> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for seen in popular.iter().filter(|seen| {
            any_matches(&self.0.include, seen.path()) && !any_matches(&self.0.exclude, seen.path())
        }) {
            let place = *places.entry(&seen.url).or_insert(pages.len());
            if place == pages.len() {
                pages.push(Page {
                    url: &seen.url,
                    requests: 0,
                    variants: Vec::new(),
                });
            }
            let page = &mut pages[place];
            page.requests = page.requests.saturating_add(seen.requests);
            let name = seen.variant.as_deref().unwrap_or("desktop");
            match page.variants.iter_mut().find(|(other, _)| *other == name) {
                Some((_, requests)) => *requests = requests.saturating_add(seen.requests),
                None => page.variants.push((name, seen.requests)),
            }
        }
        pages
    }

    fn variants(&self, page: &Page<'_>) -> Vec<String> {
        match &self.0.variants {
            Variants::Plan => Vec::new(),
            Variants::These(names) => names.iter().map(String::from).collect(),
            Variants::AsSeen => {
                let is_wanted = |requests: u64| {
                    u128::from(requests) * 100
                        >= u128::from(page.requests) * u128::from(self.0.min_share)
                };
                // At a high `min_share`, the most requested variant is still warmed.
                let most = page
                    .variants
                    .iter()
                    .map(|(_, requests)| *requests)
                    .max()
                    .unwrap_or(0);
                page.variants
                    .iter()
                    .filter(|(_, requests)| is_wanted(*requests) || *requests == most)
                    .map(|(name, _)| (*name).to_owned())
                    .collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(settings: &str, popular: &[PopularPage]) -> Vec<WarmUrl> {
        tero_policy::configure::<PopularPages>(settings)
            .unwrap()
            .plan_warm("apertura", popular, &Moment::epoch())
    }

    fn urls(warm: &[WarmUrl]) -> Vec<&str> {
        warm.iter().map(|page| page.url.as_str()).collect()
    }

    fn popular() -> Vec<PopularPage> {
        vec![
            PopularPage::new("/", 50).variant("mobile"),
            PopularPage::new("/barberias/palermo?dia=lunes", 40).variant("mobile"),
            PopularPage::new("/barberias/recoleta", 30).variant("mobile"),
            PopularPage::new("/barberias/recoleta", 25),
            PopularPage::new("/", 3),
            PopularPage::new("/checkout/1", 20),
            PopularPage::new("/raro", 1),
        ]
    }

    #[test]
    fn variants_of_a_page_add_up_before_pages_are_ranked() {
        let warm = plan(r#"{"top": 2}"#, &popular());
        assert_eq!(
            warm,
            [
                WarmUrl::new("/barberias/recoleta")
                    .variants(["mobile", "desktop"])
                    .priority(255),
                WarmUrl::new("/")
                    .variants(["mobile", "desktop"])
                    .priority(128)
            ]
        );
    }

    #[test]
    fn the_top_is_cut_and_rare_pages_are_left_out() {
        assert_eq!(
            urls(&plan("{}", &popular())),
            [
                "/barberias/recoleta",
                "/",
                "/barberias/palermo?dia=lunes",
                "/checkout/1"
            ]
        );
        assert_eq!(plan(r#"{"min_requests": 1}"#, &popular()).len(), 5);
        assert_eq!(plan(r#"{"min_requests": 55}"#, &popular()).len(), 1);
        assert_eq!(plan(r#"{"min_requests": 56}"#, &popular()), []);
        assert_eq!(plan("{}", &[]), []);
    }

    #[test]
    fn patterns_say_which_pages_count_by_path_without_query() {
        assert_eq!(
            urls(&plan(
                r#"{"include": ["/barberias/palermo", "/checkout/*"], "exclude": ["/checkout/*"]}"#,
                &popular()
            )),
            ["/barberias/palermo?dia=lunes"]
        );
    }

    #[test]
    fn variants_are_the_requested_ones_or_the_plans_or_the_named_ones() {
        let variants = |settings: &str| plan(settings, &popular())[1].variants.clone();
        assert_eq!(variants("{}"), ["mobile", "desktop"]);
        assert_eq!(variants(r#"{"min_share": 10}"#), ["mobile"]);
        assert_eq!(variants(r#"{"min_share": 100}"#), ["mobile"]);
        assert_eq!(variants(r#"{"variants": "plan"}"#), [""; 0]);
        assert_eq!(
            variants(r#"{"variants": ["tablet", "mobile"]}"#),
            ["tablet", "mobile"]
        );
    }

    #[test]
    fn only_the_named_plans_are_answered() {
        assert_eq!(plan(r#"{"plans": ["mediodia"]}"#, &popular()), []);
        assert_eq!(
            plan(r#"{"plans": ["mediodia", "apertura"]}"#, &popular()).len(),
            4
        );
    }

    #[test]
    fn request_counts_do_not_overflow() {
        let many = [
            PopularPage::new("/a", u64::MAX),
            PopularPage::new("/a", u64::MAX),
            PopularPage::new("/b", u64::MAX - 1),
        ];
        assert_eq!(urls(&plan("{}", &many)), ["/a", "/b"]);
    }

    #[test]
    fn bad_settings_are_refused_with_key_and_cure() {
        for (settings, expected) in [
            (r#"{"top": 0}"#, "`top` is 0: write 1 to 10000"),
            (r#"{"top": 10001}"#, "write 1 to 10000"),
            (r#"{"top": "x"}"#, "settings: `top`: invalid type"),
            (r#"{"min_requests": 0}"#, "write at least 1"),
            (r#"{"include": []}"#, "leave it out for all pages"),
            (
                r#"{"include": ["x"]}"#,
                "settings: `include[0]`: \"x\" begins with neither",
            ),
            (r#"{"plans": []}"#, "leave it out for every plan"),
            (
                r#"{"variants": []}"#,
                "write \"plan\" for those of the plan",
            ),
            (
                r#"{"variants": "seen"}"#,
                "settings: `variants`: it is neither \"as-seen\" nor \"plan\" nor a list",
            ),
            (r#"{"min_share": 101}"#, "write 0 to 100 percent"),
            (r#"{"pages": 1}"#, "unknown field `pages`"),
        ] {
            let found = tero_policy::configure::<PopularPages>(settings).unwrap_err();
            assert!(
                found.contains(expected),
                "{found:?} does not contain {expected:?}"
            );
        }
    }
}
