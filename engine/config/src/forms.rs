//! The forms of names, hosts, origins, zones, tokens and paths. Each function turns a text into its
//! value, or fails with the mistake and its cure.

mod zone_names;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;
use http::{HeaderValue, StatusCode};
use ipnet::IpNet;

use super::mistakes::Mistake;
use super::raw::{RawEntry, RawKind, RawValue};
use super::reader::TableReader;
use super::units::{self, Share};
use tero_semantics::authority::Scheme;
use tero_semantics::cache_control::ResponseDirectives;
use tero_semantics::content_coding::ContentCoding;
use tero_semantics::cookies::CookiePattern;
use tero_semantics::decision::{QueryParameters, QueryRule};
use tero_semantics::default_ttl::{DefaultTtlKey, DefaultTtls, MAX_DEFAULT_TTLS};
use tero_semantics::media_type::MediaTypePattern;
use tero_semantics::path::PathPattern;
use tero_semantics::redirect::RedirectTemplate;
use tero_semantics::request_fields::{FieldPattern, RequestFieldKind, kind_of};
use tero_time::cron::Schedule;

pub use self::zone_names::place_instead_of;

/// The names of query parameters that a rule may have.
const MAX_QUERY_NAMES: usize = 256;
/// The shortest default lifetime of a response.
const MIN_DEFAULT_TTL: Duration = Duration::from_secs(1);
/// The longest one: a year.
const MAX_DEFAULT_TTL: Duration = Duration::from_secs(365 * 24 * 60 * 60);

type FormResult<T> = Result<T, Mistake>;

/// The address of a next hop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OriginAddress {
    /// Whether TLS is spoken.
    pub scheme: Scheme,
    /// Where it listens.
    pub endpoint: OriginEndpoint,
}

/// Where a next hop listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OriginEndpoint {
    /// On a port.
    Tcp {
        /// Host name or address in lower case; an IPv6 address without brackets.
        host: String,
        /// Port; that of the scheme unless written.
        port: u16,
    },
    /// On a Unix socket.
    Unix(PathBuf),
}

impl OriginAddress {
    /// The address that `text` writes.
    ///
    /// # Errors
    /// What is wrong with it, and the cure.
    pub fn parse(text: &str) -> FormResult<OriginAddress> {
        origin(text)
    }
}

impl Default for OriginEndpoint {
    fn default() -> Self {
        OriginEndpoint::Tcp {
            host: String::new(),
            port: 0,
        }
    }
}

/// Host and port without the port of the scheme, as in a URL; or the path of the socket.
impl fmt::Display for OriginAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            OriginEndpoint::Tcp { host, port } => {
                if host.contains(':') {
                    write!(f, "[{host}]")?;
                } else {
                    f.write_str(host)?;
                }
                if *port == self.scheme.default_port() {
                    return Ok(());
                }
                write!(f, ":{port}")
            }
            OriginEndpoint::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A name: 1 to 64 of `a-z`, `0-9`, `-`, `_`.
pub fn name(text: &str) -> FormResult<String> {
    let good = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
    };
    if (1..=64).contains(&text.len()) && text.bytes().all(good) {
        return Ok(text.to_owned());
    }
    Err(Mistake::new(
        format!("`{text}` is not a name"),
        "write 1 to 64 of a-z, 0-9, - and _",
    ))
}

/// A share, `10%`: above 0, at most 100%.
pub fn share(text: &str) -> FormResult<Share> {
    Share::parse(text).ok_or_else(|| {
        Mistake::new(
            format!("`{text}` is not a share"),
            "write a percentage above 0, \"10%\" or \"0.5%\"",
        )
    })
}

/// A token (RFC 9110 §5.6.2) of 1 to 64 bytes.
pub fn token(text: &str) -> FormResult<String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if (1..=64).contains(&text.len()) && text.bytes().all(good) {
        return Ok(text.to_owned());
    }
    Err(Mistake::new(
        format!("`{text}` is not a token"),
        "write 1 to 64 letters, digits, - . or _, without spaces",
    ))
}

