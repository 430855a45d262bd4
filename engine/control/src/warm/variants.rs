//! Plans the fetches of a run: finds devices that get the wanted variants of each page, and fetches
//! each key once.
//!
//! The policies decide which variant a device gets, so they are asked about one device after
//! another. If no device gets a wanted variant of a page, the variant is skipped.

use std::collections::HashSet;
use std::sync::Arc;

use super::candidate::{Candidate, WantedVariant};
use super::path::{Page, PageDecision, RequestPath, SiteFacts};
use super::task::{PAGES_PER_TURN, WarmTask};
use tero_policy_host::device::Device;

/// The device classes in the order in which they are tried, the most common first.
const DEVICES: [Device; 6] = [
    Device::Mobile,
    Device::Desktop,
    Device::Tablet,
    Device::Tv,
    Device::Bot,
    Device::Unknown,
];

/// The planned fetches of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WarmTasks {
    /// The fetches, the highest priority first.
    pub tasks: Vec<WarmTask>,
    /// How many more fetches there would be without the bound.
    pub left_out: u64,
    /// Pages whose requests pass, by decision of the policies. They are never stored, so they are
    /// not fetched.
    pub passed: u64,
}

/// Plans at most `max` fetches for these candidates.
pub async fn tasks(
    path: &Arc<dyn RequestPath>,
    site: &SiteFacts,
    candidates: &[Candidate],
    max: usize,
) -> WarmTasks {
    let mut planned = WarmTasks::default();
    let mut keys = HashSet::new();
    for (number, candidate) in candidates.iter().enumerate() {
        if number % PAGES_PER_TURN == PAGES_PER_TURN - 1 {
            tokio::task::yield_now().await;
        }
        let decisions = decisions(path, site, &candidate.page);
        if !decisions.is_empty() && decisions.iter().all(|(_, decision)| !decision.looked_up) {
            planned.passed += 1;
        }
        for (device, decision) in chosen(&decisions, &candidate.wanted) {
            if decision.looked_up && keys.insert(decision.key.clone()) {
                planned.add(candidate, device, decision, max);
            }
        }
    }
    planned
}

impl WarmTasks {
    fn add(&mut self, candidate: &Candidate, device: Device, decision: &PageDecision, max: usize) {
        if self.tasks.len() >= max {
            self.left_out += 1;
            return;
        }
        self.tasks.push(WarmTask {
            page: candidate.page.clone(),
            device,
            variant: decision.variant.clone(),
            changed: candidate.changed,
            priority: candidate.priority,
        });
    }
}

/// What the policies decide for each device.
fn decisions(
    path: &Arc<dyn RequestPath>,
    site: &SiteFacts,
    page: &Page,
) -> Vec<(Device, PageDecision)> {
    // If no policy looks at the device, all devices get the same.
    let devices = if site.by_device {
        &DEVICES[..]
    } else {
        &DEVICES[..1]
    };
    devices
        .iter()
        .filter_map(|device| Some((*device, path.decide(page, *device)?)))
        .collect()
}

/// The devices that get the wanted variants, with their decisions.
fn chosen<'d>(
    decisions: &'d [(Device, PageDecision)],
    wanted: &[WantedVariant],
) -> Vec<(Device, &'d PageDecision)> {
    let mut chosen = Vec::new();
    for wanted in wanted {
        match wanted {
            WantedVariant::Every => {
                let all = decisions.iter();
                chosen.extend(all.map(|(device, decision)| (*device, decision)));
            }
            WantedVariant::Of(wanted) => {
                // A single decision is that of all devices.
                let of_device = decisions
                    .iter()
                    .find(|(device, _)| device == wanted)
                    .or(decisions.first().filter(|_| decisions.len() == 1));
                chosen.extend(of_device.map(|(_, decision)| (*wanted, decision)));
            }
            WantedVariant::Named(name) => {
                let mut all = decisions.iter();
                let of_name = all.find(|(_, decision)| decision.variant == *name);
                chosen.extend(of_name.map(|(device, decision)| (*device, decision)));
            }
        }
    }
    chosen
}
