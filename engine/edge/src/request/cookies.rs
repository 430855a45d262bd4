//! What the site says about the cookies of a request.

use http::HeaderMap;
use http::header::COOKIE;

use super::exchange::FieldPresence;
use super::site::Site;
use tero_semantics::cookies::{hides_cookie, is_named, may_have_cookie, retain_cookies};

/// Removes the cookies that don't count on this site, and notes what the others mean. To be called
/// where the request has cookies.
#[cold]
pub(super) fn weigh(site: &Site, headers: &mut HeaderMap, fields: &mut FieldPresence) {
    let (passing, ignored) = (&site.settings.pass_cookies, &site.settings.ignore_cookies);
    fields.pass_cookie = !passing.is_empty() && may_have_cookie(headers, passing);
    if !ignored.is_empty() {
        retain_cookies(headers, |name| {
            is_named(passing, name) || !is_named(ignored, name)
        });
        fields.cookie = headers.contains_key(COOKIE);
    }
    // Policies would decide over another request than the application answers.
    let read = &site.policy_cookies;
    fields.pass_cookie |= !read.is_empty() && fields.cookie && hides_cookie(headers, read);
}
