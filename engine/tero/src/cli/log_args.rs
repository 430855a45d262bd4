//! The access logs that a command rehearses, and what is assumed beside them.

use std::path::PathBuf;

use clap::Args;

use tero_config::{Config, HttpsRedirect};
use tero_semantics::authority::Scheme;
use tero_time::clock::Clock;
use tero_tools::replay::formats::{FieldMap, LogFormat, LogSyntax};
use tero_tools::replay::log::{LogOptions, LogReader};
use tero_tools::replay::simulate::assumptions::Assumptions;

/// Access logs, and how they are read.
#[derive(Clone, Debug, Args)]
pub(super) struct LogArgs {
    /// Access logs, plain or compressed (gzip, Zstandard); `-` is standard input
    #[arg(long, required = true, value_name = "FILE", num_args = 1..)]
    log: Vec<PathBuf>,
    /// The format of the log: combined, w3c or json [default: each line tells]
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// What keys of JSON lines mean: tero, cloudflare, fastly, or FACT=KEY; split by commas
    #[arg(long, value_name = "MAP")]
    fields: Option<String>,
    /// States an assumption: NAME=VALUE; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    assume: Vec<String>,
}

impl LogArgs {
    /// Whether standard input is among the logs: it can be read once.
    pub(super) fn has_standard_input(&self) -> bool {
        self.log.iter().any(|path| path.as_os_str() == "-")
    }

    /// Opens the logs.
    ///
    /// # Errors
    /// What can't be opened, and why.
    pub(super) fn open(&self, options: LogOptions) -> Result<LogReader<'static>, String> {
        LogReader::open(&self.log, options).map_err(|error| error.to_string())
    }

    /// How the logs are read. Lines of the future are bad ones.
    ///
    /// # Errors
    /// The argument that can't be used, and why.
    pub(super) fn options(&self) -> Result<LogOptions, String> {
        let format = self.format.as_deref().map(|name| {
            LogFormat::from_name(name)
                .ok_or_else(|| format!("--format {name}: it is combined, w3c or json"))
        });
        let fields = self.fields.as_deref().map(FieldMap::parse).transpose();
        Ok(LogOptions {
            syntax: LogSyntax {
                format: format.transpose()?,
                fields: fields
                    .map_err(|error| error.to_string())?
                    .unwrap_or_default(),
            },
            now: Some(Clock::real().wall()),
        })
    }

    /// What is assumed: what the arguments state; else the first host that the configuration names, and
    /// https where a site redirects to it.
    ///
    /// # Errors
    /// The assumption that can't be used, and why.
    pub(super) fn assumptions(&self, config: &Config) -> Result<Assumptions, String> {
        let mut assumptions = assumed_by(config);
        for text in &self.assume {
            assumptions.state(text).map_err(|error| error.to_string())?;
        }
        Ok(assumptions)
    }
}

fn assumed_by(config: &Config) -> Assumptions {
    let mut hosts = config.sites.iter().flat_map(|site| &site.hosts);
    let mut sites = config.sites.iter();
    let assumed = Assumptions::default();
    Assumptions {
        host: hosts
            .find(|host| !host.contains('*'))
            .cloned()
            .unwrap_or(assumed.host),
        scheme: match sites.any(|site| site.redirect_to_https != HttpsRedirect::Off) {
            true => Scheme::Https,
            false => Scheme::Http,
        },
        ..assumed
    }
}
