//! Pages that have moved or are gone, by a data table. Its keys are paths; a value is the new place, or `gone`. A key that ends in
//! `/` stands for everything below it, and what follows is kept.

use tero_policy::{Answer, Manifest, Moment, Policy, Request, RequestDecision, table};

/// The settings: `{ status = 301 }`
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Redirects {
    /// The status of redirects.
    status: u16,
}

impl Policy for Redirects {
    type Settings = Redirects;

    fn configure(settings: Redirects) -> Result<Redirects, String> {
        match settings.status {
            301 | 302 | 307 | 308 => Ok(settings),
            other => Err(format!("`status` is {other}: write 301, 302, 307 or 308")),
        }
    }

    fn manifest(&self) -> Manifest {
        Manifest::new().on_request().table("redirects").answers()
    }

    fn on_request(&self, request: &Request<'_>, _: &Moment<'_>) -> RequestDecision {
        match new_place(request.path) {
            None => RequestDecision::new(),
            Some(place) if place == "gone" => RequestDecision::new()
                .answer(
                    Answer::new(410)
                        .field("content-type", "text/plain")
                        .body("gone\n"),
                )
                .because("gone"),
            Some(place) => RequestDecision::new()
                .answer(Answer::redirect(self.status, place))
                .because("moved"),
        }
    }
}

/// The longest value that a field may have, in bytes. A longer place is left to the origin.
const MAX_PLACE_BYTES: usize = 4_096;

/// Where the table says that a page is now.
fn new_place(path: &str) -> Option<String> {
    let redirects = table("redirects");
    if let Some(place) = redirects.get(path) {
        return Some(place);
    }
    let row = redirects.longest_prefix(path)?;
    if !row.key.ends_with('/') {
        return None;
    }
    if row.value == "gone" {
        return Some(row.value);
    }
    let rest = path.strip_prefix(&*row.key)?;
    Some(row.value + rest).filter(|place| place.len() <= MAX_PLACE_BYTES)
}

tero_policy::export!(Redirects);
