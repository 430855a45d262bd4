//! `tero traffic`: writes the access log of made-up visitors.

use std::io::{self, BufWriter, Write as _};
use std::process::ExitCode;

use chrono::{Datelike as _, NaiveDate};
use chrono_tz::Tz;
use clap::{Args, ValueEnum};

use super::{fail, used_wrongly};
use tero_config::AccessLogFormat;
use tero_tools::traffic::{MAX_DAYS, MAX_SCALE, SiteKind, TrafficPlan, YEARS, write};

const EXAMPLE: &str = "\
Examples:
  tero traffic > access.log                  a week of a booking site
  tero traffic --site news --seed 7 --days 28 | gzip > access.log.gz
  tero traffic --zone Europe/Madrid --holiday 2026-08-15 --format combined

Visitors come by a curve of the local day and the weekday, look at pages by
Zipf's law, and have the devices of real visitors; crawlers, scanners and
advertisements are among them. The same seed makes the same log. With it,
`tero simulate` and `tero advise` can be tried without a log of your own.

Exit code: 0 for success, 1 if it can't be written, 2 if the command is used
wrongly.";

/// Writes the access log of made-up visitors
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct TrafficCommand {
    /// The kind of site: booking or news
    #[arg(long, default_value = "booking", value_name = "KIND")]
    site: String,
    /// The first local day
    #[arg(long, default_value = "2026-08-13", value_name = "DATE")]
    from: NaiveDate,
    /// The number of days
    #[arg(long, default_value_t = 7, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_DAYS)))]
    days: u32,
    /// The zone of the site and its visitors
    #[arg(
        long,
        default_value = "America/Argentina/Buenos_Aires",
        value_name = "ZONE"
    )]
    zone: Tz,
    /// A day that is like a Sunday; may be repeated [default: 2026-08-17]
    #[arg(long, value_name = "DATE")]
    holiday: Vec<NaiveDate>,
    /// The same seed makes the same log
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    seed: u64,
    /// The number of visitors, as a multiple of the usual one
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    scale: f64,
    /// The host of the requests
    #[arg(long, default_value = "www.example", value_name = "HOST")]
    host: String,
    /// The format of the lines. Combined has no host and no response fields
    #[arg(long, default_value = "json", value_name = "FORMAT")]
    format: LineFormatArg,
}

/// The format of lines.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum LineFormatArg {
    /// Objects of JSON, as tero writes them, with response fields
    Json,
    /// Apache's combined format
    Combined,
}

impl TrafficCommand {
    pub(super) fn run(self) -> ExitCode {
        let plan = match self.plan() {
            Ok(plan) => plan,
            Err(message) => return used_wrongly(&message),
        };
        let format = match self.format {
            LineFormatArg::Json => AccessLogFormat::Json,
            LineFormatArg::Combined => AccessLogFormat::Combined,
        };
        let mut out = BufWriter::new(io::stdout().lock());
        let written = plan
            .requests()
            .try_for_each(|record| writeln!(out, "{}", write::line(&record, format)))
            .and_then(|()| out.flush());
        match written {
            // A reader that closes it early (`tero traffic | head`) has what it wants.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                fail(&format!("can't write to standard output: {error}"))
            }
            _ => ExitCode::SUCCESS,
        }
    }

    fn plan(&self) -> Result<TrafficPlan, String> {
        let kind = SiteKind::from_name(&self.site).ok_or_else(|| {
            let names: Vec<&str> = SiteKind::ALL.map(SiteKind::as_str).to_vec();
            format!("--site is one of {}", names.join(", "))
        })?;
        if !(self.scale > 0.0 && self.scale <= MAX_SCALE) {
            return Err(format!("--scale is above 0, and at most {MAX_SCALE}"));
        }
        if !YEARS.contains(&self.from.year()) {
            let (first, last) = (YEARS.start(), YEARS.end());
            return Err(format!("--from is a day of the years {first} to {last}"));
        }
        let usual = TrafficPlan::week(kind);
        let holidays = match self.holiday.is_empty() {
            true => usual.holidays,
            false => self.holiday.clone(),
        };
        Ok(TrafficPlan {
            kind,
            first: self.from,
            days: self.days,
            zone: self.zone,
            holidays,
            seed: self.seed,
            scale: self.scale,
            host: self.host.clone().into(),
        })
    }
}
