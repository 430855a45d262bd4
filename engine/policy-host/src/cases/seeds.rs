//! What the questions of cases are about: where other questions to the same policy can begin.

use std::path::PathBuf;
use std::sync::Arc;

use chrono_tz::Tz;
use http::{HeaderName, HeaderValue};

use super::case::Cases;
use crate::host::Host;
use crate::policy::Policy;
use crate::trial::Trial;
use tero_config::{ConfigErrors, ModuleSource};
use tero_semantics::timestamp::Timestamp;

/// The parts of questions, each as the cases have them.
#[derive(Clone, Debug, Default)]
pub struct CaseSeeds {
    /// Hosts.
    pub hosts: Vec<String>,
    /// Paths with their queries.
    pub targets: Vec<String>,
    /// Fields of requests and responses.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// Names of warming plans.
    pub plans: Vec<String>,
    /// Instants.
    pub times: Vec<Timestamp>,
}

impl Cases {
    /// The policy under test, loaded.
    ///
    /// # Errors
    /// The policy cannot be used: a mistake at the key that names it.
    pub fn load_policy(&self, host: &Host) -> Result<Arc<Policy>, ConfigErrors> {
        host.load(&self.policy)
            .map_err(|error| self.unusable(&error))
    }

    /// A trial of the policy, with the data tables of the file.
    pub fn trial(&self, policy: &Arc<Policy>) -> Trial {
        Trial::new(Arc::clone(policy)).with_tables(&self.tables)
    }

    /// The files that the policy under test is made of.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = self.named_files.clone();
        if let ModuleSource::File(module) = &self.policy.module {
            files.push(module.clone());
        }
        files
    }

    /// The parts of the questions.
    pub fn seeds(&self) -> CaseSeeds {
        let mut seeds = CaseSeeds::default();
        for case in &self.cases {
            let request = &case.request;
            seeds.hosts.push(request.host.clone());
            seeds.targets.push(match &request.query {
                Some(query) => format!("{}?{query}", request.path),
                None => request.path.clone(),
            });
            let response = case.response.iter().map(|response| &response.headers);
            for headers in std::iter::once(&request.headers).chain(response) {
                let fields = headers.iter();
                seeds
                    .fields
                    .extend(fields.map(|(name, value)| (name.clone(), value.clone())));
            }
            seeds.plans.push(case.plan.clone());
            seeds
                .times
                .push(case.at.in_zone(self.zone.unwrap_or(Tz::UTC)));
        }
        seeds
    }
}
