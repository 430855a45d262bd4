//! One site's plans and decisions.

use std::iter::successors;
use std::sync::Arc;

use chrono_tz::Tz;
use serde::Serialize;

use super::changes::changes;
use super::decision::DecisionChange;
use super::event::{EventKind, PreviewEvent, PreviewSpan};
use super::question::{PolicyUnderPreview, RequestTarget, UrlQuestion};
use super::urls;
use tero_config::{Config, Plan, Site};
use tero_policy_host::device::Device;
use tero_policy_host::{Chain, Hook, Host, Policy, PolicyError};
use tero_semantics::authority::NamedAuthority;
use tero_semantics::host_pattern::is_pattern;
use tero_semantics::timestamp::Timestamp;
use tero_time::cron::Schedule;

/// Which policies of a site were asked about which URLs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyCall {
    /// The site.
    pub site: String,
    /// The policies that depend on the time; the others were not asked.
    pub policies: Vec<String>,
    /// The URLs.
    pub urls: Vec<String>,
}

/// What the preview of a site reads.
pub(super) struct SiteView<'a> {
    pub(super) config: &'a Config,
    pub(super) span: PreviewSpan,
    pub(super) host: &'a Host,
    pub(super) site: &'a Site,
    /// The policies of the site.
    pub(super) chain: &'a Chain,
}

/// What a site's policies decide, and when that changes.
pub(super) struct SiteDecisions {
    pub(super) events: Vec<PreviewEvent>,
    pub(super) call: PolicyCall,
    pub(super) warnings: Vec<String>,
}

/// A change of a decision, and the URL that it is about.
struct UrlChange {
    /// As it is shown: with the device if the policy depends on devices.
    url: String,
    change: DecisionChange,
}

