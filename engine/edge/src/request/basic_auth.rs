//! Names and passwords that a route asks for (RFC 7617), before anything is looked up.
//!
//! Checking a hash takes a tenth of a second on purpose, so that it never happens on a worker: a few
//! threads check, for whom a bounded number of requests wait. What was found right is remembered, so
//! that a visitor pays once. A client that is wrong too often has to wait.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use moka::sync::Cache;
use sha_crypt::{PasswordHashRef, PasswordVerifier as _, ShaCrypt};
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

use tero_config::BasicAuth;
use tero_semantics::timestamp::Timestamp;

/// Threads that check hashes.
const CHECKERS: usize = 2;
/// Requests that wait for them.
const MAX_WAITING: usize = 64;
/// Credentials that a route remembers to be right.
const MAX_VERIFIED: u64 = 4_096;
/// The longest password, in bytes: the time of a check grows with it.
const MAX_PASSWORD: usize = 256;
/// Wrong credentials of one client within [`FAILURE_WINDOW`].
const MAX_FAILURES: u32 = 10;
/// How long wrong credentials of a client count.
pub(super) const FAILURE_WINDOW: Duration = Duration::from_secs(60);
/// Clients whose wrong credentials are counted at the same time; a power of two.
const FAILURE_SLOTS: usize = 1_024;
/// The bits of an IPv6 address that belong to its owner, who may use all addresses below.
const IPV6_NETWORK: u128 = !0 << 64;

/// The users of a route.
pub(super) struct UserRealm {
    /// The value of `WWW-Authenticate`.
    pub(super) challenge: HeaderValue,
    hashes: HashMap<Box<str>, Box<str>>,
    /// A hash to check for names that are not known: they must take as long.
    some_hash: Box<str>,
    /// Digests of credentials that were right, under a secret of this process.
    verified: Cache<[u8; 32], ()>,
    secret: [u64; 4],
    failures: Mutex<Box<[FailureSlot]>>,
    hasher: RandomState,
}

#[derive(Clone, Copy, Default)]
struct FailureSlot {
    client: u64,
    failures: u32,
    since: Timestamp,
}

/// A name and a password, as a client sends them.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct UserPassword {
    name: String,
    password: Vec<u8>,
}

/// Credentials that were good for some realms, and are not sent on. A path that policies choose may
/// need them once more.
#[derive(Clone, Debug)]
pub(super) struct ProvenCredentials {
    pub(super) credentials: UserPassword,
    pub(super) realms: Vec<Arc<UserRealm>>,
}

/// What is known of a client's credentials without checking a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CredentialStatus {
    /// They are right.
    Verified,
    /// They have to be checked.
    Unknown,
    /// The client has been wrong too often.
    Limited,
}

/// The threads that check passwords, started when they are first wanted.
#[derive(Debug, Default)]
pub(super) struct PasswordCheckers {
    jobs: OnceLock<Option<SyncSender<CheckJob>>>,
}

struct CheckJob {
    realm: Arc<UserRealm>,
    credentials: UserPassword,
    result: oneshot::Sender<bool>,
}

impl std::fmt::Debug for UserRealm {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("UserRealm").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for UserPassword {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("UserPassword")
            .finish_non_exhaustive()
    }
}

impl UserRealm {
    pub(super) fn new(auth: &BasicAuth) -> UserRealm {
        let hashes = auth.users.iter();
        let hashes = hashes.map(|user| (user.name.as_str().into(), user.hash.as_str().into()));
        let challenge = format!("Basic realm=\"{}\", charset=\"UTF-8\"", auth.realm);
        let random = || RandomState::new().hash_one(0_u8);
        UserRealm {
            challenge: HeaderValue::try_from(challenge)
                .unwrap_or_else(|_| HeaderValue::from_static("Basic realm=\"restricted\"")),
            some_hash: auth.users.first().map_or("", |user| &user.hash).into(),
            hashes: hashes.collect(),
            verified: Cache::new(MAX_VERIFIED),
            secret: [random(), random(), random(), random()],
            failures: Mutex::new(vec![FailureSlot::default(); FAILURE_SLOTS].into()),
            hasher: RandomState::new(),
        }
    }

