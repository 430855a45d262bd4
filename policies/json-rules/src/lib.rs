//! `builtin:json-rules`: the rules of a static JSON policy file. Its settings are the file itself.
//!
//! ```toml
//! [[policy]]
//! name = "rules"
//! module = "builtin:json-rules"
//! settings_file = "cdn-argentina-policies.json"
//! calendar = "builtin:argentina"
//! ```
//!
//! # Settings
//! | key | meaning | default |
//! |---|---|---|
//! | `version` | the version of the format, 1 to 3 | 3 |
//! | `name` | a name for people | no name |
//! | `timezone` | the IANA name of the zone of all times | UTC, if a `ttl` depends on the time |
//! | `business_hours` | `days` (`mon` to `sun`), `from` and `to` (`"09:00"`; a `to` before `from` is on the next day), `holidays`: `"closed"` (holidays of the policy's calendar are closed, half-days have its hours) or `"open"` (ordinary days) | no hours; `holidays`: `"open"` |
//! | `key` | `ignore_query`: at most 256 query parameters that do not count (`utm_*` means all that begin with `utm_`); `sort_query`: whether their order is ignored | `[]`, `false` |
//! | `variants` | at most 32, by name: `devices` (`desktop`, `mobile`, `tablet`, `tv`, `bot`, `unknown`) and `paths`; the first that matches decides | no variants; `paths`: `["*"]` |
//! | `spread` | the `spread` of all rules | 0 |
//! | `pass_cookies` | the `pass_cookies` of all rules, and of paths without a rule | `[]` |
//! | `rules` | 1 to 1,024 rules. The first rule with a matching path decides; without one, the response's own fields decide | required |
//! | `warming` | at most 256 plans | no plans |
//!
//! Each rule:
//!
//! | key | meaning | default |
//! |---|---|---|
//! | `match` | 1 to 256 patterns: `/barberias/*`, `*.css`, `/` | required |
//! | `name` | the name of the rule in `Cache-Status` | the first pattern |
//! | `cache` | `"never"`: neither looked up nor stored, however the path is written: `/pagos/*` holds for `//pagos/1`, `/x/../pagos/1` and `/pagos%2F1` too | |
//! | `ttl` | in place of `cache`: seconds from 0 to 31,536,000 (a year), or `"until 18:00"` (until the local clock next shows this time); `{ "business_hours": …, "otherwise": … }` with two of these; or `"origin"` (by the response's own fields) | |
//! | `spread` | shortens `ttl` by up to this many percent, by page, query and variant, so that pages that were stored together do not expire together; 0 to 50 | the `spread` of the file |
//! | `stale_while_revalidate`, `stale_if_error` | seconds from 0 to a year | left to the site |
//! | `tags` | surrogate keys for purging, at most 32 | no tags |
//! | `pass_cookies` | cookies that make a request a pass: neither looked up nor stored, for visitors who are logged in. Names, or beginnings of names followed by `*`: `["sessionid", "wordpress_logged_in_*"]`. All rules together name at most 32 | the `pass_cookies` of the file |
//!
//! Each plan has a `name`, `urls`, `popular` (how many of the most requested pages, 0 to 100,000)
//! and `variants` (of this file, or device classes). `tero import` moves its `at`, `days` and
//! `sitemap` into the configuration. For a plan, the policy answers the plan's `urls`, and then the
//! other popular pages that may be cached.
//!
//! Seconds are used as written: a page that is stored just before the opening keeps the lifetime of
//! the night. `builtin:business-hours` can clip it at the opening. Lifetimes apply to complete
//! responses and permanent redirects (200, 203, 204, 301, 308). The lifetime of an error is left to
//! its own fields.

mod settings;

use std::collections::HashSet;

use tero_policy::{
    CookieName, HolidayRule, Hours, Manifest, Moment, PathPattern, PathReadings, Policy,
    PopularPage, QueryParameters, QueryRule, Request, RequestDecision, Response, ResponseDecision,
    WarmUrl, any_matches,
};

