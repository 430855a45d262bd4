//! The inputs that decisions depend on, as the bytes under which a decision is remembered.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderName;

use super::client::{Network, bucket};
use crate::cookies::cookies;
use crate::facts::{PolicyRequest, PolicyResponse};
use crate::manifest::{BucketRule, Manifest, NetworkPrefix};
use crate::tables::{TableSet, TableSlot};
use tero_semantics::path::PathPattern;
use tero_semantics::timestamp::Timestamp;

/// The most patterns of several policies by which paths are of one class.
const MAX_PATTERNS: usize = 1024;
/// The longest path that has a class, in bytes. With [`MAX_PATTERNS`] it bounds what a look at a path
/// costs.
const MAX_CLASSED_PATH: usize = 1024;

/// The inputs that the decisions of several policies about a request depend on: the union of their
/// manifests.
#[derive(Clone, Debug, Default)]
pub(crate) struct DecisionInputs {
    headers: Vec<HeaderName>,
    cookies: Vec<Box<str>>,
    query: bool,
    device: bool,
    time: bool,
    /// Whether any of what follows is an input. Most policies need none of it.
    more: bool,
    device_source: bool,
    /// The longest prefixes, which hold the shorter ones.
    network: Option<NetworkPrefix>,
    country: bool,
    region: bool,
    buckets: Vec<BucketRule>,
    route: bool,
    /// Of a data table its version counts.
    tables: Vec<Arc<TableSlot>>,
    /// The patterns by which decisions depend on the path; `None` if they depend on all of it.
    patterns: Option<Vec<PathPattern>>,
}

