//! The purge log: what stands in it, and its two verbs, append and follow.
//!
//! A log numbers its entries from 1 on. It has an identity, which another log under the same name does
//! not have: a stream that was deleted and made again counts from 1, too.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use tero_admin_api::PurgeTarget;

/// The longest id of a purge.
pub const MAX_ID: usize = 64;
/// The longest target of a purge that nodes tell each other, in bytes: a site and what is purged there.
pub const MAX_TARGET: usize = 2 * 8_192;
/// The longest entry, in bytes: the longest target with room for the rest.
pub const MAX_ENTRY: usize = 32 * 1024;

/// A future that a log answers with.
pub type LogFuture<'f, T> = Pin<Box<dyn Future<Output = Result<T, LogError>> + Send + 'f>>;

/// Which log it is: the digest of its name and of the time when it was made, in hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LogIdentity(Box<str>);

/// The id of a purge, which it keeps when it is sent again, and on every way.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PurgeId(Arc<str>);

/// The digest of an entry: the same number with another digest is a fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryDigest(u64);

/// What the operator or an application has named, as all nodes understand it. It is resolved by each
/// node: nodes may have other sites.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum OrderTarget {
    /// An absolute URL, with all its variants.
    Url(String),
    /// A surrogate key of all sites.
    Tag(String),
    /// The beginning of absolute URLs.
    Prefix(String),
    /// A site, by its name.
    Site(String),
    /// A surrogate key of one site.
    SiteTag {
        /// The name of the site.
        site: String,
        /// The surrogate key.
        tag: String,
    },
}

/// A purge as nodes tell it each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurgeOrder {
    /// Its id.
    pub id: PurgeId,
    /// When it was taken, in milliseconds since 1970, by the clock of the node that took it.
    pub at_ms: u64,
    /// What is purged.
    pub target: OrderTarget,
    /// Whether responses are marked stale instead of dropped.
    pub soft: bool,
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LogEntry {
    /// A purge.
    Purge(PurgeOrder),
    /// A sign that the log works: the first node of a slot of two seconds writes it.
    Beat {
        /// The number of the slot since 1970.
        slot: u64,
    },
}

/// An entry with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedEntry {
    /// Its number.
    pub number: u64,
    /// Its digest.
    pub digest: EntryDigest,
    /// The entry; `None` if this version of tero can't read it.
    pub entry: Option<LogEntry>,
}

/// What a log says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogState {
    /// Which log it is.
    pub identity: LogIdentity,
    /// The number of the first entry that it still has; one more than `last` if it has none.
    pub first: u64,
    /// The number of its last entry; 0 before the first.
    pub last: u64,
    /// The digest of that entry; `None` if it has none.
    pub last_digest: Option<EntryDigest>,
}

/// Where to begin to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowFrom {
    /// With the entry of this number, which may not be there yet.
    Number(u64),
    /// With the last entry.
    Last,
}

/// An entry that was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendedEntry {
    /// Its number.
    pub number: u64,
    /// Whether it stood in the log already, under this number.
    pub is_repeated: bool,
}

/// Why a log does not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// It can't be reached, or does not answer in time.
    #[error("the purge log can't be reached: {0}")]
    Unreachable(String),
    /// It is not there.
    #[error("the purge log `{0}` is not there; make it with `tero cluster init`")]
    Missing(String),
    /// It says no.
    #[error("the purge log refuses: {0}")]
    Refused(String),
    /// It never takes this entry, which is too large.
    #[error("the purge log takes no entry that large: {0}")]
    TooLarge(String),
}

/// The log of purges.
pub trait PurgeLog: Send + Sync + fmt::Debug {
    /// Appends an entry. The log takes an entry with the `id` of a recent one for the same. If it fails,
    /// the entry may stand in the log all the same.
    fn append<'f>(&'f self, id: &'f str, entry: &'f LogEntry) -> LogFuture<'f, AppendedEntry>;

    /// Follows the log. The state is read after the feed has begun: the feed brings what came after.
    fn follow(&self, from: FollowFrom) -> LogFuture<'_, FollowedLog>;
}