/// A cure that proposes a value, in quotes, if the key takes it; otherwise another one. What an
/// operator writes as told must not be refused next.
fn cure<T>(
    proposal: &str,
    form: fn(&str) -> FormResult<T>,
    words: impl FnOnce(&str) -> String,
    otherwise: &str,
) -> String {
    if proposal.is_empty() {
        return otherwise.to_owned();
    }
    match form(proposal) {
        Ok(_) => words(&format!("\"{proposal}\"")),
        Err(_) => otherwise.to_owned(),
    }
}

/// A protocol that `Upgrade` may name (RFC 9110 §7.8), in lower case.
pub fn protocol(text: &str) -> FormResult<String> {
    let name = text.to_ascii_lowercase();
    if name == "h2c" {
        let problem = "`h2c` would hide its requests in a tunnel";
        return Err(Mistake::new(
            problem,
            "name another protocol, such as \"websocket\"",
        ));
    }
    let (protocol, version) = name.split_once('/').unwrap_or((&name, "1"));
    token(protocol).and(token(version)).map_err(|_| {
        Mistake::new(
            format!("`{text}` is not a protocol name"),
            "write one such as \"websocket\"",
        )
    })?;
    Ok(name)
}

/// An address and a port.
pub fn address(text: &str) -> FormResult<SocketAddr> {
    text.parse().map_err(|_| {
        let (proposal, words) = match text.rsplit_once(':') {
            Some(("localhost", port)) => (format!("127.0.0.1:{port}"), "write"),
            Some(("" | "*", port)) => (format!("0.0.0.0:{port}"), "write"),
            _ => match text.parse::<IpAddr>() {
                Ok(ip) => (SocketAddr::new(ip, 8080).to_string(), "write the port too,"),
                Err(_) => (String::new(), ""),
            },
        };
        let otherwise = "write an address and a port, \"127.0.0.1:8080\" or \"[::]:8080\"";
        let cure = cure(
            &proposal,
            address,
            |good| format!("{words} {good}"),
            otherwise,
        );
        Mistake::new(format!("`{text}` is not an address with a port"), cure)
    })
}

/// A bearer token: 16 to 4096 visible ASCII characters. Mistakes never repeat it.
pub fn secret(text: &str) -> FormResult<String> {
    if !(16..=4096).contains(&text.len()) {
        let cure = "write 16 to 4096 characters, for example from `openssl rand -hex 32`";
        return Err(Mistake::new(
            format!("the token has {} bytes", text.len()),
            cure,
        ));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Mistake::new(
            "the token has spaces or characters that a header field can't carry",
            "write visible ASCII only",
        ));
    }
    Ok(text.to_owned())
}

/// A site's host: a name or an address, with a port if that one counts; `*.NAME` for the names below
/// one; or `*`. The value is in
/// lower case.
pub fn host(text: &str) -> FormResult<String> {
    if text == "*" {
        return Ok(text.to_owned());
    }
    if let Some(name) = text.strip_prefix("*.") {
        return wildcard_host(text, name);
    }
    if text.contains("//") {
        return Err(Mistake::new(
            format!("`{text}` is a URL"),
            "write the host alone, \"www.example.org\"",
        ));
    }
    let Some((host, port)) = host_and_port(text) else {
        return Err(Mistake::new(
            format!("`{text}` is not a host"),
            "write a name or an address, \"www.example.org\", \"www.example.org:8443\" or \"[::1]\"",
        ));
    };
    let host = host.to_ascii_lowercase();
    match port {
        None => Ok(host),
        Some(port) if Scheme::ALL.map(Scheme::default_port).contains(&port) => {
            let cure = cure(
                &host,
                self::host,
                |host| format!("write it without, {host}: a scheme's own port is never part of it"),
                "write it without the port",
            );
            Err(Mistake::new(format!("`{text}` has the port {port}"), cure))
        }
        Some(port) => Ok(format!("{host}:{port}")),
    }
}

