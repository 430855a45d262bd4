//! `builtin:business-hours`: lifetimes by opening hours.
//!
//! ```toml
//! [[policy]]
//! name = "hours"
//! module = "builtin:business-hours"
//! calendar = "builtin:argentina"
//!
//! [policy.settings]
//! zone = "America/Argentina/Buenos_Aires"
//! days = ["mon-sat"]
//! open = "09:00"
//! close = "18:00"
//! rules = [
//!     { paths = ["/api/v1/disponibilidad/*"], inside = "15s", outside = "2min", stale_if_error = "1min", tags = ["disponibilidad"] },
//!     { paths = ["/", "/barberias/*"], inside = "2min", outside = "until-open", stale_while_revalidate = "5min" },
//! ]
//! ```
//!
//! # Settings
//! | key | meaning | default |
//! |---|---|---|
//! | `zone` | the IANA name of the zone of all times | required |
//! | `open`, `close` | one window a day, from `"00:00"` to `"24:00"`; a `close` before `open` is on the next day | required, unless `windows` is given |
//! | `days` | the days of this window: `["mon-sat"]` | every day |
//! | `windows` | 1 to 32 windows `{ days, from, to }`, in place of `open` and `close` | |
//! | `holidays` | the effect of the policy's calendar: `"calendar"` (holidays are closed, half-days have the hours of the calendar), `"closed"` (half-days are closed too), `"open"` (no effect) | `"calendar"` |
//! | `clip` | whether lifetimes, including the browser's, end at the next opening or closing | `true` |
//! | `spread` | shortens lifetimes by up to this many percent, by page, query and variant, so that pages that were stored together do not expire together; 0 to 50 | 0 |
//! | `rules` | at most 256 rules. The first rule with a matching path decides; without one, the response's own fields decide | one rule for all paths: `2min` inside, `30min` outside, stored by the response's own fields |
//!
//! Each rule:
//!
//! | key | meaning | default |
//! |---|---|---|
//! | `paths` | 1 to 256 patterns: `/barberias/*`, `*.css`, `/` | required |
//! | `name` | the name of the rule in `Cache-Status` | the first pattern |
//! | `inside` | the lifetime in opening hours: a duration from `"0s"` to `"365d"`, `"until-close"`, `"until 18:00"` (until the local clock next shows this time), `"headers"` (by the response's own fields) or `"never"` | required |
//! | `outside` | the lifetime otherwise: the same, with `"until-open"` in place of `"until-close"` | required |
//! | `clip`, `spread` | as above, for this rule | as above |
//! | `browser_ttl` | how long a browser may keep the page, never longer than the edge: a duration, `"until-close"`, `"until-open"` or `"until 18:00"` | as the origin said; with `clip`, it ends at the next opening or closing at the latest |
//! | `stale_while_revalidate`, `stale_if_error` | how long after its lifetime it may be served stale; `"0s"` to `"365d"` | left to the site |
//! | `storing` | `"always"`: stored even if the response gives no lifetime; `"by-headers"`: by the response's own fields | `"always"` |
//! | `tags` | surrogate keys for purging; at most 32 | no tags |
//!
//! # Boundaries
//! A page that is stored at 08:59:50 with the night's half hour would still be served at 09:15. So
//! lifetimes are clipped by default: each ends with its own window, to the second, also across
//! changes of the clock. The stale windows are not clipped: in them the first visitor after the
//! opening gets the page of the night while it is revalidated.
//!
//! Hours belong to the day on which they begin. On a holiday no hours begin, and those of the
//! evening before go on to their end. Holidays are known for 30 days ahead, so on the evening
//! before a holiday `"until-open"` means the opening after it.
//!
//! Lifetimes apply to complete responses and permanent redirects (200, 203, 204, 301, 308). The
//! lifetime of an error is left to its own fields.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use tero_policy::{
    Duration, HolidayRule, Hours, Lifetime, LocalTime, Manifest, Moment, PathPattern, PathReadings,
    Policy, Request, RequestDecision, Response, ResponseDecision, Storing, Tag, Weekdays, Window,
    first_idle,
};

