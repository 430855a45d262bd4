//! Certificates from a directory that speaks ACME (RFC 8555): orders them for the hosts of sites,
//! keeps them in the state directory, renews them, and tells what fails.
//!
//! One thread does it, and one order at a time. Workers see the result alone: the certificates and
//! the answers to challenges in [`tero_edge::acme`].

mod account;
mod certificate;
mod directory_client;
mod files;
mod ledger;
mod order;
mod pacing;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use instant_acme::Account;
use tokio::sync::{Notify, watch};

use certificate::NameCertificate;
use directory_client::DirectoryClient;
use files::AcmeFiles;
use ledger::{NextStep, OrderLedger};
use order::{OrderContext, OrderError};
use tero_config as config;
use tero_edge::request::Edge;
use tero_edge::server::ShutdownStage;
use tero_state::dir::{DirError, StateDir};

pub use ledger::NameReport;

/// How long the time of the next order is trusted: the clock may be set meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(60 * 60);

/// Orders certificates for the hosts of an edge.
#[derive(Debug)]
pub struct CertificateOrders {
    edge: Arc<Edge>,
    settings: config::Acme,
    files: AcmeFiles,
    ledger: Mutex<OrderLedger>,
    /// The names are others now.
    changed: Notify,
    issued: AtomicU64,
    failed: AtomicU64,
}

/// What has come of orders since the start.
#[derive(Clone, Copy, Debug)]
pub struct OrderCounts {
    /// Certificates that were issued.
    pub issued: u64,
    /// Orders that failed.
    pub failed: u64,
}

impl CertificateOrders {
    /// The orders of a configuration, if a listener has certificates by ACME.
    ///
    /// # Errors
    /// As [`CertificateOrders::open`].
    pub(crate) fn of(
        config: &config::Config,
        edge: &Arc<Edge>,
        dir: Option<&Arc<StateDir>>,
    ) -> Result<Option<Arc<CertificateOrders>>, DirError> {
        let Some((settings, dir)) = config.acme.as_ref().zip(dir) else {
            return Ok(None);
        };
        let orders = CertificateOrders::open(settings, &config.acme_names(), edge, dir)?;
        Ok(Some(Arc::new(orders)))
    }

    /// Reads what was kept of the directory, so that its certificates serve at once. Nothing is
    /// ordered before [`CertificateOrders::start`].
    ///
    /// # Errors
    /// If the folder in the state directory can't be used.
    pub fn open(
        settings: &config::Acme,
        names: &[Arc<str>],
        edge: &Arc<Edge>,
        dir: &Arc<StateDir>,
    ) -> Result<CertificateOrders, DirError> {
        let files = AcmeFiles::open(dir, &settings.directory)?;
        let orders = CertificateOrders {
            edge: Arc::clone(edge),
            settings: settings.clone(),
            ledger: Mutex::new(OrderLedger::new(files.failures())),
            files,
            changed: Notify::new(),
            issued: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        };
        orders.set_names(names);
        Ok(orders)
    }

    /// Replaces the names that have certificates, in the order of the configuration.
    pub fn set_names(&self, names: &[Arc<str>]) {
        let mut ledger = self.ledger();
        ledger.set_names(names, |name| self.kept(name));
        self.publish(&ledger);
        drop(ledger);
        self.changed.notify_one();
    }

    /// What is known of each name, in the order of the alphabet.
    pub fn report(&self) -> Vec<NameReport> {
        self.ledger().report()
    }

