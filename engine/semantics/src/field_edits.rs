//! Fields that an operator's rules and policies set and remove, and which of them have a meaning that
//! such an edit would break: framing, identity, caching (RFC 9110 §6.4, §7.6; RFC 9111).

use http::{HeaderMap, HeaderName, HeaderValue};

use super::request_fields::{RequestFieldKind, kind_of};

/// Fields that are set and removed. A name occurs once, and only if it is not [`untouchable`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldEdits {
    /// Fields with the one value that they get.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Fields that are removed.
    pub remove: Vec<HeaderName>,
}

impl FieldEdits {
    /// Whether nothing is set or removed.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }

    /// Whether a field is set or removed.
    pub fn names(&self, name: &HeaderName) -> bool {
        self.remove.contains(name) || self.set.iter().any(|(other, _)| other == name)
    }

    /// Changes the fields of a message.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name.clone(), value.clone());
        }
    }
}

/// The message whose fields are edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditedMessage {
    /// A request to the origin.
    Request,
    /// A response to the client.
    Response,
}

/// Why a field can't be edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untouchable {
    /// It says where a message or its content ends, or concerns one connection.
    Framing,
    /// It says who asks for what, and the key says the same.
    Identity,
    /// It selects stored responses, or is part of how they are fetched.
    Selection,
    /// It says how long a response is fresh, for whom, or how old it is.
    Caching,
    /// It tells where a message has been, or belongs to tero.
    Trace,
    /// A stored response would give it to all visitors.
    Cookie,
    /// Another key says it.
    Hsts,
}

impl Untouchable {
    /// The reason, for people.
    pub fn reason(self) -> &'static str {
        match self {
            Untouchable::Framing => "it belongs to the framing of a message",
            Untouchable::Identity => "it says who asks for what, as the key does",
            Untouchable::Selection => "it decides which response is fetched and selected",
            Untouchable::Caching => "it decides about caching",
            Untouchable::Trace => "it says where the message has been",
            Untouchable::Cookie => "all visitors would share one cookie",
            Untouchable::Hsts => "it is sent over https only",
        }
    }

    /// What to write instead.
    pub fn cure(self) -> &'static str {
        match self {
            Untouchable::Identity => {
                "leave it out: `host_header` and `trusted_proxies` decide these"
            }
            Untouchable::Caching => {
                "leave it out: the site's settings and policies decide about caching"
            }
            Untouchable::Hsts => "write `hsts = { max_age = \"1y\" }` for the site",
            Untouchable::Framing
            | Untouchable::Selection
            | Untouchable::Trace
            | Untouchable::Cookie => "leave it out",
        }
    }
}

/// Why a field can't be edited; `None` if it can.
///
/// ```
/// use http::header::{CONTENT_LENGTH, SERVER};
/// use tero_semantics::field_edits::{EditedMessage, Untouchable, untouchable};
///
/// assert_eq!(untouchable(&SERVER, EditedMessage::Response), None);
/// let why = untouchable(&CONTENT_LENGTH, EditedMessage::Response);
/// assert_eq!(why, Some(Untouchable::Framing));
/// ```
pub fn untouchable(name: &HeaderName, of: EditedMessage) -> Option<Untouchable> {
    let name = name.as_str();
    if is_framing(name) {
        return Some(Untouchable::Framing);
    }
    if is_trace(name) {
        return Some(Untouchable::Trace);
    }
    match of {
        EditedMessage::Request => untouchable_in_request(name),
        EditedMessage::Response => untouchable_in_response(name),
    }
}

fn is_framing(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "content-length"
            | "content-range"
            | "expect"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    )
}

fn is_trace(name: &str) -> bool {
    matches!(
        name,
        "via" | "cdn-loop" | "cache-status" | "max-forwards" | "x-request-id"
    ) || name.starts_with("tero-")
}

fn untouchable_in_request(name: &str) -> Option<Untouchable> {
    match name {
        "host" | "authorization" | "cookie" => Some(Untouchable::Identity),
        "accept-encoding" | "range" | "content-encoding" | "content-type" | "cache-control"
        | "pragma" | "age" => Some(Untouchable::Selection),
        _ if name.starts_with("if-") => Some(Untouchable::Selection),
        _ if kind_of(name) != RequestFieldKind::Ordinary => Some(Untouchable::Identity),
        _ => None,
    }
}

fn untouchable_in_response(name: &str) -> Option<Untouchable> {
    match name {
        "age" | "cache-control" | "cdn-cache-control" | "surrogate-control" | "expires"
        | "pragma" | "date" | "vary" | "etag" | "last-modified" | "accept-ranges"
        | "no-vary-search" => Some(Untouchable::Caching),
        "content-encoding" => Some(Untouchable::Framing),
        "set-cookie" => Some(Untouchable::Cookie),
        "strict-transport-security" => Some(Untouchable::Hsts),
        _ if name.ends_with("-cache-control") => Some(Untouchable::Caching),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_mean_something_to_a_cache_are_left_alone() {
        use EditedMessage::{Request, Response};
        for (name, of, expected) in [
            ("x-frame-options", Response, None),
            ("server", Response, None),
            ("location", Response, None),
            ("content-type", Response, None),
            ("transfer-encoding", Response, Some(Untouchable::Framing)),
            ("content-encoding", Response, Some(Untouchable::Framing)),
            ("cache-control", Response, Some(Untouchable::Caching)),
            ("tero-cache-control", Response, Some(Untouchable::Trace)),
            ("akamai-cache-control", Response, Some(Untouchable::Caching)),
            ("etag", Response, Some(Untouchable::Caching)),
            ("set-cookie", Response, Some(Untouchable::Cookie)),
            (
                "strict-transport-security",
                Response,
                Some(Untouchable::Hsts),
            ),
            ("via", Response, Some(Untouchable::Trace)),
            ("x-tenant", Request, None),
            ("accept-language", Request, None),
            ("user-agent", Request, None),
            ("host", Request, Some(Untouchable::Identity)),
            ("authorization", Request, Some(Untouchable::Identity)),
            ("x-forwarded-for", Request, Some(Untouchable::Identity)),
            (
                "x-http-method-override",
                Request,
                Some(Untouchable::Identity),
            ),
            ("if-none-match", Request, Some(Untouchable::Selection)),
            ("range", Request, Some(Untouchable::Selection)),
            ("cdn-loop", Request, Some(Untouchable::Trace)),
            ("connection", Request, Some(Untouchable::Framing)),
        ] {
            let name = HeaderName::from_static(name);
            assert_eq!(untouchable(&name, of), expected, "{name}");
        }
    }
}