/// The settings as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    zone: String,
    open: Option<LocalTime>,
    close: Option<LocalTime>,
    days: Option<Weekdays>,
    windows: Option<Vec<Window>>,
    #[serde(default)]
    holidays: HolidayRule,
    #[serde(default = "yes")]
    clip: bool,
    #[serde(default)]
    spread: u8,
    rules: Option<Vec<RuleSettings>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleSettings {
    name: Option<String>,
    paths: Vec<PathPattern>,
    inside: Length,
    outside: Length,
    clip: Option<bool>,
    spread: Option<u8>,
    browser_ttl: Option<Length>,
    stale_while_revalidate: Option<Duration>,
    stale_if_error: Option<Duration>,
    #[serde(default)]
    storing: StoringSetting,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StoringSetting {
    #[default]
    Always,
    ByHeaders,
}

impl From<StoringSetting> for Storing {
    fn from(setting: StoringSetting) -> Storing {
        match setting {
            StoringSetting::Always => Storing::Always,
            StoringSetting::ByHeaders => Storing::ByHeaders,
        }
    }
}

/// The value of `inside`, `outside` or `browser_ttl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Set(Lifetime),
    UntilClose,
    UntilOpen,
    Headers,
    Never,
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Length, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "until-close" => Ok(Length::UntilClose),
            "until-open" => Ok(Length::UntilOpen),
            "headers" => Ok(Length::Headers),
            "never" => Ok(Length::Never),
            text => text.parse().map(Length::Set).map_err(|error: String| {
                serde::de::Error::custom(format!(
                    "{error}, \"until-close\", \"until-open\", \"headers\" or \"never\""
                ))
            }),
        }
    }
}

impl Length {
    /// The lifetime; `None` if it is left to the response's own fields.
    fn from(self, now: &Moment, until_change: Option<Duration>) -> Option<Duration> {
        match self {
            Length::Set(lifetime) => Some(lifetime.from(now)),
            // Hours that never change have no next opening.
            Length::UntilClose | Length::UntilOpen => {
                Some(until_change.unwrap_or(Duration::from_days(1)))
            }
            Length::Headers | Length::Never => None,
        }
    }
}

fn yes() -> bool {
    true
}

/// The policy.
#[derive(Debug)]
pub struct BusinessHours {
    zone: String,
    hours: Hours,
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    name: String,
    paths: Vec<PathPattern>,
    inside: Length,
    outside: Length,
    clip: bool,
    spread: u8,
    /// The part of the decision that is the same for every response.
    rest: ResponseDecision,
    storing: Storing,
    browser_ttl: Option<Length>,
}

impl Policy for BusinessHours {
    type Settings = Settings;

    fn configure(mut settings: Settings) -> Result<BusinessHours, String> {
        if settings.spread > 50 {
            return Err(format!(
                "`spread` is {}: write 0 to 50 percent",
                settings.spread
            ));
        }
        let hours = Hours::new(windows(&mut settings)?, settings.holidays);
        let rules = match settings.rules.take() {
            None => vec![Rule::for_everything(&settings)],
            Some(rules) if rules.len() > 256 => {
                return Err(format!("`rules` has {} entries: at most 256", rules.len()));
            }
            Some(rules) => {
                let rule = |(index, rule): (usize, RuleSettings)| {
                    Rule::new(rule, &settings).map_err(|error| format!("`rules[{index}]`: {error}"))
                };
                rules
                    .into_iter()
                    .enumerate()
                    .map(rule)
                    .collect::<Result<Vec<_>, _>>()?
            }
        };
        if let Some((idle, pattern, by)) =
            first_idle(rules.iter().map(|rule| rule.paths.as_slice()))
        {
            let by_name = &rules[by].name;
            return Err(format!(
                "`rules[{idle}]`: {pattern} is decided by `rules[{by}]` ({by_name}): put this rule before that one, or remove the pattern"
            ));
        }
        Ok(BusinessHours {
            zone: settings.zone,
            hours,
            rules,
        })
    }

