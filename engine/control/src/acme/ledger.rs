//! Which names have a certificate, which failed, and whose turn is next. It knows no clock and no
//! files: `now` is an argument.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::certificate::NameCertificate;
use super::files::{FailureRecord, FailureRecords};
use super::order::OrderError;
use super::pacing::{DIRECTORY_PAUSES, NAME_PAUSES, Pauses, Spread, renewal};
use tero_edge::acme::IssuedCertificates;
use tero_edge::validity::Validity;
use tero_semantics::timestamp::Timestamp;

/// Orders within [`ORDERS_WITHIN`], of all names together. Let's Encrypt allows 300 of an account.
const MAX_ORDERS: usize = 250;
const ORDERS_WITHIN: Duration = Duration::from_secs(3 * 60 * 60);

/// What is known of each name.
#[derive(Debug, Default)]
pub(super) struct OrderLedger {
    names: BTreeMap<Arc<str>, NameEntry>,
    /// The first name of the configuration, whose certificate is the default.
    first: Option<Arc<str>>,
    directory: Option<FailureRecord>,
    /// When orders began, within [`ORDERS_WITHIN`].
    orders: VecDeque<Timestamp>,
}

#[derive(Clone, Debug, Default)]
struct NameEntry {
    certificate: Option<NameCertificate>,
    failure: Option<FailureRecord>,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NextStep {
    /// A certificate is to be ordered for this name.
    Order(Arc<str>),
    /// Nothing before this time.
    WaitUntil(Timestamp),
    /// Nothing, as long as the names stay the same.
    Rest,
}

/// What is known of a name, for people.
#[derive(Clone, Debug)]
pub struct NameReport {
    /// The name.
    pub name: Arc<str>,
    /// From when until when its certificate is valid; `None` without a certificate.
    pub validity: Option<Validity>,
    /// When the next certificate is ordered.
    pub next_order: Timestamp,
    /// The failed orders in a row.
    pub failures: u32,
    /// Why the last one failed.
    pub reason: Option<String>,
}

impl OrderLedger {
    /// A ledger with the failures that were kept.
    pub(super) fn new(records: FailureRecords) -> OrderLedger {
        let entry = |failure| NameEntry {
            certificate: None,
            failure: Some(failure),
        };
        let names = records.names.into_iter();
        OrderLedger {
            names: names
                .map(|(name, failure)| (name.into(), entry(failure)))
                .collect(),
            directory: records.directory,
            ..OrderLedger::default()
        }
    }

    /// Replaces the names. What is known of those that stay is kept; `kept` is asked for the
    /// certificates of the others.
    pub(super) fn set_names(
        &mut self,
        names: &[Arc<str>],
        kept: impl Fn(&str) -> Option<NameCertificate>,
    ) {
        let mut old = std::mem::take(&mut self.names);
        self.first = names.first().cloned();
        for name in names {
            let mut entry = old.remove(name).unwrap_or_default();
            if entry.certificate.is_none() {
                entry.certificate = kept(name);
            }
            self.names.insert(Arc::clone(name), entry);
        }
    }

    /// What is to be done at `now`.
    pub(super) fn next_step(&self, now: Timestamp) -> NextStep {
        let due = |entry: &NameEntry, name: &str| entry.due(name).max(self.open_at());
        // Names without a certificate go first: their visitors get none.
        let entries = self.names.iter();
        let first = entries
            .map(|(name, entry)| (due(entry, name), entry.certificate.is_some(), name))
            .min_by_key(|(due, has_certificate, _)| ((*due).max(now), *has_certificate));
        match first {
            Some((due, _, name)) if due <= now => NextStep::Order(Arc::clone(name)),
            Some((due, _, _)) => NextStep::WaitUntil(due),
            None => NextStep::Rest,
        }
    }

