//! `[site.balance]`, `[site.health]` and `[site.retry]`: which of several origins a request goes to.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::files::BaseDir;
use crate::forms;
use crate::keys::Section;
use crate::mistakes::{Mistake, Mistakes};
use crate::reader::TableReader;
use crate::units::Share;

section! {
    /// How one of several origins is chosen.
    #[derive(Clone, Debug, PartialEq)]
    [site.balance]
    pub struct Balance {
        /// In turn by their weights; the one with fewer requests under way of two that are drawn by
        /// lot; or by the URL, so that each URL has its origin (rendezvous hashing). With `key`, an
        /// origin gets at most a quarter more than its share of the requests under way.
        by: BalanceBy = "round-robin",
            OneOf(
                "round-robin" => BalanceBy::RoundRobin,
                "least-busy" => BalanceBy::LeastBusy,
                "key" => BalanceBy::Key
            );
    }
}

/// How one of several origins is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BalanceBy {
    /// In turn.
    #[default]
    RoundRobin,
    /// The one with fewer requests under way, of two.
    LeastBusy,
    /// By the URL.
    Key,
}

section! {
    /// When an origin rests: other origins are asked in its place. If all rest, all are asked.
    #[derive(Clone, Debug, PartialEq)]
    [site.health]
    pub struct Health {
        /// The path that is asked of each origin. Without it, origins are judged by what requests
        /// see alone.
        path: Option<Arc<str>> = rule("none"), Text("a path with its query")
            => |text| forms::page(text).map(Arc::from);
        /// The `Host` of these requests.
        host: Option<String> = rule("`host_header`, else the first host of the site"),
            Text("`HOST[:PORT]`") => forms::host_header;
        /// The statuses of a healthy origin.
        status: Vec<StatusRange> = ["200-399"], Texts("a status, or a range of them")
            => status_range;
        /// A text that the first 64 KiB of the body must contain.
        body: Option<String> = rule("none"), Text("a text") => |text| Ok::<_, Mistake>(text.to_owned());
        /// The time between two checks of an origin. Each differs by up to a tenth of it.
        interval: Duration = "5s", Duration("100ms", "1h");
        /// Maximum time of a check.
        timeout: Duration = "2s", Duration("10ms", "1min");
        /// Good checks in a row after which an origin is asked again.
        rise: u32 = 2, Count(1, 100);
        /// Bad checks in a row after which requests stop going to an origin.
        fall: u32 = 3, Count(1, 100);
        /// Failures in a row after which an origin rests: resets, malformed responses, and the
        /// statuses 502 to 504. A refused connection or a timeout is enough alone.
        failures_in_row: u32 = 5, Count(1, 10_000);
        /// The share of failures after which an origin rests, in 10 s with at least
        /// `min_requests`.
        failure_share: Share = "50%", Text("a percentage above 0, at most 100%") => forms::share;
        /// Requests that a share is taken of, at least.
        min_requests: u32 = 20, Count(1, 1_000_000);
        /// How long an origin rests at first. Twice as long each further time, up to `max_rest`.
        rest: Duration = "5s", Duration("100ms", "10min");
        /// The longest rest. `Retry-After` of responses is obeyed up to this.
        max_rest: Duration = "30s", Duration("100ms", "1h");
        /// Maximum share of the origins that rest for resets, malformed responses and statuses.
        max_resting: Share = "50%", Text("a percentage above 0, at most 100%") => forms::share;
    }
}

section! {
    /// When a request goes to another origin after it failed.
    #[derive(Clone, Debug, PartialEq)]
    [site.retry]
    pub struct Retry {
        /// After which failures. A request of which nothing was sent always goes on.
        on: Vec<RetryOn> = ["refused", "reset", "timeout"],
            Texts("`refused`, `reset`, `timeout`, or a status from 500 to 599") => retry_on,
            distinct();
        /// Methods beside GET, HEAD and OPTIONS whose requests may be sent twice.
        methods: Vec<RetryMethod> = [], Texts("`PUT` or `DELETE`") => retry_method, distinct();
        /// Maximum share of requests that are sent again.
        budget: Share = "20%", Text("a percentage above 0, at most 100%") => forms::share;
    }
}

/// The values that hold where nothing is written.
fn defaults<T>(section: &'static Section, read: fn(&TableReader<'_>, BaseDir<'_>) -> T) -> T {
    let mistakes = Mistakes::of("", "");
    read(
        &TableReader::absent(section, &mistakes),
        BaseDir(Path::new("")),
    )
}

impl Default for Balance {
    fn default() -> Balance {
        defaults(&Balance::SECTION, Balance::read)
    }
}

impl Default for Health {
    fn default() -> Health {
        defaults(&Health::SECTION, Health::read)
    }
}

impl Default for Retry {
    fn default() -> Retry {
        defaults(&Retry::SECTION, Retry::read)
    }
}

/// Statuses from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRange {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

/// A failure after which a request goes to another origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryOn {
    /// The connection was refused.
    Refused,
    /// The connection ended before the head of a response, or that was malformed.
    Reset,
    /// `response_timeout` or `connect_timeout` passed.
    Timeout,
    /// The origin answered with this status.
    Status(u16),
}

/// A method whose requests may be sent twice if the site says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryMethod {
    /// `PUT`
    Put,
    /// `DELETE`
    Delete,
}

fn status_range(text: &str) -> Result<StatusRange, Mistake> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| {
        text.parse()
            .ok()
            .filter(|status| (100..=599).contains(status))
    };
    match (status(first), status(last)) {
        (Some(first), Some(last)) if first <= last => Ok(StatusRange { first, last }),
        _ => Err(Mistake::new(
            "this is not a status",
            "write \"200\", or a range such as \"200-399\"",
        )),
    }
}

fn retry_on(text: &str) -> Result<RetryOn, Mistake> {
    match text {
        "refused" => Ok(RetryOn::Refused),
        "reset" => Ok(RetryOn::Reset),
        "timeout" => Ok(RetryOn::Timeout),
        _ => match text.parse() {
            Ok(status @ 500..=599) => Ok(RetryOn::Status(status)),
            _ => Err(Mistake::new(
                "requests are not sent again after this",
                "write \"refused\", \"reset\", \"timeout\", or a status from \"500\" to \"599\"",
            )),
        },
    }
}

fn retry_method(text: &str) -> Result<RetryMethod, Mistake> {
    match text {
        "PUT" => Ok(RetryMethod::Put),
        "DELETE" => Ok(RetryMethod::Delete),
        "GET" | "HEAD" | "OPTIONS" => Err(Mistake::new(
            format!("{text} is sent again in any case"),
            "leave it out",
        )),
        _ => Err(Mistake::new(
            "requests of this method are never sent twice",
            "write \"PUT\" or \"DELETE\", whose effect is that of one request",
        )),
    }
}
