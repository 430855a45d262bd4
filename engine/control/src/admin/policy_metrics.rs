//! The metrics of policies: their answers, instances, memory, and the years of their calendars.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::DescriptorEncoder;

use super::samples::{counters, gauges, seconds};
use tero_config::calendars::{missing_years, years_by_law};
use tero_edge::request::site::Site;
use tero_policy_host::{FailureKind, HookCounters, Policy, PolicyStatus};
use tero_semantics::timestamp::Timestamp;

/// The policies of the sites, and what they answered.
pub(super) fn policies(
    encoder: &mut DescriptorEncoder,
    sites: &[Arc<Site>],
    now: Timestamp,
) -> fmt::Result {
    let all = sites.iter().flat_map(|site| site.policies.policies());
    let by_name: BTreeMap<&str, &Arc<Policy>> =
        all.map(|policy| (&**policy.name(), policy)).collect();
    let (mut decisions, mut spent, mut active) = (Vec::new(), Vec::new(), Vec::new());
    let (mut missing, mut by_law) = (Vec::new(), Vec::new());
    let (mut withheld, mut switched_off) = (Vec::new(), Vec::new());
    for (name, policy) in &by_name {
        let label = ("policy", (*name).to_owned());
        let figures = policy.counters();
        for &hook in &policy.manifest().hooks {
            let labels = vec![label.clone(), ("hook", hook.as_str().to_owned())];
            let of: &HookCounters = figures.of(hook);
            for (result, count) in results(of) {
                decisions.push((
                    [labels.clone(), vec![("result", result.to_owned())]].concat(),
                    count,
                ));
            }
            spent.push((labels, of.seconds));
        }
        if policy.calendar().has_years() {
            missing.push((
                vec![label.clone()],
                missing_years(policy.calendar(), now).len() as u64,
            ));
            by_law.push((
                vec![label.clone()],
                years_by_law(policy.calendar(), now).len() as u64,
            ));
        }
        withheld.push((vec![label.clone()], figures.withheld));
        switched_off.push((vec![label.clone()], figures.switched_off));
        active.push((
            vec![label],
            u64::from(policy.status(now) == PolicyStatus::Active),
        ));
    }
    counters(
        encoder,
        "tero_policy_decisions",
        "Questions to policies, by result",
        decisions,
    )?;
    seconds(
        encoder,
        "tero_policy_seconds",
        "Time spent in policies",
        spent,
    )?;
    usage(encoder, &by_name)?;
    gauges(
        encoder,
        "tero_policy_active",
        "Whether a policy is asked: 0 when it is switched off",
        active,
    )?;
    counters(
        encoder,
        "tero_policy_switched_off",
        "How often a policy was switched off for a rest",
        switched_off,
    )?;
    counters(
        encoder,
        "tero_policy_withheld",
        "Questions that were not asked, since they had failed a moment before",
        withheld,
    )?;
    let help = "Years that have begun, or begin within two months, without holidays in a policy's calendar";
    gauges(encoder, "tero_policy_calendar_missing_years", help, missing)?;
    let help = "Years that have begun, or begin within two months, of whose holidays a policy's calendar has those of laws alone";
    gauges(encoder, "tero_policy_calendar_years_by_law", help, by_law)
}

fn usage(encoder: &mut DescriptorEncoder, policies: &BTreeMap<&str, &Arc<Policy>>) -> fmt::Result {
    let (mut instances, mut memory, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for (name, policy) in policies {
        let (label, used) = (("policy", (*name).to_owned()), policy.usage());
        instances.push((vec![label.clone()], used.instances));
        memory.push((vec![label.clone()], used.memory_bytes as u64));
        for (result, count) in [("kept", used.lines), ("dropped", used.dropped_lines)] {
            lines.push((vec![label.clone(), ("result", result.to_owned())], count));
        }
    }
    counters(
        encoder,
        "tero_policy_instances",
        "Instances of policies made",
        instances,
    )?;
    gauges(
        encoder,
        "tero_policy_memory_bytes",
        "The most memory that one instance of a policy held",
        memory,
    )?;
    counters(
        encoder,
        "tero_policy_log_lines",
        "Lines that policies logged, and whether they were kept",
        lines,
    )
}

fn results(of: &HookCounters) -> [(&'static str, u64); 1 + FailureKind::ALL.len()] {
    [
        ("ok", of.ok),
        (FailureKind::Trap.as_str(), of.trap),
        (FailureKind::Deadline.as_str(), of.deadline),
        (FailureKind::Memory.as_str(), of.memory),
        (FailureKind::BadAnswer.as_str(), of.bad_answer),
    ]
}
