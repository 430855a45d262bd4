//! Static JSON policy files: checks one and turns it into a configuration.
//!
//! The rules become the settings of the policy `builtin:json-rules` as they are; the warming plans
//! become `[[warm]]` under their names. What comes out stands alone: nothing in it refers to the
//! JSON file.

mod legacy;
mod target;
mod write;

use std::path::Path;

use tero_config::raw::{self, RawValue};
use tero_config::{Config, ConfigErrors, Mistake, Mistakes, read_text};
use tero_policy_host::check::check_policies;

pub use target::ImportTarget;

/// The configuration that the JSON file at `path` amounts to, as TOML. The policy has accepted it.
///
/// # Errors
/// Every mistake in the file, with line, key and cure, or why it can't be read.
pub fn import_file(path: &Path, target: &ImportTarget) -> Result<String, ConfigErrors> {
    let file = path.display().to_string();
    let refuse = |mistake| {
        let mistakes = Mistakes::of(&file, "");
        mistakes.add(&(0..0), "", mistake);
        mistakes.into_result()
    };
    let text = read_text(path).or_else(|mistake| refuse(mistake).map(|()| String::new()))?;
    let toml = import(&text, &file, target)?;
    // The policy has bounds of its own, and the last word about its settings.
    let accepted = Config::parse(&toml, &file, Path::new(""))
        .and_then(|config| check_policies(&config, &toml));
    for error in accepted.err().into_iter().flat_map(|errors| errors.errors) {
        refuse(Mistake::new(error.problem, error.cure))?;
    }
    Ok(toml)
}

/// The configuration that `json` amounts to, as TOML. `file_name` is what mistakes call it.
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
        imported.expect("what can't be read is a mistake");
    Ok(write::configuration(&legacy, &document, target, file_name))
}

#[cfg(test)]
mod tests;
