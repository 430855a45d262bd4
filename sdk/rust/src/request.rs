//! Requests and responses, as policies see them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use crate::Duration;

/// The device class of the visitor, from client hints or else from the user agent.
///
/// ```
/// use tero_policy::Device;
///
/// assert_eq!("mobile".parse(), Ok(Device::Mobile));
/// assert_eq!(Device::Mobile.to_string(), "mobile");
/// ```
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
    /// A crawler, a monitor or a library: no person looks at the page.
    Bot,
    /// A client that does not say what it is, or the manifest does not name the device class.
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
    ///
    /// ```
    /// # use tero_policy::Device;
    /// assert_eq!(Device::Tv.as_str(), "tv");
    /// ```
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

/// How the device class was found.
///
/// ```
/// use tero_policy::DeviceSource;
///
/// assert_eq!(DeviceSource::default(), DeviceSource::Nothing);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeviceSource {
    /// By client hints.
    ClientHints,
    /// By the user agent.
    UserAgent,
    /// By nothing: the client does not say what it is, or the manifest does not ask.
    #[default]
    Nothing,
}

/// The client of a request, as far as the [manifest](crate::Manifest) names it.
///
/// ```
/// use tero_policy::Client;
///
/// let client = Client::new().with_country("AR").with_bucket(1);
/// assert_eq!((client.country, client.bucket), (Some("AR"), Some(1)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Client<'a> {
    /// Its network, such as `203.0.113.0/24`.
    pub network: Option<&'a str>,
    /// Its country, two capital letters (ISO 3166-1), if the operator has a source for it.
    pub country: Option<&'a str>,
    /// Its region, what follows the hyphen in ISO 3166-2, such as `C` for `AR-C`.
    pub region: Option<&'a str>,
    /// The bucket of the visitor: from 0 to one less than the number of buckets.
    pub bucket: Option<u16>,
}

