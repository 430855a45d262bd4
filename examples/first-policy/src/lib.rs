//! While the shop is open, pages are fresh for a minute. While it is closed, they are fresh until it
//! opens.

use tero_policy::{
    Duration, LocalTime, Manifest, Moment, Policy, Request, Response, ResponseDecision,
};

/// The settings: `{ zone = "America/Argentina/Buenos_Aires", open = "09:00", close = "18:00" }`
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct FirstPolicy {
    zone: String,
    open: LocalTime,
    close: LocalTime,
}

impl Policy for FirstPolicy {
    type Settings = FirstPolicy;

    fn configure(settings: FirstPolicy) -> Result<FirstPolicy, String> {
        Ok(settings)
    }

    fn manifest(&self) -> Manifest {
        Manifest::new().on_response().zone(&self.zone)
    }

    fn on_response(&self, _: &Request, _: &Response, now: &Moment) -> ResponseDecision {
        if self.open <= now.time() && now.time() < self.close {
            ResponseDecision::cache_for(Duration::from_mins(1)).because("we are open")
        } else {
            ResponseDecision::cache_for(now.until(self.open)).because("we are closed")
        }
    }
}

tero_policy::export!(FirstPolicy);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_last_until_the_doors_open_and_then_a_minute() {
        let settings =
            r#"{ "zone": "America/Argentina/Buenos_Aires", "open": "09:00", "close": "18:00" }"#;
        let policy: FirstPolicy = tero_policy::configure(settings).unwrap();
        let ttl_at = |time: &str| {
            policy
                .on_response(&Request::get("/"), &Response::ok(), &time.parse().unwrap())
                .ttl
                .unwrap()
                .as_secs()
        };
        assert_eq!(ttl_at("2026-11-24T08:59:59-03:00"), 1);
        assert_eq!(ttl_at("2026-11-24T09:00:00-03:00"), 60);
        assert_eq!(ttl_at("2026-11-24T17:59:59-03:00"), 60);
        assert_eq!(ttl_at("2026-11-24T18:00:00-03:00"), 15 * 3_600);
    }
}
