//! The bytes of a header of the PROXY protocol: how many there are, and what they say.

use std::net::IpAddr;

use ppp::{v1, v2};

use crate::request::client::TlsFacts;
use crate::telemetry::edge_counters::ProxyHeaderRefusal;

/// Room for nearly all headers, in bytes.
pub(super) const USUAL_BYTES: usize = 128;
/// The longest header of version 2 that is taken, in bytes. Addresses take 16 to 232; the rest is
/// for what a proxy adds, such as the name of a client certificate.
pub(super) const MAX_BYTES: usize = 4096;
/// The longest header of version 1, in bytes.
const MAX_V1_BYTES: usize = 107;
/// How version 2 begins. No header of version 1 is as short as this.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// How version 1 begins.
const V1_BEGINNING: &[u8] = b"PROXY ";
/// Signature, version and command, family and protocol, and the length of the rest.
const V2_HEAD: usize = 16;
/// The longest text of a proxy that is kept for the access log, in bytes.
const MAX_TEXT: usize = 255;

/// What a header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ProxiedPeer {
    /// Who connected to the proxy. `None` if the header doesn't say: the proxy itself then.
    pub(super) source: Option<IpAddr>,
    /// Whether that client speaks TLS with the proxy.
    pub(super) speaks_tls: bool,
    /// What is known of it.
    pub(super) tls: Option<TlsFacts>,
}

/// How reading goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadingStep {
    /// At least so many bytes of the header follow, one or more.
    Wants(usize),
    /// The header is complete.
    Complete,
}

/// How reading goes on after these bytes of a header.
///
/// # Errors
/// If they can't be the beginning of a header that is taken.
pub(super) fn step(bytes: &[u8]) -> Result<ReadingStep, ProxyHeaderRefusal> {
    let known = bytes.len().min(SIGNATURE.len());
    if bytes[..known] == SIGNATURE[..known] {
        return step_v2(bytes);
    }
    let known = bytes.len().min(V1_BEGINNING.len());
    if bytes[..known] != V1_BEGINNING[..known] {
        return Err(ProxyHeaderRefusal::Missing);
    }
    step_v1(bytes)
}

fn step_v2(bytes: &[u8]) -> Result<ReadingStep, ProxyHeaderRefusal> {
    let length = match bytes.get(V2_HEAD - 2..V2_HEAD) {
        Some(&[high, low]) => usize::from(u16::from_be_bytes([high, low])),
        // The signature alone: what follows may be version 1 yet.
        _ if bytes.len() < SIGNATURE.len() => {
            return Ok(ReadingStep::Wants(SIGNATURE.len() - bytes.len()));
        }
        _ => return Ok(ReadingStep::Wants(V2_HEAD - bytes.len())),
    };
    let whole = V2_HEAD + length;
    if whole > MAX_BYTES {
        return Err(ProxyHeaderRefusal::TooLong);
    }
    Ok(match whole - bytes.len() {
        0 => ReadingStep::Complete,
        left => ReadingStep::Wants(left),
    })
}

fn step_v1(bytes: &[u8]) -> Result<ReadingStep, ProxyHeaderRefusal> {
    if let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
        let is_line = bytes.ends_with(b"\r\n") && end + 1 == bytes.len();
        return match is_line {
            true => Ok(ReadingStep::Complete),
            false => Err(ProxyHeaderRefusal::Malformed),
        };
    }
    if bytes.len() >= MAX_V1_BYTES {
        return Err(ProxyHeaderRefusal::TooLong);
    }
    let least = least_of_line(bytes).min(MAX_V1_BYTES - bytes.len());
    Ok(ReadingStep::Wants(least))
}

/// The least number of bytes to the end of a line of version 1. A header of version 1 has 15 bytes
/// or more, and one with addresses four spaces behind its protocol, each before one byte or more.
fn least_of_line(bytes: &[u8]) -> usize {
    if bytes.len() < SIGNATURE.len() {
        return SIGNATURE.len() - bytes.len();
    }
    if bytes.ends_with(b"\r") {
        return 1;
    }
    let (mut least, spaces) = (2, bytes.iter().filter(|byte| **byte == b' ').count());
    if bytes.starts_with(b"PROXY TCP") {
        least += 2 * 5_usize.saturating_sub(spaces) + usize::from(bytes.ends_with(b" "));
    }
    least
}

/// Reads a whole header.
///
/// # Errors
/// [`ProxyHeaderRefusal::Malformed`]
pub(super) fn parse(header: &[u8]) -> Result<ProxiedPeer, ProxyHeaderRefusal> {
    let malformed = ProxyHeaderRefusal::Malformed;
    if !header.starts_with(SIGNATURE) {
        let header = v1::Header::try_from(header).map_err(|_| malformed)?;
        return Ok(ProxiedPeer {
            source: match header.addresses {
                v1::Addresses::Unknown => None,
                v1::Addresses::Tcp4(addresses) => Some(addresses.source_address.into()),
                v1::Addresses::Tcp6(addresses) => Some(canonical(addresses.source_address)),
            },
            ..ProxiedPeer::default()
        });
    }
    let header = v2::Header::try_from(header).map_err(|_| malformed)?;
    if header.command == v2::Command::Local {
        // The proxy speaks for itself, to see whether we are well.
        return Ok(ProxiedPeer::default());
    }
    let mut told = ProxiedPeer {
        source: match header.addresses {
            v2::Addresses::IPv4(addresses) => Some(addresses.source_address.into()),
            v2::Addresses::IPv6(addresses) => Some(canonical(addresses.source_address)),
            v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
        },
        ..ProxiedPeer::default()
    };
    let mut tls = TlsFacts::default();
    for extension in header.tlvs() {
        let extension = extension.map_err(|_| malformed)?;
        if extension.kind == u8::from(v2::Type::Authority) {
            tls.server_name = text(&extension.value);
        } else if extension.kind == u8::from(v2::Type::SSL) {
            told.speaks_tls = read_tls(&extension.value, &mut tls)?;
        }
    }
    if tls != TlsFacts::default() {
        told.tls = Some(tls);
    }
    Ok(told)
}

fn canonical(address: std::net::Ipv6Addr) -> IpAddr {
    IpAddr::V6(address).to_canonical()
}

/// Reads the extension `PP2_TYPE_SSL`: one byte of flags, four that say whether a certificate was
/// good, then extensions of its own. Returns whether the client speaks TLS.
fn read_tls(value: &[u8], tls: &mut TlsFacts) -> Result<bool, ProxyHeaderRefusal> {
    /// The client speaks TLS (`PP2_CLIENT_SSL`).
    const SPEAKS_TLS: u8 = 1;
    let Some((&[flags, ..], rest)) = value.split_first_chunk::<5>() else {
        return Err(ProxyHeaderRefusal::Malformed);
    };
    for extension in v2::TypeLengthValues::from(rest) {
        let extension = extension.map_err(|_| ProxyHeaderRefusal::Malformed)?;
        if extension.kind == u8::from(v2::Type::SSLVersion) {
            tls.version = text(&extension.value);
        } else if extension.kind == u8::from(v2::Type::SSLCipher) {
            tls.cipher = text(&extension.value);
        }
    }
    Ok(flags & SPEAKS_TLS != 0)
}

/// A text for the access log; `None` if it is none.
fn text(value: &[u8]) -> Option<Box<str>> {
    let is_good = (1..=MAX_TEXT).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic);
    std::str::from_utf8(value)
        .ok()
        .filter(|_| is_good)
        .map(Into::into)
}

#[cfg(test)]
mod tests;
