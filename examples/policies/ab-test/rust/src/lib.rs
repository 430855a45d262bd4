//! An A/B test: a share of the visitors gets another page under the same address. A visitor stays in its bucket, by a cookie of the
//! application, or else by its network.

use tero_policy::{BucketRule, Manifest, Moment, Policy, Request, RequestDecision};

/// The settings: `{ experiment = "prices-2026", cookie = "visitor", path = "/prices", alternative = "/prices-b", tenths = 3 }`
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct AbTest {
    /// Different experiments divide visitors differently.
    experiment: String,
    /// A cookie that stays with a visitor.
    cookie: String,
    path: String,
    /// What the origin is asked for instead.
    alternative: String,
    /// How many tenths of the visitors get it.
    tenths: u16,
}

/// Each bucket is a decision of its own, so there are no more than the share needs.
const BUCKETS: u16 = 10;

impl Policy for AbTest {
    type Settings = AbTest;

    fn configure(settings: AbTest) -> Result<AbTest, String> {
        if settings.tenths > BUCKETS {
            return Err(format!("`tenths` is {}: write 0 to 10", settings.tenths));
        }
        Ok(settings)
    }

    fn manifest(&self) -> Manifest {
        Manifest::new()
            .on_request()
            .bucket(BucketRule::new(&self.experiment, BUCKETS).by_cookie(&self.cookie))
            .rewrites()
            .log_tags()
    }

    fn on_request(&self, request: &Request<'_>, _: &Moment<'_>) -> RequestDecision {
        if request.path != self.path {
            return RequestDecision::new();
        }
        // A visitor without a bucket sees what everybody saw before.
        if request
            .client
            .bucket
            .is_some_and(|bucket| bucket < self.tenths)
        {
            RequestDecision::new()
                .rewrite_path(&self.alternative)
                .log_tag("b")
                .because("alternative")
        } else {
            RequestDecision::new().log_tag("a").because("as before")
        }
    }
}

tero_policy::export!(AbTest);
