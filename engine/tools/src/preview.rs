//! What will happen when: where the decisions of a site's policies change, when plans come due,
//! holidays, and changes of the clock.
//!
//! Nobody knows the windows of a policy but the policy, which can be in any language. So it is
//! asked, about some URLs and at every minute of the span, and what is told is where its answers
//! change. That is true for every policy, and it is all that is true: a window that opens and
//! closes within one minute, or for a URL that was not asked about, is not seen.

mod asking;
mod urls;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat, TimeZone};
use chrono_tz::Tz;
use serde::Serialize;

pub use self::asking::PreviewDecision;
use self::asking::UrlQuestion;
use tero_config as config;
use tero_config::{Config, Site};
use tero_policy_host::device::Device;
use tero_policy_host::{Chain, Hook, Host, Policy, PolicyError};
use tero_semantics::timestamp::Timestamp;
use tero_time::calendar::HolidayKind;
use tero_time::cron::Schedule;
use tero_time::moment;

/// The longest span that is looked at.
pub const MAX_SPAN: Duration = Duration::from_secs(92 * 86_400);

/// A policy may take so long for an answer, if its own deadline is no longer: a desk has more to do
/// than an edge, and a deadline that is missed for want of a processor would look like a change.
const PATIENCE: Duration = Duration::from_secs(1);

/// What to look at.
#[derive(Clone, Debug)]
pub struct PreviewInput {
    /// Where it begins; what happens after it is told.
    pub from: Timestamp,
    /// How long it is; at most [`MAX_SPAN`].
    pub span: Duration,
    /// The one site to look at; all where none is named.
    pub site: Option<String>,
    /// Paths with their queries to ask about, beside those that the configuration names.
    pub urls: Vec<String>,
}

/// What will happen.
#[derive(Clone, Debug, Serialize)]
pub struct Preview {
    /// Where it begins, in UTC, RFC 3339.
    pub from: String,
    /// Where it ends.
    pub until: String,
    /// In the order of time.
    pub events: Vec<PreviewEvent>,
    /// The questions behind the changes of decisions.
    pub asked: Vec<PolicyCall>,
    /// What may make it untrue.
    pub warnings: Vec<String>,
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PreviewEvent {
    /// On the clock of `zone`, with its offset, RFC 3339.
    pub local: String,
    /// The same in UTC.
    pub utc: String,
    /// Whose clock it is.
    pub zone: String,
    /// What happens.
    #[serde(flatten)]
    pub what: EventKind,
    #[serde(skip)]
    at: Timestamp,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum EventKind {
    /// The clock is put forward or back.
    OffsetChange {
        /// Minutes east of UTC until then.
        before_mins: i16,
        /// And from then on.
        after_mins: i16,
    },
    /// A day of a calendar begins.
    Holiday {
        /// Its name.
        name: String,
        /// The hours of a half-day; none where it is closed.
        open: Option<String>,
        /// The policies that are told of it.
        policies: Vec<String>,
    },
    /// A policy decides otherwise from then on.
    Decision {
        /// The site.
        site: String,
        /// The policy.
        policy: String,
        /// The URLs for which it does, with the device where the policy asks for it.
        urls: Vec<String>,
        /// What it decided until then.
        before: Box<PreviewDecision>,
        /// What it decides from then on.
        after: Box<PreviewDecision>,
    },
    /// A warming plan comes due.
    Plan {
        /// The plan.
        plan: String,
        /// Its site.
        site: String,
    },
}

/// What the policies of a site were asked about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyCall {
    /// The site.
    pub site: String,
    /// The policies that depend on the time: the others were not asked.
    pub policies: Vec<String>,
    /// The URLs.
    pub urls: Vec<String>,
}

/// Looks ahead.
///
/// # Errors
/// [`PolicyError`] where a policy of the configuration can't be used.
pub fn preview(config: &Config, outlook: &PreviewInput) -> Result<Preview, PolicyError> {
    let until = outlook.from.saturating_add(outlook.span.min(MAX_SPAN));
    let mut preview = Preview {
        from: rfc3339(outlook.from, Tz::UTC),
        until: rfc3339(until, Tz::UTC),
        events: Vec::new(),
        asked: Vec::new(),
        warnings: Vec::new(),
    };
    let host = Host::new(&config.policy_host)?;
    let patient = |policy: &config::Policy| {
        let mut policy = policy.clone();
        policy.limits.deadline = policy.limits.deadline.max(PATIENCE);
        policy
    };
    let policies = config
        .policies
        .iter()
        .map(|policy| host.load(&patient(policy)))
        .collect::<Result<Vec<_>, _>>()?;
    let mut zones = BTreeSet::new();
    for site in config.sites.iter().filter(|site| {
        outlook
            .site
            .as_deref()
            .is_none_or(|name| *site.name == *name)
    }) {
        let chosen = || {
            site.policies
                .iter()
                .filter_map(|name| policies.iter().find(|policy| policy.name() == name))
        };
        let chain = Chain::new(
            &host,
            chosen().cloned().collect(),
            config.cache.max_policy_variants,
        )?;
        let look = SiteView {
            config,
            outlook,
            until,
            host: &host,
            site,
            chain: &chain,
        };
        preview.events.extend(look.plans());
        look.decisions(&mut preview)?;
        zones.insert(look.zone().name());
        zones.extend(
            chosen()
                .filter_map(|policy| policy.manifest().zone)
                .map(|zone| zone.name()),
        );
    }
    preview.events.extend(
        zones
            .into_iter()
            .flat_map(|zone| offset_changes(zone, outlook.from, until)),
    );
    holidays(&policies, outlook.from, until, &mut preview);
    preview
        .events
        .sort_by_key(|event| (event.at, event.what.rank()));
    Ok(preview)
}

impl EventKind {
    fn rank(&self) -> u8 {
        match self {
            EventKind::OffsetChange { .. } => 0,
            EventKind::Holiday { .. } => 1,
            EventKind::Decision { .. } => 2,
            EventKind::Plan { .. } => 3,
        }
    }
}

impl PreviewEvent {
    fn new(at: Timestamp, zone: Tz, what: EventKind) -> PreviewEvent {
        PreviewEvent {
            local: rfc3339(at, zone),
            utc: rfc3339(at, Tz::UTC),
            zone: zone.name().to_owned(),
            what,
            at,
        }
    }
}

fn rfc3339(at: Timestamp, zone: Tz) -> String {
    let utc = DateTime::from_timestamp(at.unix_secs(), 0).unwrap_or_default();
    zone.from_utc_datetime(&utc.naive_utc())
        .to_rfc3339_opts(SecondsFormat::Secs, zone == Tz::UTC)
}

/// What is looked at in one site.
struct SiteView<'a> {
    config: &'a Config,
    outlook: &'a PreviewInput,
    until: Timestamp,
    host: &'a Host,
    site: &'a Site,
    chain: &'a Chain,
}

