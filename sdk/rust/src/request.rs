//! What a policy is asked about.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use crate::Duration;

/// The class of the visitor's device: from client hints where they are sent, else from the user
/// agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Device {
    /// A computer with a large screen and a pointer.
    Desktop,
    /// A phone.
    Mobile,
    /// A tablet.
    Tablet,
    /// A television, a set-top box or a games console.
    Tv,
    /// A crawler, a monitor, a library: nobody looks at the page.
    Bot,
    /// Nothing that says what it is, or the manifest did not ask.
    #[default]
    Unknown,
}

impl Device {
    /// Every class.
    pub const ALL: [Device; 6] = [
        Device::Desktop,
        Device::Mobile,
        Device::Tablet,
        Device::Tv,
        Device::Bot,
        Device::Unknown,
    ];

    /// The name in settings and plans.
    pub const fn as_str(self) -> &'static str {
        match self {
            Device::Desktop => "desktop",
            Device::Mobile => "mobile",
            Device::Tablet => "tablet",
            Device::Tv => "tv",
            Device::Bot => "bot",
            Device::Unknown => "unknown",
        }
    }
}

impl FromStr for Device {
    type Err = String;

    fn from_str(name: &str) -> Result<Device, String> {
        Device::ALL
            .into_iter()
            .find(|device| device.as_str() == name)
            .ok_or_else(|| format!("{name:?} is not a device class: write desktop, mobile, tablet, tv, bot or unknown"))
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Device {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Device, D::Error> {
        crate::names::from_text(
            deserializer,
            "a device class: desktop, mobile, tablet, tv, bot or unknown",
        )
    }
}

/// A request. Only what the [manifest](crate::Manifest) asked for is filled in; `method`, `scheme`,
/// `host` and `path` always are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Lower case, without port.
    pub host: String,
    /// As it came, percent-encoded, from the first slash to before the question mark.
    pub path: String,
    /// Without the question mark.
    pub query: Option<String>,
    /// Names in lower case. A field of several lines comes once per line.
    pub headers: Vec<(String, String)>,
    /// Names and values.
    pub cookies: Vec<(String, String)>,
    /// The class of the visitor's device.
    pub device: Device,
    /// In `on_response`: the variant that the site's policies decided together.
    pub variant: Option<String>,
}

impl Request {
    /// `GET` of a URL's path and query on `https://localhost`. For tests.
    pub fn get(url: &str) -> Request {
        let (path, query) = match url.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (url, None),
        };
        Request {
            method: "GET".to_owned(),
            scheme: "https".to_owned(),
            host: "localhost".to_owned(),
            path: path.to_owned(),
            query,
            ..Request::default()
        }
    }

    /// With another method. For tests.
    pub fn with_method(mut self, method: &str) -> Request {
        self.method = method.to_owned();
        self
    }

    /// To another host. For tests.
    pub fn with_host(mut self, host: &str) -> Request {
        self.host = host.to_owned();
        self
    }

    /// With one more header field. For tests.
    pub fn with_header(mut self, name: &str, value: &str) -> Request {
        self.headers
            .push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// With one more cookie. For tests.
    pub fn with_cookie(mut self, name: &str, value: &str) -> Request {
        self.cookies.push((name.to_owned(), value.to_owned()));
        self
    }

    /// From that class of device. For tests.
    pub fn with_device(mut self, device: Device) -> Request {
        self.device = device;
        self
    }

    /// With the variant that was decided. For tests of `on_response`.
    pub fn with_variant(mut self, name: &str) -> Request {
        self.variant = Some(name.to_owned());
        self
    }

    /// The first line of a header field, by name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, |other| other.eq_ignore_ascii_case(name))
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        first(&self.cookies, |other| other == name)
    }

    /// The value of a query parameter as it came, percent-encoded; empty where it has no `=`.
    pub fn query_parameter(&self, name: &str) -> Option<&str> {
        self.query
            .as_deref()?
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    }
}

