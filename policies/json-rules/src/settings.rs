//! The file as written, and the rules made from it. Unknown keys and rules that can never take
//! effect are refused.

use std::collections::HashSet;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use tero_policy::{
    CookieName, Device, Duration, HolidayRule, Hours, LocalTime, PathPattern, QueryName, Tag,
    VariantName, Weekdays, Window, first_idle,
};

use crate::{JsonRules, query_rule};

/// The file as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    #[serde(default = "three")]
    version: u32,
    #[serde(rename = "name")]
    _name: Option<String>,
    timezone: Option<String>,
    business_hours: Option<BusinessHours>,
    #[serde(default)]
    key: Key,
    #[serde(default)]
    variants: Variants,
    #[serde(default)]
    spread: u8,
    #[serde(default)]
    pass_cookies: Vec<CookieName>,
    rules: Vec<RawRule>,
    #[serde(default)]
    warming: Vec<RawPlan>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BusinessHours {
    days: Weekdays,
    from: LocalTime,
    to: LocalTime,
    #[serde(default)]
    holidays: Holidays,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Holidays {
    Closed,
    #[default]
    Open,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    #[serde(default)]
    ignore_query: Vec<QueryName>,
    #[serde(default)]
    sort_query: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVariant {
    devices: Vec<Device>,
    #[serde(default = "everything")]
    paths: Vec<PathPattern>,
}

/// Variants in the order of the file, because the first that matches decides.
#[derive(Debug, Default)]
struct Variants(Vec<(String, RawVariant)>);

impl<'de> Deserialize<'de> for Variants {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Variants, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Variants;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("variants by name: { \"mobile\": { \"devices\": [\"mobile\"], \"paths\": [\"/\"] } }")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Variants, A::Error> {
                let mut variants = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    variants.push(entry);
                }
                Ok(Variants(variants))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    name: Option<String>,
    #[serde(rename = "match")]
    paths: Vec<PathPattern>,
    cache: Option<Cache>,
    ttl: Option<Ttl>,
    spread: Option<u8>,
    stale_while_revalidate: Option<Secs>,
    stale_if_error: Option<Secs>,
    #[serde(default)]
    tags: Vec<Tag>,
    pass_cookies: Option<Vec<CookieName>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Cache {
    Never,
}

/// Whole seconds, at most a year.
#[derive(Clone, Copy, Debug)]
struct Secs(Duration);

impl<'de> Deserialize<'de> for Secs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Secs, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Secs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(SECONDS)
            }
            fn visit_u64<E: Error>(self, secs: u64) -> Result<Secs, E> {
                seconds(secs).map(Secs)
            }
        }
        deserializer.deserialize_u64(Number)
    }
}

/// A lifetime: seconds, or the time of day at which it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    Secs(Duration),
    Until(LocalTime),
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Length, D::Error> {
        struct AnyLength;
        impl Visitor<'_> for AnyLength {
            type Value = Length;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{SECONDS} or \"until 18:00\"")
            }
            fn visit_u64<E: Error>(self, secs: u64) -> Result<Length, E> {
                seconds(secs).map(Length::Secs)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Length, E> {
                match text.strip_prefix("until ") {
                    Some(time) => time.parse().map(Length::Until).map_err(E::custom),
                    None => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(AnyLength)
    }
}

const SECONDS: &str = "a whole number of seconds from 0 to 31536000 (a year)";

fn seconds<E: Error>(secs: u64) -> Result<Duration, E> {
    if secs > u64::from(Duration::MAX.as_secs()) {
        Err(E::custom(format!(
            "{secs} is out of range: write {SECONDS}"
        )))
    } else {
        Ok(Duration::from_secs(secs))
    }
}

/// The value of `ttl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ttl {
    Fixed(Length),
    ByHours {
        business_hours: Length,
        otherwise: Length,
    },
    Origin,
}

