//! Checks a static JSON policy file and turns it into a configuration.
//!
//! The rules become the settings of the policy `builtin:json-rules`, unchanged. Each warming plan
//! becomes a `[[warm]]` of the same name. The result does not refer to the JSON file.

mod legacy;
mod target;
mod write;

use std::path::Path;

use tero_config::raw::{self, RawValue};
use tero_config::{Config, ConfigErrors, Mistake, Mistakes, read_text};
use tero_policy_host::check::check_policies;

pub use target::ImportTarget;

/// Turns the JSON file at `path` into a configuration in TOML, which the policy has accepted.
///
/// # Errors
/// Every mistake in the file, with line, key and cure, or the reason why it can't be read.
pub fn import_file(path: &Path, target: &ImportTarget) -> Result<String, ConfigErrors> {
    let file = path.display().to_string();
    let refuse = |mistake| {
        let mistakes = Mistakes::of(&file, "");
        mistakes.add(&(0..0), "", mistake);
        mistakes.into_result()
    };
    let text = read_text(path).or_else(|mistake| refuse(mistake).map(|()| String::new()))?;
    let toml = import(&text, &file, target)?;
    // The policy has limits of its own, and decides whether its settings are good.
    let accepted = Config::parse(&toml, &file, Path::new(""))
        .and_then(|config| check_policies(&config, &toml));
    for error in accepted.err().into_iter().flat_map(|errors| errors.errors) {
        refuse(Mistake::new(error.problem, error.cure))?;
    }
    Ok(toml)
}

/// Turns `json` into a configuration in TOML. `file_name` stands in mistakes.
///
/// # Errors
/// Every mistake in the text.
pub fn import(json: &str, file_name: &str, target: &ImportTarget) -> Result<String, ConfigErrors> {
    let mistakes = Mistakes::of(file_name, json);
    let imported = match raw::from_json(json) {
        Ok(document) => Some((legacy::read(&document, &mistakes), document)),
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
    let (legacy, document): (legacy::LegacyFile, RawValue) =
        imported.expect("an unreadable file is a mistake");
    Ok(write::configuration(&legacy, &document, target, file_name))
}

#[cfg(test)]
mod tests;
