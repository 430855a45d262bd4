//! How an answer came about: the one source of `Cache-Status`, the access log, the counters, and of
//! what warming learns.

use http::Response;

use super::body::EdgeBody;
use super::failure::{Failure, NextHopReply};
use crate::telemetry::Outcome;
use tero_semantics::cache_status::{CacheStatus, Forward};
use tero_semantics::content_coding::ContentCoding;
use tero_semantics::storability::Refusal;

/// An answer, and how it came about.
#[derive(Debug)]
pub struct Answer {
    /// What the client gets.
    pub response: Response<EdgeBody>,
    /// How it came about.
    pub provenance: Provenance,
}

/// How an answer came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// The outcome that is counted.
    pub outcome: Outcome,
    /// Why the request went forward; `None` if it did not.
    pub forward: Option<Forward>,
    /// What the next hop answered to this request; `None` for an error of our own.
    pub next_hop: Option<NextHopReply>,
    /// What became of storing the next hop's answer.
    pub storing: Storing,
    /// Whether another request's fetch brought it.
    pub collapsed: bool,
    /// What went wrong, if a stale response or an error is the answer; or which rule of the site
    /// answers.
    pub failure: Option<Failure>,
    /// How old the stored response is that answers, and for how long it stays fresh.
    pub lifetime: Option<ServedLifetime>,
    /// The coding that the edge has given a stored response for this answer.
    pub coding: Option<AnswerCoding>,
    /// Where the stored response was that answers.
    pub tier: StoreTier,
}

/// Where a stored response was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoreTier {
    /// In memory.
    #[default]
    Memory,
    /// On a disk.
    Disk,
}

impl StoreTier {
    /// What `Cache-Status` says of it.
    fn detail(self) -> Option<&'static str> {
        match self {
            StoreTier::Memory => None,
            StoreTier::Disk => Some("disk"),
        }
    }
}

/// Age and lifetime of a stored response when it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServedLifetime {
    /// Its age, in seconds.
    pub age_secs: u64,
    /// The rest of its freshness lifetime, in seconds; negative if it is stale.
    pub ttl_secs: i64,
}

/// A coding that the edge has made of a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerCoding {
    /// Which.
    pub coding: ContentCoding,
    /// How much shorter the content is, in bytes.
    pub saved: u64,
}

impl AnswerCoding {
    /// What `Cache-Status` says of it.
    fn as_str(self) -> &'static str {
        match self.coding {
            ContentCoding::Zstd => "coded with zstd",
            ContentCoding::Br => "coded with br",
            ContentCoding::Gzip => "coded with gzip",
        }
    }
}

/// What became of storing the next hop's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storing {
    /// It was not to be stored.
    NotTried,
    /// It is stored, or on its way there.
    Stored,
    /// It is being stored as a part of a response.
    StoredPart,
    /// It is not stored, for this reason.
    Refused(NotStored),
}

/// Why an answer is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStored {
    /// By the rules of RFC 9111 §3, or by a policy.
    ByRules(Refusal),
    /// It is larger than `max_object`.
    TooLarge,
    /// It would be stale at once, and has no validator.
    StaleAtOnce,
    /// It is an error that passes, and the stored response may still be used.
    Transient,
    /// A part of its key has a new value, and the site has as many as `max_key_values` allows.
    KeyValues,
}

impl NotStored {
    /// The name in `Cache-Status` and in reports of plans.
    pub fn as_str(self) -> &'static str {
        match self {
            NotStored::ByRules(refusal) => refusal.as_str(),
            NotStored::TooLarge => "larger than max_object",
            NotStored::StaleAtOnce => "stale at once",
            NotStored::Transient => "transient error",
            NotStored::KeyValues => "more key values than max_key_values",
        }
    }

    /// Whether this request alone is to blame: the answer to another one may be stored.
    pub(super) fn is_of_request(self) -> bool {
        match self {
            NotStored::ByRules(refusal) => refusal.is_of_request(),
            NotStored::TooLarge
            | NotStored::StaleAtOnce
            | NotStored::Transient
            | NotStored::KeyValues => false,
        }
    }

    /// Whether the answer to the next request is expected not to be stored either.
    pub(super) fn is_lasting(self) -> bool {
        self != NotStored::Transient && !self.is_of_request()
    }
}

