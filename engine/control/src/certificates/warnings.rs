//! What is wrong with the certificates of a configuration, and what will be.

use std::ops::Range;

use chrono::DateTime;

use super::{SOON, SOON_PART};
use tero_config::forms::certifiable_name;
use tero_config::{Config, ConfigError, ConfigErrors, FilePosition, Listener, Mistake, Mistakes};
use tero_edge::server::tls::certificate::ServerCertificate;
use tero_edge::server::tls::material::TlsMaterial;
use tero_semantics::timestamp::Timestamp;

/// What to do about a certificate that expires.
pub(super) const RENEW: &str = "renew it and put the new files in the place of the old ones";

/// The section of the mistakes.
const KEY: &str = "server.listener.tls";

/// Reads the files that the TLS settings of a configuration name. `text` is that of its file.
///
/// # Errors
/// A mistake for each file that can't be used.
pub fn certificate_mistakes(config: &Config, text: &str) -> Result<(), ConfigErrors> {
    let mistakes = Mistakes::of(&config.file, text);
    for error in config.admin.tls.iter().flat_map(TlsMaterial::errors) {
        let mistake = Mistake::new(error.to_string(), error.cure());
        mistakes.add(&(0..0), "admin.tls", mistake);
    }
    for listener in &config.server.listeners {
        let Some(tls) = &listener.tls else { continue };
        for error in TlsMaterial::errors(tls) {
            let mistake = Mistake::new(error.to_string(), error.cure());
            mistakes.add(&line_at(text, listener.place), KEY, mistake);
        }
    }
    mistakes.into_result()
}

/// What of the certificates can be used and should be corrected all the same: expired ones, those
/// that expire soon, hosts without a certificate, certificates without a host, chains out of order,
/// and keys that others can read. Files that can't be used are left to [`certificate_mistakes`].
pub fn certificate_warnings(config: &Config, now: Timestamp) -> Vec<ConfigError> {
    let mut warnings = Vec::new();
    let mut certificates = Vec::new();
    for listener in &config.server.listeners {
        let Some(tls) = &listener.tls else { continue };
        let Ok(material) = TlsMaterial::read(tls) else {
            return Vec::new();
        };
        for certificate in material.certificates() {
            for (problem, cure) in problems(certificate, config, now) {
                warnings.push(of_listener(config, listener, problem, cure));
            }
        }
        certificates.extend(material.certificates().iter().cloned());
    }
    if certificates.is_empty() {
        return warnings;
    }
    for site in &config.sites {
        for host in site.hosts.iter().filter_map(|host| certifiable(host)) {
            let is_ordered = config.acme.is_some() && certifiable_name(host).is_some();
            if is_ordered
                || certificates
                    .iter()
                    .any(|certificate| certificate.is_for(host))
            {
                continue;
            }
            warnings.push(ConfigError {
                file: config.file.to_string(),
                line: site.place.line,
                column: site.place.column,
                key: "site.hosts".to_owned(),
                problem: format!(
                    "no certificate is for the host {host} of the site `{}`",
                    site.name
                ),
                cure: format!("add a certificate for {host}, unless it is reached by http alone"),
                at: 0..0,
            });
        }
    }
    warnings
}

/// Why a certificate does not hold, or not for long. `None` if all is well.
pub(super) fn expiry(certificate: &ServerCertificate, now: Timestamp) -> Option<String> {
    let file = certificate.path().display();
    let validity = certificate.validity();
    let (begin, end) = (validity.not_before, validity.not_after);
    if end <= now {
        return Some(format!("the certificate {file} expired on {}", date(end)));
    }
    if now < begin {
        return Some(format!(
            "the certificate {file} does not hold before {}",
            date(begin)
        ));
    }
    let days = end.since(now).as_secs() / (24 * 60 * 60);
    validity.ends_soon(now, SOON, SOON_PART).then(|| {
        format!(
            "the certificate {file} expires on {}, in {days} days",
            date(end)
        )
    })
}

/// What is wrong with a certificate, each with its cure.
fn problems(
    certificate: &ServerCertificate,
    config: &Config,
    now: Timestamp,
) -> Vec<(String, String)> {
    let file = certificate.path().display();
    let mut problems = Vec::new();
    if let Some(problem) = expiry(certificate, now) {
        problems.push((problem, RENEW.to_owned()));
    }
    if let Some(place) = certificate.out_of_order() {
        problems.push((
            format!("certificate {place} in {file} did not issue the one before it"),
            "let each certificate be followed by the one that issued it".to_owned(),
        ));
    }
    if let Some(key) = certificate.open_key() {
        let key = key.display();
        problems.push((
            format!("every user of this machine can read the private key in {key}"),
            format!("let only tero's user read it: chmod 600 {key}"),
        ));
    }
    let mut hosts = config.sites.iter().flat_map(|site| &site.hosts);
    let is_of_a_site = hosts
        .any(|host| host == "*" || certifiable(host).is_some_and(|host| certificate.is_for(host)));
    if !is_of_a_site {
        let names = match certificate.names() {
            [] => "no host".to_owned(),
            names => names.join(", "),
        };
        problems.push((
            format!("the certificate {file} is for {names}, and no site has such a host"),
            "add the host to a site, or name another certificate".to_owned(),
        ));
    }
    problems
}

/// A host as a certificate names it: without a port, an address without brackets. `None` for `*`.
fn certifiable(host: &str) -> Option<&str> {
    if host == "*" {
        return None;
    }
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => host,
    };
    Some(host.trim_start_matches('[').trim_end_matches(']'))
}

fn of_listener(config: &Config, listener: &Listener, problem: String, cure: String) -> ConfigError {
    ConfigError {
        file: config.file.to_string(),
        line: listener.place.line,
        column: listener.place.column,
        key: KEY.to_owned(),
        problem,
        cure,
        at: 0..0,
    }
}

/// `2026-12-24`, in UTC.
fn date(at: Timestamp) -> String {
    DateTime::from_timestamp(at.unix_secs(), 0).map_or_else(
        || "an unknown day".to_owned(),
        |at| at.format("%Y-%m-%d").to_string(),
    )
}

/// The bytes of the line at `place`.
fn line_at(text: &str, place: FilePosition) -> Range<usize> {
    let lines = text.split_inclusive('\n');
    let start: usize = lines.take(place.line.saturating_sub(1)).map(str::len).sum();
    let line = text[start..].lines().next().unwrap_or_default();
    start..start + line.len()
}