pub use settings::Settings;
use settings::{Action, Length, Plan, Rule, Ttl, Variant};

/// The policy.
#[derive(Debug)]
pub struct JsonRules {
    /// The zone; `None` if no decision depends on the time.
    zone: Option<String>,
    hours: Hours,
    query: Option<QueryRule>,
    variants: Vec<Variant>,
    rules: Vec<Rule>,
    plans: Vec<Plan>,
    /// The cookies that make a request a pass if no rule matches.
    pass_cookies: Vec<CookieName>,
}

impl Policy for JsonRules {
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<JsonRules, String> {
        settings::check(settings)
    }

    fn manifest(&self) -> Manifest {
        let mut manifest = Manifest::new()
            .on_request()
            .on_response()
            .variants(self.variants.iter().map(|variant| &variant.name))
            .query_rules(self.query.clone())
            .path_patterns(self.patterns());
        if let Some(zone) = &self.zone {
            manifest = manifest.zone(zone);
        }
        for cookie in self.cookies() {
            manifest = manifest.cookie(cookie.as_str());
        }
        if !self.variants.is_empty() {
            manifest = manifest.device();
        }
        if self.rules.iter().any(|rule| rule.spread > 0) {
            manifest = manifest.each_response();
        }
        if self.plans.is_empty() {
            manifest
        } else {
            manifest.plan_warm()
        }
    }

    fn on_request(&self, request: &Request, _: &Moment) -> RequestDecision {
        let variant = self.variants.iter().find(|variant| {
            variant.devices.contains(&request.device) && any_matches(&variant.paths, request.path)
        });
        let rule = self.rule(request.path);
        let mut decision = match rule {
            // A passed request keeps its whole query, which is for the origin alone.
            Some(rule) if rule.action == Action::Never => {
                RequestDecision::pass().because(rule.reason("never"))
            }
            _ if self.is_known(request) => {
                let name = rule.map_or("pass_cookies", |rule| rule.name.as_str());
                RequestDecision::pass().because([name, ": cookie"].concat())
            }
            _ if self.query.is_some() => RequestDecision::new().declared_query(0),
            _ => RequestDecision::new(),
        };
        if let Some(variant) = variant {
            decision = decision.variant(&variant.name);
        }
        decision
    }

    fn on_response(
        &self,
        request: &Request,
        response: &Response,
        now: &Moment,
    ) -> ResponseDecision {
        let Some(rule) = self.rule(request.path) else {
            return ResponseDecision::by_headers();
        };
        if rule.action == Action::Never {
            return ResponseDecision::never().because(rule.reason("never"));
        }
        if !response.is_lasting() {
            let reason = rule.reason(&format!("status {} is left to its fields", response.status));
            return ResponseDecision::by_headers()
                .tags(&rule.tags)
                .because(reason);
        }
        let mut decision = self.lifetime(rule, response, now).tags(&rule.tags);
        decision.stale_while_revalidate = rule.stale_while_revalidate;
        decision.stale_if_error = rule.stale_if_error;
        decision
    }

    fn plan_warm(&self, plan: &str, popular: &[PopularPage], _: &Moment) -> Vec<WarmUrl> {
        let Some(plan) = self.plans.iter().find(|other| other.name == plan) else {
            return Vec::new();
        };
        let mut seen: HashSet<&str> = HashSet::new();
        let page = |url: &str, priority: u8| {
            WarmUrl::new(url)
                .variants(&plan.variants)
                .priority(priority)
        };
        let mut pages: Vec<WarmUrl> = plan
            .urls
            .iter()
            .filter(|url| seen.insert(url))
            .map(|url| page(url, 255))
            .collect();
        let wanted = popular.iter().filter(|wanted| {
            self.rule(wanted.path())
                .is_none_or(|rule| rule.action != Action::Never)
        });
        pages.extend(
            wanted
                .filter(|wanted| seen.insert(&wanted.url))
                .take(plan.popular)
                .map(|wanted| page(&wanted.url, 128)),
        );
        pages
    }
}

tero_policy::export!(JsonRules);