impl SiteView<'_> {
    fn zone(&self) -> Tz {
        self.site.zone.or(self.chain.zone()).unwrap_or(Tz::UTC)
    }

    fn plans(&self) -> Vec<PreviewEvent> {
        let mut events = Vec::new();
        for plan in self
            .config
            .plans
            .iter()
            .filter(|plan| plan.site == self.site.name)
        {
            let zone = plan.zone.unwrap_or(self.zone());
            let Some(Ok(schedule)) = plan
                .schedule
                .as_ref()
                .map(|schedule| Schedule::parse(schedule, zone))
            else {
                continue;
            };
            let due =
                |now: &Timestamp| schedule.next_after(*now).filter(|next| *next <= self.until);
            for at in std::iter::successors(due(&self.outlook.from), due) {
                let what = EventKind::Plan {
                    plan: plan.name.to_string(),
                    site: self.site.name.to_string(),
                };
                events.push(PreviewEvent::new(at, zone, what));
            }
        }
        events
    }

    /// Asks each policy that depends on the time about every URL.
    fn decisions(&self, preview: &mut Preview) -> Result<(), PolicyError> {
        let urls = urls::of(self.config, self.site, &self.outlook.urls);
        if urls.left_out > 0 {
            let (site, left_out) = (&self.site.name, urls.left_out);
            preview.warnings.push(format!("{left_out} more paths of the site {site} were not asked about: name them with --url"));
        }
        let decides = |policy: &&Arc<Policy>| {
            [Hook::OnRequest, Hook::OnResponse]
                .iter()
                .any(|hook| policy.manifest().has(*hook))
        };
        let timed: Vec<_> = self
            .chain
            .policies()
            .iter()
            .filter(decides)
            .filter(|policy| policy.manifest().zone.is_some())
            .collect();
        for policy in &timed {
            let zone = policy.manifest().zone.unwrap_or(Tz::UTC);
            let alone = Chain::new(
                self.host,
                vec![Arc::clone(policy)],
                self.config.cache.max_policy_variants,
            )?;
            let devices = if policy.manifest().device {
                &[Device::Desktop, Device::Mobile][..]
            } else {
                &[Device::Unknown]
            };
            let (mut changes, mut unanswered) = (Vec::new(), 0);
            for (url, device) in urls
                .list
                .iter()
                .flat_map(|url| devices.iter().map(move |device| (url, *device)))
            {
                let question = UrlQuestion::new(
                    self.chain,
                    &alone,
                    policy.name(),
                    self.host_name(),
                    url,
                    device,
                    self.outlook.from,
                );
                let shown = if devices.len() > 1 {
                    format!("{url} ({})", device.as_str())
                } else {
                    url.clone()
                };
                let found = asking::changes(self.outlook.from, self.until, |now| question.ask(now));
                unanswered += question.unanswered();
                changes.extend(
                    found
                        .into_iter()
                        .map(|(at, before, after)| (at, before, after, shown.clone())),
                );
            }
            preview
                .events
                .extend(self.grouped(policy.name(), zone, changes));
            if unanswered > 0 {
                let name = policy.name();
                preview
                    .warnings
                    .push(format!("the policy {name} failed at {unanswered} moments: there it is told as if it decided nothing"));
            }
        }
        let policies = timed
            .iter()
            .map(|policy| policy.name().to_string())
            .collect();
        preview.asked.push(PolicyCall {
            site: self.site.name.to_string(),
            policies,
            urls: urls.list,
        });
        Ok(())
    }

    fn host_name(&self) -> &str {
        self.site
            .hosts
            .iter()
            .map(String::as_str)
            .find(|host| *host != "*")
            .unwrap_or("localhost")
    }

    /// URLs whose decisions change alike at one moment make one event.
    fn grouped(
        &self,
        policy: &str,
        zone: Tz,
        mut changes: Vec<(Timestamp, PreviewDecision, PreviewDecision, String)>,
    ) -> Vec<PreviewEvent> {
        changes.sort_by_key(|(at, ..)| *at);
        let mut events: Vec<PreviewEvent> = Vec::new();
        for (at, before, after, url) in changes {
            let alike = |event: &&mut PreviewEvent| match &event.what {
                EventKind::Decision {
                    before: other_before,
                    after: other_after,
                    ..
                } => other_before.is_like(&before) && other_after.is_like(&after),
                _ => false,
            };
            match events
                .iter_mut()
                .rev()
                .take_while(|event| event.at == at)
                .find(alike)
                .map(|event| &mut event.what)
            {
                Some(EventKind::Decision {
                    urls,
                    before: other_before,
                    after: other_after,
                    ..
                }) => {
                    urls.push(url);
                    other_before.widen(&before);
                    other_after.widen(&after);
                }
                _ => {
                    let site = self.site.name.to_string();
                    let (before, after) = (Box::new(before), Box::new(after));
                    let what = EventKind::Decision {
                        site,
                        policy: policy.to_owned(),
                        urls: vec![url],
                        before,
                        after,
                    };
                    events.push(PreviewEvent::new(at, zone, what));
                }
            }
        }
        events
    }
}