impl SiteView<'_> {
    /// The zone of the site, else of its policies, else UTC.
    pub(super) fn zone(&self) -> Tz {
        self.site.zone.or(self.chain.zone()).unwrap_or(Tz::UTC)
    }

    /// Every zone whose clock counts here: the site's, its policies' and its plans'.
    pub(super) fn zones(&self) -> impl Iterator<Item = Tz> {
        let policies = self.chain.policies().iter();
        let plans = self.config.plans.iter();
        let plans = plans.filter(|plan| plan.site == self.site.name);
        [self.zone()]
            .into_iter()
            .chain(policies.filter_map(|policy| policy.manifest().zone))
            .chain(plans.filter_map(|plan| plan.zone))
    }

    /// An event for each time at which a plan of the site comes due.
    pub(super) fn plans(&self) -> Vec<PreviewEvent> {
        let plans = self.config.plans.iter();
        plans
            .filter(|plan| plan.site == self.site.name)
            .flat_map(|plan| self.runs(plan))
            .collect()
    }

    fn runs(&self, plan: &Plan) -> Vec<PreviewEvent> {
        let zone = plan.zone.unwrap_or(self.zone());
        let schedule = plan.schedule.as_ref();
        let Some(Ok(schedule)) = schedule.map(|schedule| Schedule::parse(schedule, zone)) else {
            return Vec::new();
        };
        let due = |now: &Timestamp| {
            schedule
                .next_after(*now)
                .filter(|next| *next <= self.span.until)
        };
        let event = |at| {
            let what = EventKind::Plan {
                plan: plan.name.to_string(),
                site: self.site.name.to_string(),
            };
            PreviewEvent::new(at, zone, what)
        };
        successors(due(&self.span.from), due).map(event).collect()
    }

    /// Asks each policy that depends on the time about every URL: `wished`, and those that the
    /// configuration names.
    pub(super) fn decisions(&self, wished: &[String]) -> Result<SiteDecisions, PolicyError> {
        let urls = urls::of(self.config, self.site, wished);
        let timed: Vec<&Arc<Policy>> = self
            .chain
            .policies()
            .iter()
            .filter(|policy| depends_on_time(policy))
            .collect();
        let (mut events, mut warnings) = (Vec::new(), Vec::new());
        if urls.left_out > 0 {
            let (site, left_out) = (&self.site.name, urls.left_out);
            warnings.push(format!(
                "{left_out} more paths of the site {site} were not asked about: name them with --url"
            ));
        }
        for policy in &timed {
            let (changes, unanswered) = self.changes_of(policy, &urls.list)?;
            events.extend(self.grouped(policy, changes));
            if unanswered > 0 {
                let name = policy.name();
                warnings.push(format!(
                    "the policy {name} failed at {unanswered} moments: they are shown as if it decided nothing"
                ));
            }
        }
        let call = PolicyCall {
            site: self.site.name.to_string(),
            policies: timed
                .iter()
                .map(|policy| policy.name().to_string())
                .collect(),
            urls: urls.list,
        };
        Ok(SiteDecisions {
            events,
            call,
            warnings,
        })
    }

    /// The changes of one policy's decisions, and at how many moments it gave no good answer.
    fn changes_of(
        &self,
        policy: &Arc<Policy>,
        urls: &[String],
    ) -> Result<(Vec<UrlChange>, u64), PolicyError> {
        let alone = Chain::new(
            self.host,
            vec![Arc::clone(policy)],
            self.config.cache.max_policy_variants,
        )?;
        let devices = devices(policy);
        let policy = PolicyUnderPreview {
            name: policy.name(),
            alone: &alone,
            site: self.chain,
        };
        let (mut found, mut unanswered) = (Vec::new(), 0);
        for (url, device) in urls
            .iter()
            .flat_map(|url| devices.iter().map(move |device| (url, *device)))
        {
            let host = self.host_name();
            let target = RequestTarget {
                site: self.site,
                host,
                url,
                device,
            };
            let question = UrlQuestion::new(&policy, target, self.span.from);
            let changes = changes(self.span, |now| question.ask(now));
            unanswered += question.unanswered();
            let shown = match devices {
                [_] => url.clone(),
                _ => format!("{url} ({})", device.as_str()),
            };
            found.extend(changes.into_iter().map(|change| UrlChange {
                url: shown.clone(),
                change,
            }));
        }
        Ok((found, unanswered))
    }

    /// A host of the site, without port: policies see none.
    fn host_name(&self) -> &str {
        let named = self.site.hosts.iter().find(|host| !is_pattern(host));
        named
            .and_then(|host| NamedAuthority::parse(host))
            .map_or("localhost", NamedAuthority::host)
    }

    /// Makes one event of the URLs whose decisions change alike at one moment.
    fn grouped(&self, policy: &Policy, mut changes: Vec<UrlChange>) -> Vec<PreviewEvent> {
        changes.sort_by_key(|UrlChange { change, .. }| change.at);
        let zone = policy.manifest().zone.unwrap_or(Tz::UTC);
        let mut events: Vec<PreviewEvent> = Vec::new();
        for UrlChange { url, change } in changes {
            let mut same_moment = events
                .iter_mut()
                .rev()
                .take_while(|event| event.at == change.at);
            if same_moment.any(|event| event.what.add_url(&url, &change)) {
                continue;
            }
            let what = EventKind::Decision {
                site: self.site.name.to_string(),
                policy: policy.name().to_string(),
                urls: vec![url],
                before: Box::new(change.before),
                after: Box::new(change.after),
            };
            events.push(PreviewEvent::new(change.at, zone, what));
        }
        events
    }
}

fn depends_on_time(policy: &Policy) -> bool {
    let manifest = policy.manifest();
    manifest.zone.is_some() && (manifest.has(Hook::OnRequest) || manifest.has(Hook::OnResponse))
}

/// The devices to ask about: several if the policy depends on devices.
fn devices(policy: &Policy) -> &'static [Device] {
    if policy.manifest().device {
        &[Device::Desktop, Device::Mobile]
    } else {
        &[Device::Unknown]
    }
}
