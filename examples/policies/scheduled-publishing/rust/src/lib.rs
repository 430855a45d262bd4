//! Scheduled publishing: the application knows when a page will change, and says so in the field `X-Changes-At`. Until then the page
//! is fresh. At that instant it is purged, or becomes stale, so that visitors see the new one.

use tero_policy::{Duration, Manifest, Moment, Policy, Request, Response, ResponseDecision};

/// The settings: `{ ttl = "10min", purge = true }`
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ScheduledPublishing {
    /// How long pages without an instant are fresh, and others at least are kept for.
    ttl: Duration,
    /// Whether an old page is purged. Otherwise it is stale, and may be served while the new one is fetched.
    purge: bool,
}

/// When the page changes: `2026-12-01T09:00:00-03:00`.
const CHANGES_AT: &str = "x-changes-at";

impl Policy for ScheduledPublishing {
    type Settings = ScheduledPublishing;

    fn configure(settings: ScheduledPublishing) -> Result<ScheduledPublishing, String> {
        Ok(settings)
    }

    fn manifest(&self) -> Manifest {
        Manifest::new()
            .on_response()
            .response_header(CHANGES_AT)
            .path_patterns([""; 0])
            .expires()
    }

    fn on_response(
        &self,
        _: &Request<'_>,
        response: &Response<'_>,
        _: &Moment<'_>,
    ) -> ResponseDecision {
        if response.status != 200 {
            return ResponseDecision::by_headers();
        }
        let decision = ResponseDecision::cache_for(self.ttl);
        let Some(text) = response.header(CHANGES_AT) else {
            return decision.because("no instant");
        };
        match text.parse::<Moment<'_>>() {
            Ok(at) if self.purge => decision.purge_at(at.unix_secs).because("changes then"),
            Ok(at) => decision.stale_at(at.unix_secs).because("changes then"),
            Err(_) => decision.because("not an instant"),
        }
    }
}

tero_policy::export!(ScheduledPublishing);
