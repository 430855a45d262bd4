//! `[[webhook]]`.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use http::Uri;

use super::limit::{LimitHours, limit_hours};
use crate::forms;
use crate::mistakes::Mistake;

/// Webhooks of a configuration, at most.
pub(crate) const MAX_WEBHOOKS: usize = 16;

section! {
    /// Where operators are told of events, at most 16 places: see operating.md.
    #[derive(Clone, PartialEq)]
    [[webhook]]
    pub struct Webhook in base_dir {
        /// The name in logs and metrics; unique.
        name: Arc<str> = required, Text("1 to 64 of `a-z`, `0-9`, `-`, `_`") => forms::name;
        /// Where messages are posted to. Those of chat services are secrets: use `url_file`. One
        /// of the two is required.
        url: Option<Uri> = rule("none: `url_file` says it"), Text("`https://HOST/…` or `http://HOST/…`")
            => webhook_url,
            /// A file whose first line is the URL. Use it instead of `url`.
            or url_file, Text("a path, relative to this file") => |path| {
                webhook_url(base_dir.read_text(path)?.lines().next().unwrap_or_default().trim())
            };
        /// The form of a message: `{"text": …}`, as Slack and many chat services take it, or the events
        /// as JSON.
        format: WebhookFormat = "slack",
            OneOf("slack" => WebhookFormat::Slack, "json" => WebhookFormat::Json);
        /// A token that is sent along as `Authorization: Bearer`.
        token: Option<String> = rule("none"), Text("16 to 4096 visible characters")
            => forms::secret,
            /// A file whose first line is the token. Use it instead of `token`.
            or token_file, Text("a path, relative to this file") => |path| {
                forms::secret(base_dir.read_text(path)?.lines().next().unwrap_or_default().trim())
            };
        /// The CAs that may have issued the certificate of the place, as PEM. `""` trusts the CAs of the
        /// system.
        ca: Option<PathBuf> = "", Text("a path, relative to this file, or `\"\"`") => |path| {
            match path {
                "" => Ok::<_, Mistake>(None),
                path => base_dir.file(path, "the certificates of CAs in PEM").map(Some),
            }
        };
        /// Which events are told: all, or only those that don't wait until the morning.
        severity: WebhookSeverity = "ticket",
            OneOf("ticket" => WebhookSeverity::Ticket, "page" => WebhookSeverity::Page);
        /// How often an event that goes on is told again.
        remind: Duration = "4h", Duration("5min", "7d");
        /// Messages in an hour, at most; a quarter, rounded up, is kept for pages, but not a single one.
        /// Further events wait, and come together in one message.
        most_per_hour: u32 = 12, Count(1, 1_000);
        /// Hours in which only events of the severity `page` are told, in the local time of `zone`. Others
        /// that go on after them are told then.
        quiet: Option<LimitHours> = rule("no quiet hours"), Text("`HH:MM-HH:MM`") => limit_hours;
        /// The time zone of `quiet`.
        zone: Tz = rule("UTC", Tz::UTC), Text("an IANA zone") => forms::zone;
    }
}

/// The form of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookFormat {
    /// `{"text": …}`
    Slack,
    /// The events as JSON.
    Json,
}

/// Which events a webhook tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookSeverity {
    /// All.
    Ticket,
    /// Those that don't wait until the morning.
    Page,
}

impl fmt::Debug for Webhook {
    /// Without the URL and the token, which are secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Webhook");
        shown.field("name", &self.name).finish_non_exhaustive()
    }
}

fn webhook_url(text: &str) -> Result<Uri, Mistake> {
    let is_web = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https"));
    let names_host = |uri: &Uri| uri.host().is_some_and(|host| !host.is_empty());
    let is_plain = |uri: &Uri| uri.authority().is_some_and(|at| !at.as_str().contains('@'));
    text.parse::<Uri>()
        .ok()
        .filter(|uri| is_web(uri) && names_host(uri) && is_plain(uri))
        .ok_or_else(|| {
            Mistake::new(
                "it is not the URL of a webhook".to_owned(),
                "write it as \"https://hooks.example/…\", without a name and a password",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_one_of_the_web() {
        for good in ["https://hooks.example/a/b?c=d", "http://127.0.0.1:8000"] {
            assert!(webhook_url(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "hooks.example",
            "ftp://hooks.example/",
            "https:///a",
            "https://a:b@c/",
        ] {
            let mistake = webhook_url(bad);
            assert!(mistake.is_err(), "{bad}");
        }
    }
}
