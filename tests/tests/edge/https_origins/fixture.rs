//! Authorities, TLS in front of a scripted origin, and an origin that speaks HTTP/2.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PublicKeyData,
    date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConfig};
use tempfile::TempDir;
use tero_tests::{Origin, folder};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{oneshot, watch};
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

/// An authority that signs certificates, and its own as a file.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
    file: String,
}

/// A certificate with its key, also as files.
pub(crate) struct Certificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    pin: String,
    cert_file: String,
    key_file: String,
    _folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = folder();
        let file = written(&folder, "ca.pem", &issuer.as_ref().pem());
        Authority {
            issuer,
            folder,
            file,
        }
    }

    /// The file with its certificate.
    pub(crate) fn file(&self) -> &str {
        assert!(self.folder.path().exists());
        &self.file
    }

    pub(crate) fn issue(&self, names: &[&str]) -> Certificate {
        self.sign(params(names))
    }

    /// Valid until the first day of a year.
    pub(crate) fn issue_until(&self, names: &[&str], year: i32) -> Certificate {
        let mut params = params(names);
        params.not_after = date_time_ymd(year, 1, 1);
        self.sign(params)
    }

    /// Valid from the first day of a year.
    pub(crate) fn issue_from(&self, names: &[&str], year: i32) -> Certificate {
        let mut params = params(names);
        params.not_before = date_time_ymd(year, 1, 1);
        self.sign(params)
    }

    /// A certificate signed by its own key.
    pub(crate) fn self_signed(&self, names: &[&str]) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let certificate = params(names).self_signed(&key).unwrap();
        Certificate::new(&certificate, &key)
    }

    fn sign(&self, params: CertificateParams) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Certificate::new(&certificate, &key)
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    CertificateParams::new(names).unwrap()
}

fn written(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

impl Certificate {
    fn new(certificate: &rcgen::Certificate, key: &KeyPair) -> Certificate {
        use base64::Engine as _;
        use sha2::Digest as _;
        let folder = folder();
        let digest = sha2::Sha256::digest(key.subject_public_key_info());
        Certificate {
            chain: vec![certificate.der().clone()],
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            pin: format!(
                "sha256/{}",
                base64::engine::general_purpose::STANDARD.encode(digest)
            ),
            cert_file: written(&folder, "cert.pem", &certificate.pem()),
            key_file: written(&folder, "key.pem", &key.serialize_pem()),
            _folder: folder,
        }
    }

    /// Its public key as a pin.
    pub(crate) fn pin(&self) -> String {
        self.pin.clone()
    }

    pub(crate) fn cert_file(&self) -> &str {
        &self.cert_file
    }

    pub(crate) fn key_file(&self) -> &str {
        &self.key_file
    }

    fn server(&self, clients: Option<&Authority>, alpn: &[&[u8]]) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.issuer.as_ref().der().clone()).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        config
    }
}

/// What the edge did in a handshake.
#[derive(Clone, Debug)]
pub(crate) struct Handshake {
    /// The name that it asked for.
    pub(crate) name: Option<String>,
    /// The protocols that it offered.
    pub(crate) offered: Vec<String>,
    pub(crate) is_resumed: bool,
}