/// `*.NAME`: every host below a name.
fn wildcard_host(text: &str, name: &str) -> FormResult<String> {
    match host_and_port(name) {
        Some((name, None)) if !name.starts_with('[') => {
            Ok(format!("*.{}", name.to_ascii_lowercase()))
        }
        Some((name, Some(_))) if !name.starts_with('[') => Err(Mistake::new(
            format!("`{text}` has a port"),
            format!("write \"*.{name}\", for each port that [server] listens on"),
        )),
        _ => Err(Mistake::new(
            format!("`{text}` is not a name with a star for what is below it"),
            "write a star and a name, \"*.example.org\"; or \"*\" for all that no other site names",
        )),
    }
}

/// The name of a host that a certificate can be ordered for: without its port. `None` for addresses,
/// wildcards, and names that only mean something nearby, such as `localhost`.
pub fn certifiable_name(host: &str) -> Option<&str> {
    let (name, _) = host_and_port(host)?;
    let is_letter_digit_hyphen = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    let is_public = name.contains('.')
        && name.parse::<IpAddr>().is_err()
        && name.bytes().all(is_letter_digit_hyphen);
    is_public.then_some(name)
}

/// The URL of an ACME directory.
pub fn directory(text: &str) -> FormResult<String> {
    let cure = "write it as \"https://acme.example/directory\"";
    let mistake = || Mistake::new(format!("`{text}` is not the URL of a directory"), cure);
    let uri: http::Uri = text.parse().map_err(|_| mistake())?;
    let authority = uri.authority().ok_or_else(mistake)?;
    let is_good = uri.scheme_str() == Some("https")
        && !authority.as_str().contains('@')
        && !authority.host().is_empty();
    is_good.then(|| text.to_owned()).ok_or_else(mistake)
}

/// A contact of an ACME account (RFC 8555 §7.3): an address of e-mail.
pub fn contact(text: &str) -> FormResult<String> {
    let address = text.strip_prefix("mailto:").unwrap_or(text);
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\",:;<>?\\".contains(&byte);
    let is_address = address.bytes().all(is_plain)
        && address.len() <= 254
        && address
            .split_once('@')
            .is_some_and(|(name, host)| !name.is_empty() && is_host(host));
    if is_address && text.len() > address.len() {
        return Ok(text.to_owned());
    }
    let otherwise = "write it as \"mailto:ops@example.com\"";
    let proposal = format!("mailto:{address}");
    let cure = match is_address {
        true => cure(
            &proposal,
            contact,
            |good| format!("write {good}"),
            otherwise,
        ),
        false => otherwise.to_owned(),
    };
    Err(Mistake::new(format!("`{text}` is not a contact"), cure))
}

/// A network, or an address alone.
pub fn network(text: &str) -> FormResult<IpNet> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address));
    }
    let network: IpNet = text.parse().map_err(|_| {
        Mistake::new(
            format!("`{text}` is not a network"),
            "write an address and the bits of its network, \"10.0.0.0/8\" or \"2001:db8::/32\"",
        )
    })?;
    let whole = network.trunc();
    if whole != network {
        return Err(Mistake::new(
            format!("`{text}` is an address within a network"),
            format!(
                "write the network, \"{whole}\", or the address alone, \"{}\"",
                network.addr()
            ),
        ));
    }
    Ok(network)
}

/// A name of a field that may be forwarded, or how such names begin: `x-app-*`.
pub fn forwarded_field(text: &str) -> FormResult<FieldPattern> {
    let pattern = FieldPattern::parse(text).ok_or_else(|| {
        Mistake::new(
            format!("`{text}` is not a field name"),
            "write a field name, \"cookie\", or how names begin, \"x-app-*\"",
        )
    })?;
    let name = text.trim_end_matches('*').to_ascii_lowercase();
    if kind_of(&name) == RequestFieldKind::OfProxies {
        return Err(Mistake::new(
            format!("`{text}` is never forwarded"),
            "leave it out: only a proxy may set it, and no key tells its values apart",
        ));
    }
    Ok(pattern)
}

/// Who may open a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerNetwork {
    /// A client with an address of this network.
    Ip(IpNet),
    /// Any process that may connect to a Unix socket of ours.
    Unix,
}

/// A network, an address alone, or `unix`.
pub fn peer_network(text: &str) -> FormResult<PeerNetwork> {
    match text {
        "unix" => Ok(PeerNetwork::Unix),
        _ => network(text).map(PeerNetwork::Ip),
    }
}

