//! Where the text of a configuration has the rules of policies: inline tables in their settings. Rules
//! belong to the sites whose `policies` name the policy.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::rule_text::PATTERNS;
use tero_config::units;
use tero_semantics::host_pattern::is_pattern;

/// A rule of one of a site's policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PolicyRule {
    /// The bytes of its inline table.
    pub(super) place: Range<usize>,
    /// The name of the policy.
    pub(super) policy: String,
    /// Another site with the policy: a changed rule holds there too.
    pub(super) other_site: Option<String>,
}

/// What a text says of a site. It is empty for a text that is not TOML.
#[derive(Debug)]
pub(super) struct SiteInText<'t> {
    text: &'t str,
    site: &'t str,
    root: Option<Spanned<DeTable<'t>>>,
}

impl<'t> SiteInText<'t> {
    pub(super) fn of(text: &'t str, site: &'t str) -> SiteInText<'t> {
        let root = DeTable::parse(text).ok();
        SiteInText { text, site, root }
    }

    /// The first rule of the site's policies, in the order in which they are asked, that names a pattern
    /// and for which `fits` says so.
    pub(super) fn rule(&self, pattern: &str, fits: impl Fn(&str) -> bool) -> Option<PolicyRule> {
        let policies = self.policies(self.site);
        policies.into_iter().find_map(|policy| {
            let settings = self.policy(policy)?.get("settings")?;
            let fits = |place: &Range<usize>| self.text.get(place.clone()).is_some_and(&fits);
            let place = self.rule_in(settings, pattern, &fits)?;
            let mut others = self.tables("site").filter_map(name_of);
            let other_site =
                others.find(|site| *site != self.site && self.policies(site).contains(&policy));
            Some(PolicyRule {
                place,
                policy: policy.to_owned(),
                other_site: other_site.map(str::to_owned),
            })
        })
    }

    /// Whether a table of the site or of one of its policies names a pattern.
    pub(super) fn names(&self, pattern: &str) -> bool {
        let policies = self.policies(self.site);
        let policies = policies
            .into_iter()
            .filter_map(|policy| self.policy(policy));
        let mut tables = self.named("site", self.site).into_iter().chain(policies);
        tables.any(|table| {
            table
                .values()
                .any(|value| has_text(value.get_ref(), pattern))
        })
    }

    /// Whether the site names a host, and not patterns alone.
    pub(super) fn has_host(&self) -> bool {
        let hosts = self.texts(self.site, "hosts");
        hosts.into_iter().any(|host| !is_pattern(host))
    }

    /// The value of a key of the site, a duration.
    pub(super) fn duration(&self, key: &str) -> Option<Duration> {
        let value = self.named("site", self.site)?.get(key)?;
        units::duration(value.get_ref().as_str()?)
    }

    /// The names of a site's policies.
    fn policies(&self, site: &str) -> Vec<&str> {
        self.texts(site, "policies")
    }

    /// The texts in a list of a site.
    fn texts(&self, site: &str, key: &str) -> Vec<&str> {
        let names = self.named("site", site).and_then(|site| site.get(key));
        let names = names.and_then(|names| names.get_ref().as_array());
        names
            .into_iter()
            .flat_map(|names| names.iter())
            .filter_map(|name| name.get_ref().as_str())
            .collect()
    }

    fn policy(&self, name: &str) -> Option<&DeTable<'t>> {
        self.named("policy", name)
    }

    /// The table of an array of tables that has a name.
    fn named(&self, array: &str, name: &str) -> Option<&DeTable<'t>> {
        self.tables(array)
            .find(|table| name_of(table) == Some(name))
    }

    fn tables(&self, array: &str) -> impl Iterator<Item = &DeTable<'t>> {
        let array = self
            .root
            .as_ref()
            .and_then(|root| root.get_ref().get(array));
        let tables = array.and_then(|tables| tables.get_ref().as_array());
        tables
            .into_iter()
            .flat_map(|tables| tables.iter())
            .filter_map(|table| table.get_ref().as_table())
    }

    /// The place of the first inline table that names a pattern, and that fits.
    fn rule_in(
        &self,
        value: &Spanned<DeValue<'t>>,
        pattern: &str,
        fits: &impl Fn(&Range<usize>) -> bool,
    ) -> Option<Range<usize>> {
        match value.get_ref() {
            DeValue::Array(items) => items
                .iter()
                .find_map(|item| self.rule_in(item, pattern, fits)),
            DeValue::Table(table) => {
                let place = value.span();
                let mut lists = PATTERNS.iter().filter_map(|key| table.get(*key));
                // A table with a header of its own has the header's place.
                let is_rule = self.text[place.clone()].starts_with('{')
                    && lists.any(|list| has_text(list.get_ref(), pattern))
                    && fits(&place);
                match is_rule {
                    true => Some(place),
                    false => table
                        .values()
                        .find_map(|value| self.rule_in(value, pattern, fits)),
                }
            }
            _ => None,
        }
    }
}

fn name_of<'v>(table: &'v DeTable<'_>) -> Option<&'v str> {
    table.get("name")?.get_ref().as_str()
}

/// Whether a text stands somewhere in a value.
fn has_text(value: &DeValue<'_>, wanted: &str) -> bool {
    match value {
        DeValue::String(text) => text == wanted,
        DeValue::Array(items) => items.iter().any(|item| has_text(item.get_ref(), wanted)),
        DeValue::Table(table) => table
            .values()
            .any(|value| has_text(value.get_ref(), wanted)),
        _ => false,
    }
}
