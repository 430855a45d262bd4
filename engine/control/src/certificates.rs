//! The certificates of the listeners: read again on a reload and when their files change, and told
//! of before they expire.
//!
//! The edge reads and checks the files. Here is decided when that happens and who is told.

mod warnings;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tero_config as config;
use tero_edge::server::listener::Listener;
use tero_edge::server::tls::file_error::TlsFileError;
use tero_edge::server::tls::material::TlsMaterial;
use tero_edge::server::tls::{FileLook, PreparedTls, TlsTerminator};
use tero_edge::validity::Validity;
use tero_time::clock::Clock;

pub use warnings::{certificate_mistakes, certificate_warnings};

/// How often the files of certificates are looked at. Changed files are read at the second look that
/// finds them as they are.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How often certificates that expire soon are told.
const TELL_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// So long before its end, a certificate expires soon, or in this part of its lifetime if that is less. Let's
/// Encrypt's last 90 days, and are renewed 30 days before their end.
const SOON: Duration = Duration::from_secs(21 * 24 * 60 * 60);
const SOON_PART: u32 = 4;

/// Looks after the certificates of the listeners.
#[derive(Debug)]
pub(crate) struct CertificateUpkeep {
    listeners: Mutex<Vec<SecureListener>>,
    /// The admin interface with its address, if it speaks TLS.
    admin: Option<(String, Arc<TlsTerminator>)>,
    clock: Clock,
}

/// A listener that speaks TLS. The listener itself is not held: it ends when its workers do.
#[derive(Debug)]
struct SecureListener {
    /// As it was configured at the start.
    settings: config::Listener,
    address: String,
    tls: Arc<TlsTerminator>,
}

/// Certificates that were read and are not in force yet, with the TLS that they are for.
#[derive(Debug)]
pub(crate) struct PreparedCertificates(Vec<(Arc<TlsTerminator>, PreparedTls)>);

/// A certificate in force, as the metrics show it.
#[derive(Debug)]
pub(crate) struct CertificateStatus {
    /// The address of its listener.
    pub(crate) listener: String,
    /// Its file.
    pub(crate) file: PathBuf,
    /// From when until when it holds.
    pub(crate) validity: Validity,
}

impl CertificateUpkeep {
    /// Looks after these listeners, which stand in the order of the configuration, and after the
    /// admin interface.
    pub(crate) fn new(
        listeners: &[Arc<Listener>],
        admin: Option<(SocketAddr, Arc<TlsTerminator>)>,
        clock: &Clock,
    ) -> Arc<CertificateUpkeep> {
        Arc::new(CertificateUpkeep {
            listeners: Mutex::new(secure(listeners)),
            admin: admin.map(|(address, tls)| (address.to_string(), tls)),
            clock: clock.clone(),
        })
    }

    /// Looks after other listeners from now on.
    pub(crate) fn follow_listeners(&self, listeners: &[Arc<Listener>]) {
        *self.lock() = secure(listeners);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<SecureListener>> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the certificates of a new configuration. A listener that waits for a restart keeps its
    /// settings; their files are read again. `of_admin` are those of the admin interface.
    pub(crate) fn read(
        &self,
        new: &config::Server,
        of_admin: Option<&config::ListenerTls>,
    ) -> Result<PreparedCertificates, TlsFileError> {
        let new = new.all_listeners();
        let mut prepared = Vec::new();
        for listener in &*self.lock() {
            let mut written = new.iter();
            let written = written.find(|new| new.can_replace(&listener.settings));
            let written = written.and_then(|new| new.tls.clone());
            let settings = written.unwrap_or_else(|| listener.tls.settings());
            let material = TlsMaterial::read(&settings)?;
            let tls = &listener.tls;
            prepared.push((Arc::clone(tls), tls.prepare(material)?));
        }
        if let Some(((_, tls), settings)) = self.admin.as_ref().zip(of_admin) {
            let material = TlsMaterial::read(settings)?;
            prepared.push((Arc::clone(tls), tls.prepare(material)?));
        }
        Ok(PreparedCertificates(prepared))
    }

    /// Puts certificates into force.
    pub(crate) fn install(prepared: PreparedCertificates) {
        for (tls, prepared) in prepared.0 {
            tls.install(prepared);
        }
    }

    /// The certificates in force.
    pub(crate) fn statuses(&self) -> Vec<CertificateStatus> {
        let all = self.terminators().into_iter().flat_map(|(address, tls)| {
            let certificates = tls.certificates().into_iter();
            certificates.map(move |certificate| CertificateStatus {
                listener: address.clone(),
                file: certificate.path().to_owned(),
                validity: certificate.validity(),
            })
        });
        all.collect()
    }

    /// The addresses of listeners with TLS, and whether their files have changed and can't be used.
    pub(crate) fn outdated(&self) -> Vec<(String, bool)> {
        let all = self.terminators().into_iter();
        all.map(|(address, tls)| (address, tls.is_outdated()))
            .collect()
    }

    /// Looks at the files again and again. Never returns.
    pub(crate) async fn follow_files(self: &Arc<CertificateUpkeep>) {
        loop {
            self.clock.sleep(LOOK_EVERY).await;
            let upkeep = Arc::clone(self);
            // A file system that hangs must not hold up what else is due.
            let looked = tokio::task::spawn_blocking(move || upkeep.look_at_files());
            if looked.await.is_err() {
                tracing::error!("the files of certificates can't be looked at");
            }
        }
    }

    /// Tells day by day which certificates expire soon. Never returns.
    pub(crate) async fn tell_expiring(&self) {
        loop {
            self.clock.sleep(TELL_EVERY).await;
            let now = self.clock.wall();
            for (_, tls) in self.terminators() {
                for certificate in tls.certificates() {
                    if let Some(problem) = warnings::expiry(&certificate, now) {
                        tracing::warn!("{problem}; {}", warnings::RENEW);
                    }
                }
            }
        }
    }

    fn look_at_files(&self) {
        for (address, tls) in self.terminators() {
            match tls.look_at_files() {
                FileLook::Unchanged => {}
                FileLook::Replaced(count) => {
                    tracing::info!(%address, count, "changed certificates have been read");
                }
                FileLook::Refused(error) => tracing::error!(
                    %address,
                    "changed certificates can't be used, and those from before stay: {error}; {}",
                    error.cure()
                ),
            }
        }
    }

    fn terminators(&self) -> Vec<(String, Arc<TlsTerminator>)> {
        let listeners = self.lock();
        let public = listeners
            .iter()
            .map(|listener| (listener.address.clone(), Arc::clone(&listener.tls)));
        public.chain(self.admin.clone()).collect()
    }
}

/// Those of the listeners that speak TLS.
fn secure(listeners: &[Arc<Listener>]) -> Vec<SecureListener> {
    let secure = |listener: &Arc<Listener>| {
        Some(SecureListener {
            settings: listener.settings().clone(),
            address: listener.address().to_string(),
            tls: Arc::clone(listener.tls()?),
        })
    };
    listeners.iter().filter_map(secure).collect()
}