    /// From when on the directory may be asked: after its pause, and within the bound of orders.
    fn open_at(&self) -> Timestamp {
        let after_failure = self
            .directory
            .as_ref()
            .map_or(i64::MIN, |failure| failure.until_unix_secs);
        let after_orders = match self.orders.len() {
            MAX_ORDERS.. => self.orders[0].saturating_add(ORDERS_WITHIN),
            _ => Timestamp::from_unix_secs(i64::MIN),
        };
        Timestamp::from_unix_secs(after_failure).max(after_orders)
    }

    /// The failed orders of a name in a row.
    pub(super) fn failures(&self, name: &str) -> u32 {
        let failure = self
            .names
            .get(name)
            .and_then(|entry| entry.failure.as_ref());
        failure.map_or(0, |failure| failure.count)
    }

    /// Notes that an order begins.
    pub(super) fn begin(&mut self, now: Timestamp) {
        let is_old = |at: &Timestamp| now.since(*at) >= ORDERS_WITHIN;
        while self.orders.front().is_some_and(is_old) || self.orders.len() >= MAX_ORDERS {
            self.orders.pop_front();
        }
        self.orders.push_back(now);
    }

    /// Notes a new certificate. One that is due for renewal at once counts as a failure: else it
    /// would be ordered again and again.
    pub(super) fn issued(&mut self, name: &str, certificate: NameCertificate, now: Timestamp) {
        self.directory = None;
        let Some(entry) = self.names.get_mut(name) else {
            return;
        };
        entry.certificate = Some(certificate);
        let failure = entry.failure.take();
        if entry.due(name) <= now {
            let reason = "the new certificate is about to expire; compare the clocks".to_owned();
            entry.failure = Some(failed_again(
                failure.as_ref(),
                NAME_PAUSES,
                None,
                &Failure { name, now, reason },
            ));
        }
    }

    /// Notes a failed order.
    pub(super) fn failed(
        &mut self,
        name: &str,
        error: &OrderError,
        asked: Option<Duration>,
        now: Timestamp,
    ) {
        let reason = error.to_string();
        let failure = Failure { name, now, reason };
        if error.concerns_all_names() {
            let directory = Failure {
                name: "",
                ..failure.clone()
            };
            // How long one name is held back says little of the others.
            let asked_of_all = match error {
                OrderError::RateLimit(_) => None,
                _ => asked,
            };
            self.directory = Some(failed_again(
                self.directory.as_ref(),
                DIRECTORY_PAUSES,
                asked_of_all,
                &directory,
            ));
        } else {
            self.directory = None;
        }
        let is_of_name = matches!(error, OrderError::Name(_) | OrderError::RateLimit(_));
        if let Some(entry) = self.names.get_mut(name).filter(|_| is_of_name) {
            let before = entry.failure.take();
            entry.failure = Some(failed_again(before.as_ref(), NAME_PAUSES, asked, &failure));
        }
    }

    /// The failures, as they are kept.
    pub(super) fn records(&self) -> FailureRecords {
        let names = self.names.iter();
        FailureRecords {
            directory: self.directory.clone(),
            names: names
                .filter_map(|(name, entry)| Some((name.to_string(), entry.failure.clone()?)))
                .collect(),
        }
    }

    /// The certificates, as handshakes need them.
    pub(super) fn certificates(&self) -> IssuedCertificates {
        let key = |entry: &NameEntry| Some(Arc::clone(&entry.certificate.as_ref()?.key));
        let first = self.first.as_ref().and_then(|name| self.names.get(name));
        IssuedCertificates {
            by_name: self
                .names
                .iter()
                .filter_map(|(name, entry)| Some((Arc::clone(name), key(entry)?)))
                .collect(),
            default: first
                .and_then(key)
                .or_else(|| self.names.values().find_map(key)),
        }
    }