    fn manifest(&self) -> Manifest {
        let patterns = self.rules.iter().flat_map(|rule| &rule.paths);
        let mut manifest = Manifest::new()
            .on_response()
            .zone(&self.zone)
            .path_patterns(patterns);
        if self.rules.iter().any(|rule| rule.spread > 0) {
            manifest = manifest.each_response();
        }
        if self.rules.iter().any(Rule::is_protective) {
            manifest.on_request()
        } else {
            manifest
        }
    }

    fn on_request(&self, request: &Request, now: &Moment) -> RequestDecision {
        let open = self.hours.is_open(now);
        match self.rule(request.path) {
            Some(rule) if rule.lifetime(open) == Length::Never => {
                RequestDecision::pass().because(format!("{}: {}", rule.name, self.state(open, now)))
            }
            _ => RequestDecision::new(),
        }
    }

    fn on_response(
        &self,
        request: &Request,
        response: &Response,
        now: &Moment,
    ) -> ResponseDecision {
        match self.rule(request.path) {
            Some(rule) => rule.decide(self, response, now),
            None => ResponseDecision::by_headers(),
        }
    }
}

tero_policy::export!(BusinessHours);

impl BusinessHours {
    /// The rule that decides. One by which nothing is cached holds however the path is written.
    fn rule(&self, path: &str) -> Option<&Rule> {
        PathReadings::of(path).deciding_rule(&self.rules, |rule| &rule.paths, Rule::is_protective)
    }

    fn state(&self, open: bool, now: &Moment) -> Cow<'static, str> {
        let state = if open { "open" } else { "closed" };
        match &now.holiday {
            Some(holiday) if self.hours.holidays != HolidayRule::Open => format!(
                "{state} ({}: {})",
                if holiday.open.is_some() {
                    "half-day"
                } else {
                    "holiday"
                },
                holiday.name
            )
            .into(),
            _ => state.into(),
        }
    }
}

impl RuleSettings {
    fn check(&self) -> Result<(), String> {
        if self.paths.len() > 256 {
            return Err(format!(
                "`paths` has {} entries: at most 256",
                self.paths.len()
            ));
        }
        if self.tags.len() > 32 {
            return Err(format!(
                "`tags` has {} entries: at most 32",
                self.tags.len()
            ));
        }
        if self.inside == Length::UntilOpen {
            return Err("`inside` cannot be \"until-open\": write \"until-close\"".to_owned());
        }
        if self.outside == Length::UntilClose {
            return Err("`outside` cannot be \"until-close\": write \"until-open\"".to_owned());
        }
        if let Some(Length::Headers | Length::Never) = self.browser_ttl {
            return Err("`browser_ttl` is a duration, \"until-close\", \"until-open\" or \"until 18:00\": leave it out for the origin's lifetime".to_owned());
        }
        Ok(())
    }
}

impl Rule {
    /// Whether it says at some time that nothing is cached.
    fn is_protective(&self) -> bool {
        [self.inside, self.outside].contains(&Length::Never)
    }

    fn new(rule: RuleSettings, settings: &Settings) -> Result<Rule, String> {
        let Some(first) = rule.paths.first() else {
            return Err("`paths` is empty: name at least one, such as \"*\"".to_owned());
        };
        rule.check()?;
        let spread = rule.spread.unwrap_or(settings.spread);
        if spread > 50 {
            return Err(format!("`spread` is {spread}: write 0 to 50 percent"));
        }
        let mut rest = ResponseDecision::by_headers().tags(rule.tags);
        rest.stale_while_revalidate = rule.stale_while_revalidate;
        rest.stale_if_error = rule.stale_if_error;
        Ok(Rule {
            name: rule.name.unwrap_or_else(|| first.to_string()),
            paths: rule.paths,
            inside: rule.inside,
            outside: rule.outside,
            clip: rule.clip.unwrap_or(settings.clip),
            spread,
            rest,
            storing: rule.storing.into(),
            browser_ttl: rule.browser_ttl,
        })
    }

    /// The rule of settings without rules. They do not say which pages are the same for every
    /// visitor, so storing is left to the response.
    fn for_everything(settings: &Settings) -> Rule {
        Rule {
            name: "hours".to_owned(),
            paths: vec!["*".parse().expect("a star is a pattern")],
            inside: Length::Set(Lifetime::For(Duration::from_mins(2))),
            outside: Length::Set(Lifetime::For(Duration::from_mins(30))),
            clip: settings.clip,
            spread: settings.spread,
            rest: ResponseDecision::by_headers(),
            storing: Storing::ByHeaders,
            browser_ttl: None,
        }
    }