/// What an origin looks like.
const ORIGIN: &str = "write \"http://HOST:PORT\" or \"https://HOST:PORT\" with a host name or an address, and a port of 1 to 65535";
/// A path as long as this does not fit into the address of a socket.
const MAX_SOCKET_PATH: usize = 108;

/// A next hop: `http://HOST[:PORT]`, `https://HOST[:PORT]` or `unix:/PATH`.
pub fn origin(text: &str) -> FormResult<OriginAddress> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.starts_with('/') && path.len() < MAX_SOCKET_PATH {
            return Ok(OriginAddress {
                scheme: Scheme::Http,
                endpoint: OriginEndpoint::Unix(path.into()),
            });
        }
        let cure = "write the whole path of the socket, at most 107 bytes, \"unix:/run/app.sock\"";
        return Err(Mistake::new("an origin has no such socket", cure));
    }
    let (scheme, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
        (Some(rest), _) => (Scheme::Http, rest),
        (None, Some(rest)) => (Scheme::Https, rest),
        (None, None) => {
            let proposal = match text.split_once("://") {
                Some((_, rest)) => format!("http://{rest}"),
                None => format!("http://{}", text.trim_start_matches('/')),
            };
            let cure = cure(&proposal, origin, |good| format!("write {good}"), ORIGIN);
            return Err(Mistake::new(format!("`{text}` is not an origin"), cure));
        }
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#']) {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let words = |good: &str| format!("write {good}: the path comes from the request");
        let cure = cure(
            &format!("{}://{host}", scheme.as_str()),
            origin,
            words,
            ORIGIN,
        );
        return Err(Mistake::new("an origin has no path", cure));
    }
    if rest.contains('@') {
        return Err(Mistake::new(
            "an origin has no user and password",
            "write \"http://HOST:PORT\" or \"https://HOST:PORT\"",
        ));
    }
    let (host, port) = host_and_port(rest)
        .ok_or_else(|| Mistake::new(format!("`{text}` is not an origin"), ORIGIN))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok(OriginAddress {
        scheme,
        endpoint: OriginEndpoint::Tcp {
            host: host.to_ascii_lowercase(),
            port: port.unwrap_or(scheme.default_port()),
        },
    })
}

/// The name of a server in TLS: a host name without port, or an address.
pub fn server_name(text: &str) -> FormResult<String> {
    match host_and_port(text) {
        Some((host, None)) => Ok(host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_ascii_lowercase()),
        _ => Err(Mistake::new(
            format!("`{text}` is not a host name"),
            "write the name in the certificate, \"app.internal\"",
        )),
    }
}

/// A `Host` field: `HOST[:PORT]`.
pub fn host_header(text: &str) -> FormResult<String> {
    match host_and_port(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(Mistake::new(
            format!("`{text}` is not a host"),
            "write \"HOST\" or \"HOST:PORT\"",
        )),
    }
}

fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, Some(port.parse().ok().filter(|port| *port != 0)?))
        }
        _ => (text, None),
    };
    is_host(host).then_some((host, port))
}

fn is_host(text: &str) -> bool {
    if let Some(address) = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (1..=253).contains(&text.len()) && text.split('.').all(label)
}

/// An IANA zone.
pub fn zone(text: &str) -> FormResult<Tz> {
    text.parse().map_err(|_| {
        let problem = format!("`{text}` is not a zone");
        Mistake::new(problem, zone_names::cure_for(text))
    })
}

/// A cron expression: five fields, or a nickname.
pub fn schedule(text: &str) -> FormResult<String> {
    // Whether it ever comes due does not depend on the zone.
    match Schedule::parse(text, Tz::UTC) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(Mistake::new(
            format!("`{text}` is not a schedule: {error}"),
            error.cure(),
        )),
    }
}