impl<'de> Deserialize<'de> for Ttl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Ttl, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct ByHours {
            business_hours: Length,
            otherwise: Length,
        }
        struct AnyTtl;
        impl<'de> Visitor<'de> for AnyTtl {
            type Value = Ttl;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(
                    f,
                    "{SECONDS}, \"until 18:00\", {{ \"business_hours\": …, \"otherwise\": … }} or \"origin\""
                )
            }
            fn visit_u64<E: Error>(self, secs: u64) -> Result<Ttl, E> {
                seconds(secs).map(|secs| Ttl::Fixed(Length::Secs(secs)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Ttl, E> {
                match text.strip_prefix("until ") {
                    Some(time) => time
                        .parse()
                        .map(|time| Ttl::Fixed(Length::Until(time)))
                        .map_err(E::custom),
                    None if text == "origin" => Ok(Ttl::Origin),
                    None => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Ttl, A::Error> {
                let ByHours {
                    business_hours,
                    otherwise,
                } = ByHours::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Ttl::ByHours {
                    business_hours,
                    otherwise,
                })
            }
        }
        deserializer.deserialize_any(AnyTtl)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlan {
    name: String,
    at: Option<LocalTime>,
    days: Option<Weekdays>,
    #[serde(default)]
    urls: Vec<String>,
    sitemap: Option<String>,
    #[serde(default)]
    popular: usize,
    #[serde(default)]
    variants: Vec<VariantName>,
}

fn three() -> u32 {
    3
}

fn everything() -> Vec<PathPattern> {
    vec!["*".parse().expect("a star is a pattern")]
}

/// A variant with its devices and paths.
#[derive(Debug)]
pub(crate) struct Variant {
    pub(crate) name: VariantName,
    pub(crate) devices: Vec<Device>,
    pub(crate) paths: Vec<PathPattern>,
}

/// The action of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Never,
    Ttl(Ttl),
}

/// A checked rule.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) paths: Vec<PathPattern>,
    pub(crate) action: Action,
    /// The spread in percent.
    pub(crate) spread: u8,
    pub(crate) stale_while_revalidate: Option<Duration>,
    pub(crate) stale_if_error: Option<Duration>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) pass_cookies: Vec<CookieName>,
}

impl Rule {
    /// Whether its lifetime depends on the time.
    fn is_timed(&self) -> bool {
        matches!(
            self.action,
            Action::Ttl(Ttl::ByHours { .. } | Ttl::Fixed(Length::Until(_)))
        )
    }
}

/// The part of a plan that `plan_warm` needs.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) urls: Vec<String>,
    pub(crate) popular: usize,
    pub(crate) variants: Vec<VariantName>,
}

/// Cookies that a manifest may name.
const MAX_COOKIES: usize = 32;

/// What the file says for all rules that don't say it themselves.
struct RuleDefaults<'f> {
    spread: u8,
    pass_cookies: &'f [CookieName],
}

/// Makes the policy of a file.
///
/// # Errors
/// The first mistake in the file.
pub(crate) fn check(settings: Settings) -> Result<JsonRules, String> {
    if !(1..=3).contains(&settings.version) {
        return Err(format!(
            "`version` is {}: this policy reads versions 1 to 3",
            settings.version
        ));
    }
    if settings.key.ignore_query.len() > 256 {
        return Err(format!(
            "`key.ignore_query` has {} entries: at most 256",
            settings.key.ignore_query.len()
        ));
    }
    let has_hours = settings.business_hours.is_some();
    let variants = variants(settings.variants.0)?;
    let defaults = RuleDefaults {
        spread: settings.spread,
        pass_cookies: &settings.pass_cookies,
    };
    let rules = rules(settings.rules, has_hours, &defaults)?;
    let plans = plans(settings.warming, &variants)?;
    let policy = JsonRules {
        zone: settings
            .timezone
            .or_else(|| rules.iter().any(Rule::is_timed).then(|| "UTC".to_owned())),
        hours: hours(settings.business_hours)?,
        query: query_rule(
            settings
                .key
                .ignore_query
                .into_iter()
                .map(String::from)
                .collect(),
            settings.key.sort_query,
        ),
        variants,
        rules,
        plans,
        pass_cookies: settings.pass_cookies,
    };
    match policy.cookies().len() {
        0..=MAX_COOKIES => Ok(policy),
        count => Err(format!(
            "`pass_cookies` name {count} cookies: at most {MAX_COOKIES} in the whole file; names that begin alike can be written as one, \"session_*\""
        )),
    }
}

