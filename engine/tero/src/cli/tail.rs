//! `tero tail`: the requests of a running edge as they are answered.

use std::ops::ControlFlow;
use std::process::ExitCode;

use chrono::{DateTime, SecondsFormat};
use clap::Args;

use super::admin_client::{AdminArgs, AdminClient};
use super::{fail, print_next, used_wrongly};
use tero_admin_api::{Answer as _, LiveEvent, LiveQuestion, RequestReport};

const EXAMPLE: &str = "\
Examples:
  tero tail
  tero tail --site shop --path '/api/*' --outcome miss
  tero tail --policy hours --json | jq -r .reason

Exit code: 0 if the edge ended the stream, so many requests were shown, or the
reader of the output has gone; 1 if the edge can't be reached, 2 if the command
is used wrongly.";

/// Shows requests of a running edge as they are answered, with the reasons
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct TailCommand {
    /// Only requests of this site
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    /// Only requests with such a path: /prices, or /shops/*
    #[arg(long, value_name = "PATTERN")]
    path: Option<String>,
    /// Only requests with this outcome
    #[arg(long, value_name = "OUTCOME", value_parser = ["hit", "stale", "revalidated", "collapsed", "miss", "pass", "error", "rule"])]
    outcome: Option<String>,
    /// Only requests about which this policy was asked
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// Requests per second, at most; further ones are left out
    #[arg(long, value_name = "N", default_value_t = LiveQuestion::DEFAULT_REQUESTS, value_parser = clap::value_parser!(u32).range(1..=i64::from(LiveQuestion::MAX_REQUESTS)))]
    most: u32,
    /// Ends after so many requests
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Prints each request as a line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

impl TailCommand {
    pub(super) fn run(self) -> ExitCode {
        let client = match AdminClient::new(&self.admin) {
            Ok(client) => client,
            Err(message) => return used_wrongly(&message),
        };
        let question = LiveQuestion {
            site: self.site.clone(),
            path: self.path.clone(),
            outcome: self.outcome.clone(),
            policy: self.policy.clone(),
            requests: Some(self.most),
            figures: Some(false),
        };
        let mut left = self.count.unwrap_or(u64::MAX);
        let mut printed = ExitCode::SUCCESS;
        let ended = client.listen(&question, |event| {
            let LiveEvent::Request(request) = event else {
                return ControlFlow::Continue(());
            };
            let shown = print_next(&match self.json {
                true => request.to_text(),
                false => line(&request),
            });
            if let ControlFlow::Break(code) = shown {
                printed = code;
                return ControlFlow::Break(());
            }
            left -= 1;
            match left > 0 {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        match ended {
            Ok(()) => printed,
            Err(message) => fail(&message),
        }
    }
}

/// A request in one line: when, what became of it, how long it took, what it was, why.
fn line(request: &RequestReport) -> String {
    let at = DateTime::from_timestamp_millis(request.at_unix_ms).unwrap_or_default();
    format!(
        "{} {:<11} {} {:>9} {} {}{}\n",
        at.to_rfc3339_opts(SecondsFormat::Millis, true),
        request.outcome,
        request.status,
        format!("{:.1} ms", request.took_ms),
        request.method,
        request.url,
        words(request),
    )
}

/// What else is known of it, in brackets.
fn words(request: &RequestReport) -> String {
    let said = [
        request.variant.clone(),
        request.reason.clone(),
        request.failure.clone(),
        request
            .not_stored
            .as_ref()
            .map(|why| format!("not stored: {why}")),
        request.forward.as_ref().map(|why| format!("fwd={why}")),
        request.stored.then(|| "stored".to_owned()),
        request.ttl_secs.map(|ttl| format!("ttl={ttl}")),
        request
            .origin
            .as_ref()
            .map(|origin| format!("origin={origin}")),
    ];
    let said: Vec<String> = said.into_iter().flatten().collect();
    match said.is_empty() {
        true => String::new(),
        false => format!(" ({})", said.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_became_of_a_request_and_why() {
        let request = RequestReport {
            at_unix_ms: 1_795_608_000_250,
            took_ms: 12.345,
            site: "shop".to_owned(),
            method: "GET".to_owned(),
            url: "shop.example/prices?a=1".to_owned(),
            status: 200,
            outcome: "miss".to_owned(),
            forward: Some("uri-miss".to_owned()),
            stored: true,
            not_stored: None,
            failure: None,
            reason: Some("hours: we are open".to_owned()),
            variant: Some("phone".to_owned()),
            device: None,
            route: None,
            age_secs: None,
            ttl_secs: Some(60),
            origin: Some("app-1".to_owned()),
        };
        assert_eq!(
            line(&request),
            "2026-11-25T12:00:00.250Z miss        200   12.3 ms GET shop.example/prices?a=1 \
             (phone; hours: we are open; fwd=uri-miss; stored; ttl=60; origin=app-1)\n"
        );
    }
}