impl Storing {
    /// Whether the answer is stored, or on its way there.
    pub fn is_stored(self) -> bool {
        matches!(self, Storing::Stored | Storing::StoredPart)
    }

    /// Why it is not, for people; `None` if it is, or was not to be.
    pub fn refusal(self) -> Option<NotStored> {
        match self {
            Storing::Refused(refusal) => Some(refusal),
            Storing::NotTried | Storing::Stored | Storing::StoredPart => None,
        }
    }
}

/// What `Cache-Status` tells beside the provenance.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StatusFacts<'a> {
    /// The rest of the freshness lifetime, in seconds.
    pub ttl_secs: Option<i64>,
    /// The key, if the site tells it.
    pub key: Option<&'a str>,
    /// What the policies gave as a reason.
    pub reason: Option<&'a str>,
}

impl Provenance {
    /// Answered without going forward.
    #[inline]
    pub(super) fn stored(outcome: Outcome) -> Provenance {
        Provenance {
            outcome,
            forward: None,
            next_hop: None,
            storing: Storing::NotTried,
            collapsed: false,
            failure: None,
            lifetime: None,
            coding: None,
            tier: StoreTier::Memory,
        }
    }

    /// Answered by what another request's fetch has brought.
    pub(super) fn collapsed() -> Provenance {
        Provenance {
            collapsed: true,
            ..Provenance::stored(Outcome::Collapsed)
        }
    }

    /// The same from a tier.
    #[inline]
    pub(super) fn of_tier(self, tier: StoreTier) -> Provenance {
        Provenance { tier, ..self }
    }

    /// Answered by the next hop.
    pub(super) fn forwarded(
        outcome: Outcome,
        forward: Forward,
        reply: NextHopReply,
        storing: Storing,
    ) -> Provenance {
        Provenance {
            forward: Some(forward),
            next_hop: Some(reply),
            storing,
            ..Provenance::stored(outcome)
        }
    }

    /// Answered stale, since the fetch failed.
    pub(super) fn stale_instead(forward: Forward, failure: Failure) -> Provenance {
        Provenance {
            forward: Some(forward),
            next_hop: failure.next_hop,
            failure: Some(failure),
            ..Provenance::stored(Outcome::Stale)
        }
    }

    /// Answered stale, since the origin is left alone.
    pub(super) fn stale_while_origin_rests() -> Provenance {
        Provenance {
            failure: Some(Failure::origin_rests()),
            ..Provenance::stored(Outcome::Stale)
        }
    }

    /// Answered stale, since the origin failed lately, while it is asked again.
    pub(super) fn stale_while_origin_is_tried() -> Provenance {
        Provenance {
            failure: Some(Failure::origin_is_tried()),
            ..Provenance::stored(Outcome::Stale)
        }
    }

    /// Answered by an error of our own.
    pub(super) fn failed(forward: Option<Forward>, failure: Failure) -> Provenance {
        Provenance {
            forward,
            failure: Some(failure),
            ..Provenance::stored(Outcome::Error)
        }
    }

    /// Answered by a rule of the site.
    pub(super) fn by_rule(rule: Failure) -> Provenance {
        Provenance {
            failure: Some(rule),
            ..Provenance::stored(Outcome::Rule)
        }
    }

    /// What `Cache-Status` says of it.
    #[inline]
    pub(super) fn cache_status<'a>(&self, facts: StatusFacts<'a>) -> CacheStatus<'a> {
        let trouble = self.failure.map(|failure| failure.reason);
        let refusal = self.storing.refusal().map(NotStored::as_str);
        let coding = self.coding.map(AnswerCoding::as_str);
        CacheStatus {
            hit: self.forward.is_none() && !matches!(self.outcome, Outcome::Error | Outcome::Rule),
            forward: self.forward,
            forward_status: self.next_hop.map(|reply| reply.status),
            ttl_secs: facts.ttl_secs,
            stored: self.storing.is_stored(),
            collapsed: self.collapsed,
            key: facts.key,
            details: [
                facts.reason,
                trouble.or(refusal).or(self.tier.detail()).or(coding),
            ],
        }
    }
}
