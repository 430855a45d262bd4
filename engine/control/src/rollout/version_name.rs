//! How people name a version of a policy.

use super::error::RolloutError;
use super::record::{CONFIGURATION, PolicyRecord, Version};

/// The version that `text` names: `configuration`, a number, or the beginning of one digest only.
/// A number of a version goes before a digest.
///
/// # Errors
/// [`RolloutError::UnknownVersion`]
pub(super) fn version_named(
    record: &PolicyRecord,
    policy: &str,
    text: &str,
) -> Result<Version, RolloutError> {
    if text == CONFIGURATION {
        return Ok(Version::Configured);
    }
    let number: Option<u64> = text.parse().ok();
    let mut versions = record.versions.iter();
    if let Some(version) = versions.find(|version| Some(version.number) == number) {
        return Ok(Version::Pushed(version.digest.clone()));
    }
    let versions = record.versions.iter();
    let meant: Vec<&str> = versions
        .clone()
        .map(|version| version.digest.as_str())
        .filter(|digest| !text.is_empty() && digest.starts_with(text))
        .collect();
    let problem = match meant.as_slice() {
        [digest] => return Ok(Version::Pushed((*digest).to_owned())),
        [] => "is not a version",
        _ => "may mean several versions",
    };
    let known = versions
        .map(|version| {
            let digest = version.digest.get(..12).unwrap_or(&version.digest);
            format!("{} ({digest})", version.number)
        })
        .chain([CONFIGURATION.to_owned()]);
    Err(RolloutError::UnknownVersion {
        policy: policy.to_owned(),
        version: text.escape_debug().to_string(),
        problem,
        known: known.collect::<Vec<_>>().join(", "),
    })
}
