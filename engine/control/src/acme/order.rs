//! One order, from its beginning to a certificate (RFC 8555 §7.4), and what can go wrong.

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, ChallengeType, Identifier, NewOrder, Order,
    OrderStatus, Problem,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use super::directory_client::DirectoryClient;
use tero_config::AcmeChallenge;
use tero_edge::acme::{AcmeResponder, ChallengeAnswer, OpenChallenge};
use tero_time::clock::Clock;

/// How often the state of an order is asked for, unless the directory asks for a longer pause.
const POLL_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_POLL_PAUSE: Duration = Duration::from_secs(30);
/// How often it is asked for at most, for each of the two things that are waited for.
const MAX_POLLS: usize = 60;
/// The longest text of a failure, in characters.
const MAX_REASON: usize = 400;

/// Why the order gave no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    /// The name can't be certified, as things are.
    #[error("{0}")]
    Name(String),
    /// The directory wants to be asked less.
    #[error("{0}")]
    RateLimit(String),
    /// The directory does not know the account any more.
    #[error("{0}")]
    AccountGone(String),
    /// No name can be certified, as things are.
    #[error("{0}")]
    Directory(String),
}

/// What an order needs.
pub(super) struct OrderContext<'o> {
    pub(super) account: &'o Account,
    pub(super) client: &'o DirectoryClient,
    pub(super) responder: &'o Arc<AcmeResponder>,
    pub(super) clock: &'o Clock,
    /// How the name is checked, the preferred way first.
    pub(super) challenges: &'o [AcmeChallenge],
}

impl OrderContext<'_> {
    /// Orders a certificate for a name. Returns a new private key and the certificate with its
    /// chain, as one text of PEM.
    ///
    /// # Errors
    /// [`OrderError`].
    pub(super) async fn obtain(&self, name: &str) -> Result<String, OrderError> {
        let identifiers = [Identifier::Dns(name.to_owned())];
        let mut order = self.account.new_order(&NewOrder::new(&identifiers)).await?;
        let _open = self.answer_challenges(&mut order, name).await?;
        let status = self.wait(&mut order, OrderStatus::Pending).await?;
        if status == OrderStatus::Invalid {
            return Err(OrderError::Name(reason_of(&mut order).await));
        }
        let (key, request) = signing_request(name)?;
        if status == OrderStatus::Ready {
            order.finalize_csr(&request).await?;
        }
        let status = self.wait(&mut order, OrderStatus::Processing).await?;
        if status != OrderStatus::Valid {
            return Err(OrderError::Name(reason_of(&mut order).await));
        }
        match order.certificate().await? {
            Some(chain) => Ok(key + &chain),
            None => Err(OrderError::Directory(
                "the order is valid without a certificate".to_owned(),
            )),
        }
    }

    /// Prepares the answers, and has the directory look for them. They are given as long as the
    /// returned values live.
    async fn answer_challenges(
        &self,
        order: &mut Order,
        name: &str,
    ) -> Result<Vec<OpenChallenge>, OrderError> {
        let mut open = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            match authorization.status {
                AuthorizationStatus::Pending => {
                    open.push(self.answer_challenge(&mut authorization, name).await?);
                }
                AuthorizationStatus::Valid => {}
                status => {
                    let reason = format!("the directory's authorization is {status:?}");
                    return Err(OrderError::Name(reason.to_lowercase()));
                }
            }
        }
        Ok(open)
    }

    async fn answer_challenge<'a>(
        &self,
        authorization: &'a mut AuthorizationHandle<'a>,
        name: &str,
    ) -> Result<OpenChallenge, OrderError> {
        let offered = |way: &&AcmeChallenge| {
            let mut challenges = authorization.challenges.iter();
            challenges.any(|challenge| challenge.r#type == type_of(**way))
        };
        let Some(way) = self.challenges.iter().find(offered).copied() else {
            return Err(OrderError::Name(
                "the directory offers none of the configured challenges".to_owned(),
            ));
        };
        let mut challenge = authorization
            .challenge(type_of(way))
            .expect("it is among those that were offered");
        let proof = challenge.key_authorization();
        let answer = match way {
            AcmeChallenge::Http01 => ChallengeAnswer::Http {
                token: challenge.token.clone(),
                key_authorization: proof.as_str().to_owned(),
            },
            AcmeChallenge::TlsAlpn01 => ChallengeAnswer::Tls {
                name: name.to_owned(),
                certificate: challenge_certificate(name, proof.digest().as_ref())?,
            },
        };
        let open = self.responder.open(answer);
        challenge.set_ready().await?;
        Ok(open)
    }

    /// Waits until an order has left the state `from` and those before it.
    async fn wait(&self, order: &mut Order, from: OrderStatus) -> Result<OrderStatus, OrderError> {
        for _ in 0..MAX_POLLS {
            let status = order.state().status;
            let is_before = match status {
                OrderStatus::Pending => true,
                OrderStatus::Ready | OrderStatus::Processing => from == OrderStatus::Processing,
                OrderStatus::Valid | OrderStatus::Invalid => false,
            };
            if !is_before {
                return Ok(status);
            }
            let asked = self.client.retry_after().unwrap_or_default();
            let pause = asked.clamp(POLL_PAUSE, LONGEST_POLL_PAUSE);
            self.clock.sleep(pause).await;
            order.refresh().await?;
        }
        Err(OrderError::Name(
            "the directory did not come to a decision in time".to_owned(),
        ))
    }
}

