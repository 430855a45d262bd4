//! From the variants that a plan wants to the devices that get them: each key that visitors will
//! ask for once.
//!
//! What a device gets is the policies' to say, so they are asked with one device after the other. A
//! variant that no device gets for a page is not declared for it, and is no failure.

use std::collections::HashSet;
use std::sync::Arc;

use super::candidate::{Candidate, WantedVariant};
use super::path::{Page, PageDecision, RequestPath, SiteFacts};
use super::task::{PAGES_PER_TURN, WarmTask};
use tero_policy_host::device::Device;

/// In the order in which they are tried: those of most visitors first.
const DEVICES: [Device; 6] = [
    Device::Mobile,
    Device::Desktop,
    Device::Tablet,
    Device::Tv,
    Device::Bot,
    Device::Unknown,
];

/// The fetches of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WarmTasks {
    /// To be made, the most wanted first.
    pub tasks: Vec<WarmTask>,
    /// How many more there would be without the bound.
    pub left_out: u64,
    /// Pages that policies pass by: they are never stored, so nothing is fetched.
    pub passed: u64,
}

/// The fetches that bring what the candidates want, at most `max`.
pub async fn tasks(
    path: &Arc<dyn RequestPath>,
    site: &SiteFacts,
    candidates: &[Candidate],
    max: usize,
) -> WarmTasks {
    let mut made = WarmTasks::default();
    let mut keys = HashSet::new();
    for (number, candidate) in candidates.iter().enumerate() {
        if number % PAGES_PER_TURN == PAGES_PER_TURN - 1 {
            tokio::task::yield_now().await;
        }
        let decided = decisions(path, site, &candidate.page);
        if !decided.is_empty() && decided.iter().all(|(_, decided)| !decided.looked_up) {
            made.passed += 1;
        }
        for (device, decided) in chosen(&decided, &candidate.wanted) {
            if !decided.looked_up || !keys.insert(decided.key.clone()) {
                continue;
            }
            if made.tasks.len() < max {
                made.tasks.push(WarmTask {
                    page: candidate.page.clone(),
                    device,
                    variant: decided.variant.clone(),
                    changed: candidate.changed,
                    priority: candidate.priority,
                });
            } else {
                made.left_out += 1;
            }
        }
    }
    made
}

/// What each device gets.
fn decisions(
    path: &Arc<dyn RequestPath>,
    site: &SiteFacts,
    page: &Page,
) -> Vec<(Device, PageDecision)> {
    // Where policies do not ask for the device, all get the same.
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

fn chosen<'d>(
    decided: &'d [(Device, PageDecision)],
    wanted: &[WantedVariant],
) -> Vec<(Device, &'d PageDecision)> {
    let mut chosen = Vec::new();
    for wanted in wanted {
        match wanted {
            WantedVariant::Every => {
                chosen.extend(decided.iter().map(|(device, decided)| (*device, decided)))
            }
            WantedVariant::Of(wanted) => {
                // With one answer for all devices, that is what this one gets.
                let of_device = decided
                    .iter()
                    .find(|(device, _)| device == wanted)
                    .or(decided.first().filter(|_| decided.len() == 1));
                chosen.extend(of_device.map(|(_, decided)| (*wanted, decided)));
            }
            WantedVariant::Named(name) => {
                let of_name = decided.iter().find(|(_, decided)| decided.variant == *name);
                chosen.extend(of_name.map(|(device, decided)| (*device, decided)));
            }
        }
    }
    chosen
}
