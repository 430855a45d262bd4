//! `tero man` and `tero completions`: what a package installs beside the program, made from the
//! arguments themselves.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Arguments, fail, print};

const MAN_EXAMPLE: &str = "\
Examples:
  tero man > tero.1
  tero man --folder /usr/share/man/man1    a page for every command

Exit code: 0 if the pages are written, 1 if not, 2 if the command is used
wrongly.";

const COMPLETIONS_EXAMPLE: &str = "\
Examples:
  tero completions bash > /usr/share/bash-completion/completions/tero
  tero completions zsh > /usr/share/zsh/vendor-completions/_tero
  tero completions fish > /usr/share/fish/vendor_completions.d/tero.fish

Exit code: 0 for success, 2 if the command is used wrongly.";

/// Writes the manual pages
#[derive(Debug, Args)]
#[command(after_help = MAN_EXAMPLE)]
pub(super) struct ManCommand {
    /// Writes a page for every command into this folder, instead of that of `tero` to standard
    /// output
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// Writes what a shell completes
#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS_EXAMPLE)]
pub(super) struct CompletionsCommand {
    /// The shell
    shell: Shell,
}

impl ManCommand {
    pub(super) fn run(self) -> ExitCode {
        let written = match &self.folder {
            Some(folder) => write_pages(folder),
            None => page(program()).map(|page| print(&String::from_utf8_lossy(&page))),
        };
        written.unwrap_or_else(|error| fail(&format!("the pages can't be written: {error}")))
    }
}

impl CompletionsCommand {
    pub(super) fn run(self) -> ExitCode {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut program(), "tero", &mut text);
        print(&String::from_utf8_lossy(&text))
    }
}

/// The commands, with names such as `tero policy push`.
fn program() -> Command {
    let mut program = Arguments::command();
    program.build();
    program
}

fn write_pages(folder: &Path) -> io::Result<ExitCode> {
    let mut waiting = vec![program()];
    while let Some(command) = waiting.pop() {
        // `help` repeats what the others say.
        let shown = |command: &&Command| !command.is_hide_set() && command.get_name() != "help";
        waiting.extend(command.get_subcommands().filter(shown).cloned());
        let name = full_name(&command);
        std::fs::write(folder.join(format!("{name}.1")), page(command)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn full_name(command: &Command) -> String {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    name.replace(' ', "-")
}

fn page(command: Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    // The long version names the machine's zone data and the commit: a page is the same everywhere.
    let name = full_name(&command);
    let command = command
        .long_version(env!("CARGO_PKG_VERSION"))
        .display_name(name.clone());
    Man::new(command)
        .title(name.to_uppercase())
        .manual("tero")
        .source(format!("tero {}", env!("CARGO_PKG_VERSION")))
        // Without one, the page would have the day on which it was made.
        .date("")
        .render(&mut page)?;
    Ok(page)
}