    /// What is known of credentials.
    pub(super) fn status(
        &self,
        credentials: &UserPassword,
        client: Option<IpAddr>,
        now: Timestamp,
    ) -> CredentialStatus {
        if self.verified.contains_key(&self.digest(credentials)) {
            // The use keeps them among the remembered.
            let _ = self.verified.get(&self.digest(credentials));
            return CredentialStatus::Verified;
        }
        match self.with_slot(client, now, |slot| slot.failures >= MAX_FAILURES) {
            true => CredentialStatus::Limited,
            false => CredentialStatus::Unknown,
        }
    }

    /// Counts wrong credentials of a client.
    pub(super) fn record_failure(&self, client: Option<IpAddr>, now: Timestamp) {
        self.with_slot(client, now, |slot| {
            slot.failures = slot.failures.saturating_add(1)
        });
    }

    /// The slot of a client. Another one that had it is forgotten: the table doesn't grow.
    fn with_slot<T>(
        &self,
        client: Option<IpAddr>,
        now: Timestamp,
        on: impl FnOnce(&mut FailureSlot) -> T,
    ) -> T {
        let client = self.hasher.hash_one(client.map(network_of));
        let mut slots = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = &mut slots[client as usize % FAILURE_SLOTS];
        if slot.client != client || now.since(slot.since) >= FAILURE_WINDOW {
            *slot = FailureSlot {
                client,
                failures: 0,
                since: now,
            };
        }
        on(slot)
    }

    /// Checks credentials, which takes long. What is right is remembered.
    fn check(&self, credentials: &UserPassword) -> bool {
        let digest = self.digest(credentials);
        if self.verified.contains_key(&digest) {
            return true;
        }
        let known = self.hashes.get(credentials.name.as_str());
        let hash = known.unwrap_or(&self.some_hash);
        let is_right = is_of_hash(&credentials.password, hash) && known.is_some();
        if is_right {
            self.verified.insert(digest, ());
        }
        is_right
    }

    fn digest(&self, credentials: &UserPassword) -> [u8; 32] {
        let mut digest = Sha256::new();
        for part in self.secret {
            digest.update(part.to_ne_bytes());
        }
        digest.update(credentials.name.len().to_ne_bytes());
        digest.update(&credentials.name);
        digest.update(&credentials.password);
        digest.finalize().into()
    }
}

/// What counts as one client: an IPv4 address, or an IPv6 network of 64 bits.
fn network_of(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits() & IPV6_NETWORK,
    }
}

/// Whether a password has this hash. Both libraries compare in constant time.
fn is_of_hash(password: &[u8], hash: &str) -> bool {
    if hash.starts_with("$2") {
        return bcrypt::verify(password, hash).unwrap_or(false);
    }
    PasswordHashRef::new(hash)
        .is_ok_and(|hash| ShaCrypt::default().verify_password(password, hash).is_ok())
}

impl UserPassword {
    /// The credentials of a request, if it has one field with those of the scheme `Basic`.
    pub(super) fn of(headers: &HeaderMap) -> Option<UserPassword> {
        let mut lines = headers.get_all(AUTHORIZATION).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return None;
        };
        let (scheme, encoded) = line.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = STANDARD.decode(encoded.trim()).ok()?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        let (name, password) = (&decoded[..colon], &decoded[colon + 1..]);
        (password.len() <= MAX_PASSWORD).then(|| {
            Some(UserPassword {
                name: String::from_utf8(name.to_vec()).ok()?,
                password: password.to_vec(),
            })
        })?
    }
}

impl PasswordCheckers {
    /// Checks credentials on another thread; `None` if too many wait.
    pub(super) fn check(
        &self,
        realm: &Arc<UserRealm>,
        credentials: &UserPassword,
    ) -> Option<oneshot::Receiver<bool>> {
        let (sender, result) = oneshot::channel();
        let job = CheckJob {
            realm: Arc::clone(realm),
            credentials: credentials.clone(),
            result: sender,
        };
        match self.jobs.get_or_init(start).as_ref()?.try_send(job) {
            Ok(()) => Some(result),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => None,
        }
    }
}

/// Starts the threads; `None` if the system has none to spare. They end when the edge is dropped.
fn start() -> Option<SyncSender<CheckJob>> {
    let (sender, jobs) = sync_channel(MAX_WAITING);
    let jobs = Arc::new(Mutex::new(jobs));
    for _ in 0..CHECKERS {
        let jobs: Arc<Mutex<Receiver<CheckJob>>> = Arc::clone(&jobs);
        let started = std::thread::Builder::new()
            .name("passwords".into())
            .spawn(move || check_jobs(&jobs));
        if let Err(error) = started {
            tracing::error!(%error, "no thread can be started to check passwords");
            return None;
        }
    }
    Some(sender)
}

