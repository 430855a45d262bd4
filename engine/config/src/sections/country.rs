//! `[site.country]`.

use std::sync::Arc;

use crate::forms;

section! {
    /// Where policies learn the country of a client from, and perhaps its region. One of the keys.
    #[derive(Clone, Debug, PartialEq)]
    [site.country]
    pub struct CountrySource {
        /// A request field with a country, `AR`, or a region of it, `AR-C`. It is believed if
        /// `trusted_proxies` has who opened the connection; of all others it is dropped.
        field: Option<http::HeaderName> = rule("none"), Text("a field name") => forms::field;
        /// A data table of networks, whose values are the same.
        table: Option<Arc<str>> = rule("none"), Text("the name of a `[[table]]`")
            => |text| forms::name(text).map(Arc::from);
    }
}