impl DecisionInputs {
    pub(crate) fn of<'a>(
        manifests: impl Iterator<Item = &'a Manifest>,
        tables: &TableSet,
    ) -> DecisionInputs {
        let mut named: Vec<&str> = Vec::new();
        let mut inputs = DecisionInputs {
            patterns: Some(Vec::new()),
            ..DecisionInputs::default()
        };
        for manifest in manifests {
            inputs.headers.extend(manifest.headers.iter().cloned());
            inputs.cookies.extend(manifest.cookies.iter().cloned());
            inputs.query |= manifest.query;
            inputs.device |= manifest.device;
            inputs.time |= manifest.zone.is_some();
            inputs.device_source |= manifest.device_source;
            inputs.network = longer(inputs.network, manifest.network);
            inputs.country |= manifest.country;
            inputs.region |= manifest.region;
            inputs.route |= manifest.route;
            named.extend(manifest.tables.iter().map(|name| &**name));
            if let Some(rule) = &manifest.bucket
                && !inputs.buckets.contains(rule)
            {
                inputs.buckets.push(rule.clone());
            }
            let declared = manifest.path_patterns.as_ref();
            inputs.patterns = inputs.patterns.take().zip(declared).map(|(all, declared)| {
                let more = declared.patterns.iter().filter(|one| !all.contains(one));
                all.iter().chain(more).cloned().collect()
            });
        }
        inputs.patterns = inputs.patterns.filter(|all| all.len() <= MAX_PATTERNS);
        inputs
            .headers
            .sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        inputs.headers.dedup();
        inputs.cookies.sort_unstable();
        inputs.cookies.dedup();
        named.sort_unstable();
        named.dedup();
        inputs.tables = named.into_iter().map(|name| tables.slot(name)).collect();
        inputs.more = inputs.device_source
            || inputs.network.is_some()
            || inputs.country
            || inputs.region
            || inputs.route
            || !inputs.buckets.is_empty()
            || !inputs.tables.is_empty();
        inputs
    }

    /// Appends the inputs to `key`. Two questions that may have different answers never get the
    /// same bytes: every text is written with its length, every list with an end.
    pub(crate) fn encode(&self, request: &PolicyRequest<'_>, now: Timestamp, key: &mut Vec<u8>) {
        self.begin(request, now, key);
        push(key, request.path.as_bytes());
        self.end(request, key);
    }

    /// Appends the inputs with the class of the path in its place. Nothing is appended, and `false`
    /// returned, if the path has no class, or decisions depend on all of it.
    pub(crate) fn encode_class(
        &self,
        request: &PolicyRequest<'_>,
        now: Timestamp,
        key: &mut Vec<u8>,
    ) -> bool {
        let Some(patterns) = &self.patterns else {
            return false;
        };
        let start = key.len();
        self.begin(request, now, key);
        // No path has this length. The length of the class comes next.
        key.extend_from_slice(&u32::MAX.to_le_bytes());
        let length = key.len();
        key.extend_from_slice(&[0; 4]);
        let class = key.len();
        let has_class = request.path.len() <= MAX_CLASSED_PATH
            && PathPattern::write_class(patterns, request.path, key);
        if !has_class {
            key.truncate(start);
            return false;
        }
        let bytes = u32::try_from(key.len() - class).unwrap_or(u32::MAX);
        key[length..class].copy_from_slice(&bytes.to_le_bytes());
        self.end(request, key);
        true
    }

    /// Whether each table has the version that keys tell. While a table is being replaced, calls may see the
    /// new one already.
    #[cold]
    pub(crate) fn has_settled_tables(&self) -> bool {
        let version = |slot: &TableSlot| slot.table().map_or(0, |table| table.version());
        self.tables
            .iter()
            .all(|slot| slot.version() == version(slot))
    }

    /// Whether decisions may be remembered by the class of the path.
    pub(crate) fn has_classes(&self) -> bool {
        self.patterns.is_some()
    }

    /// Appends what comes before the path.
    fn begin(&self, request: &PolicyRequest<'_>, now: Timestamp, key: &mut Vec<u8>) {
        if self.time {
            key.extend_from_slice(&minute(now).to_le_bytes());
        }
        if self.device {
            key.push(request.device as u8);
        }
        for text in [request.method.as_str(), request.scheme, request.host] {
            push(key, text.as_bytes());
        }
    }

    /// Appends what comes after the path.
    fn end(&self, request: &PolicyRequest<'_>, key: &mut Vec<u8>) {
        if self.query {
            push_option(key, request.query);
        }
        for name in &self.headers {
            for value in request.headers.get_all(name) {
                key.push(MORE);
                push(key, value.as_bytes());
            }
            key.push(END);
        }
        if !self.cookies.is_empty() {
            for cookie in cookies(request.headers, &self.cookies) {
                key.push(MORE);
                // Each policy names at most 32 cookies, so their number fits in a `u16`.
                let place = u16::try_from(cookie.place).unwrap_or(u16::MAX);
                key.extend_from_slice(&place.to_le_bytes());
                if let Some(rest) = cookie.rest {
                    push(key, rest);
                }
                push(key, cookie.value);
            }
            key.push(END);
        }
        if self.more {
            self.encode_client(request, key);
        }
    }

    /// Appends what is known of the client, the route that matched and the versions of tables.
    #[cold]
    fn encode_client(&self, request: &PolicyRequest<'_>, key: &mut Vec<u8>) {
        let client = &request.client;
        if self.device_source {
            key.push(request.device_source as u8);
        }
        if let Some(prefix) = self.network {
            push_network(key, client.address, prefix);
        }
        if self.country {
            push_option(key, client.country);
        }
        if self.region {
            push_option(key, client.region);
        }
        for rule in &self.buckets {
            let bucket = bucket(rule, request.headers, client);
            key.extend_from_slice(&bucket.unwrap_or(u16::MAX).to_le_bytes());
        }
        if self.route {
            push_option(key, request.route);
        }
        // Read before any table is: an answer from an older table is never remembered for a newer
        // one.
        for table in &self.tables {
            key.extend_from_slice(&table.version().to_le_bytes());
        }
    }
}