/// A path with its query, on the site of a plan.
pub fn page(text: &str) -> FormResult<String> {
    if !text.starts_with('/') {
        let url = text.split_once("://");
        let path = url.and_then(|(_, rest)| rest.split_once('/'));
        let proposal = path.map_or_else(String::new, |(_, path)| format!("/{path}"));
        let words = |good: &str| format!("write {good}: the site names the host");
        let cure = cure(&proposal, page, words, "write a path that begins with /");
        return Err(Mistake::new(format!("`{text}` is not a path"), cure));
    }
    if text.len() > 8_192
        || !text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#')
    {
        let cure =
            "write at most 8192 visible ASCII characters, the rest percent-encoded, and no #";
        return Err(Mistake::new(
            "the path has characters that a request can't carry",
            cure,
        ));
    }
    Ok(text.to_owned())
}

/// The name of a variant: 1 to 32 of `a-z`, `0-9`, `-`, `_`, several joined with `+`.
pub fn variant(text: &str) -> FormResult<String> {
    let good = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
    };
    if text
        .split('+')
        .all(|part| (1..=32).contains(&part.len()) && part.bytes().all(good))
    {
        return Ok(text.to_owned());
    }
    Err(Mistake::new(
        format!("`{text}` is not a variant"),
        "write 1 to 32 of a-z, 0-9, - and _",
    ))
}

/// A surrogate key: 1 to 128 bytes of visible ASCII.
pub fn tag(text: &str) -> FormResult<String> {
    if (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(Mistake::new(
        format!("`{text}` is not a surrogate key"),
        "write 1 to 128 visible ASCII characters",
    ))
}

/// Names of cookies: a token (RFC 6265 §4.1.1) of 1 to 128 bytes, or the beginning of one followed
/// by `*`.
pub fn cookie(text: &str) -> FormResult<CookiePattern> {
    let name = text.strip_suffix('*').unwrap_or(text);
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~".contains(&byte);
    if (1..=128).contains(&text.len()) && name.bytes().all(is_token) {
        return Ok(CookiePattern::new(text));
    }
    Err(Mistake::new(
        format!("`{text}` is not the name of a cookie"),
        "write its name alone, \"sessionid\", or its beginning, \"wordpress_logged_in_*\"",
    ))
}

/// A media type, or a kind of media types: `text/*`, `application/*+xml`.
pub fn media_type(text: &str) -> FormResult<MediaTypePattern> {
    MediaTypePattern::parse(text).ok_or_else(|| {
        Mistake::new(
            format!("`{text}` is not a media type"),
            "write type and subtype, \"application/json\", or a kind, \"text/*\"",
        )
    })
}

/// A pattern over paths.
pub fn path_pattern(text: &str) -> FormResult<PathPattern> {
    text.parse().map_err(|problem: String| {
        Mistake::new(
            problem,
            "write a path such as \"/cart\", \"/api/*\" or \"*.css\"",
        )
    })
}

/// A `Cache-Control` of responses.
pub fn cache_control(text: &str) -> FormResult<http::HeaderValue> {
    const CURE: &str = "write directives, such as \"public, max-age=60\" or \"no-store\"";
    let refused = || Mistake::new(format!("`{text}` says nothing of caching"), CURE);
    let value = http::HeaderValue::from_str(text).map_err(|_| refused())?;
    let headers = http::HeaderMap::from_iter([(http::header::CACHE_CONTROL, value.clone())]);
    let directives = ResponseDirectives::of(&headers);
    let is_number = |digits: &str| {
        let digits = digits.trim().trim_matches('"');
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let lifetimes = text.split(',').filter_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        let name = name.trim().to_ascii_lowercase();
        let names = [
            "max-age",
            "s-maxage",
            "stale-while-revalidate",
            "stale-if-error",
        ];
        names.contains(&&*name).then_some(value)
    });
    let mut bad = lifetimes.filter(|value| !is_number(value));
    if let Some(bad) = bad.next() {
        let problem = format!("`{}` is not a number of seconds", bad.trim());
        return Err(Mistake::new(problem, CURE));
    }
    if directives == ResponseDirectives::default() {
        return Err(refused());
    }
    Ok(value)
}

/// Which query parameters count.
pub(crate) fn query_rule(reader: &TableReader<'_>, key: &str) -> Option<QueryRule> {
    let value = reader.written(key)?;
    match query_parameters(value) {
        Ok(parameters) => Some(QueryRule {
            parameters,
            sort: true,
        }),
        Err(mistake) => {
            reader.refuse(key, mistake);
            None
        }
    }
}

