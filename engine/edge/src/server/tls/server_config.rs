//! What rustls is told of a listener. Its buffer limit and its size of records are left as they are:
//! both suit large bodies.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::UnixTime;
use rustls::server::{ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};

use super::file_error::TlsFileError;
use super::material::TlsMaterial;
use super::resolver::CertificateResolver;
use tero_config::{ClientCertificate, TlsVersion};
use tero_time::clock::Clock;

/// Sessions that are kept for clients that can't keep them themselves, by tickets.
const SESSIONS: usize = 4096;

/// HTTP/2 and HTTP/1.1 as ALPN names them (RFC 7301 §6, RFC 9113 §3.2).
pub(super) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// The protocols that are offered, the preferred one first.
pub(super) fn protocols(http2: bool) -> Vec<Vec<u8>> {
    let http2 = http2.then_some(HTTP2);
    http2
        .into_iter()
        .chain([HTTP1])
        .map(<[u8]>::to_vec)
        .collect()
}

/// Makes the configuration that all workers share: with one for each, a client would find its
/// session only if it came to the same worker again.
pub(super) fn server_config(
    material: &TlsMaterial,
    resolver: Arc<CertificateResolver>,
    clock: &Clock,
) -> Result<ServerConfig, TlsFileError> {
    configured(material, resolver, clock).map_err(TlsFileError::Setup)
}

fn configured(
    material: &TlsMaterial,
    resolver: Arc<CertificateResolver>,
    clock: &Clock,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(default_provider());
    let versions = match material.settings.min_version {
        TlsVersion::V1_2 => &[&TLS13, &TLS12][..],
        TlsVersion::V1_3 => &[&TLS13],
    };
    let time = Arc::new(ClockTime(clock.clone()));
    let builder = ServerConfig::builder_with_details(Arc::clone(&provider), time)
        .with_protocol_versions(versions)?;
    let builder = match &material.client_authorities {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider);
            let verifier = match material.settings.client_certificate {
                ClientCertificate::Required => verifier,
                ClientCertificate::Optional => verifier.allow_unauthenticated(),
            };
            let verifier = verifier
                .build()
                .map_err(|error| rustls::Error::General(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_cert_resolver(resolver);
    config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
    config.ticketer = Ticketer::new()?;
    Ok(config)
}

/// The edge's own time, by which the certificates of clients hold.
#[derive(Debug)]
struct ClockTime(Clock);

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        let now = u64::try_from(self.0.wall().unix_millis()).ok()?;
        let since_epoch = std::time::Duration::from_millis(now);
        Some(UnixTime::since_unix_epoch(since_epoch))
    }
}
