//! A client that speaks TLS.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind, RootCertStore,
    SignatureScheme, StreamOwned, SupportedProtocolVersion,
};
use tero_tests::{Client, Duplex, GUARD};

use super::authority::Issued;

/// A connection after its TLS handshake.
#[derive(Debug)]
pub(crate) struct Secure(StreamOwned<ClientConnection, TcpStream>);

/// What a client is like.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) config: ClientConfig,
    name: ServerName<'static>,
}

impl Visitor {
    /// A client that trusts these roots, and asks for `name`.
    pub(crate) fn new(name: &str, roots: RootCertStore) -> Visitor {
        Visitor::of_versions(name, roots, rustls::ALL_VERSIONS)
    }

    /// As [`Visitor::new`], with these versions of TLS.
    pub(crate) fn of_versions(
        name: &str,
        roots: RootCertStore,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Visitor {
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Visitor {
            config,
            name: ServerName::try_from(name.to_owned()).unwrap(),
        }
    }

    /// A client that takes any certificate, and understands these signatures.
    pub(crate) fn trusting(name: &str, schemes: &[SignatureScheme]) -> Visitor {
        let mut visitor = Visitor::new(name, RootCertStore::empty());
        let verifier = AnyServer(schemes.to_vec(), default_provider());
        visitor
            .config
            .dangerous()
            .set_certificate_verifier(Arc::new(verifier));
        visitor
    }

    /// The same with a certificate of its own.
    pub(crate) fn with_certificate(&self, roots: RootCertStore, own: &Issued) -> Visitor {
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![own.der.clone()], own.private_key())
            .unwrap();
        Visitor {
            config,
            name: self.name.clone(),
        }
    }

    /// The same that sends no name.
    pub(crate) fn unnamed(mut self) -> Visitor {
        self.config.enable_sni = false;
        self
    }

    /// The same that keeps sessions by number, not by ticket.
    pub(crate) fn without_tickets(mut self) -> Visitor {
        self.config.resumption = Resumption::in_memory_sessions(8)
            .tls12_resumption(rustls::client::Tls12Resumption::SessionIdOnly);
        self
    }

    /// The same that offers these protocols.
    pub(crate) fn offering(mut self, protocols: &[&str]) -> Visitor {
        self.config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        self
    }

    /// Connects, and carries out the handshake.
    pub(crate) fn try_connect(&self, address: SocketAddr) -> io::Result<Secure> {
        let mut tcp = TcpStream::connect(address)?;
        tcp.set_read_timeout(Some(GUARD))?;
        tcp.set_write_timeout(Some(GUARD))?;
        let config = Arc::new(self.config.clone());
        let mut connection =
            ClientConnection::new(config, self.name.clone()).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut tcp)?;
        }
        Ok(Secure(StreamOwned::new(connection, tcp)))
    }

    pub(crate) fn connect(&self, address: SocketAddr) -> Secure {
        self.try_connect(address).unwrap()
    }

    /// Connects for requests.
    pub(crate) fn client(&self, address: SocketAddr) -> Client {
        Client::over(self.connect(address))
    }
}

impl Secure {
    /// The server's certificate.
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.0.conn.peer_certificates().unwrap()[0].clone()
    }

    pub(crate) fn protocol(&self) -> Option<&[u8]> {
        self.0.conn.alpn_protocol()
    }

    pub(crate) fn is_resumed(&self) -> bool {
        self.0.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }
}

impl Read for Secure {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Secure {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Duplex for Secure {
    fn tcp(&self) -> &TcpStream {
        &self.0.sock
    }
}

/// Takes any certificate.
#[derive(Debug)]
struct AnyServer(Vec<SignatureScheme>, CryptoProvider);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.1.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.1.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}
