//! `tero policy new`: a project for a new policy.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::cli::{fail, print, used_wrongly};
use tero_tools::project::{Language, create};

const EXAMPLE: &str = "\
Examples:
  tero policy new shop-hours --language javascript
  tero policy new shop-hours --language rust --sdk ~/tero/sdk/rust

The project is a small policy that works, with cases, the contract and a README; make it yours.
Exit code: 0 done, 1 failed, 2 if the command is used wrongly.";

/// Makes a project for a new policy
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct NewPolicyCommand {
    /// The name of the policy, and of its folder: a-z, 0-9, - and _, a letter first
    name: String,
    /// What it is written in
    #[arg(long, short, value_parser = languages())]
    language: Language,
    /// The SDK for Rust: the folder sdk/rust of tero's source; unless given, the one that this
    /// program was built from
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
}

impl NewPolicyCommand {
    pub(super) fn run(self) -> ExitCode {
        let good = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
        };
        let name = &self.name;
        if !name.bytes().all(good)
            || !name.starts_with(|first: char| first.is_ascii_lowercase())
            || name.len() > 64
        {
            return used_wrongly(&format!(
                "`{name}` is no name: write 1 to 64 of a-z, 0-9, - and _, a letter first"
            ));
        }
        if self.sdk.is_some() && self.language != Language::Rust {
            return used_wrongly("--sdk is for --language rust alone");
        }
        match create(
            &PathBuf::from(name),
            name,
            self.language,
            self.sdk.as_deref(),
        ) {
            Ok(created) => print(&format!(
                "{name} is there. What comes next:\n\n  cd {name}\n  {}\n",
                created.next.join("\n  ")
            )),
            Err(error) => fail(&error.to_string()),
        }
    }
}

/// Reads a language, and tells clap what `--help` and errors say about each.
fn languages() -> impl TypedValueParser<Value = Language> {
    let offers = Language::ALL.map(|language| {
        let offer = PossibleValue::new(language.as_str());
        match language {
            Language::Rust => offer.help("With the SDK `tero-policy`, built by cargo"),
            Language::Javascript => offer.help("With componentize-js").alias("js"),
            Language::Python => offer.help("With componentize-py").alias("py"),
            Language::C => offer.help("With clang and bindings of wit-bindgen"),
        }
    });
    PossibleValuesParser::new(offers).try_map(|name| name.parse())
}