fn query_parameters(value: &RawValue) -> FormResult<QueryParameters> {
    let refused = || {
        let cure = "write \"all\", \"none\", { keep = [\"page\"] } or { drop = [\"utm_*\"] }";
        Mistake::new("this says nothing of query parameters", cure)
    };
    match &value.kind {
        RawKind::Text(text) if text == "all" => Ok(QueryParameters::All),
        RawKind::Text(text) if text == "none" => Ok(QueryParameters::Only(Vec::new())),
        RawKind::Table(entries) => match entries.as_slice() {
            [RawEntry { key, value, .. }] if key == "keep" => {
                parameter_names(value).map(QueryParameters::Only)
            }
            [RawEntry { key, value, .. }] if key == "drop" => {
                parameter_names(value).map(QueryParameters::Ignore)
            }
            _ => Err(refused()),
        },
        _ => Err(refused()),
    }
}

fn parameter_names(value: &RawValue) -> FormResult<Vec<String>> {
    let cure = "write names, or how they begin, [\"page\", \"utm_*\"]";
    let RawKind::List(items) = &value.kind else {
        let problem = format!("a list was expected, this is {}", value.describe());
        return Err(Mistake::new(problem, cure));
    };
    if items.is_empty() || items.len() > MAX_QUERY_NAMES {
        let problem = format!("these are {} names", items.len());
        let cure = format!("write 1 to {MAX_QUERY_NAMES}");
        return Err(Mistake::new(problem, cure));
    }
    let name = |item: &RawValue| match &item.kind {
        RawKind::Text(text) if is_parameter_name(text) => Ok(text.clone()),
        _ => Err(Mistake::new("this is not the name of a parameter", cure)),
    };
    items.iter().map(name).collect()
}

/// A name, or a prefix followed by `*`.
fn is_parameter_name(text: &str) -> bool {
    let name = text.strip_suffix('*').unwrap_or(text);
    let is_good = |byte: u8| byte.is_ascii_graphic() && !b"*=&#".contains(&byte);
    (1..=128).contains(&text.len()) && name.bytes().all(is_good)
}

/// Lifetimes by content type or status.
pub fn default_ttl(value: &RawValue) -> FormResult<DefaultTtls> {
    const FORM: &str = "write { \"text/html\" = \"1min\", \"image/*\" = \"1d\", 404 = \"30s\" }";
    let RawKind::Table(entries) = &value.kind else {
        let problem = format!("a table was expected, this is {}", value.describe());
        return Err(Mistake::new(problem, FORM));
    };
    if entries.len() > MAX_DEFAULT_TTLS {
        let problem = format!("these are {} lifetimes", entries.len());
        let cure = format!("write at most {MAX_DEFAULT_TTLS}");
        return Err(Mistake::new(problem, cure));
    }
    let mut ttls: Vec<(DefaultTtlKey, Duration)> = Vec::new();
    for RawEntry { key, value, .. } in entries {
        let Some(parsed) = DefaultTtlKey::parse(key) else {
            let problem =
                format!("`{key}` is neither a content type nor a status that may be stored");
            return Err(Mistake::new(problem, FORM));
        };
        if ttls.iter().any(|(other, _)| *other == parsed) {
            let problem = format!("`{key}` is written twice");
            return Err(Mistake::new(problem, "write each once"));
        }
        let ttl = match &value.kind {
            RawKind::Text(text) => units::duration(text),
            _ => None,
        };
        match ttl {
            Some(ttl) if (MIN_DEFAULT_TTL..=MAX_DEFAULT_TTL).contains(&ttl) => {
                ttls.push((parsed, ttl));
            }
            _ => {
                let problem = format!("`{key}` has no lifetime from 1s to 1y");
                let cure = format!("write {}", units::DURATION_FORM);
                return Err(Mistake::new(problem, cure));
            }
        }
    }
    Ok(DefaultTtls::new(ttls))
}

