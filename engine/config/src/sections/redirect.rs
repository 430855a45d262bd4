//! `[site.route.redirect]`.

use crate::forms;
use crate::reader::TableReader;
use tero_semantics::redirect::RedirectTemplate;

section! {
    /// Sends clients to another URL, for every method of the route.
    #[derive(Clone, Debug, PartialEq)]
    [site.route.redirect]
    pub struct Redirect {
        /// Where to: an absolute URL or a path of this site. `{path}` stands for the path of the
        /// request without its first slash, `{rest}` for what the star at the end of the pattern in
        /// `match` stands for.
        to: RedirectTemplate = required, Text("a URL or a path, such as `https://new.example/{path}`")
            => forms::redirect_template;
        /// The status. 301 and 302 let browsers make a GET of a POST; 307 and 308 don't.
        status: http::StatusCode = 308, Count(301, 308) by redirect_status;
        /// Whether the query of the request goes along.
        query: RedirectQuery = "keep",
            OneOf("keep" => RedirectQuery::Keep, "drop" => RedirectQuery::Drop);
    }
}

/// What becomes of the query of a request that is redirected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectQuery {
    /// It is added to the new URL.
    Keep,
    /// It is left out.
    Drop,
}

/// A status that sends clients elsewhere.
fn redirect_status(reader: &TableReader<'_>, key: &str) -> Option<http::StatusCode> {
    reader.count_as(key, forms::redirect_status)
}
