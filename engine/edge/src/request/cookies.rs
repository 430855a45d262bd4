//! What the site says about the cookies of a request.

use http::HeaderMap;
use http::header::COOKIE;

use super::exchange::FieldPresence;
use tero_config as config;
use tero_semantics::cookies::{has_cookie, is_named, retain_cookies};

/// Removes the cookies that don't count on this site, and notes what the others mean. To be called
/// where the request has cookies.
#[cold]
pub(super) fn weigh(site: &config::Site, headers: &mut HeaderMap, fields: &mut FieldPresence) {
    let (passing, ignored) = (&site.pass_cookies, &site.ignore_cookies);
    fields.pass_cookie = !passing.is_empty() && has_cookie(headers, passing);
    if !ignored.is_empty() {
        retain_cookies(headers, |name| {
            is_named(passing, name) || !is_named(ignored, name)
        });
        fields.cookie = headers.contains_key(COOKIE);
    }
}