    /// What has come of orders since the start.
    pub fn counts(&self) -> OrderCounts {
        OrderCounts {
            issued: self.issued.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    /// Starts the thread. It ends when the edge drains, in the middle of an order if need be.
    ///
    /// # Errors
    /// If the thread or its runtime can't be created.
    pub fn start(
        self: &Arc<CertificateOrders>,
        mut stages: watch::Receiver<ShutdownStage>,
    ) -> io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // It looks names up.
            .max_blocking_threads(1)
            .build()?;
        let orders = Arc::clone(self);
        std::thread::Builder::new()
            .name("acme".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        biased;
                        _ = stages.wait_for(|stage| *stage > ShutdownStage::Running) => {}
                        () = orders.run() => {}
                    }
                });
                // A name that is being looked up must not delay the end.
                runtime.shutdown_background();
            })
    }

    async fn run(&self) {
        let clock = &self.edge.clock;
        let mut session = None;
        loop {
            let now = clock.wall();
            let step = self.ledger().next_step(now);
            let until = match step {
                NextStep::Order(name) => {
                    self.order(&name, &mut session).await;
                    continue;
                }
                NextStep::WaitUntil(time) => time.min(now.saturating_add(LOOK_AGAIN)),
                NextStep::Rest => now.saturating_add(LOOK_AGAIN),
            };
            // The connection is not kept while nothing is asked, nor are the directory's URLs.
            session = None;
            tokio::select! {
                () = clock.sleep_until_wall(until) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Orders a certificate, and notes what has come of it.
    async fn order(&self, name: &Arc<str>, session: &mut Option<DirectorySession>) {
        let clock = &self.edge.clock;
        self.ledger().begin(clock.wall());
        tracing::info!(%name, "ordering a certificate");
        let outcome = self.obtain(name, session).await;
        let now = clock.wall();
        match outcome {
            Ok(certificate) => {
                let valid_until = certificate.validity.not_after.unix_secs();
                tracing::info!(%name, valid_until, "a certificate was issued");
                self.issued.fetch_add(1, Ordering::Relaxed);
                self.ledger().issued(name, certificate, now);
            }
            Err(error) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                let asked = session
                    .take()
                    .and_then(|session| session.client.retry_after());
                let mut ledger = self.ledger();
                ledger.failed(name, &error, asked, now);
                let again_at = match ledger.next_step(now) {
                    NextStep::WaitUntil(time) => time.unix_secs(),
                    _ => now.unix_secs(),
                };
                drop(ledger);
                tracing::warn!(%name, again_at, "no certificate: {error}");
            }
        }
        let ledger = self.ledger();
        self.publish(&ledger);
        if let Err(error) = self.files.keep_failures(&ledger.records()) {
            tracing::warn!(%error, "failed orders of certificates can't be kept");
        }
    }

    async fn obtain(
        &self,
        name: &str,
        session: &mut Option<DirectorySession>,
    ) -> Result<NameCertificate, OrderError> {
        let session = match session {
            Some(session) => session,
            None => session.insert(self.begin_session()?),
        };
        let account = match &session.account {
            Some(account) => account,
            None => {
                let opened = account::open(&self.files, &self.settings, &session.client).await;
                let opened = opened.inspect_err(|error| self.forget_account_after(error))?;
                session.account.insert(opened)
            }
        };
        // What has failed before may fail again, so each failure makes room for the next way.
        let mut challenges = self.settings.challenges.clone();
        let ways = challenges.len().max(1);
        challenges.rotate_left(self.ledger().failures(name) as usize % ways);
        let context = OrderContext {
            account,
            client: &session.client,
            responder: &self.edge.acme,
            clock: &self.edge.clock,
            challenges: &challenges,
        };
        let obtained = context.obtain(name).await;
        let pem = obtained.inspect_err(|error| self.forget_account_after(error))?;
        let certificate = NameCertificate::read(pem.as_bytes(), name).map_err(|fault| {
            OrderError::Name(format!("the directory issued something unusable: {fault}"))
        })?;
        if let Err(error) = self.files.keep_certificate(name, &pem) {
            // It serves all the same, until the process ends.
            tracing::warn!(%name, %error, "the certificate can't be kept in the state directory");
        }
        Ok(certificate)
    }

    fn begin_session(&self) -> Result<DirectorySession, OrderError> {
        let clock = self.edge.clock.clone();
        let client = DirectoryClient::new(self.settings.ca.as_deref(), clock);
        let client = client.map_err(|error| {
            OrderError::Directory(format!("the CAs of the directory can't be used: {error}"))
        })?;
        Ok(DirectorySession {
            client,
            account: None,
        })
    }

    /// Makes the next order begin with a new account, if the directory knows this one no more.
    fn forget_account_after(&self, error: &OrderError) {
        if matches!(error, OrderError::AccountGone(_))
            && let Err(error) = self.files.retire_account()
        {
            tracing::warn!(%error, "the lost account can't be moved away");
        }
    }

    /// The certificate of a name that was kept. One that can't be used is logged.
    fn kept(&self, name: &str) -> Option<NameCertificate> {
        let unusable = |error: &dyn std::fmt::Display| {
            tracing::warn!(%name, "the kept certificate can't be used, and another one is ordered: {error}");
        };
        match self.files.certificate(name) {
            Ok(pem) => NameCertificate::read(&pem?, name)
                .inspect_err(|error| unusable(error))
                .ok(),
            Err(error) => {
                unusable(&error);
                None
            }
        }
    }

    fn publish(&self, ledger: &OrderLedger) {
        self.edge.acme.replace_certificates(ledger.certificates());
    }

    fn ledger(&self) -> MutexGuard<'_, OrderLedger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The names of a configuration whose last order has failed, as far as its state directory tells.
pub fn order_warnings(config: &config::Config) -> Vec<config::ConfigError> {
    let state_dir = config.policy_host.state_dir.as_ref();
    let Some((settings, state_dir)) = config.acme.as_ref().zip(state_dir) else {
        return Vec::new();
    };
    let records = files::kept_failures(state_dir, &settings.directory);
    let of_names = config.acme_names().into_iter().filter_map(|name| {
        let record = records.names.get(&*name)?;
        Some((format!("the certificate for {name}"), record))
    });
    let of_all = records.directory.as_ref();
    let of_all = of_all.map(|record| ("certificates".to_owned(), record));
    let all = of_all.into_iter().chain(of_names);
    all.map(|(what, record)| config::ConfigError {
        file: config.file.to_string(),
        line: 1,
        column: 1,
        key: config::Acme::SECTION.name.to_owned(),
        problem: format!(
            "the last {} orders of {what} have failed: {}",
            record.count, record.reason
        ),
        cure: "see that the directory reaches the host by this edge, port 80 or 443".to_owned(),
        at: 0..0,
    })
    .collect()
}

/// An account, and the connection by which it is used.
struct DirectorySession {
    client: DirectoryClient,
    /// `None` before it is opened.
    account: Option<Account>,
}
