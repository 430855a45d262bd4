//! `[[site.origin]]`.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::forms::{self, OriginAddress};
use crate::mistakes::Mistake;
use crate::reader::TableReader;
use tero_semantics::authority::Scheme;

section! {
    /// A next hop of the site, with settings of its own. Takes the place of `origins`.
    #[derive(Clone, Debug, PartialEq)]
    [[site.origin]]
    pub struct Origin in base_dir {
        /// The name that metrics, `/origins` and the log use; unique within the site.
        name: Option<Arc<str>> = rule("the host and port of its `url`"),
            Text("1 to 64 of `a-z`, `0-9`, `-`, `_`") => |text| forms::name(text).map(Arc::from);
        /// Where it listens.
        url: OriginAddress = required,
            Text("`http://HOST[:PORT]`, `https://HOST[:PORT]` or `unix:/PATH`") => forms::origin;
        /// Its share of the requests, in relation to those of the others.
        weight: u32 = 1, Count(1, 1_000);
        /// Whether it is asked only while all others rest.
        backup: bool = false, Flag;
        /// Whether it is asked only for those who name it, such as `origins` of a route, and gets
        /// no other requests of the site.
        only_by_name: bool = false, Flag;
        /// The name that its certificate must be for, and that it is asked for (SNI).
        tls_name: Option<String> = rule("the host of its `url`"), Text("a host name")
            => forms::server_name;
        /// A file with the certificates of the authorities that may have signed its certificate.
        ca: Option<PathBuf> = rule("the authorities that the system trusts"),
            Text("a path of a PEM file, relative to this file")
            => |path| base_dir.file(path, "a PEM file with certificates");
        /// The certificate that the edge shows to it, with its chain.
        client_cert: Option<PathBuf> = rule("none"),
            Text("a path of a PEM file, relative to this file")
            => |path| base_dir.file(path, "a PEM file with a certificate");
        /// The private key of `client_cert`.
        client_key: Option<PathBuf> = rule("none"),
            Text("a path of a PEM file, relative to this file")
            => |path| base_dir.file(path, "a PEM file with a private key");
        /// Public keys of which its certificate must have one, beside being valid.
        pins: Vec<KeyPin> = [], Texts("`sha256/` and the SHA-256 of a public key in base64")
            => key_pin, distinct();
        /// Accepts every certificate, so that whoever is between the edge and the origin can read
        /// and change everything. For trials only.
        insecure_accept_any_certificate: bool = false, Flag;
        /// Whether it is asked by HTTP/2: never; if it says so during the TLS handshake; or always,
        /// also without TLS. Upgrades always use HTTP/1.1.
        http2: OriginHttp2 = "off",
            OneOf(
                "off" => OriginHttp2::Off,
                "negotiate" => OriginHttp2::Negotiate,
                "prior-knowledge" => OriginHttp2::PriorKnowledge
            );
        /// Maximum number of concurrent requests on one connection of HTTP/2, if it allows as many.
        max_streams: usize = 100, Count(1, 10_000);
    }
}

/// Whether an origin is asked by HTTP/2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OriginHttp2 {
    /// Never.
    #[default]
    Off,
    /// If it agrees during the TLS handshake (ALPN).
    Negotiate,
    /// Always.
    PriorKnowledge,
}

/// The SHA-256 of a public key as a certificate holds it (`SubjectPublicKeyInfo`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPin(pub [u8; 32]);

fn key_pin(text: &str) -> Result<KeyPin, Mistake> {
    let digest = text.strip_prefix("sha256/");
    let digest = digest.and_then(|digest| STANDARD.decode(digest).ok());
    let digest = digest.and_then(|digest| digest.try_into().ok());
    digest.map(KeyPin).ok_or_else(|| {
        let cure = "write \"sha256/\" and the 44 characters that this prints: \
            openssl x509 -in CERT -pubkey -noout | openssl pkey -pubin -outform der | \
            openssl dgst -sha256 -binary | base64";
        Mistake::new("this is not a pin", cure)
    })
}

