//! One pass over the fields of a request: what letting it in needs of them, and whether any of them
//! must not go on.

use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, CACHE_CONTROL, CONNECTION,
    CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, IF_UNMODIFIED_SINCE, ORIGIN, PRAGMA, RANGE, REFERER, TRANSFER_ENCODING, UPGRADE,
    UPGRADE_INSECURE_REQUESTS, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::exchange::FieldPresence;
use tero_policy_host::device::DeviceFields;
use tero_semantics::forwarding::{self, CDN_LOOP, LoopEntry};
use tero_semantics::request_fields::{RequestFieldKind, has_underscore, kind_of};

/// What letting a request in needs of its fields.
#[derive(Debug, Default)]
pub(super) struct FieldScan<'a> {
    pub(super) presence: FieldPresence,
    pub(super) device: DeviceFields<'a>,
    pub(super) host: Option<&'a HeaderValue>,
    /// `Host` comes more than once.
    pub(super) has_many_hosts: bool,
    /// The request has been here before.
    pub(super) is_loop: bool,
    /// Bytes of all fields together, as they were written.
    pub(super) bytes: usize,
    pub(super) suspects: SuspectFields,
}

/// Which kinds of fields are present that may have to be dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SuspectFields {
    /// `Connection` names some.
    pub(super) nominated: bool,
    /// Some that only a proxy may set.
    pub(super) of_proxies: bool,
    /// Some that stand for another method.
    pub(super) method_override: bool,
    /// Some that say something of content, on a request that has none.
    pub(super) of_content: bool,
    /// Some with an underscore in their name.
    pub(super) underscores: bool,
}

impl SuspectFields {
    /// Whether there are any.
    #[inline]
    pub(super) fn any(self) -> bool {
        self != SuspectFields::default()
    }
}

impl<'a> FieldScan<'a> {
    /// Looks at the fields of a request as it came.
    pub(super) fn of(headers: &'a HeaderMap, own_entry: &LoopEntry) -> FieldScan<'a> {
        let mut seen = FieldScan::default();
        for (name, value) in headers {
            // Name, colon, space, value, end of line.
            seen.bytes += name.as_str().len() + value.len() + 4;
            seen.note(name, value, own_entry);
        }
        seen.suspects.of_content &= !seen.presence.content;
        seen
    }

    /// Looks at those that are left. Its own loop leaves [`FieldScan::of`] one caller, in which the
    /// compiler places it.
    #[cold]
    pub(super) fn again(headers: &'a HeaderMap, own_entry: &LoopEntry) -> FieldScan<'a> {
        let mut seen = FieldScan::default();
        for (name, value) in headers {
            seen.note(name, value, own_entry);
        }
        seen
    }

    #[inline]
    fn note(&mut self, name: &HeaderName, value: &'a HeaderValue, own_entry: &LoopEntry) {
        let presence = &mut self.presence;
        match *name {
            // What nearly every request has is told apart by a number.
            ACCEPT
            | ACCEPT_ENCODING
            | ACCEPT_LANGUAGE
            | ORIGIN
            | REFERER
            | UPGRADE_INSECURE_REQUESTS => {}
            IF_NONE_MATCH | IF_MODIFIED_SINCE | IF_MATCH | IF_UNMODIFIED_SINCE | IF_RANGE => {
                presence.conditional = true
            }
            RANGE => presence.range = true,
            COOKIE => presence.cookie = true,
            AUTHORIZATION => presence.authorization = true,
            CACHE_CONTROL | PRAGMA => presence.directives = true,
            TRANSFER_ENCODING => presence.content = true,
            EXPECT | UPGRADE => presence.unusual = true,
            CONTENT_LENGTH => presence.content |= value.as_bytes() != b"0",
            HOST => self.has_many_hosts |= self.host.replace(value).is_some(),
            CONNECTION => self.suspects.nominated |= forwarding::names_fields(value),
            FORWARDED => self.suspects.of_proxies = true,
            USER_AGENT => self.device.note_user_agent(value),
            _ => self.note_other(name, value, own_entry),
        }
    }

    /// A field that has to be looked at by its name.
    fn note_other(&mut self, name: &HeaderName, value: &'a HeaderValue, own_entry: &LoopEntry) {
        let text = name.as_str();
        self.suspects.underscores |= has_underscore(text);
        // Browsers send half a dozen of these, and no proxy sets any.
        if text.starts_with("sec-") {
            self.device.note(name, value);
        } else if *name == CDN_LOOP {
            self.is_loop |= own_entry.is_in(value);
        } else {
            match kind_of(text) {
                RequestFieldKind::Ordinary => {}
                RequestFieldKind::OfProxies => self.suspects.of_proxies = true,
                RequestFieldKind::MethodOverride => self.suspects.method_override = true,
                RequestFieldKind::OfContent => self.suspects.of_content = true,
            }
        }
    }
}
