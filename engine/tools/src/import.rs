//! Checks a static JSON policy file and turns it into a configuration.
//!
//! The rules become the settings of the policy `builtin:json-rules`. Patterns, days, times and
//! lifetimes that the policy writes otherwise are translated where that is exact, and refused
//! otherwise. Each warming plan becomes a `[[warm]]` of the same name. The result does not refer to the JSON file.

mod calendar;
mod legacy;
pub(crate) mod pattern;
mod target;
pub(crate) mod translate;
mod write;

use std::path::Path;

use tero_config::raw::{self, RawKind, RawValue};
use tero_config::{Config, ConfigErrors, Mistake, Mistakes, read_text};
use tero_policy_host::check::check_policies;

pub use target::ImportTarget;
pub use translate::{ImportedRule, OddPatterns};

/// A configuration made from a file.
#[derive(Clone, Debug)]
pub struct Import {
    /// The text of the file.
    pub json: String,
    /// The configuration.
    pub toml: String,
    /// What became of each rule.
    pub rules: Vec<ImportedRule>,
}

/// Turns the JSON file at `path` into a configuration in TOML, which the policy has accepted.
///
/// # Errors
/// Every mistake in the file, with line, key and cure, or the reason why it can't be read.
pub fn import_file(
    path: &Path,
    target: &ImportTarget,
    odd: OddPatterns,
) -> Result<Import, ConfigErrors> {
    let file = path.display().to_string();
    let refuse = |mistake| {
        let mistakes = Mistakes::of(&file, "");
        mistakes.add(&(0..0), "", mistake);
        mistakes.into_result()
    };
    let text = read_text(path).or_else(|mistake| refuse(mistake).map(|()| String::new()))?;
    let import = import(&text, &file, target, odd)?;
    // The policy has limits of its own, and decides whether its settings are good.
    let accepted = Config::parse(&import.toml, &file, Path::new(""))
        .and_then(|config| check_policies(&config, &import.toml));
    for error in accepted.err().into_iter().flat_map(|errors| errors.errors) {
        refuse(Mistake::new(error.problem, error.cure))?;
    }
    Ok(import)
}

/// Turns `json` into a configuration in TOML. `file_name` stands in mistakes.
///
/// # Errors
/// Every mistake in the text.
pub fn import(
    json: &str,
    file_name: &str,
    target: &ImportTarget,
    odd: OddPatterns,
) -> Result<Import, ConfigErrors> {
    // Editors of Windows begin a file with a byte order mark.
    let json = json.strip_prefix('\u{feff}').unwrap_or(json);
    let mistakes = Mistakes::of(file_name, json);
    let imported = match raw::from_json(json) {
        Ok(document) => {
            let is_other = refuse_other_file(&document, &mistakes);
            (!is_other).then(|| read(document, odd, &mistakes))
        }
        Err(error) => {
            mistakes.add(
                &error.at,
                "",
                Mistake::new(
                    error.problem,
                    "write the file as JSON (https://www.json.org)",
                ),
            );
            None
        }
    };
    mistakes.into_result()?;
    let (legacy, document, rules): (legacy::LegacyFile, RawValue, Vec<ImportedRule>) =
        imported.expect("an unreadable file is a mistake");
    Ok(Import {
        toml: write::configuration(&legacy, &document, target, file_name),
        json: json.to_owned(),
        rules,
    })
}

fn read(
    mut document: RawValue,
    odd: OddPatterns,
    mistakes: &Mistakes<'_>,
) -> (legacy::LegacyFile, RawValue, Vec<ImportedRule>) {
    let rules = translate::translate(&mut document, odd, mistakes);
    (legacy::read(&document, mistakes), document, rules)
}

/// Refuses a file of another kind in one mistake. Returns whether it is one.
fn refuse_other_file(document: &RawValue, mistakes: &Mistakes<'_>) -> bool {
    let RawKind::Table(entries) = &document.kind else {
        return false;
    };
    let cloudfront = [
        "DistributionConfig",
        "CacheBehaviors",
        "DefaultCacheBehavior",
    ];
    let found = entries
        .iter()
        .find(|entry| cloudfront.contains(&entry.key.as_str()));
    if let Some(entry) = found {
        let mistake = Mistake::new(
            "this is a distribution of CloudFront, and not a file of rules",
            "write its behaviours as rules, { \"match\": [\"/api/*\"], \"cache\": \"never\" }",
        );
        mistakes.add(&entry.key_at, &entry.key, mistake);
    }
    found.is_some()
}

#[cfg(test)]
mod tests;
