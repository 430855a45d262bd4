//! Finds the place of a setting that a policy refuses. Policies name it by its path
//! (`rules[2].paths[0]`), but people look for a line.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::error::PolicyError;
use tero_config::raw::{self, RawKind, RawValue};
use tero_config::{Config, FilePosition, Mistake, forms, place, read_text};

/// The settings of all policies, as written.
pub(super) struct SettingsDocument {
    document: Option<RawValue>,
    folder: PathBuf,
}

impl SettingsDocument {
    pub(super) fn of(config: &Config, text: &str) -> SettingsDocument {
        let folder = Path::new(&*config.file)
            .parent()
            .unwrap_or(Path::new(""))
            .to_owned();
        SettingsDocument {
            document: raw::from_toml(text).ok(),
            folder,
        }
    }

    /// The place in the configuration of the setting that `error` is about, if it can be found, and
    /// the mistake. If the setting stands in another file, the mistake names the place there.
    pub(super) fn locate(
        &self,
        policy: &str,
        error: &PolicyError,
        mistake: Mistake,
    ) -> (Option<Range<usize>>, Mistake) {
        let Some(entry) = self.entry(policy) else {
            return (None, mistake);
        };
        if let Some(settings) = member(entry, "settings") {
            let cure = cure_of_zone(settings, error).unwrap_or(mistake.cure);
            return (find(settings, error), Mistake { cure, ..mistake });
        }
        let Some(RawValue {
            kind: RawKind::Text(path),
            at,
        }) = member(entry, "settings_file")
        else {
            return (None, mistake);
        };
        let problem = self.place_in(path, error).unwrap_or_default() + &mistake.problem;
        (Some(at.clone()), Mistake { problem, ..mistake })
    }

    /// The place in a JSON file of the setting that `error` is about, for people.
    fn place_in(&self, path: &str, error: &PolicyError) -> Option<String> {
        let text = read_text(&self.folder.join(path)).ok()?;
        let at = find(&raw::from_json(&text).ok()?, error)?;
        let FilePosition { line, column } = place(&text, at.start);
        Some(format!("`{path}`, line {line} column {column}: "))
    }

    fn entry(&self, policy: &str) -> Option<&RawValue> {
        let RawKind::List(entries) = &member(self.document.as_ref()?, "policy")?.kind else {
            return None;
        };
        let is_named = |entry: &&RawValue| matches!(member(entry, "name"), Some(RawValue { kind: RawKind::Text(name), .. }) if name == policy);
        entries.iter().find(is_named)
    }
}

/// The place of the setting that `error` is about, if it can be found.
fn find(settings: &RawValue, error: &PolicyError) -> Option<Range<usize>> {
    match error {
        PolicyError::Settings { message, .. } => walk(settings, path_in(message)?),
        PolicyError::Manifest { reason, .. } => text_in(settings, reason).map(|(at, _)| at),
        _ => None,
    }
}

/// The cure for an unknown zone, which the operator wrote and the policy only passed on.
fn cure_of_zone(settings: &RawValue, error: &PolicyError) -> Option<String> {
    match error {
        PolicyError::Manifest { reason, .. } => forms::zone(&text_in(settings, reason)?.1)
            .err()
            .map(|mistake| mistake.cure),
        _ => None,
    }
}

fn member<'a>(table: &'a RawValue, key: &str) -> Option<&'a RawValue> {
    let RawKind::Table(entries) = &table.kind else {
        return None;
    };
    entries
        .iter()
        .find(|entry| entry.key == key)
        .map(|entry| &entry.value)
}

/// The first text between backticks.
fn path_in(message: &str) -> Option<&str> {
    message.split('`').nth(1).filter(|path| !path.is_empty())
}

/// The place of the value at `path`, or of the last existing value on the way to it; `None` if not
/// even the first exists.
fn walk(settings: &RawValue, path: &str) -> Option<Range<usize>> {
    let mut found = None;
    let mut value = settings;
    for step in path
        .split(['.', '['])
        .map(|step| step.trim_end_matches(']'))
    {
        let next = match (&value.kind, step.parse::<usize>()) {
            (RawKind::List(items), Ok(index)) => items.get(index),
            _ => member(value, step),
        };
        let Some(next) = next else { break };
        value = next;
        found = Some(value.at.clone());
    }
    found
}

/// The first text in the settings that `reason` quotes, such as the name of a zone.
fn text_in(settings: &RawValue, reason: &str) -> Option<(Range<usize>, String)> {
    match &settings.kind {
        RawKind::Text(text) => (!text.is_empty() && reason.contains(&format!("{text:?}")))
            .then(|| (settings.at.clone(), text.clone())),
        RawKind::List(items) => items.iter().find_map(|item| text_in(item, reason)),
        RawKind::Table(entries) => entries
            .iter()
            .find_map(|entry| text_in(&entry.value, reason)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_its_value_or_to_the_nearest_one() {
        let text = "[settings]\nopen = \"9\"\nrules = [\n  { paths = [\"/a\", \"b\"] },\n]\n";
        let document = raw::from_toml(text).unwrap();
        let settings = member(&document, "settings").unwrap();
        let at = |path: &str| walk(settings, path).map(|at| &text[at]);
        assert_eq!(at("open"), Some("\"9\""));
        assert_eq!(at("rules[0].paths[1]"), Some("\"b\""));
        assert_eq!(at("rules[0].inside"), Some("{ paths = [\"/a\", \"b\"] }"));
        assert_eq!(
            at("rules[7].paths"),
            Some("[\n  { paths = [\"/a\", \"b\"] },\n]")
        );
        assert_eq!(at("zone"), None);
        assert_eq!(
            text_in(settings, "the zone \"b\" is unknown").map(|(at, _)| &text[at]),
            Some("\"b\"")
        );
    }
}
