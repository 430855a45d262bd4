//! Crawlers read pages that no visitor comes back to. They get what is stored, but what they fetch is not kept, unless visitors want
//! it too. Their requests may have a rate limit of their own.

use tero_policy::{
    Device, Manifest, Moment, PathPattern, Policy, Request, RequestDecision, Response,
    ResponseDecision, any_matches,
};

/// The settings: `{ keep = ["/", "/sitemap.xml", "/product/*"], rate_class = "crawlers" }`
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct CrawlerGuard {
    /// Pages that are kept whoever asks for them.
    keep: Vec<PathPattern>,
    /// The class of their rate limit, if they have one.
    rate_class: Option<String>,
}

impl Policy for CrawlerGuard {
    type Settings = CrawlerGuard;

    fn configure(settings: CrawlerGuard) -> Result<CrawlerGuard, String> {
        Ok(settings)
    }

    fn manifest(&self) -> Manifest {
        let manifest = Manifest::new()
            .on_request()
            .on_response()
            .device()
            .path_patterns(&self.keep)
            .refuses_admission();
        manifest.rate_classes(&self.rate_class)
    }

    fn on_request(&self, request: &Request<'_>, _: &Moment<'_>) -> RequestDecision {
        match &self.rate_class {
            Some(class) if request.device == Device::Bot => {
                RequestDecision::new().rate_class(class).because("crawler")
            }
            _ => RequestDecision::new(),
        }
    }

    fn on_response(
        &self,
        request: &Request<'_>,
        _: &Response<'_>,
        _: &Moment<'_>,
    ) -> ResponseDecision {
        if request.device == Device::Bot && !any_matches(&self.keep, request.path) {
            ResponseDecision::by_headers()
                .admit(false)
                .because("for a crawler only")
        } else {
            ResponseDecision::by_headers()
        }
    }
}

tero_policy::export!(CrawlerGuard);