impl Origin {
    /// An origin with this address and the defaults of everything else.
    pub fn at(url: OriginAddress) -> Origin {
        Origin {
            name: None,
            url,
            weight: 1,
            backup: false,
            only_by_name: false,
            tls_name: None,
            ca: None,
            client_cert: None,
            client_key: None,
            pins: Vec::new(),
            insecure_accept_any_certificate: false,
            http2: OriginHttp2::Off,
            max_streams: 100,
        }
    }

    /// Its name: the written one, or its address.
    pub fn shown_name(&self) -> String {
        match &self.name {
            Some(name) => name.to_string(),
            None => self.url.to_string(),
        }
    }

    /// Keys that are written and count with TLS only.
    fn keys_of_tls(&self) -> Vec<&'static str> {
        [
            ("tls_name", self.tls_name.is_some()),
            ("ca", self.ca.is_some()),
            ("client_cert", self.client_cert.is_some()),
            ("client_key", self.client_key.is_some()),
            ("pins", !self.pins.is_empty()),
            (
                "insecure_accept_any_certificate",
                self.insecure_accept_any_certificate,
            ),
        ]
        .into_iter()
        .filter_map(|(key, is_written)| is_written.then_some(key))
        .collect()
    }

    /// Refuses keys that contradict each other.
    fn check(&self, reader: &TableReader<'_>) {
        let refuse = |key: &str, problem: String, cure: &str| {
            reader.refuse(key, Mistake::new(problem, cure));
        };
        if self.url.scheme == Scheme::Http {
            for key in self.keys_of_tls() {
                let problem = format!("`{key}` means nothing without TLS");
                refuse(key, problem, "write an https URL, or leave the key out");
            }
            if self.http2 == OriginHttp2::Negotiate {
                let problem = "without TLS nothing is negotiated".to_owned();
                refuse("http2", problem, "write \"prior-knowledge\" or \"off\"");
            }
        }
        if self.client_cert.is_some() != self.client_key.is_some() {
            let (there, missing) = match self.client_cert {
                Some(_) => ("client_cert", "client_key"),
                None => ("client_key", "client_cert"),
            };
            let problem = format!("`{there}` is written without `{missing}`");
            refuse(there, problem, "write both or neither");
        }
        if self.insecure_accept_any_certificate && (self.ca.is_some() || !self.pins.is_empty()) {
            let problem = "every certificate is accepted, and some are named".to_owned();
            let key = "insecure_accept_any_certificate";
            refuse(key, problem, "leave it out, or leave `ca` and `pins` out");
        }
    }
}

/// The next hops of a site, which writes either `origins` or `[[site.origin]]`.
pub(super) fn next_hops(
    reader: &TableReader<'_>,
    origins: &[OriginAddress],
    next_hops: Vec<Origin>,
) -> Vec<Origin> {
    let tables = reader.nested_list("origin");
    if reader.written("origin").is_none() {
        if reader.written("origins").is_none() && reader.is_table() {
            let cure =
                "write origins = [\"http://127.0.0.1:3000\"], or [[site.origin]] with its url";
            reader.refuse("origins", Mistake::new("`origins` is missing", cure));
        }
        return origins.iter().cloned().map(Origin::at).collect();
    }
    reader.refuse_both("origin", "origins");
    let mut names = Vec::new();
    for (origin, table) in next_hops.iter().zip(&tables) {
        origin.check(table);
        let name = origin.shown_name();
        if names.contains(&name) {
            let problem = format!("the site has two origins with the name {name}");
            table.refuse("name", Mistake::new(problem, "give each a name of its own"));
        }
        names.push(name);
    }
    let mut general = next_hops.iter().filter(|origin| !origin.only_by_name);
    let mistake = match general.next() {
        _ if next_hops.is_empty() => None,
        None => Some((
            "every origin is asked by its name only, and none for the other paths",
            "leave `only_by_name` out for one of them",
        )),
        Some(first) if first.backup && general.all(|origin| origin.backup) => Some((
            "every origin is a backup",
            "leave `backup` out for one of them",
        )),
        Some(_) => None,
    };
    if let Some((problem, cure)) = mistake {
        reader.refuse("origin", Mistake::new(problem, cure));
    }
    next_hops
}