impl<'a> Client<'a> {
    /// A client of which nothing is known.
    ///
    /// ```
    /// # use tero_policy::Client;
    /// assert_eq!(Client::new().country, None);
    /// ```
    pub fn new() -> Client<'a> {
        Client::default()
    }

    /// Sets the network. For tests.
    ///
    /// ```
    /// # use tero_policy::Client;
    /// let client = Client::new().with_network("203.0.113.0/24");
    /// assert_eq!(client.network, Some("203.0.113.0/24"));
    /// ```
    pub fn with_network(mut self, network: &'a str) -> Client<'a> {
        self.network = Some(network);
        self
    }

    /// Sets the country. For tests.
    ///
    /// ```
    /// # use tero_policy::Client;
    /// assert_eq!(Client::new().with_country("AR").country, Some("AR"));
    /// ```
    pub fn with_country(mut self, country: &'a str) -> Client<'a> {
        self.country = Some(country);
        self
    }

    /// Sets the region. For tests.
    ///
    /// ```
    /// # use tero_policy::Client;
    /// assert_eq!(Client::new().with_region("C").region, Some("C"));
    /// ```
    pub fn with_region(mut self, region: &'a str) -> Client<'a> {
        self.region = Some(region);
        self
    }

    /// Sets the bucket. For tests.
    ///
    /// ```
    /// # use tero_policy::Client;
    /// assert_eq!(Client::new().with_bucket(7).bucket, Some(7));
    /// ```
    pub fn with_bucket(mut self, bucket: u16) -> Client<'a> {
        self.bucket = Some(bucket);
        self
    }
}

/// A request. Only the inputs that the [manifest](crate::Manifest) names are filled in, and always
/// `method`, `scheme`, `host` and `path`.
///
/// ```
/// use tero_policy::{Device, Request};
///
/// let request = Request::get("/barberias?zona=palermo").with_device(Device::Mobile);
/// assert_eq!(request.path, "/barberias");
/// assert_eq!(request.query_parameter("zona"), Some("palermo"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request<'a> {
    /// `GET`, `POST`, …
    pub method: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// The host in lower case, without port.
    pub host: &'a str,
    /// The path as it came, percent-encoded, without the query.
    pub path: &'a str,
    /// The query without the question mark.
    pub query: Option<&'a str>,
    /// The fields, with names in lower case. A repeated field comes once per line.
    pub headers: Vec<(&'a str, &'a str)>,
    /// The cookies, by name and value.
    pub cookies: Vec<(&'a str, &'a str)>,
    /// The device class of the visitor.
    pub device: Device,
    /// How the device class was found.
    pub device_source: DeviceSource,
    /// The client, as far as the manifest names it.
    pub client: Client<'a>,
    /// The name of the route of the configuration that matched, if it has one.
    pub route: Option<&'a str>,
    /// In `on_response`, the variant that the site's policies chose together.
    pub variant: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// `GET` of a path with its query on `https://localhost`. For tests.
    ///
    /// ```
    /// # use tero_policy::Request;
    /// let request = Request::get("/a?b=1");
    /// assert_eq!((request.path, request.query), ("/a", Some("b=1")));
    /// ```
    pub fn get(url: &'a str) -> Request<'a> {
        let (path, query) = match url.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (url, None),
        };
        Request {
            method: "GET",
            scheme: "https",
            host: "localhost",
            path,
            query,
            ..Request::default()
        }
    }

    /// Sets the method. For tests.
    ///
    /// ```
    /// # use tero_policy::Request;
    /// assert_eq!(Request::get("/").with_method("HEAD").method, "HEAD");
    /// ```
    pub fn with_method(mut self, method: &'a str) -> Request<'a> {
        self.method = method;
        self
    }

    /// Sets the host. For tests.
    ///
    /// ```
    /// # use tero_policy::Request;
    /// assert_eq!(Request::get("/").with_host("shop.example").host, "shop.example");
    /// ```
    pub fn with_host(mut self, host: &'a str) -> Request<'a> {
        self.host = host;
        self
    }

    /// Adds a header field. The edge gives names in lower case. For tests.
    ///
    /// ```
    /// # use tero_policy::Request;
    /// let request = Request::get("/").with_header("accept-language", "es");
    /// assert_eq!(request.headers, [("accept-language", "es")]);
    /// ```
    pub fn with_header(mut self, name: &'a str, value: &'a str) -> Request<'a> {
        self.headers.push((name, value));
        self
    }

    /// Adds a cookie. For tests.
    ///
    /// ```
    /// # use tero_policy::Request;
    /// let request = Request::get("/").with_cookie("plan", "gold");
    /// assert_eq!(request.cookie("plan"), Some("gold"));
    /// ```
    pub fn with_cookie(mut self, name: &'a str, value: &'a str) -> Request<'a> {
        self.cookies.push((name, value));
        self
    }

    /// Sets the device class. For tests.
    ///
    /// ```
    /// # use tero_policy::{Device, Request};
    /// assert_eq!(Request::get("/").with_device(Device::Tv).device, Device::Tv);
    /// ```
    pub fn with_device(mut self, device: Device) -> Request<'a> {
        self.device = device;
        self
    }

    /// Sets how the device class was found. For tests.
    ///
    /// ```
    /// # use tero_policy::{DeviceSource, Request};
    /// let request = Request::get("/").with_device_source(DeviceSource::ClientHints);
    /// assert_eq!(request.device_source, DeviceSource::ClientHints);
    /// ```
    pub fn with_device_source(mut self, source: DeviceSource) -> Request<'a> {
        self.device_source = source;
        self
    }

    /// Sets the client. For tests.
    ///
    /// ```
    /// # use tero_policy::{Client, Request};
    /// let request = Request::get("/").with_client(Client::new().with_country("AR"));
    /// assert_eq!(request.client.country, Some("AR"));
    /// ```
    pub fn with_client(mut self, client: Client<'a>) -> Request<'a> {
        self.client = client;
        self
    }

    /// Sets the route that matched. For tests.
    ///
    /// ```
    /// # use tero_policy::Request;
    /// assert_eq!(Request::get("/").with_route("search").route, Some("search"));
    /// ```
    pub fn with_route(mut self, name: &'a str) -> Request<'a> {
        self.route = Some(name);
        self
    }

    /// Sets the variant that was chosen. For tests of `on_response`.
    ///
    /// ```
    /// # use tero_policy::Request;
    /// assert_eq!(Request::get("/").with_variant("mobile").variant, Some("mobile"));
    /// ```
    pub fn with_variant(mut self, name: &'a str) -> Request<'a> {
        self.variant = Some(name);
        self
    }

    /// The first line of a header field, by name in any case.
    ///
    /// ```
    /// # use tero_policy::Request;
    /// let request = Request::get("/").with_header("accept-language", "es");
    /// assert_eq!(request.header("Accept-Language"), Some("es"));
    /// ```
    pub fn header(&self, name: &str) -> Option<&'a str> {
        first(&self.headers, |other| other.eq_ignore_ascii_case(name))
    }

    /// The value of a cookie; its name is case-sensitive.
    ///
    /// ```
    /// # use tero_policy::Request;
    /// let request = Request::get("/").with_cookie("plan", "gold");
    /// assert_eq!((request.cookie("plan"), request.cookie("Plan")), (Some("gold"), None));
    /// ```
    pub fn cookie(&self, name: &str) -> Option<&'a str> {
        first(&self.cookies, |other| other == name)
    }

    /// The value of a query parameter as it came, percent-encoded; empty if the parameter has no
    /// `=`.
    ///
    /// ```
    /// # use tero_policy::Request;
    /// assert_eq!(Request::get("/?zona=palermo").query_parameter("zona"), Some("palermo"));
    /// ```
    pub fn query_parameter(&self, name: &str) -> Option<&'a str> {
        self.query?
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    }
}