/// The head of a response from the next hop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// 200, 404, …
    pub status: u16,
    /// The fields that the manifest asked for, names in lower case.
    pub headers: Vec<(String, String)>,
    /// From `Content-Length`, in bytes.
    pub length: Option<u64>,
    /// The freshness lifetime that the response's own fields give a shared cache (RFC 9111 §4.2.1);
    /// none where they give none.
    pub header_ttl: Option<Duration>,
    /// How long its own fields let a browser keep it (`max-age`, `Expires`); none where they do not
    /// say.
    pub header_browser_ttl: Option<Duration>,
    /// A hash of the key under which it will be stored (scheme, host, path, the query that counts,
    /// the variant): the same at every edge.
    pub key_hash: u64,
}

impl Response {
    /// A response with that status. For tests.
    pub fn new(status: u16) -> Response {
        Response {
            status,
            ..Response::default()
        }
    }

    /// A `200` without anything else. For tests.
    pub fn ok() -> Response {
        Response::new(200)
    }

    /// With one more header field. For tests.
    pub fn with_header(mut self, name: &str, value: &str) -> Response {
        self.headers
            .push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// With a lifetime from its own fields. For tests.
    pub fn with_header_ttl(mut self, ttl: Duration) -> Response {
        self.header_ttl = Some(ttl);
        self
    }

    /// With a lifetime for browsers from its own fields. For tests.
    pub fn with_header_browser_ttl(mut self, ttl: Duration) -> Response {
        self.header_browser_ttl = Some(ttl);
        self
    }

    /// To be stored under that key. For tests.
    pub fn with_key(mut self, key: &str) -> Response {
        self.key_hash = crate::spread::hash(key);
        self
    }

    /// Shortens `ttl` by 0 to `percent` percent (at most 100), the same for the same page, query
    /// and variant at every edge; see [`spread`](crate::spread()).
    ///
    /// ```
    /// use tero_policy::{Duration, Response};
    /// let ttl = Response::ok().with_key("https://localhost/barberias?zona=palermo").spread(Duration::from_mins(10), 10);
    /// assert!(Duration::from_mins(9) <= ttl && ttl <= Duration::from_mins(10));
    /// ```
    pub fn spread(&self, ttl: Duration, percent: u8) -> Duration {
        crate::spread::shorten(ttl, percent, self.key_hash)
    }

    /// With a length in bytes. For tests.
    pub fn with_length(mut self, bytes: u64) -> Response {
        self.length = Some(bytes);
        self
    }

    /// The first line of a header field, by name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, |other| other.eq_ignore_ascii_case(name))
    }

    /// Whether a lifetime by path makes sense for it: a complete answer (`200`, `203`, `204`), one
    /// that was revalidated (`304`), or a permanent redirect (`301`, `308`). An error that were
    /// kept for as long as a page would outlive its cause.
    pub fn is_lasting(&self) -> bool {
        matches!(self.status, 200 | 203 | 204 | 301 | 304 | 308)
    }
}

fn first(pairs: &[(String, String)], is: impl Fn(&str) -> bool) -> Option<&str> {
    pairs
        .iter()
        .find(|(name, _)| is(name))
        .map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_cookies_and_parameters_are_found_by_name() {
        let request = Request::get("/a?zona=palermo&x&zona=2")
            .with_header("Accept-Language", "es")
            .with_cookie("plan", "gold");
        assert_eq!(
            (request.path.as_str(), request.query.as_deref()),
            ("/a", Some("zona=palermo&x&zona=2"))
        );
        assert_eq!(request.header("accept-LANGUAGE"), Some("es"));
        assert_eq!(request.cookie("plan"), Some("gold"));
        assert_eq!(request.cookie("PLAN"), None);
        assert_eq!(request.query_parameter("zona"), Some("palermo"));
        assert_eq!(request.query_parameter("x"), Some(""));
        assert_eq!(request.query_parameter("y"), None);
    }

    #[test]
    fn device_classes_are_read_by_name() {
        for device in Device::ALL {
            assert_eq!(device.as_str().parse(), Ok(device));
        }
        assert!(
            "phone"
                .parse::<Device>()
                .unwrap_err()
                .contains("write desktop, mobile")
        );
    }

    #[test]
    fn errors_are_not_lasting() {
        assert!(Response::ok().is_lasting());
        for status in [206, 302, 404, 410, 500, 503] {
            assert!(!Response::new(status).is_lasting(), "{status}");
        }
    }
}