    /// What is known of each name.
    pub(super) fn report(&self) -> Vec<NameReport> {
        let of_name = |(name, entry): (&Arc<str>, &NameEntry)| {
            // Without a certificate, a failure of the directory counts for the name too.
            let of_all = self.directory.as_ref();
            let of_all = of_all.filter(|_| entry.certificate.is_none());
            let both = [entry.failure.as_ref(), of_all].into_iter().flatten();
            let failure = both.max_by_key(|failure| failure.at_unix_secs);
            NameReport {
                name: Arc::clone(name),
                validity: entry.certificate.as_ref().map(|held| held.validity),
                next_order: entry.due(name).max(self.open_at()),
                failures: failure.map_or(0, |failure| failure.count),
                reason: failure.map(|failure| failure.reason.clone()),
            }
        };
        self.names.iter().map(of_name).collect()
    }
}

impl NameEntry {
    /// When the next certificate is ordered.
    fn due(&self, name: &str) -> Timestamp {
        let renewal = self.certificate.as_ref().map_or(
            Timestamp::from_unix_secs(i64::MIN),
            |NameCertificate { validity, .. }| {
                renewal(*validity, Spread::of_name(name, validity.not_after))
            },
        );
        let after_failure = self
            .failure
            .as_ref()
            .map_or(i64::MIN, |failure| failure.until_unix_secs);
        renewal.max(Timestamp::from_unix_secs(after_failure))
    }
}

/// A failure before it is counted.
#[derive(Clone)]
struct Failure<'f> {
    name: &'f str,
    now: Timestamp,
    reason: String,
}