fn check_jobs(jobs: &Mutex<Receiver<CheckJob>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // The client may have left.
        if !job.result.is_closed() {
            let is_right = job.realm.check(&job.credentials);
            let _ = job.result.send(is_right);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tero_config::Credential;

    const NOW: Timestamp = Timestamp::from_unix_secs(1_795_608_000);

    fn credentials(value: &str) -> Option<UserPassword> {
        let value = HeaderValue::from_str(value).unwrap();
        UserPassword::of(&HeaderMap::from_iter([(AUTHORIZATION, value)]))
    }

    fn basic(name: &str, password: &str) -> UserPassword {
        let encoded = STANDARD.encode(format!("{name}:{password}"));
        credentials(&format!("Basic {encoded}")).unwrap()
    }

    fn realm() -> UserRealm {
        let user = |name: &str, hash: &str| Credential {
            name: name.to_owned(),
            hash: hash.to_owned(),
        };
        UserRealm::new(&BasicAuth {
            realm: "shop".to_owned(),
            users: vec![
                user(
                    "ana",
                    "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
                ),
                user(
                    "beto",
                    "$6$rounds=1000$saltsalt$LAV5VE5Y7w1d73x1mFNspYWUpazfmwv2SoepNXNKJ/otop/Zok96Hr8Q13LEv0DRY/x8v0/crpIjl8NJSAqXV/",
                ),
                user(
                    "carla",
                    "$5$rounds=1000$saltsalt$eKLZU9t9OoPWrqOQsoTIKG0aYkZ5rGOoOQhiIvoSWX2",
                ),
            ],
        })
    }

    #[test]
    fn credentials_are_read_as_the_scheme_says() {
        let right = basic("ana", "a:b");
        assert_eq!((&*right.name, &*right.password), ("ana", &b"a:b"[..]));
        assert!(credentials("bAsIc YW5hOmE6Yg==").is_some());
        for wrong in [
            "Basic",
            "Basic YW5h",
            "Basic !!!!",
            "Bearer YW5hOmE6Yg==",
            "Basic YW5hOmE6Yg",
            "Basic /zo=",
        ] {
            assert!(credentials(wrong).is_none(), "{wrong}");
        }
        let mut twice = HeaderMap::new();
        for _ in 0..2 {
            twice.append(
                AUTHORIZATION,
                HeaderValue::from_static("Basic YW5hOmE6Yg=="),
            );
        }
        assert!(UserPassword::of(&twice).is_none());
        let of_length = |length: usize| {
            let encoded = STANDARD.encode(format!("ana:{}", "x".repeat(length)));
            credentials(&format!("Basic {encoded}"))
        };
        assert!(of_length(MAX_PASSWORD).is_some() && of_length(MAX_PASSWORD + 1).is_none());
    }

    #[test]
    fn every_kind_of_hash_is_checked_and_right_credentials_are_remembered() {
        let realm = realm();
        for name in ["ana", "beto", "carla"] {
            let right = basic(name, "secret");
            assert_eq!(realm.status(&right, None, NOW), CredentialStatus::Unknown);
            assert!(!realm.check(&basic(name, "Secret")), "{name}");
            assert!(!realm.check(&basic(name, "")), "{name}");
            assert!(realm.check(&right), "{name}");
            assert_eq!(realm.status(&right, None, NOW), CredentialStatus::Verified);
        }
        assert!(!realm.check(&basic("dora", "secret")), "an unknown name");
        assert!(!realm.check(&basic("", "secret")));
    }

    #[test]
    fn a_client_that_is_wrong_too_often_waits_and_no_other_one() {
        let realm = realm();
        let client = |text: &str| Some(text.parse().unwrap());
        let status = |from: &str, now| realm.status(&basic("ana", "x"), client(from), now);
        for _ in 0..MAX_FAILURES {
            assert_eq!(status("2001:db8::1", NOW), CredentialStatus::Unknown);
            realm.record_failure(client("2001:db8::1"), NOW);
        }
        assert_eq!(status("2001:db8::ffff", NOW), CredentialStatus::Limited);
        assert_eq!(status("2001:db8:0:1::1", NOW), CredentialStatus::Unknown);
        let later = NOW.saturating_add(FAILURE_WINDOW);
        assert_eq!(status("2001:db8::1", later), CredentialStatus::Unknown);
    }
}
