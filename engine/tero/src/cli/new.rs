//! `tero new`: writes a complete configuration to start from.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::{fail, print, used_wrongly};
use tero_tools::templates::{COUNTRIES, SetUp, TEMPLATES, TemplateFile};

const EXAMPLE: &str = "\
Examples:
  tero new --template barber-shop --country ar barberia
  tero new --template medical-practice --country es clinica
  tero new --list

Templates: barber-shop, medical-practice, psychology-practice. Countries: ar
(Argentina), cl (Chile), mx (Mexico), es (Spain).

Exit code: 0 if the files were written, 1 if they can't be or are there
already, 2 if the command is used wrongly.";

/// Writes a complete configuration for a trade and a country: zone, holidays, hours, paths to pass,
/// plans
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct NewCommand {
    /// The trade
    #[arg(long, value_name = "NAME", required_unless_present = "list")]
    template: Option<String>,
    /// The code of the country
    #[arg(long, value_name = "CODE", default_value = "ar")]
    country: String,
    /// The application behind the edge
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000")]
    origin: String,
    /// A host that the site answers for; may be repeated
    #[arg(long, value_name = "HOST", default_values = ["localhost", "127.0.0.1"])]
    host: Vec<String>,
    /// Lists the templates and countries, and writes nothing
    #[arg(long)]
    list: bool,
    /// The folder, which is created if it does not exist
    #[arg(default_value = ".")]
    dir: PathBuf,
}

impl NewCommand {
    pub(super) fn run(self) -> ExitCode {
        if self.list {
            let countries = COUNTRIES
                .iter()
                .map(|country| format!("{}  {}, {}\n", country.code, country.name, country.zone));
            return print(&format!(
                "{}\n\n{}",
                TEMPLATES.join("\n"),
                countries.collect::<String>()
            ));
        }
        let template = self.template.as_deref().unwrap_or_default();
        let set_up = SetUp {
            template,
            country: &self.country,
            origin: &self.origin,
            hosts: &self.host,
        };
        let files = match set_up.files() {
            Ok(files) => files,
            Err(message) => return used_wrongly(&message),
        };
        match write(&self.dir, &files) {
            Ok(()) => {
                let (first, dir) = (&files[0].name, self.dir.display());
                let names: Vec<&str> = files.iter().map(|file| file.name).collect();
                let go = if self.dir == Path::new(".") {
                    String::new()
                } else {
                    format!("cd {dir} && ")
                };
                print(&format!(
                    "{dir}: {} written; next: {go}tero check {first} && tero schedule\n",
                    names.join(" and ")
                ))
            }
            Err(message) => fail(&message),
        }
    }
}

/// Writes all files; or none, if one of them exists.
fn write(dir: &Path, files: &[TemplateFile]) -> Result<(), String> {
    let failed =
        |path: &Path, error: &io::Error| format!("can't write {}: {error}", path.display());
    if let Some(path) = files
        .iter()
        .map(|file| dir.join(file.name))
        .find(|path| path.exists())
    {
        return Err(format!(
            "{} is there already: name another folder",
            path.display()
        ));
    }
    fs::create_dir_all(dir).map_err(|error| failed(dir, &error))?;
    for file in files {
        let path = dir.join(file.name);
        let written = OpenOptions::new().write(true).create_new(true).open(&path);
        written
            .and_then(|mut open| open.write_all(file.text.as_bytes()))
            .map_err(|error| failed(&path, &error))?;
    }
    Ok(())
}
