//! TLS on a listener (RFC 8446, RFC 5246): its certificates, its settings, and the sessions that
//! clients resume.
//!
//! Certificates come from files ([`certificate`], [`material`]) and are chosen in each handshake
//! ([`resolver`]). They are replaced as a whole, and only by good ones.

pub mod certificate;
mod certificate_set;
pub mod file_error;
mod file_stamps;
pub(super) mod handshake;
mod handshake_slots;
pub mod material;
pub mod resolver;
mod server_config;
mod socket;
mod transport;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use rustls::ServerConfig;

use self::certificate::ServerCertificate;
use self::file_error::TlsFileError;
use self::file_stamps::FileStamps;
use self::material::TlsMaterial;
use self::resolver::CertificateResolver;
use self::server_config::{protocols, server_config};
use crate::acme::{AcmeResponder, CHALLENGE_PROTOCOL};
use tero_config::ListenerTls;
use tero_time::clock::Clock;

pub(super) use self::handshake_slots::HandshakeSlots;
pub(super) use self::socket::TlsSocket;

/// TLS on a listener, which all workers share.
#[derive(Debug)]
pub struct TlsTerminator {
    clock: Clock,
    /// Whether clients may choose HTTP/2.
    http2: bool,
    resolver: Arc<CertificateResolver>,
    setup: ArcSwap<TlsSetup>,
    files: Mutex<WatchedFiles>,
    /// A file has changed and can't be used: the certificates from before stay.
    is_outdated: AtomicBool,
}

/// What a handshake goes by.
#[derive(Debug)]
struct TlsSetup {
    config: Arc<ServerConfig>,
    asks_for_certificates: bool,
}

impl TlsSetup {
    fn new(
        material: &TlsMaterial,
        resolver: Arc<CertificateResolver>,
        http2: bool,
        clock: &Clock,
    ) -> Result<TlsSetup, TlsFileError> {
        let mut config = server_config(material, resolver, clock)?;
        config.alpn_protocols = protocols(http2);
        if material.settings.acme {
            config.alpn_protocols.push(CHALLENGE_PROTOCOL.to_vec());
        }
        Ok(TlsSetup {
            config: Arc::new(config),
            asks_for_certificates: material.client_authorities.is_some(),
        })
    }
}

/// The files of the certificates in force.
#[derive(Debug)]
struct WatchedFiles {
    material: TlsMaterial,
    /// The state in which they were read last, with success or without.
    read: FileStamps,
    /// The state in which they were seen last. Files are read once they have rested for a look, so
    /// that a certificate and its key are not read while they are being written.
    seen: FileStamps,
}

/// Certificates that were read and are not in force yet.
#[derive(Debug)]
pub struct PreparedTls {
    material: TlsMaterial,
    setup: TlsSetup,
}

/// What a look at the files has brought.
#[derive(Debug)]
pub enum FileLook {
    /// There is nothing to tell.
    Unchanged,
    /// The files have changed, and so many certificates of them are in force.
    Replaced(usize),
    /// The files have changed and can't be used. It is told once for each change.
    Refused(TlsFileError),
}

impl TlsTerminator {
    /// TLS with what was read from files, and with the certificates of `acme` if the settings say so.
    /// With `http2`, clients may choose that.
    ///
    /// # Errors
    /// [`TlsFileError::Setup`]
    pub fn new(
        material: TlsMaterial,
        http2: bool,
        acme: &Arc<AcmeResponder>,
        clock: &Clock,
    ) -> Result<TlsTerminator, TlsFileError> {
        let acme = material.settings.acme.then(|| Arc::clone(acme));
        let resolver = Arc::new(CertificateResolver::new(
            material.certificates.clone(),
            acme,
        ));
        let setup = TlsSetup::new(&material, Arc::clone(&resolver), http2, clock)?;
        let stamps = material.stamps.clone();
        Ok(TlsTerminator {
            clock: clock.clone(),
            http2,
            resolver,
            setup: ArcSwap::from_pointee(setup),
            files: Mutex::new(WatchedFiles {
                material,
                read: stamps.clone(),
                seen: stamps,
            }),
            is_outdated: AtomicBool::new(false),
        })
    }

    /// The settings in force.
    pub fn settings(&self) -> ListenerTls {
        self.files().material.settings.clone()
    }

    /// What a handshake goes by that is not one of a visitor, and whether clients are asked for
    /// certificates.
    pub fn handshake_terms(&self) -> (Arc<ServerConfig>, bool) {
        let setup = self.setup();
        (Arc::clone(&setup.config), setup.asks_for_certificates)
    }

    /// The certificates in force, in the configuration's order.
    pub fn certificates(&self) -> Vec<Arc<ServerCertificate>> {
        self.resolver.certificates()
    }

    /// Whether a file has changed and can't be used, so that the certificates from before stay.
    pub fn is_outdated(&self) -> bool {
        self.is_outdated.load(Ordering::Relaxed)
    }

    /// Makes all of `material` that can fail.
    ///
    /// # Errors
    /// [`TlsFileError::Setup`]
    pub fn prepare(&self, material: TlsMaterial) -> Result<PreparedTls, TlsFileError> {
        let resolver = Arc::clone(&self.resolver);
        let setup = TlsSetup::new(&material, resolver, self.http2, &self.clock)?;
        Ok(PreparedTls { material, setup })
    }

    /// Puts what was prepared in the place of what is in force. Open connections stay. Sessions can be
    /// resumed as before, unless clients are checked in another way.
    pub fn install(&self, prepared: PreparedTls) {
        let mut files = self.files();
        self.put(&mut files, prepared);
    }

    /// Looks at the files, and reads them if they have changed and then rested for a look.
    pub fn look_at_files(&self) -> FileLook {
        let mut files = self.files();
        let seen = FileStamps::of(files.material.settings.files());
        let rests = seen == files.seen;
        files.seen = seen;
        if !rests || files.seen == files.read {
            return FileLook::Unchanged;
        }
        files.read = files.seen.clone();
        let read = TlsMaterial::read(&files.material.settings).and_then(|material| {
            let count = material.certificates.len();
            let prepared = self.prepare(material)?;
            self.put(&mut files, prepared);
            Ok(count)
        });
        match read {
            Ok(count) => FileLook::Replaced(count),
            Err(error) => {
                self.is_outdated.store(true, Ordering::Relaxed);
                FileLook::Refused(error)
            }
        }
    }

    /// What a handshake goes by.
    fn setup(&self) -> Arc<TlsSetup> {
        self.setup.load_full()
    }

    fn put(&self, files: &mut WatchedFiles, prepared: PreparedTls) {
        let PreparedTls { material, setup } = prepared;
        if !material.checks_clients_like(&files.material) {
            self.setup.store(Arc::new(setup));
        }
        self.resolver.replace(material.certificates.clone());
        files.read = material.stamps.clone();
        files.material = material;
        self.is_outdated.store(false, Ordering::Relaxed);
    }

    fn files(&self) -> MutexGuard<'_, WatchedFiles> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
