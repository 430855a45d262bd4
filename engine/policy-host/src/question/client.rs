//! What policies are told of a client: its network, cut to the bits that a manifest names, and the
//! bucket that its visitor stays in.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::HeaderMap;

use crate::cookies::cookies;
use crate::facts::ClientFacts;
use crate::manifest::{BucketRule, NetworkPrefix};
use tero_semantics::key;

/// A network: the bits of an address that a prefix leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// An IPv4 address within IPv6 is an IPv4 address.
    pub(crate) fn of(address: IpAddr, prefix: NetworkPrefix) -> Network {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix.ipv4));
                let network = Ipv4Addr::from_bits(address.to_bits() & mask.unwrap_or(0));
                Network {
                    address: network.into(),
                    bits: prefix.ipv4,
                }
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix.ipv6));
                let network = Ipv6Addr::from_bits(address.to_bits() & mask.unwrap_or(0));
                Network {
                    address: network.into(),
                    bits: prefix.ipv6,
                }
            }
        }
    }

    /// Appends the network as text, `203.0.113.0/24`.
    pub(crate) fn write(self, texts: &mut String) {
        // Writing to a string doesn't fail.
        let _ = write!(texts, "{}/{}", self.address, self.bits);
    }

    /// Appends its bytes: 5 of an IPv4 network, 17 of another.
    pub(crate) fn encode(self, key: &mut Vec<u8>) {
        match self.address {
            IpAddr::V4(address) => {
                key.push(4);
                key.extend_from_slice(&address.octets());
            }
            IpAddr::V6(address) => {
                key.push(6);
                key.extend_from_slice(&address.octets());
            }
        }
    }
}

/// The bucket of a visitor: by the cookie, or else by the client's network; `None` if neither is
/// known. It is the same at every edge and in every version.
pub(crate) fn bucket(
    rule: &BucketRule,
    headers: &HeaderMap,
    client: &ClientFacts<'_>,
) -> Option<u16> {
    if client.bucket.is_some() {
        return client.bucket.filter(|bucket| *bucket < rule.buckets);
    }
    let mut seed = Vec::with_capacity(128);
    seed.extend_from_slice(rule.experiment.as_bytes());
    // Visible ASCII ends here.
    seed.push(b'\n');
    match cookie(rule, headers) {
        Some(value) => {
            seed.push(b'c');
            seed.extend_from_slice(value);
        }
        None => Network::of(client.address?, rule.network).encode(&mut seed),
    }
    // The high half of the hash times the number, as in Lemire's reduction.
    let bucket = (u128::from(key::hash(&seed)) * u128::from(rule.buckets)) >> 64;
    u16::try_from(bucket).ok()
}

/// The value of the rule's cookie; an empty one counts as missing.
fn cookie<'a>(rule: &'a BucketRule, headers: &'a HeaderMap) -> Option<&'a [u8]> {
    let name = rule.cookie.as_ref()?;
    cookies(headers, std::slice::from_ref(name))
        .map(|cookie| cookie.value)
        .find(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn network(address: &str, ipv4: u8, ipv6: u8) -> String {
        let mut text = String::new();
        let prefix = NetworkPrefix { ipv4, ipv6 };
        Network::of(address.parse().unwrap(), prefix).write(&mut text);
        text
    }

    #[test]
    fn a_network_has_the_bits_that_the_manifest_names() {
        assert_eq!(network("203.0.113.77", 24, 48), "203.0.113.0/24");
        assert_eq!(network("203.0.113.77", 32, 48), "203.0.113.77/32");
        assert_eq!(network("203.0.113.77", 0, 48), "0.0.0.0/0");
        assert_eq!(network("::ffff:203.0.113.77", 24, 48), "203.0.113.0/24");
        assert_eq!(network("2001:db8:1:2::3", 24, 48), "2001:db8:1::/48");
        assert_eq!(network("2001:db8:1:2::3", 24, 128), "2001:db8:1:2::3/128");
        assert_eq!(network("2001:db8:1:2::3", 24, 0), "::/0");
    }

    fn rule(experiment: &str, buckets: u16) -> BucketRule {
        BucketRule {
            experiment: experiment.into(),
            buckets,
            cookie: Some("visitor".into()),
            network: NetworkPrefix { ipv4: 24, ipv6: 48 },
        }
    }

    fn with_cookie(value: &str) -> HeaderMap {
        let value = HeaderValue::from_str(&format!("a=1; visitor={value}")).unwrap();
        HeaderMap::from_iter([(http::header::COOKIE, value)])
    }

    #[test]
    fn a_visitor_stays_in_a_bucket_by_cookie_or_else_by_network() {
        let rule = rule("checkout", 1_000);
        let address = |text: &str| ClientFacts::of(Some(text.parse().unwrap()));
        let of = |value: &str, from: &str| bucket(&rule, &with_cookie(value), &address(from));
        assert_eq!(of("ana", "203.0.113.1"), of("ana", "198.51.100.1"));
        assert_ne!(of("ana", "203.0.113.1"), of("berta", "203.0.113.1"));
        let without = |from: &str| bucket(&rule, &HeaderMap::new(), &address(from));
        assert_eq!(without("203.0.113.1"), without("203.0.113.200"));
        assert_ne!(without("203.0.113.1"), without("198.51.100.1"));
        assert_eq!(of("", "203.0.113.1"), without("203.0.113.1"));
        assert_eq!(
            bucket(&rule, &HeaderMap::new(), &ClientFacts::default()),
            None
        );
    }

    #[test]
    fn buckets_are_filled_evenly_and_each_experiment_divides_anew() {
        let (one, other) = (rule("one", 10), rule("other", 10));
        let (mut counts, mut same) = ([0; 10], 0);
        for visitor in 0..10_000 {
            let headers = with_cookie(&visitor.to_string());
            let bucket = |rule| bucket(rule, &headers, &ClientFacts::default()).unwrap();
            counts[usize::from(bucket(&one))] += 1;
            same += usize::from(bucket(&one) == bucket(&other));
        }
        assert!(
            counts.iter().all(|count| (850..1_150).contains(count)),
            "{counts:?}"
        );
        assert!((850..1_150).contains(&same), "{same}");
    }

    #[test]
    fn a_given_bucket_is_told_if_there_is_one() {
        let of = |bucket| {
            let client = ClientFacts {
                bucket: Some(bucket),
                ..ClientFacts::default()
            };
            super::bucket(&rule("checkout", 2), &with_cookie("ana"), &client)
        };
        assert_eq!([of(0), of(1), of(2)], [Some(0), Some(1), None]);
    }

    #[test]
    fn a_bucket_never_changes() {
        let rule = rule("checkout", 10_000);
        assert_eq!(
            bucket(&rule, &with_cookie("ana"), &ClientFacts::default()),
            Some(8_420)
        );
    }
}
