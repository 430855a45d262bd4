//! `[access_log]`.

use std::path::PathBuf;

use crate::mistakes::{Mistake, did_you_mean};

section! {
    /// One line per answer. Without this section there is no access log.
    #[derive(Clone, Debug)]
    [access_log]
    pub struct AccessLog in base_dir {
        /// The file to append to, reopened on SIGHUP; `-` is standard output.
        path: PathBuf = "-", Text("a path, relative to this file, or `-`") => |path| match path {
            "-" => Ok(PathBuf::from("-")),
            path => base_dir.path(path),
        };
        /// Apache's combined format followed by `Cache-Status`, or one JSON object per line.
        format: AccessLogFormat = "combined",
            OneOf("combined" => AccessLogFormat::Combined, "json" => AccessLogFormat::Json);
        /// The keys of a JSON line, see operating.md. The combined format has its own.
        fields: Vec<AccessLogField> = [
            "at", "request_id", "client", "method", "host", "target", "protocol", "status",
            "outcome", "referer", "user_agent", "cache_status", "seconds", "bytes",
            "total_seconds"
        ],
            Texts("the name of a field") => access_log_field,
            distinct(),
            at_least_one("name a field, or leave the key out");
        /// Whether addresses of clients and proxies are logged in full, or shortened to their
        /// network: 24 bits of an IPv4 address, 48 of an IPv6 address, zeros for the rest.
        client_address: ClientAddressForm = "full",
            OneOf("full" => ClientAddressForm::Full, "shortened" => ClientAddressForm::Shortened);
    }
}

/// How a line of the access log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// Apache's combined format, followed by the `Cache-Status` of the answer in quotes.
    #[default]
    Combined,
    /// One JSON object a line.
    Json,
}

/// How much of a client's address the access log tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAddressForm {
    /// All of it.
    #[default]
    Full,
    /// Its network: 24 bits of an IPv4 address, 48 of an IPv6 address.
    Shortened,
}

/// Makes the fields of a JSON line from one line each.
macro_rules! access_log_fields {
    ($($(#[doc = $doc:literal])+ $field:ident = $name:literal,)+) => {
        /// A field of a JSON line of the access log.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum AccessLogField {
            $($(#[doc = $doc])+ $field,)+
        }

        impl AccessLogField {
            /// Every field, in the order of the documentation.
            pub const ALL: &[AccessLogField] = &[$(AccessLogField::$field),+];

            /// Its key in a line, and its name in the configuration.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(AccessLogField::$field => $name,)+
                }
            }
        }
    };
}

access_log_fields! {
    /// When the request was received, RFC 3339.
    At = "at",
    /// The id of the request.
    RequestId = "request_id",
    /// The address of the client.
    Client = "client",
    /// The address that opened the connection: the client's, or that of the nearest proxy.
    Peer = "peer",
    /// The trusted proxies on the way, the nearest last.
    Proxies = "proxies",
    /// The method.
    Method = "method",
    /// The scheme by which the client asked.
    Scheme = "scheme",
    /// The host, without port.
    Host = "host",
    /// The host, with its port if that counts.
    Authority = "authority",
    /// Path and query, as received.
    Target = "target",
    /// The path, as received.
    Path = "path",
    /// The query, as received.
    Query = "query",
    /// The version of HTTP.
    Protocol = "protocol",
    /// The version of TLS.
    TlsVersion = "tls_version",
    /// The cipher suite.
    TlsCipher = "tls_cipher",
    /// The name that the client asked for in its TLS handshake.
    Sni = "sni",
    /// The field `Referer`.
    Referer = "referer",
    /// The field `User-Agent`.
    UserAgent = "user_agent",
    /// The site.
    Site = "site",
    /// The route, if it has a name.
    Route = "route",
    /// The class of the device.
    Device = "device",
    /// The variant that the policies chose.
    Variant = "variant",
    /// The status of the response.
    Status = "status",
    /// How the request was answered.
    Outcome = "outcome",
    /// Why the request went forward.
    Forward = "forward",
    /// Whether another request's fetch brought the answer.
    Collapsed = "collapsed",
    /// Whether the answer was stored.
    Stored = "stored",
    /// Why the answer was not stored.
    NotStored = "not_stored",
    /// The limit that refused it, or would have but for `log_only`.
    Limit = "limit",
    /// What went wrong.
    Failure = "failure",
    /// The age of the stored response, in seconds.
    Age = "age",
    /// The rest of its freshness lifetime, in seconds.
    Ttl = "ttl",
    /// The word that the policies gave for the log.
    LogTag = "log_tag",
    /// What the policies gave as a reason.
    PolicyReason = "policy_reason",
    /// The origin that answered.
    Origin = "origin",
    /// Its status.
    OriginStatus = "origin_status",
    /// Seconds to the head of its response.
    OriginSeconds = "origin_seconds",
    /// The field `Cache-Status` of the response.
    CacheStatus = "cache_status",
    /// The field `Content-Type` of the response.
    ContentType = "content_type",
    /// The field `Content-Encoding` of the response.
    ContentEncoding = "content_encoding",
    /// Seconds to the head of the response.
    Seconds = "seconds",
    /// Bytes of content that were sent.
    Bytes = "bytes",
    /// Seconds to its last byte.
    TotalSeconds = "total_seconds",
}

/// A field by its name.
fn access_log_field(text: &str) -> Result<AccessLogField, Mistake> {
    let names = || AccessLogField::ALL.iter().map(|field| field.as_str());
    let mut all = AccessLogField::ALL.iter();
    all.find(|field| field.as_str() == text)
        .copied()
        .ok_or_else(|| {
            let cure = match did_you_mean(text, names()) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => format!("the fields are {}", names().collect::<Vec<_>>().join(", ")),
            };
            Mistake::new(format!("`{text}` is not a field of the access log"), cure)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_documented_and_the_defaults_are_in_bold() {
        let page = include_str!("../../../../docs/operating.md");
        let table = &page[page.find("A line of JSON has the keys").unwrap()..];
        let first_cells: String = table
            .lines()
            .skip_while(|line| !line.starts_with('|'))
            .take_while(|line| line.starts_with('|'))
            .filter_map(|line| line.split('|').nth(1))
            .collect();
        let default = AccessLog::SECTION.key("fields").fallback;
        let crate::keys::Fallback::Value(default) = default else {
            panic!("the fields have a default")
        };
        let quoted = |name: &str| format!("`{name}`");
        for field in AccessLogField::ALL {
            let name = field.as_str();
            assert!(
                first_cells.contains(&quoted(name)),
                "{name} is not documented"
            );
            assert_eq!(
                first_cells.contains(&format!("**{}**", quoted(name))),
                default.contains(&format!("\"{name}\"")),
                "{name}"
            );
        }
        let documented = first_cells.matches('`').count() / 2;
        assert_eq!(documented, AccessLogField::ALL.len(), "{first_cells}");
    }
}
