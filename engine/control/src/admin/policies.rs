//! `GET /policies` and `GET /policies/{policy}`: the active version of each policy, since when it is
//! active, the other versions, and the results of decisions.

use super::call::Call;
use super::context::AdminContext;
use super::reply::AdminRefusal;
use super::reports;
use super::versions::refusal;
use crate::rollout::record::{PushedRecord, Version};
use crate::rollout::{PolicyVersions, VersionSet};
use tero_admin_api::endpoints::{Policies, Policy};
use tero_admin_api::{
    AdditionReport, LeftOutReport, PoliciesResponse, PolicyReport, VersionReport,
};
use tero_semantics::timestamp::Timestamp;

/// Every policy of the configuration, by name.
pub(super) fn policies(
    context: &AdminContext,
    _: Call<'_, Policies>,
) -> Result<PoliciesResponse, AdminRefusal> {
    let (state, now) = (context.rollout.state(), context.edge.clock.wall());
    let policies = state.policies();
    Ok(PoliciesResponse {
        policies: policies
            .map(|(name, versions)| report(&state, name, versions, now))
            .collect(),
        left_out: state
            .left_out()
            .map(|(policy, why)| LeftOutReport {
                policy: policy.to_owned(),
                why: why.to_owned(),
            })
            .collect(),
    })
}

/// One policy.
pub(super) fn policy(
    context: &AdminContext,
    call: Call<'_, Policy>,
) -> Result<PolicyReport, AdminRefusal> {
    let state = context.rollout.state();
    let name = call.parameter();
    let versions = state.policy(name).map_err(|error| refusal(&error))?;
    Ok(report(&state, name, versions, context.edge.clock.wall()))
}

fn report(
    state: &VersionSet,
    name: &str,
    versions: &PolicyVersions,
    now: Timestamp,
) -> PolicyReport {
    let record = versions.record();
    PolicyReport {
        module: reports::module(versions.active(), now),
        version: versions.active_version().to_string(),
        active_since_unix_secs: versions.since().unix_secs(),
        previous: versions.leads_back_to().map(Version::to_string),
        sites: state
            .sites_of(name)
            .into_iter()
            .map(str::to_owned)
            .collect(),
        versions: record.versions.iter().rev().map(version).collect(),
        added: state.added(name).map(|added| AdditionReport {
            digest: added.digest.clone(),
            added_unix_secs: added.added_unix_secs,
            sites: added.placements.iter().map(|it| it.site.clone()).collect(),
        }),
        configuration_digest: versions.configured().digest().to_owned(),
        trouble: versions.trouble().map(str::to_owned),
        unsaved: versions.unsaved(),
        shadow: record
            .shadow
            .as_ref()
            .map(|shadow| reports::shadow(shadow, versions)),
        canary: record
            .canary
            .as_ref()
            .map(|canary| reports::canary(canary, versions)),
        rolled_back: record.rolled_back.as_ref().map(reports::rollback),
    }
}

fn version(record: &PushedRecord) -> VersionReport {
    VersionReport {
        number: record.number,
        digest: record.digest.clone(),
        pushed_unix_secs: record.pushed_unix_secs,
        bytes: record.bytes,
        settings: record.settings,
        cases: record.cases,
        forecast: record.forecast.clone(),
    }
}
