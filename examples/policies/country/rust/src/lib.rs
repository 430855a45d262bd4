//! Countries: the start page redirects to that of the visitor's country, and pages that differ by country are stored for each. The
//! operator has a source of countries (`[site.country]`).

use std::collections::BTreeMap;

use tero_policy::{
    Answer, Manifest, Moment, PathPattern, Policy, Request, RequestDecision, any_matches,
};

/// The settings: `{ start = { AR = "/ar/", CL = "/cl/" }, elsewhere = "/int/", differ = ["/prices/*"] }`
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Country {
    /// The start page of each country.
    start: BTreeMap<String, String>,
    /// The start page of all others.
    elsewhere: String,
    /// Pages that differ by country. The origin is told it in `X-Country`.
    differ: Vec<PathPattern>,
}

/// The value for visitors whose country isn't known, or has no start page.
const OTHER: &str = "other";

impl Policy for Country {
    type Settings = Country;

    fn configure(settings: Country) -> Result<Country, String> {
        Ok(settings)
    }

    fn manifest(&self) -> Manifest {
        Manifest::new()
            .on_request()
            .country()
            .path_patterns(["/"])
            .path_patterns(&self.differ)
            .answers()
            .key_parts(["country"])
            .request_edits(["x-country"])
    }

    fn on_request(&self, request: &Request<'_>, _: &Moment<'_>) -> RequestDecision {
        let country = request
            .client
            .country
            .filter(|country| self.start.contains_key(*country));
        if request.path == "/" {
            let page = country.map_or(&self.elsewhere, |country| &self.start[country]);
            return RequestDecision::new()
                .answer(Answer::redirect(302, page))
                .because("start page");
        }
        if any_matches(&self.differ, request.path) {
            let country = country.unwrap_or(OTHER);
            return RequestDecision::new()
                .key_part("country", country)
                .set_request_field("x-country", country)
                .because("differs by country");
        }
        RequestDecision::new()
    }
}

tero_policy::export!(Country);
