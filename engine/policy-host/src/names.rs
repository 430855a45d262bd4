//! Whether the origins and rate classes exist that a policy may choose on a site.

use std::sync::Arc;

use crate::error::PolicyError;
use crate::policy::Policy;
use tero_config::{Limit, Origin, Site};

/// Checks that a site has the origins, and the configuration the classes of limits, that a policy may
/// choose there.
///
/// # Errors
/// [`PolicyError::UnknownName`] with the names that there are.
pub fn check_names(policy: &Policy, site: &Site, limits: &[Limit]) -> Result<(), PolicyError> {
    let manifest = policy.manifest();
    let origins: Vec<String> = site.next_hops.iter().map(Origin::shown_name).collect();
    let is_for = |limit: &&Limit| limit.sites.is_empty() || limit.sites.contains(&site.name);
    let classes: Vec<String> = limits
        .iter()
        .filter(is_for)
        .filter_map(|limit| limit.class.as_deref())
        .map(str::to_owned)
        .collect();
    let check = |kind, wanted: &[Arc<str>], known: &[String]| {
        let is_known = |name: &Arc<str>| known.iter().any(|known| **known == **name);
        match wanted.iter().find(|name| !is_known(name)) {
            None => Ok(()),
            Some(name) => Err(PolicyError::UnknownName {
                policy: Arc::clone(policy.name()),
                site: Arc::clone(&site.name),
                kind,
                name: Arc::clone(name),
                known: match known {
                    [] => "it has none".to_owned(),
                    known => format!("it has {}", known.join(", ")),
                },
            }),
        }
    };
    check("origin", &manifest.origins, &origins)?;
    check("rate class", &manifest.rate_classes, &classes)
}
