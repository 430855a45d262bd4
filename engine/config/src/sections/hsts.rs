//! `[site.hsts]`.

use std::time::Duration;

section! {
    /// Tells browsers to use https alone for the site (`Strict-Transport-Security`, RFC 6797). Sent
    /// over https only, with every answer; it takes the place of the origin's own.
    #[derive(Clone, Debug, PartialEq)]
    [site.hsts]
    pub struct Hsts {
        /// How long browsers remember it.
        max_age: Duration = "1y", Duration("0s", "10y");
        /// Whether it holds for all names below the host too.
        subdomains: bool = false, Flag;
        /// Whether browsers may ship with the site in their lists. It is hard to undo, and wants
        /// `subdomains` and a `max_age` of a year.
        preload: bool = false, Flag;
    }
}

impl Hsts {
    /// Whether browsers' lists take it.
    pub(crate) fn is_fit_for_lists(&self) -> bool {
        let year = Duration::from_secs(31_536_000);
        !self.preload || (self.subdomains && self.max_age >= year)
    }

    /// The value of the field.
    pub fn value(&self) -> String {
        let mut value = format!("max-age={}", self.max_age.as_secs());
        if self.subdomains {
            value.push_str("; includeSubDomains");
        }
        if self.preload {
            value.push_str("; preload");
        }
        value
    }
}