/// A log that is followed.
pub struct FollowedLog {
    /// What it said of itself.
    pub state: LogState,
    /// Its entries.
    pub feed: Box<dyn LogFeed>,
}

/// The entries of a log, in the order in which they come. They should be in order and without gaps.
pub trait LogFeed: Send {
    /// Waits for further entries, and returns those that have come, at most `most`; an empty list is
    /// a sign of life.
    fn next(&mut self, most: usize) -> LogFuture<'_, Vec<PlacedEntry>>;

    /// Looks at the log, and reads the entry with this number again; `None` if it is not there.
    fn look(&mut self, number: u64) -> LogFuture<'_, (LogState, Option<EntryDigest>)>;
}

impl LogIdentity {
    /// The identity of a log with this name that was made at this time, in nanoseconds since 1970.
    pub fn of(name: &str, made_at: i128) -> LogIdentity {
        let digest = Sha256::new()
            .chain_update(name)
            .chain_update([0])
            .chain_update(made_at.to_be_bytes())
            .finalize();
        LogIdentity(hex(&digest[..8]).into())
    }

    /// Reads one: 16 hexadecimal digits in lower case.
    pub fn parse(text: &str) -> Option<LogIdentity> {
        let good = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 16 && text.bytes().all(good)).then(|| LogIdentity(text.into()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As tiers tell it each other.
    pub fn as_number(&self) -> u64 {
        u64::from_str_radix(&self.0, 16).unwrap_or_default()
    }
}

impl fmt::Debug for LogIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl PurgeId {
    /// A new id, of 128 random bits.
    ///
    /// # Errors
    /// If the system has no chance to give.
    pub fn random() -> std::io::Result<PurgeId> {
        let mut bytes = [0_u8; 16];
        getrandom(&mut bytes[..], GetRandomFlags::empty())?;
        Ok(PurgeId(hex(&bytes).into()))
    }

    /// Reads an id: 1 to 64 letters, digits, `-` and `_`.
    pub fn parse(text: &str) -> Option<PurgeId> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_id = (1..=MAX_ID).contains(&text.len()) && text.bytes().all(good);
        is_id.then(|| PurgeId(text.into()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PurgeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for PurgeId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<PurgeId, &'static str> {
        PurgeId::parse(&text).ok_or("the id is not 1 to 64 letters, digits, - and _")
    }
}

impl From<PurgeId> for String {
    fn from(id: PurgeId) -> String {
        (*id.0).to_owned()
    }
}

impl OrderTarget {
    /// Bytes of what it names.
    pub fn len(&self) -> usize {
        match self {
            OrderTarget::Url(name)
            | OrderTarget::Tag(name)
            | OrderTarget::Prefix(name)
            | OrderTarget::Site(name) => name.len(),
            OrderTarget::SiteTag { site, tag } => site.len() + tag.len(),
        }
    }

    /// Whether it names nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether its length is that of a target: 1 byte to [`MAX_TARGET`].
    pub fn has_good_length(&self) -> bool {
        (1..=MAX_TARGET).contains(&self.len())
    }
}

impl From<PurgeTarget> for OrderTarget {
    fn from(target: PurgeTarget) -> OrderTarget {
        match target {
            PurgeTarget::Url(url) => OrderTarget::Url(url),
            PurgeTarget::Tag(tag) => OrderTarget::Tag(tag),
            PurgeTarget::Prefix(prefix) => OrderTarget::Prefix(prefix),
            PurgeTarget::Site(site) => OrderTarget::Site(site),
        }
    }
}

impl LogEntry {
    /// The bytes that stand in the log.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an entry can be written as JSON")
    }

    /// Whether all nodes read it: it is no larger than [`MAX_ENTRY`].
    pub fn has_good_length(&self) -> bool {
        self.to_bytes().len() <= MAX_ENTRY
    }

    /// The id under which it is appended.
    pub fn id(&self) -> String {
        match self {
            LogEntry::Purge(order) => order.id.as_str().to_owned(),
            LogEntry::Beat { slot } => format!("beat.{slot}"),
        }
    }
}

impl PlacedEntry {
    /// Reads the bytes of an entry.
    pub fn read(number: u64, bytes: &[u8]) -> PlacedEntry {
        let readable = bytes.len() <= MAX_ENTRY;
        let entry = readable.then(|| serde_json::from_slice(bytes).ok());
        PlacedEntry {
            number,
            digest: EntryDigest::of(bytes),
            entry: entry.flatten(),
        }
    }
}

impl EntryDigest {
    /// The digest of the bytes of an entry.
    pub fn of(bytes: &[u8]) -> EntryDigest {
        let digest = Sha256::digest(bytes);
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        EntryDigest(u64::from_be_bytes(first))
    }
}

/// Hexadecimal digits in lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits = b"0123456789abcdef";
    let pairs = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    pairs
        .map(|digit| char::from(digits[usize::from(digit)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let entries = [
            LogEntry::Beat { slot: 7 },
            LogEntry::Purge(PurgeOrder {
                id: PurgeId::random().unwrap(),
                at_ms: 5,
                target: OrderTarget::SiteTag {
                    site: "shop".to_owned(),
                    tag: "prices".to_owned(),
                },
                soft: true,
            }),
        ];
        for entry in entries {
            let placed = PlacedEntry::read(3, &entry.to_bytes());
            assert_eq!(placed.entry, Some(entry.clone()));
            assert_eq!(placed.digest, EntryDigest::of(&entry.to_bytes()));
        }
    }

    #[test]
    fn an_entry_of_another_version_is_told_from_an_entry() {
        for bytes in [
            &b""[..],
            b"{}",
            b"null",
            br#"{"beat":{"slot":1,"more":2}}"#,
            br#"{"purge":{"id":"a b","at_ms":1,"target":{"tag":"t"},"soft":true}}"#,
            br#"{"purge":{"id":"a","at_ms":1,"target":{"all":true},"soft":true}}"#,
        ] {
            assert_eq!(PlacedEntry::read(1, bytes).entry, None, "{bytes:?}");
        }
        let long = format!("{}{}", " ".repeat(MAX_ENTRY), r#"{"beat":{"slot":1}}"#);
        assert_eq!(PlacedEntry::read(1, long.as_bytes()).entry, None);
    }

    #[test]
    fn an_entry_of_the_longest_length_is_read() {
        // JSON writes a quote as two bytes.
        let of = |quotes: usize, more: usize| {
            LogEntry::Purge(PurgeOrder {
                id: PurgeId::parse("a").unwrap(),
                at_ms: 1,
                target: OrderTarget::Url("\"".repeat(quotes) + &"x".repeat(more)),
                soft: false,
            })
        };
        let room = MAX_ENTRY - of(0, 0).to_bytes().len();
        let (quotes, more) = (room / 2, room % 2);
        for (entry, good) in [(of(quotes, more), true), (of(quotes, more + 1), false)] {
            assert_eq!(entry.has_good_length(), good);
            let placed = PlacedEntry::read(1, &entry.to_bytes());
            assert_eq!(placed.entry, good.then_some(entry));
        }
    }

    #[test]
    fn ids_and_identities_have_their_form() {
        for (text, good) in [("a", true), ("A-1_b", true), ("", false), ("a.b", false)] {
            assert_eq!(PurgeId::parse(text).is_some(), good, "{text}");
        }
        assert!(PurgeId::parse(&"x".repeat(MAX_ID)).is_some());
        assert!(PurgeId::parse(&"x".repeat(MAX_ID + 1)).is_none());
        assert_eq!(PurgeId::random().unwrap().as_str().len(), 32);
        let identity = LogIdentity::of("TERO_PURGES", 1);
        assert_eq!(
            LogIdentity::parse(identity.as_str()),
            Some(identity.clone())
        );
        assert_ne!(identity, LogIdentity::of("TERO_PURGES", 2));
        assert_ne!(identity, LogIdentity::of("TERO2_PURGES", 1));
        assert_eq!(LogIdentity::parse("0123456789ABCDEF"), None);
        assert_eq!(LogIdentity::parse("0123"), None);
    }
}