/// The reasons of an order that has failed, as far as the directory tells them.
async fn reason_of(order: &mut Order) -> String {
    let own = order.state().error.as_ref().map(text_of);
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if authorization.refresh().await.is_err() {
            break;
        }
        let mut challenges = authorization.challenges.iter();
        if let Some(problem) = challenges.find_map(|challenge| challenge.error.as_ref()) {
            return text_of(problem);
        }
    }
    own.unwrap_or_else(|| "the directory refuses the order without a reason".to_owned())
}

/// A new key as PEM, and the request for a certificate (RFC 2986) of this name.
fn signing_request(name: &str) -> Result<(String, Vec<u8>), OrderError> {
    let made = || {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&key)?;
        Ok((key.serialize_pem(), request.der().to_vec()))
    };
    made().map_err(|error: rcgen::Error| OrderError::Name(shown(&error.to_string())))
}

/// The certificate that answers a challenge (RFC 8737 §3).
fn challenge_certificate(name: &str, digest: &[u8]) -> Result<Arc<CertifiedKey>, OrderError> {
    let unusable = |error: &dyn std::error::Error| OrderError::Name(shown(&error.to_string()));
    let made = || {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        Ok((params.self_signed(&key)?, key))
    };
    let (certificate, key) = made().map_err(|error: rcgen::Error| unusable(&error))?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = aws_lc_rs::sign::any_supported_type(&key).map_err(|error| unusable(&error))?;
    Ok(Arc::new(CertifiedKey::new(
        vec![certificate.der().clone()],
        key,
    )))
}

fn type_of(challenge: AcmeChallenge) -> ChallengeType {
    match challenge {
        AcmeChallenge::Http01 => ChallengeType::Http01,
        AcmeChallenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
    }
}

impl OrderError {
    /// The same, for a step that concerns no single name.
    pub(super) fn of_account(error: instant_acme::Error) -> OrderError {
        match OrderError::from(error) {
            OrderError::Name(reason) => OrderError::Directory(reason),
            other => other,
        }
    }

    /// Whether other names would fail in the same way.
    pub(super) fn concerns_all_names(&self) -> bool {
        !matches!(self, OrderError::Name(_))
    }
}

impl From<instant_acme::Error> for OrderError {
    fn from(error: instant_acme::Error) -> OrderError {
        let instant_acme::Error::Api(problem) = error else {
            return OrderError::Directory(shown(&error.to_string()));
        };
        let reason = text_of(&problem);
        match short_type(&problem) {
            "rateLimited" => OrderError::RateLimit(reason),
            "accountDoesNotExist" => OrderError::AccountGone(reason),
            "badCSR"
            | "caa"
            | "compound"
            | "connection"
            | "dns"
            | "incorrectResponse"
            | "malformed"
            | "orderNotReady"
            | "rejectedIdentifier"
            | "tls"
            | "unauthorized"
            | "unsupportedIdentifier" => OrderError::Name(reason),
            _ => OrderError::Directory(reason),
        }
    }
}

/// The type without what all types of ACME begin with (RFC 8555 §6.7).
fn short_type(problem: &Problem) -> &str {
    let full = problem.r#type.as_deref().unwrap_or_default();
    full.strip_prefix("urn:ietf:params:acme:error:")
        .unwrap_or(full)
}

fn text_of(problem: &Problem) -> String {
    let detail = problem.detail.as_deref().unwrap_or("no reason given");
    let about = problem
        .subproblems
        .iter()
        .filter_map(|sub| sub.detail.as_deref());
    let details: Vec<&str> = [detail].into_iter().chain(about).collect();
    let kind = short_type(problem);
    shown(&format!("{} ({kind})", details.join("; ")))
}

/// A text from outside as it may stand in a log: on one line, and not too long.
pub(super) fn shown(text: &str) -> String {
    let is_plain = |&character: &char| !character.is_control();
    text.chars().filter(is_plain).take(MAX_REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: &str) -> OrderError {
        let problem = Problem {
            r#type: Some(format!("urn:ietf:params:acme:error:{kind}")),
            detail: Some("it\nis so".to_owned()),
            status: None,
            subproblems: Vec::new(),
        };
        OrderError::from(instant_acme::Error::Api(problem))
    }

    #[test]
    fn a_problem_concerns_a_name_or_all_of_them() {
        for (kind, all) in [
            ("rejectedIdentifier", false),
            ("unauthorized", false),
            ("dns", false),
            ("rateLimited", true),
            ("accountDoesNotExist", true),
            ("serverInternal", true),
            ("badNonce", true),
            ("userActionRequired", true),
            ("somethingNew", true),
        ] {
            let error = error(kind);
            assert_eq!(error.concerns_all_names(), all, "{kind}");
            assert_eq!(error.to_string(), format!("itis so ({kind})"));
        }
    }

    #[test]
    fn texts_from_outside_are_bounded() {
        assert_eq!(shown(&"x".repeat(10_000)).len(), MAX_REASON);
        assert_eq!(shown("a\u{1b}[31m\r\nb"), "a[31mb");
    }

    #[test]
    fn the_certificate_of_a_challenge_carries_its_digest() {
        use x509_parser::prelude::{FromDer as _, X509Certificate};

        let made = challenge_certificate("shop.example", &[7; 32]).unwrap();
        let (_, parsed) = X509Certificate::from_der(&made.cert[0]).unwrap();
        // id-pe-acmeIdentifier, critical, an octet string of 32 bytes (RFC 8737 §3).
        let mut extensions = parsed.extensions().iter();
        let found = extensions.find(|one| one.oid.to_id_string() == "1.3.6.1.5.5.7.1.31");
        let found = found.unwrap();
        assert!(found.critical);
        assert_eq!(found.value, [&[4, 32][..], &[7; 32]].concat());
    }
}