impl JsonRules {
    /// The rule that decides. One by which nothing is cached holds however the path is written.
    fn rule(&self, path: &str) -> Option<&Rule> {
        let is_never = |rule: &Rule| rule.action == Action::Never;
        PathReadings::of(path).deciding_rule(&self.rules, |rule| &rule.paths, is_never)
    }

    /// Whether the request has a cookie that makes it a pass, however its path is written.
    fn is_known(&self, request: &Request) -> bool {
        if request.cookies.is_empty() {
            return false;
        }
        let has = |names: &[CookieName]| {
            let mut sent = request.cookies.iter();
            sent.any(|(cookie, _)| names.iter().any(|name| name.matches(cookie)))
        };
        let path = PathReadings::of(request.path);
        path.first_matches(&self.rules, |rule| &rule.paths)
            .any(|rule| has(rule.map_or(&self.pass_cookies, |rule| &rule.pass_cookies)))
    }

    /// The patterns of all rules and variants.
    fn patterns(&self) -> impl Iterator<Item = &PathPattern> {
        let of_rules = self.rules.iter().map(|rule| &rule.paths);
        let of_variants = self.variants.iter().map(|variant| &variant.paths);
        of_rules.chain(of_variants).flatten()
    }

    /// The cookies that any path asks for, each once.
    fn cookies(&self) -> Vec<&CookieName> {
        let of_rules = self.rules.iter().flat_map(|rule| &rule.pass_cookies);
        let mut names: Vec<_> = self.pass_cookies.iter().chain(of_rules).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The lifetime of a response by this rule, with the reason.
    fn lifetime(&self, rule: &Rule, response: &Response, now: &Moment) -> ResponseDecision {
        let by_hours = |state| (state, self.holiday(now));
        let (ttl, (state, holiday)) = match rule.action {
            Action::Ttl(Ttl::Fixed(ttl)) => (ttl, ("ttl", String::new())),
            Action::Ttl(Ttl::ByHours { business_hours, .. }) if self.hours.is_open(now) => {
                (business_hours, by_hours("business hours"))
            }
            Action::Ttl(Ttl::ByHours { otherwise, .. }) => (otherwise, by_hours("otherwise")),
            Action::Ttl(Ttl::Origin) | Action::Never => {
                return ResponseDecision::by_headers().because(rule.reason("origin"));
            }
        };
        let reason = [rule.name.as_str(), ": ", state, &holiday].concat();
        rule.cache(ttl, response, now).because(reason)
    }

    fn holiday(&self, now: &Moment) -> String {
        match &now.holiday {
            Some(holiday) if self.hours.holidays != HolidayRule::Open => {
                format!(
                    " ({}: {})",
                    if holiday.open.is_some() {
                        "half-day"
                    } else {
                        "holiday"
                    },
                    holiday.name
                )
            }
            _ => String::new(),
        }
    }
}

impl Rule {
    fn reason(&self, what: &str) -> String {
        [self.name.as_str(), ": ", what].concat()
    }

    /// Stores the response for `ttl`, less the spread.
    fn cache(&self, ttl: Length, response: &Response, now: &Moment) -> ResponseDecision {
        match ttl {
            Length::Secs(ttl) => ResponseDecision::cache_for(response.spread(ttl, self.spread)),
            Length::Until(time) => {
                let until = now.until(time);
                let mut decision = ResponseDecision::cache_for(response.spread(until, self.spread));
                // A page that changes at 18:00 must not stay in browsers until midnight.
                decision.browser_ttl = response
                    .header_browser_ttl
                    .filter(|ttl| *ttl > until)
                    .map(|_| until);
                decision
            }
        }
    }
}

fn query_rule(ignore: Vec<String>, sort: bool) -> Option<QueryRule> {
    let parameters = if ignore.is_empty() {
        QueryParameters::All
    } else {
        QueryParameters::Ignore(ignore)
    };
    let rule = QueryRule { parameters, sort };
    (rule != QueryRule::default()).then_some(rule)
}

#[cfg(test)]
mod tests;