fn hours(written: Option<BusinessHours>) -> Result<Hours, String> {
    let Some(BusinessHours {
        days,
        from,
        to,
        holidays,
    }) = written
    else {
        return Ok(Hours::default());
    };
    let window =
        Window::new(days, from, to).map_err(|error| format!("`business_hours`: {error}"))?;
    let holidays = match holidays {
        Holidays::Closed => HolidayRule::Calendar,
        Holidays::Open => HolidayRule::Open,
    };
    Ok(Hours::new(vec![window], holidays))
}

fn variants(written: Vec<(String, RawVariant)>) -> Result<Vec<Variant>, String> {
    if written.len() > 32 {
        return Err(format!("`variants` names {}: at most 32", written.len()));
    }
    let mut names = HashSet::new();
    let mut variants = Vec::new();
    for (name, RawVariant { devices, paths }) in written {
        let name: VariantName = name
            .parse()
            .map_err(|error| format!("`variants`: {error}"))?;
        let at = |what: &str| format!("`variants.{name}`: {what}");
        if !names.insert(name.clone()) {
            return Err(at("is written twice: keep one of the two"));
        }
        if devices.is_empty() {
            return Err(at(
                "`devices` is empty: name at least one of desktop, mobile, tablet, tv, bot and unknown",
            ));
        }
        if !(1..=256).contains(&paths.len()) {
            return Err(at(&format!(
                "`paths` has {} entries: name 1 to 256, or leave it out for all",
                paths.len()
            )));
        }
        variants.push(Variant {
            name,
            devices,
            paths,
        });
    }
    Ok(variants)
}

fn rules(
    written: Vec<RawRule>,
    has_hours: bool,
    defaults: &RuleDefaults<'_>,
) -> Result<Vec<Rule>, String> {
    if !(1..=1_024).contains(&written.len()) {
        return Err(format!(
            "`rules` has {} entries: write 1 to 1024",
            written.len()
        ));
    }
    let mut names = HashSet::new();
    let rule = |(index, rule): (usize, RawRule)| {
        let called = rule
            .name
            .as_ref()
            .map(|name| format!(" ({name})"))
            .unwrap_or_default();
        let at = |what: &str| format!("`rules[{index}]`{called}: {what}");
        if let Some(name) = &rule.name
            && !names.insert(name.clone())
        {
            return Err(at("another rule has that name: give each its own"));
        }
        checked(rule, has_hours, defaults).map_err(|error| at(&error))
    };
    let rules: Vec<Rule> = written
        .into_iter()
        .enumerate()
        .map(rule)
        .collect::<Result<_, _>>()?;
    match first_idle(rules.iter().map(|rule| rule.paths.as_slice())) {
        None => Ok(rules),
        Some((idle, pattern, by)) => Err(format!(
            "`rules[{idle}]`: {pattern} is decided by `rules[{by}]` ({}): put this rule before that one, or remove the pattern",
            rules[by].name
        )),
    }
}

