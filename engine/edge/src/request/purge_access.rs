//! Who may purge a site by request, and how often.

use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use tero_config::{IpNet, SitePurge};
use tero_semantics::timestamp::Timestamp;

/// Carries the token, where a plugin can't set `Authorization`.
const X_PURGE_TOKEN: HeaderName = HeaderName::from_static("x-purge-token");
/// Browsers alone send it: what a page makes a browser send is not what the site's application asks.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// A second, in microseconds.
const SECOND: i64 = 1_000_000;

/// Who may purge a site by request, and how often.
#[derive(Debug)]
pub struct PurgeAccess {
    from: Vec<IpNet>,
    /// The digest of the token: comparing takes the same time for every length.
    token: Option<[u8; 32]>,
    /// The time that one purge takes of a second, in microseconds.
    interval: i64,
    /// When all purges so far would have been spread over time, in microseconds.
    spread_until: AtomicI64,
}

impl PurgeAccess {
    /// The access that these settings give.
    pub fn new(settings: &SitePurge) -> PurgeAccess {
        let rate = i64::try_from(settings.rate).unwrap_or(SECOND);
        PurgeAccess {
            from: settings.from.clone(),
            token: settings.token.as_deref().map(digest),
            interval: (SECOND / rate.max(1)).max(1),
            spread_until: AtomicI64::new(i64::MIN),
        }
    }

    /// Whether a request from this client may purge: it comes from one of the networks, or has the
    /// token.
    pub(super) fn admits(&self, client: Option<IpAddr>, headers: &HeaderMap) -> bool {
        if headers.contains_key(SEC_FETCH_SITE) {
            return false;
        }
        let client = client.map(|client| client.to_canonical());
        let is_in = |client: IpAddr| self.from.iter().any(|network| network.contains(&client));
        client.is_some_and(is_in) || self.has_token(headers)
    }

    fn has_token(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else {
            return false;
        };
        let bearer = headers.get(AUTHORIZATION).and_then(|value| {
            let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let plain = headers
            .get(X_PURGE_TOKEN)
            .and_then(|value| value.to_str().ok());
        let mut given = bearer.into_iter().chain(plain);
        given.any(|given| bool::from(digest(given).ct_eq(token)))
    }

    /// Takes one of the purges of this second; false if there is none left. As many as the rate may
    /// come at once.
    pub(super) fn take(&self, now: Timestamp) -> bool {
        let now = now.unix_millis().saturating_mul(1_000);
        let next = |until: i64| {
            let end = until.max(now).saturating_add(self.interval);
            (end <= now.saturating_add(SECOND)).then_some(end)
        };
        self.spread_until
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .is_ok()
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn access(from: &[&str], token: Option<&str>, rate: usize) -> PurgeAccess {
        PurgeAccess::new(&SitePurge {
            from: from
                .iter()
                .map(|network| network.parse().unwrap())
                .collect(),
            token: token.map(str::to_owned),
            rate,
        })
    }

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(
            HeaderName::from_static(name),
            HeaderValue::try_from(value).unwrap(),
        )])
    }

    #[test]
    fn a_network_or_the_token_admits() {
        let none = HeaderMap::new();
        let client = |text: &str| Some(text.parse().unwrap());
        let both = access(&["10.0.0.0/8"], Some("0123456789abcdef"), 1);
        assert!(both.admits(client("10.1.2.3"), &none));
        assert!(both.admits(client("::ffff:10.1.2.3"), &none));
        assert!(!both.admits(client("11.1.2.3"), &none) && !both.admits(None, &none));
        for (name, value, expected) in [
            ("authorization", "Bearer 0123456789abcdef", true),
            ("authorization", "bearer  0123456789abcdef ", true),
            ("x-purge-token", "0123456789abcdef", true),
            ("authorization", "Basic 0123456789abcdef", false),
            ("authorization", "Bearer 0123456789abcdee", false),
            ("authorization", "Bearer 0123456789abcde", false),
            ("authorization", "Bearer ", false),
            ("x-purge-token", "", false),
        ] {
            let seen = both.admits(client("11.1.2.3"), &headers(name, value));
            assert_eq!(seen, expected, "{name}: {value}");
        }
        let networks = access(&["10.0.0.0/8"], None, 1);
        assert!(!networks.admits(client("11.1.2.3"), &headers("x-purge-token", "")));
        // A page in a browser of the network is not the application.
        let page = headers("sec-fetch-site", "cross-site");
        assert!(!networks.admits(client("10.1.2.3"), &page));
    }

    #[test]
    fn a_second_has_as_many_purges_as_the_rate_says() {
        let access = access(&[], None, 3);
        let at = |millis: i64| access.take(Timestamp::from_unix_millis(1_000_000 + millis));
        assert!(at(0) && at(0) && at(0) && !at(0));
        assert!(!at(1));
        assert!(at(400) && !at(400));
        assert!(at(2_000) && at(2_000) && at(2_000) && !at(2_000));
    }
}