/// The inputs that the decisions of several policies about a response depend on, where all of them
/// decide by the class of the path.
#[derive(Clone, Debug)]
pub(crate) struct ResponseInputs {
    request: DecisionInputs,
    /// Response fields, each once.
    headers: Vec<HeaderName>,
}

impl ResponseInputs {
    /// The inputs of policies with these manifests; `None` if one of them wants to be asked about
    /// each response.
    pub(crate) fn of(manifests: &[&Manifest], tables: &TableSet) -> Option<ResponseInputs> {
        let request = DecisionInputs::of(manifests.iter().copied(), tables);
        let each = manifests
            .iter()
            .any(|manifest| manifest.tells_each_response());
        if each || !request.has_classes() {
            return None;
        }
        let named = manifests
            .iter()
            .flat_map(|manifest| &manifest.response_headers);
        let mut headers: Vec<HeaderName> = named.cloned().collect();
        headers.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        headers.dedup();
        Some(ResponseInputs { request, headers })
    }

    /// Whether each table has the version that keys tell.
    pub(crate) fn has_settled_tables(&self) -> bool {
        self.request.has_settled_tables()
    }

    /// Appends the inputs at this second, with the class of the path; `false` if it has none.
    pub(crate) fn encode_class(
        &self,
        request: &PolicyRequest<'_>,
        response: &PolicyResponse<'_>,
        now: Timestamp,
        key: &mut Vec<u8>,
    ) -> bool {
        if !self.request.encode_class(request, now, key) {
            return false;
        }
        key.extend_from_slice(&now.unix_secs().to_le_bytes());
        let told = PolicyResponse {
            length: None,
            ..*response
        };
        encode_response(request.variant, &told, &self.headers, key);
        true
    }
}

/// The longer of two prefixes, family by family.
fn longer(one: Option<NetworkPrefix>, other: Option<NetworkPrefix>) -> Option<NetworkPrefix> {
    match (one, other) {
        (Some(one), Some(other)) => Some(NetworkPrefix {
            ipv4: one.ipv4.max(other.ipv4),
            ipv6: one.ipv6.max(other.ipv6),
        }),
        (one, other) => one.or(other),
    }
}

/// Appends what a policy is told about a response, but for the time, to `key`.
pub(crate) fn encode_response(
    variant: Option<&str>,
    response: &PolicyResponse<'_>,
    names: &[HeaderName],
    key: &mut Vec<u8>,
) {
    key.extend_from_slice(&response.status.as_u16().to_le_bytes());
    push(key, variant.unwrap_or_default().as_bytes());
    for number in [
        response.length,
        response.header_ttl.map(|ttl| ttl.as_secs()),
        response.header_browser_ttl.map(|ttl| ttl.as_secs()),
    ] {
        key.extend_from_slice(&number.unwrap_or(u64::MAX).to_le_bytes());
    }
    for name in names {
        for value in response.headers.get_all(name) {
            key.push(MORE);
            push(key, value.as_bytes());
        }
        key.push(END);
    }
}

const END: u8 = 0;
const MORE: u8 = 1;

fn push(key: &mut Vec<u8>, bytes: &[u8]) {
    // The server limits the header, so every part is far below 4 GiB.
    key.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    key.extend_from_slice(bytes);
}

fn push_option(key: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => {
            key.push(MORE);
            push(key, text.as_bytes());
        }
        None => key.push(END),
    }
}

fn push_network(key: &mut Vec<u8>, address: Option<IpAddr>, prefix: NetworkPrefix) {
    match address {
        Some(address) => Network::of(address, prefix).encode(key),
        None => key.push(END),
    }
}

/// Minutes since the Unix epoch. Offsets from UTC are whole minutes, so the minute changes
/// everywhere at once.
fn minute(now: Timestamp) -> i64 {
    now.unix_secs().div_euclid(60)
}

/// The beginning of the current minute.
pub(crate) fn cut_to_minute(now: Timestamp) -> Timestamp {
    Timestamp::from_unix_secs(minute(now).saturating_mul(60))
}