    fn lifetime(&self, open: bool) -> Length {
        if open { self.inside } else { self.outside }
    }

    /// The decision about an error or a temporary redirect: only the tags.
    fn left_to_fields(&self, response: &Response) -> ResponseDecision {
        ResponseDecision::by_headers()
            .tags(self.rest.tags.iter().cloned())
            .because(format!(
                "{}: status {} is left to its fields",
                self.name, response.status
            ))
    }

    fn decide(
        &self,
        policy: &BusinessHours,
        response: &Response,
        now: &Moment,
    ) -> ResponseDecision {
        let open = policy.hours.is_open(now);
        let because = |what: &str| format!("{}: {}{what}", self.name, policy.state(open, now));
        let lifetime = self.lifetime(open);
        if lifetime == Length::Never {
            return ResponseDecision::never().because(because(""));
        }
        if !response.is_lasting() {
            return self.left_to_fields(response);
        }
        let until_change = policy.hours.until_change(now);
        let change = until_change.unwrap_or(Duration::MAX);
        let clip = |ttl: Duration| if self.clip { ttl.min(change) } else { ttl };
        let ttl = lifetime.from(now, until_change).map(clip);
        let mut decision = self.rest.clone();
        if let Some(ttl) = ttl {
            decision = decision.ttl(response.spread(ttl, self.spread));
            decision.storing = self.storing;
        }
        decision.browser_ttl = match self.browser_ttl {
            Some(lifetime) => lifetime.from(now, until_change).map(clip),
            // A page that changes at the closing must not stay in browsers until midnight.
            None => response
                .header_browser_ttl
                .filter(|ttl| self.clip && *ttl > change)
                .map(clip),
        };
        let ends = ttl.is_some() && ttl == until_change;
        decision.because(because(match (ends, open) {
            (false, _) => "",
            (true, true) => ", until the next change",
            (true, false) => ", until it opens",
        }))
    }
}

/// The windows of `open`, `close` and `days`, or of `windows`.
fn windows(settings: &mut Settings) -> Result<Vec<Window>, String> {
    match (settings.open, settings.close, settings.windows.take()) {
        (Some(open), Some(close), None) => Ok(vec![
            Window::new(settings.days.unwrap_or_default(), open, close)
                .map_err(|error| format!("`open` and `close`: {error}"))?,
        ]),
        (None, None, Some(_)) if settings.days.is_some() => {
            Err("`days` belongs to `open` and `close`: give each of `windows` its own `days`".to_owned())
        }
        (None, None, Some(windows)) if (1..=32).contains(&windows.len()) => each_open_by_itself(windows),
        (None, None, Some(windows)) => Err(format!("`windows` has {} entries: name 1 to 32", windows.len())),
        (_, _, Some(_)) => Err("`windows` and `open`, `close` say the same thing: leave one out".to_owned()),
        (None, None, None) => {
            Err("the opening hours are missing: write `open = \"09:00\"` and `close = \"18:00\"`, or `windows`".to_owned())
        }
        (Some(_), None, None) => Err("`close` is missing: write when it closes, such as \"18:00\"".to_owned()),
        (None, Some(_), None) => Err("`open` is missing: write when it opens, such as \"09:00\"".to_owned()),
    }
}

/// Checks that no window lies within another one.
fn each_open_by_itself(windows: Vec<Window>) -> Result<Vec<Window>, String> {
    for (index, window) in windows.iter().enumerate() {
        let is_around =
            |(other, outer): &(usize, &Window)| *other != index && window.is_within(outer);
        if let Some((other, _)) = windows.iter().enumerate().find(is_around) {
            return Err(format!(
                "`windows[{index}]` lies within `windows[{other}]`, so it never opens by itself: leave it out, or correct its hours"
            ));
        }
    }
    Ok(windows)
}

#[cfg(test)]
mod tests;
