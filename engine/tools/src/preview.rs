//! What will happen, and when: decisions of policies that change, plans that come due, holidays,
//! and changes of the clock.
//!
//! Only a policy knows its windows, and it can be written in any language. So the preview asks each
//! policy about some URLs at every minute of a span, and tells where its answers change. This works
//! for every policy, within limits: the preview misses a window that opens and closes within one
//! minute, and a window for a URL that it did not ask about.

mod changes;
mod decision;
mod event;
mod holidays;
mod offsets;
mod question;
mod site;
mod urls;
mod zone_data;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use serde::Serialize;

use tero_config::{self as config, Config};
use tero_policy_host::{Chain, Compiler, Host, Policy, PolicyError};
use tero_semantics::timestamp::Timestamp;
use tero_time::local_time::LocalDateTime;
use tero_time::zones::ZoneData;

pub use decision::PreviewDecision;
pub use event::{EventKind, PreviewEvent};
use event::{PreviewSpan, rfc3339};
pub use site::PolicyCall;
use site::SiteView;
pub use zone_data::ZoneDataDifference;

/// The longest span of a preview: 92 days.
pub const MAX_SPAN: Duration = Duration::from_secs(92 * 86_400);

/// The shortest deadline of a policy. A missed deadline would look like a change, and a desk is
/// busier than an edge.
const MIN_DEADLINE: Duration = Duration::from_secs(1);

/// What a preview covers.
#[derive(Clone, Debug)]
pub struct PreviewInput {
    /// The beginning; events after it are told.
    pub from: LocalDateTime,
    /// The length, cut to [`MAX_SPAN`].
    pub span: Duration,
    /// The one site to look at; `None` is all of them.
    pub site: Option<String>,
    /// Paths with their queries to ask about, beside those that the configuration names.
    pub urls: Vec<String>,
    /// Time zone data beside those in force, to compare them.
    pub other_zone_data: Option<Arc<ZoneData>>,
}

/// What will happen.
#[derive(Clone, Debug, Serialize)]
pub struct Preview {
    /// The beginning, in UTC (RFC 3339).
    pub from: String,
    /// The end, in UTC (RFC 3339).
    pub until: String,
    /// Events in the order of time.
    pub events: Vec<PreviewEvent>,
    /// Which policies were asked about which URLs, a call for each site.
    pub asked: Vec<PolicyCall>,
    /// Where other time zone data show other times within a year from the beginning.
    pub zone_data_differences: Vec<ZoneDataDifference>,
    /// What is worth knowing, and no fault.
    pub notices: Vec<String>,
    /// What may make the preview incomplete or wrong.
    pub warnings: Vec<String>,
}

impl Preview {
    fn empty(span: PreviewSpan) -> Preview {
        Preview {
            from: rfc3339(span.from, Tz::UTC),
            until: rfc3339(span.until, Tz::UTC),
            events: Vec::new(),
            asked: Vec::new(),
            zone_data_differences: Vec::new(),
            notices: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// Why a preview failed.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// A policy of the configuration can't be used.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A local time means several instants.
    #[error(
        "the sites have different zones ({0}): write the time with its offset, or name a site with --site"
    )]
    ManyZones(String),
}

/// Looks ahead. Modules are compiled as `compiler` says.
///
/// # Errors
/// [`PreviewError`]
pub fn preview(
    config: &Config,
    input: &PreviewInput,
    compiler: &Compiler,
) -> Result<Preview, PreviewError> {
    let host = Host::with_compiler(&config.policy_host, compiler)?;
    let policies = load(&host, config)?;
    let wanted =
        |site: &&config::Site| input.site.as_deref().is_none_or(|name| *site.name == *name);
    let mut chains = Vec::new();
    for site in config.sites.iter().filter(wanted) {
        let by_name = |name| policies.iter().find(|policy| policy.name() == name);
        let chosen = site.policies.iter().filter_map(by_name).cloned().collect();
        let chain = Chain::new(&host, chosen, config.cache.max_policy_variants)?;
        chains.push((site, chain));
    }
    let from = beginning(config, input.from, &chains)?;
    let span = PreviewSpan {
        from,
        until: from.saturating_add(input.span.min(MAX_SPAN)),
    };
    let mut preview = Preview::empty(span);
    let mut zones = BTreeSet::new();
    let mut asked: Vec<Arc<Policy>> = Vec::new();
    for (site, chain) in &chains {
        let view = SiteView {
            config,
            span,
            host: &host,
            site,
            chain,
        };
        zones.extend(view.zones().map(|zone| zone.name()));
        preview.events.extend(view.plans());
        let decisions = view.decisions(&input.urls)?;
        preview.events.extend(decisions.events);
        preview.asked.push(decisions.call);
        preview.warnings.extend(decisions.warnings);
        for policy in chain.policies() {
            if !asked.iter().any(|other| other.name() == policy.name()) {
                asked.push(Arc::clone(policy));
            }
        }
    }
    for zone in zones {
        preview.events.extend(offsets::changes(zone, span));
        if let Some(other) = &input.other_zone_data {
            let differences = zone_data::differences(zone, other, from);
            preview.zone_data_differences.extend(differences);
        }
    }
    preview.events.extend(holidays::events(&asked, span));
    preview.warnings.extend(holidays::warnings(&asked, span));
    preview.notices.extend(holidays::notices(&asked, span));
    preview.events.sort_by_key(PreviewEvent::order);
    Ok(preview)
}

/// The instant at which a preview begins. A local time is one of the sites' zone.
fn beginning(
    config: &Config,
    from: LocalDateTime,
    chains: &[(&config::Site, Chain)],
) -> Result<Timestamp, PreviewError> {
    let zone_of = |(site, chain): &(&config::Site, Chain)| {
        let plans = config.plans.iter().filter(|plan| plan.site == site.name);
        let of_plans = || plans.into_iter().find_map(|plan| plan.zone);
        site.zone.or(chain.zone()).or_else(of_plans)
    };
    // A site without a zone of its own goes by that of the others.
    let mut zones: Vec<Tz> = chains.iter().filter_map(zone_of).collect();
    zones.sort_unstable_by_key(|zone| zone.name());
    zones.dedup();
    match (from, zones.as_slice()) {
        (LocalDateTime::Instant(instant), _) => Ok(instant),
        (_, []) => Ok(from.in_zone(Tz::UTC)),
        (_, [zone]) => Ok(from.in_zone(*zone)),
        (_, zones) => {
            let names: Vec<&str> = zones.iter().map(|zone| zone.name()).collect();
            Err(PreviewError::ManyZones(names.join(", ")))
        }
    }
}

/// The policies of the configuration, with deadlines of at least [`MIN_DEADLINE`].
fn load(host: &Host, config: &Config) -> Result<Vec<Arc<Policy>>, PolicyError> {
    let load = |policy: &config::Policy| {
        let mut policy = policy.clone();
        policy.limits.deadline = policy.limits.deadline.max(MIN_DEADLINE);
        host.load(&policy)
    };
    config.policies.iter().map(load).collect()
}

#[cfg(test)]
mod tests;
