//! `tero policy new`: makes a project for a new policy.

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

The project is a small working policy, with cases, the contract and a README:
change it as you like. Exit code: 0 for success, 1 for failure, 2 if the
command is used wrongly.";

/// Makes a project for a new policy
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct NewPolicyCommand {
    /// The name of the policy, and of its folder: a-z, 0-9, - and _, a letter first
    name: String,
    /// Its language
    #[arg(long, short, value_parser = languages())]
    language: Language,
    /// The SDK for Rust: the folder sdk/rust of tero's source [default: that of the source from
    /// which this program was built; a release has none]
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
                "`{name}` is not a name: write 1 to 64 of a-z, 0-9, - and _, a letter first"
            ));
        }
        if self.sdk.is_some() && self.language != Language::Rust {
            return used_wrongly("--sdk is for --language rust only");
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

/// Reads a language, and gives clap the words for `--help` and errors.
fn languages() -> impl TypedValueParser<Value = Language> {
    let offers = Language::ALL.map(|language| {
        let offer = PossibleValue::new(language.as_str());
        match language {
            Language::Rust => offer.help("With the SDK `tero-policy`, built by cargo"),
            Language::Javascript => offer.help("With componentize-js").alias("js"),
            Language::Typescript => offer
                .help("With TypeScript and componentize-js")
                .alias("ts"),
            Language::Python => offer.help("With componentize-py").alias("py"),
            Language::C => offer.help("With clang and bindings of wit-bindgen"),
            Language::Go => offer.help("With Go 1.24 or later"),
            Language::Zig => offer.help("With Zig 0.17"),
            Language::Assemblyscript => offer.help("With AssemblyScript's compiler").alias("as"),
        }
    });
    PossibleValuesParser::new(offers).try_map(|name| name.parse())
}