fn checked(rule: RawRule, has_hours: bool, defaults: &RuleDefaults<'_>) -> Result<Rule, String> {
    let first = rule
        .paths
        .first()
        .ok_or("`match` is empty: write at least one pattern, [\"/\"] or [\"*\"]")?;
    if rule.paths.len() > 256 {
        return Err(format!(
            "`match` has {} entries: at most 256",
            rule.paths.len()
        ));
    }
    if rule.tags.len() > 32 {
        return Err(format!(
            "`tags` has {} entries: at most 32",
            rule.tags.len()
        ));
    }
    let spread = rule.spread.unwrap_or(defaults.spread);
    if spread > 50 {
        return Err(format!("`spread` is {spread}: write 0 to 50 percent"));
    }
    let is_never = rule.cache.is_some();
    if is_never && rule.pass_cookies.is_some() {
        return Err(
            "a rule that is never cached passes every request: remove `pass_cookies`".to_owned(),
        );
    }
    let pass_cookies = match rule.pass_cookies {
        Some(own) => own,
        None if is_never => Vec::new(),
        None => defaults.pass_cookies.to_vec(),
    };
    Ok(Rule {
        name: rule.name.unwrap_or_else(|| first.to_string()),
        paths: rule.paths,
        action: action(rule.cache, rule.ttl, has_hours)?,
        spread,
        stale_while_revalidate: rule.stale_while_revalidate.map(|secs| secs.0),
        stale_if_error: rule.stale_if_error.map(|secs| secs.0),
        tags: rule.tags,
        pass_cookies,
    })
}

fn action(cache: Option<Cache>, ttl: Option<Ttl>, has_hours: bool) -> Result<Action, String> {
    let refusal = match (cache, ttl) {
        (Some(Cache::Never), None) => return Ok(Action::Never),
        (Some(Cache::Never), Some(_)) => {
            "a rule that is never cached has no `ttl`: keep `cache` or `ttl`"
        }
        (None, Some(Ttl::ByHours { .. })) if !has_hours => {
            "`ttl`: the file has no `business_hours`: write them at the top, or one number of seconds here"
        }
        (None, Some(ttl)) => return Ok(Action::Ttl(ttl)),
        (None, None) => {
            "the rule decides nothing: write \"ttl\": seconds, \"ttl\": \"origin\" or \"cache\": \"never\""
        }
    };
    Err(refusal.to_owned())
}

fn plans(written: Vec<RawPlan>, variants: &[Variant]) -> Result<Vec<Plan>, String> {
    if written.len() > 256 {
        return Err(format!(
            "`warming` has {} entries: at most 256",
            written.len()
        ));
    }
    let mut names = HashSet::new();
    let mut plans = Vec::new();
    for plan in written {
        let at = |what: &str| format!("`warming` ({}): {what}", plan.name);
        if !names.insert(plan.name.clone()) {
            return Err(at("another plan has that name: give each its own"));
        }
        check_plan(&plan, variants).map_err(|error| at(&error))?;
        plans.push(Plan {
            name: plan.name,
            urls: plan.urls,
            popular: plan.popular,
            variants: plan.variants,
        });
    }
    Ok(plans)
}

fn check_plan(plan: &RawPlan, variants: &[Variant]) -> Result<(), String> {
    if plan.days.is_some() && plan.at.is_none() {
        return Err(
            "`days` without a time: write `at` too, or leave `days` out to start the plan from outside"
                .to_owned(),
        );
    }
    if plan.popular > 100_000 {
        return Err(format!("`popular` is {}: at most 100000", plan.popular));
    }
    let mut urls = plan.urls.iter().chain(&plan.sitemap);
    if let Some(url) = urls.find(|url| !is_page(url)) {
        return Err(format!(
            "{url:?} is not a page of the site: write its path and query, percent-encoded, such as \"/barberias?zona=palermo\""
        ));
    }
    let is_known = |name: &VariantName| {
        variants.iter().any(|variant| variant.name == *name)
            || name.as_str().parse::<Device>().is_ok()
    };
    if let Some(name) = plan.variants.iter().find(|name| !is_known(name)) {
        let declared: Vec<&str> = variants
            .iter()
            .map(|variant| variant.name.as_str())
            .chain(Device::ALL.map(Device::as_str))
            .collect();
        return Err(format!(
            "{:?} is neither a variant nor a device class: write one of {}",
            name.as_str(),
            declared.join(", ")
        ));
    }
    Ok(())
}

fn is_page(url: &str) -> bool {
    url.starts_with('/')
        && !url.starts_with("//")
        && url.len() <= 8_192
        && url
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#')
}