/// A content coding that can be made.
pub fn content_coding(text: &str) -> FormResult<ContentCoding> {
    let mut all = ContentCoding::ALL.into_iter();
    all.find(|coding| coding.as_str() == text).ok_or_else(|| {
        Mistake::new(
            format!("`{text}` is not a content coding that can be made"),
            "write \"br\", \"zstd\" or \"gzip\"",
        )
    })
}

/// A method that a client may send.
pub fn method(text: &str) -> FormResult<http::Method> {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    if text.eq_ignore_ascii_case("TRACE") || text.eq_ignore_ascii_case("CONNECT") {
        let problem = format!("{text} is never let in");
        return Err(Mistake::new(problem, "leave it out"));
    }
    if let Some(meant) = known.iter().find(|known| known.eq_ignore_ascii_case(text))
        && *meant != text
    {
        let problem = format!("`{text}` is another method than {meant}");
        return Err(Mistake::new(problem, format!("write \"{meant}\"")));
    }
    http::Method::from_bytes(text.as_bytes()).map_err(|_| {
        Mistake::new(
            format!("`{text}` is not a method"),
            "write one such as \"GET\" or \"POST\"",
        )
    })
}

/// What browsers name when they ask for a password.
pub fn realm(text: &str) -> FormResult<String> {
    let good =
        |byte: u8| (byte.is_ascii_graphic() || byte == b' ') && !matches!(byte, b'"' | b'\\');
    if (1..=64).contains(&text.len()) && text.bytes().all(good) {
        return Ok(text.to_owned());
    }
    Err(Mistake::new(
        "this is not the name of a realm",
        "write 1 to 64 visible ASCII characters and spaces, without quotes and backslashes",
    ))
}

/// A hash of a password: bcrypt with a cost of 4 to 14, or SHA-crypt of at most 500,000 rounds, so
/// that checking one takes at most about a second.
pub fn password_hash(hash: &str) -> FormResult<()> {
    let cure = "make a hash with `htpasswd -nB NAME` or `openssl passwd -6`";
    let refused = |problem: &str| Err(Mistake::new(problem, cure));
    let is_of_crypt = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    let parts: Vec<&str> = hash.split('$').collect();
    match parts[..] {
        ["", "2a" | "2b" | "2y", cost, rest] => {
            let is_cost = cost.len() == 2 && matches!(cost.parse(), Ok(4_u8..=14));
            if !is_cost {
                return refused("the cost of its hash is not 4 to 14");
            }
            match rest.len() == 53 && rest.bytes().all(is_of_crypt) {
                true => Ok(()),
                false => refused("its hash is malformed"),
            }
        }
        ["", kind @ ("5" | "6"), ref rest @ ..] => {
            let (rounds, rest) = match rest {
                [first, rest @ ..] if first.starts_with("rounds=") => (Some(&first[7..]), rest),
                rest => (None, rest),
            };
            if rounds.is_some_and(|rounds| !matches!(rounds.parse(), Ok(1_000_u32..=500_000))) {
                return refused("the rounds of its hash are not 1000 to 500000");
            }
            let length = if kind == "5" { 43 } else { 86 };
            match rest {
                [salt, sum]
                    if (1..=16).contains(&salt.len())
                        && sum.len() == length
                        && salt.bytes().chain(sum.bytes()).all(is_of_crypt) =>
                {
                    Ok(())
                }
                _ => refused("its hash is malformed"),
            }
        }
        ["", "apr1" | "1", ..] => refused("hashes of MD5 are too weak to be taken"),
        _ if hash.starts_with("{SHA}") => refused("hashes of SHA-1 are too weak to be taken"),
        _ => refused("its hash is of no known kind"),
    }
}

/// Where a redirect leads.
pub fn redirect_template(text: &str) -> FormResult<RedirectTemplate> {
    RedirectTemplate::parse(text).map_err(|error| {
        Mistake::new(
            format!("`{text}` can't be redirected to: {}", error.as_str()),
            "write a URL or a path, \"https://new.example/{path}\" or \"/new/{rest}\"",
        )
    })
}