/// The head of a response from the next hop.
///
/// ```
/// use tero_policy::{Duration, Response};
///
/// let response = Response::ok().with_header_ttl(Duration::from_mins(1));
/// assert_eq!(response.header_ttl, Some(Duration::from_secs(60)));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response<'a> {
    /// 200, 404, …
    pub status: u16,
    /// The fields that the manifest names, with names in lower case.
    pub headers: Vec<(&'a str, &'a str)>,
    /// The length from `Content-Length`, in bytes.
    pub length: Option<u64>,
    /// The freshness lifetime that the response's own fields give a shared cache (RFC 9111 §4.2.1);
    /// `None` if they give none.
    pub header_ttl: Option<Duration>,
    /// The freshness lifetime that its own fields give a browser (`max-age`, `Expires`); `None` if
    /// they give none.
    pub header_browser_ttl: Option<Duration>,
    /// A hash of the key under which the response will be stored: scheme, host, path, the query
    /// parameters that count, and the variant. It is the same at every edge.
    pub key_hash: u64,
}

impl<'a> Response<'a> {
    /// A response with this status. For tests.
    ///
    /// ```
    /// # use tero_policy::Response;
    /// assert_eq!(Response::new(404).status, 404);
    /// ```
    pub fn new(status: u16) -> Response<'a> {
        Response {
            status,
            ..Response::default()
        }
    }

    /// A `200` without fields. For tests.
    ///
    /// ```
    /// # use tero_policy::Response;
    /// assert_eq!(Response::ok().status, 200);
    /// ```
    pub fn ok() -> Response<'a> {
        Response::new(200)
    }

    /// Adds a header field. The edge gives names in lower case. For tests.
    ///
    /// ```
    /// # use tero_policy::Response;
    /// let response = Response::ok().with_header("content-language", "es");
    /// assert_eq!(response.headers, [("content-language", "es")]);
    /// ```
    pub fn with_header(mut self, name: &'a str, value: &'a str) -> Response<'a> {
        self.headers.push((name, value));
        self
    }

    /// Sets the lifetime that its own fields give a shared cache. For tests.
    ///
    /// ```
    /// # use tero_policy::{Duration, Response};
    /// let response = Response::ok().with_header_ttl(Duration::from_mins(1));
    /// assert_eq!(response.header_ttl, Some(Duration::from_mins(1)));
    /// ```
    pub fn with_header_ttl(mut self, ttl: Duration) -> Response<'a> {
        self.header_ttl = Some(ttl);
        self
    }

    /// Sets the lifetime that its own fields give a browser. For tests.
    ///
    /// ```
    /// # use tero_policy::{Duration, Response};
    /// let response = Response::ok().with_header_browser_ttl(Duration::from_mins(1));
    /// assert_eq!(response.header_browser_ttl, Some(Duration::from_mins(1)));
    /// ```
    pub fn with_header_browser_ttl(mut self, ttl: Duration) -> Response<'a> {
        self.header_browser_ttl = Some(ttl);
        self
    }

    /// Sets the key under which it will be stored. For tests.
    ///
    /// ```
    /// # use tero_policy::Response;
    /// let key_hash = |key: &str| Response::ok().with_key(key).key_hash;
    /// assert_ne!(key_hash("https://localhost/a"), key_hash("https://localhost/b"));
    /// ```
    pub fn with_key(mut self, key: &str) -> Response<'a> {
        self.key_hash = crate::spread::hash(key);
        self
    }

    /// Shortens `ttl` by 0 to `percent` percent (at most 100). The result is the same for the same
    /// page, query and variant at every edge; see [`spread`](crate::spread()).
    ///
    /// ```
    /// use tero_policy::{Duration, Response};
    /// let response = Response::ok().with_key("https://localhost/barberias?zona=palermo");
    /// let ttl = response.spread(Duration::from_mins(10), 10);
    /// assert!(Duration::from_mins(9) <= ttl && ttl <= Duration::from_mins(10));
    /// ```
    pub fn spread(&self, ttl: Duration, percent: u8) -> Duration {
        crate::spread::shorten(ttl, percent, self.key_hash)
    }

    /// Sets the length in bytes. For tests.
    ///
    /// ```
    /// # use tero_policy::Response;
    /// assert_eq!(Response::ok().with_length(1_024).length, Some(1_024));
    /// ```
    pub fn with_length(mut self, bytes: u64) -> Response<'a> {
        self.length = Some(bytes);
        self
    }

    /// The first line of a header field, by name in any case.
    ///
    /// ```
    /// # use tero_policy::Response;
    /// let response = Response::ok().with_header("content-language", "es");
    /// assert_eq!(response.header("Content-Language"), Some("es"));
    /// ```
    pub fn header(&self, name: &str) -> Option<&'a str> {
        first(&self.headers, |other| other.eq_ignore_ascii_case(name))
    }

    /// Whether a lifetime by path makes sense for this status: a complete response (`200`, `203`,
    /// `204`), a revalidated one (`304`), or a permanent redirect (`301`, `308`). An error with the
    /// lifetime of a page would outlive its cause.
    ///
    /// ```
    /// # use tero_policy::Response;
    /// assert!(Response::ok().is_lasting());
    /// assert!(!Response::new(503).is_lasting());
    /// ```
    pub fn is_lasting(&self) -> bool {
        matches!(self.status, 200 | 203 | 204 | 301 | 304 | 308)
    }
}

fn first<'a>(pairs: &[(&'a str, &'a str)], is: impl Fn(&str) -> bool) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(name, _)| is(name))
        .map(|(_, value)| *value)
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
            (request.path, request.query),
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