fn failed_again(
    before: Option<&FailureRecord>,
    pauses: Pauses,
    asked: Option<Duration>,
    failure: &Failure<'_>,
) -> FailureRecord {
    let count = before.map_or(0, |before| before.count).saturating_add(1);
    let spread = Spread::of_name(failure.name, failure.now);
    let until = failure
        .now
        .saturating_add(pauses.after(count, asked, spread));
    FailureRecord {
        count,
        at_unix_secs: failure.now.unix_secs(),
        reason: failure.reason.clone(),
        until_unix_secs: until.unix_secs(),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::KeyPair;
    use rustls::crypto::aws_lc_rs;
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::sign::CertifiedKey;

    use super::*;

    const NOON: Timestamp = Timestamp::from_unix_secs(1_795_608_000);
    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn certificate(lifetime: Duration) -> NameCertificate {
        let key = KeyPair::generate().unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
        NameCertificate {
            key: Arc::new(CertifiedKey::new(Vec::new(), key)),
            validity: Validity {
                not_before: NOON,
                not_after: NOON.saturating_add(lifetime),
            },
        }
    }

    fn ledger(names: &[&str]) -> OrderLedger {
        let mut ledger = OrderLedger::default();
        let names: Vec<Arc<str>> = names.iter().map(|name| Arc::from(*name)).collect();
        ledger.set_names(&names, |_| None);
        ledger
    }

    fn refused() -> OrderError {
        OrderError::Name("refused".to_owned())
    }

    fn wait(step: &NextStep) -> Duration {
        let NextStep::WaitUntil(time) = step else {
            panic!("{step:?}")
        };
        time.since(NOON)
    }

    #[test]
    fn a_name_without_a_certificate_is_ordered_at_once_and_renewed_later() {
        let mut ledger = ledger(&["shop.example"]);
        assert_eq!(
            ledger.next_step(NOON),
            NextStep::Order("shop.example".into())
        );
        ledger.begin(NOON);
        ledger.issued("shop.example", certificate(90 * HOUR), NOON);
        let wait = wait(&ledger.next_step(NOON));
        assert!((60 * HOUR..=63 * HOUR).contains(&wait), "{wait:?}");
        assert_eq!(
            ledger.next_step(NOON.saturating_add(wait)),
            NextStep::Order("shop.example".into())
        );
        assert_eq!(ledger.certificates().by_name.len(), 1);
        assert!(ledger.certificates().default.is_some());
    }

    #[test]
    fn a_failed_name_waits_and_holds_up_no_other() {
        let mut ledger = ledger(&["a.example", "b.example"]);
        ledger.failed("a.example", &refused(), None, NOON);
        assert_eq!(ledger.next_step(NOON), NextStep::Order("b.example".into()));
        ledger.issued("b.example", certificate(90 * HOUR), NOON);
        let first = wait(&ledger.next_step(NOON));
        ledger.failed("a.example", &refused(), None, NOON);
        let second = wait(&ledger.next_step(NOON));
        assert!(
            second > first && first >= Duration::from_secs(300),
            "{first:?} {second:?}"
        );
        assert_eq!(ledger.records().names["a.example"].count, 2);
        // A restart knows it too.
        let mut again = OrderLedger::new(ledger.records());
        again.set_names(&["a.example".into()], |_| None);
        assert_eq!(wait(&again.next_step(NOON)), second);
        ledger.issued("a.example", certificate(90 * HOUR), NOON);
        assert_eq!(ledger.records(), FailureRecords::default());
    }

    #[test]
    fn a_failure_of_the_directory_holds_up_all_names() {
        let mut ledger = ledger(&["a.example", "b.example"]);
        let down = OrderError::Directory("down".to_owned());
        ledger.failed("a.example", &down, None, NOON);
        let first = wait(&ledger.next_step(NOON));
        assert!((60..=66).contains(&first.as_secs()), "{first:?}");
        assert!(ledger.records().names.is_empty());
        assert!(
            ledger
                .report()
                .iter()
                .all(|name| name.reason.as_deref() == Some("down"))
        );
        ledger.failed("a.example", &down, Some(5 * HOUR), NOON);
        assert_eq!(wait(&ledger.next_step(NOON)), 5 * HOUR);
    }

    #[test]
    fn a_rate_limit_holds_up_its_name_for_as_long_as_it_says() {
        let mut ledger = ledger(&["a.example", "b.example"]);
        let limited = OrderError::RateLimit("too many".to_owned());
        ledger.failed("a.example", &limited, Some(30 * HOUR), NOON);
        let of_all = wait(&ledger.next_step(NOON));
        assert!(of_all <= Duration::from_secs(66), "{of_all:?}");
        let later = NOON.saturating_add(of_all);
        assert_eq!(ledger.next_step(later), NextStep::Order("b.example".into()));
        ledger.issued("b.example", certificate(900 * HOUR), later);
        assert_eq!(wait(&ledger.next_step(later)), 30 * HOUR);
    }

    #[test]
    fn orders_are_bounded() {
        let mut ledger = ledger(&["a.example"]);
        for _ in 0..MAX_ORDERS {
            assert_eq!(ledger.next_step(NOON), NextStep::Order("a.example".into()));
            ledger.begin(NOON);
        }
        assert_eq!(wait(&ledger.next_step(NOON)), ORDERS_WITHIN);
        let later = NOON.saturating_add(ORDERS_WITHIN);
        assert_eq!(ledger.next_step(later), NextStep::Order("a.example".into()));
        ledger.begin(later);
        assert_eq!(ledger.orders.len(), 1);
    }

    #[test]
    fn a_certificate_that_expires_at_once_is_not_ordered_again_at_once() {
        let mut ledger = ledger(&["a.example"]);
        let now = NOON.saturating_add(2 * HOUR);
        ledger.issued("a.example", certificate(HOUR), now);
        assert!(matches!(ledger.next_step(now), NextStep::WaitUntil(time) if time > now));
        assert_eq!(ledger.records().names["a.example"].count, 1);
    }

    #[test]
    fn names_come_and_go() {
        let mut ledger = ledger(&["a.example", "b.example"]);
        ledger.issued("a.example", certificate(90 * HOUR), NOON);
        ledger.set_names(&["c.example".into(), "a.example".into()], |name| {
            (name == "c.example").then(|| certificate(90 * HOUR))
        });
        let names = ledger.certificates().by_name;
        assert!(names.contains_key("a.example") && names.contains_key("c.example"));
        ledger.set_names(&[], |_| None);
        assert_eq!(ledger.next_step(NOON), NextStep::Rest);
        assert!(ledger.certificates().default.is_none());
    }
}