/// The status of a redirect.
pub fn redirect_status(status: u64) -> FormResult<StatusCode> {
    match u16::try_from(status) {
        Ok(code @ (301..=303 | 307 | 308)) => {
            StatusCode::from_u16(code).map_err(|_| not_a_redirect(status))
        }
        _ => Err(not_a_redirect(status)),
    }
}

/// The mistake of a status that sends nobody elsewhere.
pub(crate) fn not_a_redirect(status: impl std::fmt::Display) -> Mistake {
    let problem = format!("{status} is not the status of a redirect");
    Mistake::new(problem, "write 301, 302, 303, 307 or 308")
}

/// The status of an answer without the origin.
pub fn own_status(status: u64) -> FormResult<StatusCode> {
    let code = u16::try_from(status).ok();
    // A partial or unmodified answer needs a response that it is about.
    let code = code.filter(|code| !matches!(code, 206 | 304) && (200..=599).contains(code));
    code.and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or_else(|| {
            Mistake::new(
                format!("{status} can't be the status of such an answer"),
                "write one such as 200, 404 or 410",
            )
        })
}

/// A media type with its parameters.
pub fn content_type(text: &str) -> FormResult<HeaderValue> {
    let is_token = |text: &str| !text.is_empty() && token(text).is_ok();
    let kind = text.split(';').next().unwrap_or_default().trim_end();
    let is_good = kind
        .split_once('/')
        .is_some_and(|(kind, sub)| is_token(kind) && is_token(sub))
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ');
    HeaderValue::from_str(text)
        .ok()
        .filter(|_| is_good)
        .ok_or_else(|| {
            Mistake::new(
                format!("`{text}` is not a media type"),
                "write one such as \"text/html; charset=utf-8\"",
            )
        })
}

/// The name of a header field.
pub fn field(text: &str) -> FormResult<http::HeaderName> {
    text.parse().map_err(|_| {
        Mistake::new(
            format!("`{text}` is not a field name"),
            "write a field name, \"cdn-cache-control\"",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values in quotes that a cure proposes.
    fn proposals(cure: &str) -> Vec<&str> {
        cure.split('"').skip(1).step_by(2).collect()
    }

    #[track_caller]
    fn check<T: std::fmt::Debug>(form: fn(&str) -> FormResult<T>, texts: &[&str]) {
        for text in texts {
            let mistake = form(text).expect_err(text);
            for proposal in proposals(&mistake.cure) {
                // These stand for what the operator knows.
                let proposal = proposal
                    .replace("HOST", "a.example")
                    .replace("PORT", "8080");
                assert!(form(&proposal).is_ok(), "{text}: {}", mistake.cure);
            }
        }
    }

    #[test]
    fn no_cure_proposes_what_is_refused_next() {
        check(
            origin,
            &[
                "",
                "unix:app.sock",
                "unix:",
                "https://",
                "https://a b",
                "https://a/b",
                "https://a:0",
                "http://",
                "http:///",
                "http:///x",
                "http://a/b",
                "http://a b/c",
                "http://u:p@a",
                "ftp://a",
                "ftp://a/b",
                "//a",
                "//",
                "a:99999",
                "a:0",
                "a b",
                "localhost",
                "localhost:3000",
                "[::1]:80",
                "::1",
                "/run/app.sock",
                "é",
                "http://a:99999",
                "a/b",
                "?",
                "#",
                "@",
            ],
        );
        check(
            address,
            &[
                "",
                ":",
                ":8080",
                "*:8080",
                "localhost:8080",
                "localhost:",
                "localhost:x",
                "*:99999",
                ":0x",
                "::1",
                "127.0.0.1",
                "unix:/run/tero.sock",
                "a:80",
                "80",
            ],
        );
        check(
            host,
            &[
                "",
                "*.a.example:8080",
                "*.",
                "*a.example",
                "http://a",
                "a:80",
                "a b:80",
                ":80",
                "-a:80",
                "[::1]:80",
                "[x]:80",
                "a..b:1",
                "a b",
            ],
        );
        check(
            page,
            &[
                "",
                "a",
                "http://a/b",
                "http://a/b c",
                "http://a/é#",
                "http://a",
                "://",
            ],
        );
    }
}