/// A thread that serves on a runtime of its own until it is dropped.
struct Serving {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Serving {
    fn start(future: impl Future<Output = ()> + Send + 'static) -> Serving {
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            runtime().block_on(async {
                tokio::select! {
                    () = future => {}
                    _ = stopped => {}
                }
            });
        });
        Serving {
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn listen() -> (std::net::TcpListener, SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// TLS in front of a scripted origin.
pub(crate) struct TlsFront {
    address: SocketAddr,
    handshakes: Arc<Mutex<Vec<Handshake>>>,
    _serving: Serving,
}

impl TlsFront {
    pub(crate) fn before(origin: &Origin, certificate: Certificate) -> TlsFront {
        TlsFront::start(origin, certificate.server(None, &[b"http/1.1"]))
    }

    /// One that demands a certificate of this authority.
    pub(crate) fn demanding(
        origin: &Origin,
        certificate: Certificate,
        authority: &Authority,
    ) -> TlsFront {
        TlsFront::start(origin, certificate.server(Some(authority), &[b"http/1.1"]))
    }

    fn start(origin: &Origin, config: ServerConfig) -> TlsFront {
        let (listener, address) = listen();
        let handshakes: Arc<Mutex<Vec<Handshake>>> = Arc::default();
        let (seen, config, origin) = (Arc::clone(&handshakes), Arc::new(config), origin.address());
        let serving = Serving::start(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let (config, seen) = (Arc::clone(&config), Arc::clone(&seen));
                tokio::spawn(async move {
                    let _ = relay_tls(stream, config, origin, &seen).await;
                });
            }
        });
        TlsFront {
            address,
            handshakes,
            _serving: serving,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The handshakes that came to an end in order.
    pub(crate) fn handshakes(&self) -> Vec<Handshake> {
        self.handshakes.lock().unwrap().clone()
    }
}

async fn relay_tls(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    origin: SocketAddr,
    seen: &Mutex<Vec<Handshake>>,
) -> std::io::Result<()> {
    let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
    let (name, offered) = {
        let hello = hello.client_hello();
        let offered = hello.alpn().into_iter().flatten();
        let offered = offered.map(|name| String::from_utf8_lossy(name).into_owned());
        (
            hello.server_name().map(ToOwned::to_owned),
            offered.collect::<Vec<_>>(),
        )
    };
    let mut stream = hello.into_stream(config).await?;
    let kind = stream.get_ref().1.handshake_kind();
    seen.lock().unwrap().push(Handshake {
        name,
        offered,
        is_resumed: kind == Some(HandshakeKind::Resumed),
    });
    let mut upstream = TcpStream::connect(origin).await?;
    copy_bidirectional(&mut stream, &mut upstream).await?;
    Ok(())
}

/// A Unix socket in front of a scripted origin.
pub(crate) fn unix_front(origin: &Origin, path: &Path) -> impl Drop + use<> {
    let listener = std::os::unix::net::UnixListener::bind(path).unwrap();
    listener.set_nonblocking(true).unwrap();
    let origin = origin.address();
    Serving::start(async move {
        let listener = UnixListener::from_std(listener).unwrap();
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(relay(stream, origin));
        }
    })
}

/// A listener on 127.0.0.1 in front of a scripted origin, which has an address of its own.
pub(crate) struct Relay {
    address: SocketAddr,
    _serving: Serving,
}

impl Relay {
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

pub(crate) fn relay_on_loopback(origin: &Origin) -> Relay {
    let (listener, address) = listen();
    let origin = origin.address();
    let serving = Serving::start(async move {
        let listener = TcpListener::from_std(listener).unwrap();
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(relay(stream, origin));
        }
    });
    Relay {
        address,
        _serving: serving,
    }
}

async fn relay(mut stream: impl AsyncRead + AsyncWrite + Unpin, origin: SocketAddr) {
    if let Ok(mut upstream) = TcpStream::connect(origin).await {
        let _ = copy_bidirectional(&mut stream, &mut upstream).await;
    }
}

/// An origin that speaks HTTP/2 and answers each request with its path.
pub(crate) struct Http2Origin {
    address: SocketAddr,
    state: Arc<Http2State>,
    held: watch::Sender<bool>,
    _serving: Serving,
}

#[derive(Default)]
struct Http2State {
    connections: AtomicUsize,
    under_way: AtomicUsize,
    most_streams: AtomicUsize,
    authorities: Mutex<Vec<String>>,
    requests: Mutex<Vec<ReceivedRequest>>,
}

/// The fields, the content and the trailers of a request.
type ReceivedRequest = (http::HeaderMap, Vec<u8>, Option<http::HeaderMap>);

impl Http2Origin {
    /// Without TLS.
    pub(crate) fn in_the_clear() -> Http2Origin {
        Http2Origin::start(None)
    }

    /// With TLS if there is a certificate.
    pub(crate) fn start(certificate: Option<Certificate>) -> Http2Origin {
        let (listener, address) = listen();
        let state: Arc<Http2State> = Arc::default();
        let (held, is_held) = watch::channel(false);
        let tls = certificate
            .map(|certificate| TlsAcceptor::from(Arc::new(certificate.server(None, &[b"h2"]))));
        let shared = Arc::clone(&state);
        let serving = Serving::start(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let (state, held, tls) = (Arc::clone(&shared), is_held.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve_http2(stream, state, held).await;
                            }
                        }
                        None => serve_http2(stream, state, held).await,
                    }
                });
            }
        });
        Http2Origin {
            address,
            state,
            held,
            _serving: serving,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The only request.
    pub(crate) fn only_request(&self) -> ReceivedRequest {
        let requests = self.state.requests.lock().unwrap();
        assert_eq!(requests.len(), 1);
        requests[0].clone()
    }

    /// Answers nothing until [`Http2Origin::release`].
    pub(crate) fn hold(&self) {
        self.held.send_replace(true);
    }

    pub(crate) fn release(&self) {
        self.held.send_replace(false);
    }

    pub(crate) fn under_way(&self) -> usize {
        self.state.under_way.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// The most requests at a time on one connection.
    pub(crate) fn most_streams(&self) -> usize {
        self.state.most_streams.load(Ordering::SeqCst)
    }

    /// The `:authority` of each request.
    pub(crate) fn authorities(&self) -> Vec<String> {
        self.state.authorities.lock().unwrap().clone()
    }
}

async fn serve_http2(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    state: Arc<Http2State>,
    held: watch::Receiver<bool>,
) {
    state.connections.fetch_add(1, Ordering::SeqCst);
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    let streams = Arc::new(AtomicUsize::new(0));
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let authority = request.uri().authority().map(ToString::to_string);
        let authority = authority.unwrap_or_default();
        state.authorities.lock().unwrap().push(authority);
        let (state, streams, mut held) = (Arc::clone(&state), Arc::clone(&streams), held.clone());
        let under_way = streams.fetch_add(1, Ordering::SeqCst) + 1;
        state.most_streams.fetch_max(under_way, Ordering::SeqCst);
        state.under_way.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            let _ = held.wait_for(|held| !held).await;
            state.under_way.fetch_sub(1, Ordering::SeqCst);
            streams.fetch_sub(1, Ordering::SeqCst);
            let (head, mut content) = request.into_parts();
            let mut received = Vec::new();
            while let Some(Ok(piece)) = content.data().await {
                let _ = content.flow_control().release_capacity(piece.len());
                received.extend_from_slice(&piece);
            }
            let trailers = content.trailers().await.unwrap_or_default();
            let request = (head.headers, received, trailers);
            state.requests.lock().unwrap().push(request);
            let path = head.uri.path().to_owned();
            let head = http::Response::builder().header("cache-control", "max-age=60");
            if let Ok(mut body) = respond.send_response(head.body(()).unwrap(), false) {
                let _ = body.send_data(path.into(), true);
            }
        });
    }
}