fn offset_changes(zone: &str, from: Timestamp, until: Timestamp) -> Vec<PreviewEvent> {
    let zone: Tz = zone.parse().unwrap_or(Tz::UTC);
    let next = |now: Timestamp| {
        moment::next_offset_change(now, zone).filter(|next| next.unix_secs <= until.unix_secs())
    };
    let changes = std::iter::successors(next(from), |change| {
        next(Timestamp::from_unix_secs(change.unix_secs))
    });
    let event = |change: moment::OffsetChange| {
        let at = Timestamp::from_unix_secs(change.unix_secs);
        let just_before = at.saturating_sub(Duration::from_secs(1));
        let before_mins = moment::moment(just_before, zone, &Default::default()).utc_offset_mins;
        PreviewEvent::new(
            at,
            zone,
            EventKind::OffsetChange {
                before_mins,
                after_mins: change.utc_offset_mins,
            },
        )
    };
    changes.map(event).collect()
}

/// The days of the policies' calendars, and the years that the calendars do not know.
fn holidays(policies: &[Arc<Policy>], from: Timestamp, until: Timestamp, preview: &mut Preview) {
    let mut found: Vec<(NaiveDate, Tz, String, Option<String>, Vec<String>)> = Vec::new();
    for policy in policies {
        let (calendar, zone) = (policy.calendar(), policy.manifest().zone.unwrap_or(Tz::UTC));
        if calendar.years().next().is_none() {
            continue;
        }
        let date_at = |now| moment::moment(now, zone, &Default::default()).date();
        let (first, last) = (date_at(from), date_at(until));
        for year in (first.year()..=last.year()).filter(|year| !calendar.covers(*year)) {
            let problem = format!(
                "the calendar of the policy {} has no data for {year}: its holidays count as working days",
                policy.name()
            );
            preview.warnings.push(problem);
        }
        for (date, holiday) in calendar
            .days()
            .filter(|(date, _)| (first..=last).contains(date))
        {
            let open = match holiday.kind {
                HolidayKind::Closed => None,
                HolidayKind::HalfDay {
                    from_mins,
                    until_mins,
                } => Some(format!("{} to {}", clock(from_mins), clock(until_mins))),
            };
            let same = found
                .iter_mut()
                .find(|it| (it.0, it.1, &it.2, &it.3) == (date, zone, &holiday.name, &open));
            match same {
                Some((.., policies)) => policies.push(policy.name().to_string()),
                None => found.push((
                    date,
                    zone,
                    holiday.name.clone(),
                    open,
                    vec![policy.name().to_string()],
                )),
            }
        }
    }
    preview
        .events
        .extend(found.into_iter().map(|(date, zone, name, open, policies)| {
            let midnight = moment::instant_of(date.and_time(Default::default()), zone);
            PreviewEvent::new(
                midnight,
                zone,
                EventKind::Holiday {
                    name,
                    open,
                    policies,
                },
            )
        }));
}

fn clock(mins: u16) -> String {
    format!("{:02}:{:02}", mins / 60, mins % 60)
}

#[cfg(test)]
mod tests;
