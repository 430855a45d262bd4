//! Pages are fresh for two minutes while the shop is open and for half an hour otherwise, but never
//! past the next opening or closing. Phones get their own pages. Private pages pass: they are
//! neither looked up nor stored.

use tero_policy::{
    Device, Duration, LocalTime, Manifest, Moment, Policy, Request, RequestDecision, Response,
    ResponseDecision,
};

/// `{ zone = "America/Argentina/Buenos_Aires", open = "09:00", close = "18:00", private = "/checkout/" }`
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    zone: String,
    open: LocalTime,
    close: LocalTime,
    private: String,
}

/// The policy.
pub struct ShopHours(Settings);

impl Policy for ShopHours {
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<ShopHours, String> {
        if settings.close <= settings.open {
            return Err("`close` is not after `open`".to_owned());
        }
        Ok(ShopHours(settings))
    }

    fn manifest(&self) -> Manifest {
        Manifest::new()
            .on_request()
            .on_response()
            .zone(&self.0.zone)
            .device()
            .variants(["mobile"])
    }

    fn on_request(&self, request: &Request, _: &Moment) -> RequestDecision {
        if request.path.starts_with(&self.0.private) {
            return RequestDecision::pass().because("private");
        }
        match request.device {
            Device::Mobile => RequestDecision::new().variant("mobile"),
            _ => RequestDecision::new(),
        }
    }

    fn on_response(
        &self,
        request: &Request,
        response: &Response,
        now: &Moment,
    ) -> ResponseDecision {
        if request.path.starts_with(&self.0.private) {
            return ResponseDecision::never().because("private");
        }
        if response.status != 200 {
            return ResponseDecision::by_headers();
        }
        let (open, close) = self.hours(now);
        let time = now.time();
        let decision = if open <= time && time < close {
            ResponseDecision::cache_for(Duration::from_mins(2).min(now.until(close)))
                .because("open")
        } else if time < open {
            ResponseDecision::cache_for(Duration::from_mins(30).min(now.until(open)))
                .because("closed")
        } else {
            ResponseDecision::cache_for(Duration::from_mins(30)).because("closed")
        };
        decision.stale_if_error(Duration::from_days(1)).tag("pages")
    }
}

impl ShopHours {
    /// Today's hours: none on a holiday, the calendar's on a half-day.
    fn hours(&self, now: &Moment) -> (LocalTime, LocalTime) {
        match &now.holiday {
            None => (self.0.open, self.0.close),
            Some(holiday) => match &holiday.open {
                None => (LocalTime::at(0, 0), LocalTime::at(0, 0)),
                Some(half_day) => (half_day.from, half_day.until),
            },
        }
    }
}

tero_policy::export!(ShopHours);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_last_until_the_doors_open_and_then_two_minutes() {
        let settings =
            r#"{ "zone": "UTC", "open": "09:00", "close": "18:00", "private": "/checkout/" }"#;
        let policy: ShopHours = tero_policy::configure(settings).unwrap();
        let ttl_at = |time: &str| {
            policy
                .on_response(&Request::get("/"), &Response::ok(), &time.parse().unwrap())
                .ttl
                .unwrap()
        };
        assert_eq!(ttl_at("2026-11-24T08:59:59Z").as_secs(), 1);
        assert_eq!(ttl_at("2026-11-24T09:00:00Z").as_secs(), 120);
    }
}
