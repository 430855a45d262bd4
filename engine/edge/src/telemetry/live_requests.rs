//! Requests for those who look on while they are answered: `tero tail`, the dashboard.
//!
//! Without a listener, a request pays for one look at a flag. A listener takes what has come
//! together in turns, and says with each turn how many more it takes: what comes beyond that is not
//! even written down, so that traffic costs no more than listeners can read.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{Method, StatusCode};

use super::Outcome;
use tero_semantics::path::PathPattern;
use tero_semantics::timestamp::Timestamp;

/// Listeners at a time.
pub const MAX_LISTENERS: usize = 16;
/// Bytes of a URL that listeners are told.
pub const MAX_LIVE_URL: usize = 1_024;

/// A request that was answered, as listeners are told of it.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveRequest {
    /// When it was received.
    pub at: Timestamp,
    /// The time from its head to the head of its response.
    pub took: Duration,
    /// The name of its site.
    pub site: Arc<str>,
    /// Its method.
    pub method: Method,
    /// Authority, path and query, cut to [`MAX_LIVE_URL`] bytes.
    pub url: String,
    /// The status of its response.
    pub status: StatusCode,
    /// How it was answered.
    pub outcome: Outcome,
    /// Why it went forward.
    pub forward: Option<&'static str>,
    /// Whether the answer is stored.
    pub stored: bool,
    /// Why it is not stored.
    pub not_stored: Option<&'static str>,
    /// What went wrong, or which rule of the site answered.
    pub failure: Option<&'static str>,
    /// The policies' reason.
    pub reason: Option<String>,
    /// The policies' variant.
    pub variant: Option<String>,
    /// The class of the device; `None` where no policy asks for it.
    pub device: Option<&'static str>,
    /// The name of its route.
    pub route: Option<String>,
    /// The age of the stored response.
    pub age_secs: Option<u64>,
    /// The rest of its freshness lifetime; negative if it is stale.
    pub ttl_secs: Option<i64>,
    /// The origin that was asked.
    pub origin: Option<String>,
}

/// Which requests a listener wants: those that fit all that is given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveFilter {
    /// Of the site with this name.
    pub site: Option<String>,
    /// With a path like this.
    pub path: Option<PathPattern>,
    /// With this outcome.
    pub outcome: Option<Outcome>,
    /// About which this policy was asked, now or when the answer was remembered.
    pub policy: Option<String>,
}

/// What filters look at.
pub struct LiveSubject<'s> {
    /// The name of the site.
    pub site: &'s str,
    /// The path as it came.
    pub path: &'s str,
    /// How the request was answered.
    pub outcome: Outcome,
    /// Whether the policy with this name was asked.
    pub asks: &'s dyn Fn(&str) -> bool,
}

impl fmt::Debug for LiveSubject<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut subject = formatter.debug_struct("LiveSubject");
        let subject = subject.field("site", &self.site).field("path", &self.path);
        let subject = subject.field("outcome", &self.outcome);
        subject.finish_non_exhaustive()
    }
}

impl LiveFilter {
    fn wants(&self, subject: &LiveSubject<'_>) -> bool {
        self.outcome
            .is_none_or(|outcome| outcome == subject.outcome)
            && self.site.as_deref().is_none_or(|site| site == subject.site)
            && self
                .path
                .as_ref()
                .is_none_or(|pattern| pattern.matches(subject.path))
            && self
                .policy
                .as_deref()
                .is_none_or(|policy| (subject.asks)(policy))
    }
}

/// The listeners, and what they have not taken yet.
#[derive(Debug, Default)]
pub struct LiveRequests {
    /// Whether a listener takes more.
    is_wanted: AtomicBool,
    taps: ArcSwap<Vec<Arc<LiveTap>>>,
}

/// One listener's part.
#[derive(Debug)]
struct LiveTap {
    filter: LiveFilter,
    /// How many more it takes before it comes again.
    room: AtomicU32,
    requests: Mutex<VecDeque<LiveRequest>>,
}

/// A listener, until it leaves.
#[derive(Debug)]
pub struct LiveListener {
    tap: Arc<LiveTap>,
    /// Requests that are taken in a turn.
    per_turn: u32,
}

impl LiveRequests {
    /// Whether a listener takes more requests.
    #[inline]
    pub fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Relaxed)
    }

    /// Begins to listen, to at most `per_turn` requests between two calls of
    /// [`LiveRequests::take`]. `None` if [`MAX_LISTENERS`] do so already.
    pub fn listen(&self, filter: LiveFilter, per_turn: u32) -> Option<LiveListener> {
        let tap = Arc::new(LiveTap {
            filter,
            room: AtomicU32::new(per_turn),
            requests: Mutex::default(),
        });
        let before = self.taps.rcu(|taps| match taps.len() < MAX_LISTENERS {
            true => [&taps[..], &[Arc::clone(&tap)]].concat(),
            false => taps.to_vec(),
        });
        if before.len() >= MAX_LISTENERS {
            return None;
        }
        self.is_wanted.store(true, Ordering::Relaxed);
        Some(LiveListener { tap, per_turn })
    }

    /// What has come for a listener since its last turn, the earliest first.
    pub fn take(&self, listener: &LiveListener) -> VecDeque<LiveRequest> {
        let taken = std::mem::take(&mut *listener.tap.requests());
        listener
            .tap
            .room
            .store(listener.per_turn, Ordering::Relaxed);
        self.is_wanted.store(true, Ordering::Relaxed);
        taken
    }

    /// A listener goes.
    pub fn leave(&self, listener: &LiveListener) {
        self.taps.rcu(|taps| {
            let others = taps.iter().filter(|tap| !Arc::ptr_eq(tap, &listener.tap));
            others.cloned().collect::<Vec<_>>()
        });
        if self.taps.load().is_empty() {
            self.is_wanted.store(false, Ordering::Relaxed);
        }
    }

    /// Those who listen now.
    pub fn listeners(&self) -> usize {
        self.taps.load().len()
    }

    /// Offers a request to the listeners. `make` writes it down, if one of them takes it.
    pub fn offer(&self, subject: &LiveSubject<'_>, make: impl Fn() -> LiveRequest) {
        let taps = self.taps.load();
        let mut is_wanted = false;
        for tap in taps.iter() {
            if tap.room.load(Ordering::Relaxed) == 0 {
                continue;
            }
            is_wanted = true;
            if tap.filter.wants(subject) && tap.takes_one() {
                tap.requests().push_back(make());
            }
        }
        // Until one of them comes for its turn. A listener that comes at this moment has the flag
        // cleared once; it is set again at its next turn.
        if !is_wanted {
            self.is_wanted.store(false, Ordering::Relaxed);
        }
    }
}

impl LiveTap {
    fn takes_one(&self) -> bool {
        let one_less = |room: u32| room.checked_sub(1);
        self.room
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .is_ok()
    }

    fn requests(&self) -> std::sync::MutexGuard<'_, VecDeque<LiveRequest>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(outcome: Outcome) -> LiveRequest {
        LiveRequest {
            at: Timestamp::from_unix_secs(0),
            took: Duration::ZERO,
            site: "shop".into(),
            method: Method::GET,
            url: "shop.example/".to_owned(),
            status: StatusCode::OK,
            outcome,
            forward: None,
            stored: false,
            not_stored: None,
            failure: None,
            reason: None,
            variant: None,
            device: None,
            route: None,
            age_secs: None,
            ttl_secs: None,
            origin: None,
        }
    }

    fn offer(live: &LiveRequests, path: &str, outcome: Outcome) {
        let subject = LiveSubject {
            site: "shop",
            path,
            outcome,
            asks: &|policy| policy == "hours",
        };
        live.offer(&subject, || request(outcome));
    }

    #[test]
    fn requests_are_written_down_only_while_a_listener_takes_them() {
        let live = LiveRequests::default();
        assert!(!live.is_wanted());
        let listener = live.listen(LiveFilter::default(), 2).unwrap();
        assert!(live.is_wanted());
        for _ in 0..3 {
            offer(&live, "/", Outcome::Hit);
        }
        // The third found no room; since then requests pay for a look at the flag again.
        assert!(!live.is_wanted());
        assert_eq!(live.take(&listener).len(), 2);
        assert!(live.is_wanted());
        offer(&live, "/", Outcome::Miss);
        assert_eq!(live.take(&listener)[0].outcome, Outcome::Miss);
        live.leave(&listener);
        assert!(!live.is_wanted());
        assert_eq!(live.listeners(), 0);
    }

    #[test]
    fn a_filter_wants_what_fits_all_its_parts() {
        let path = |pattern: &str| Some::<PathPattern>(pattern.parse().unwrap());
        let whole = LiveFilter {
            site: Some("shop".to_owned()),
            path: path("/a/*"),
            outcome: Some(Outcome::Hit),
            policy: Some("hours".to_owned()),
        };
        for (filter, wanted) in [
            (LiveFilter::default(), 2),
            (whole.clone(), 1),
            (
                LiveFilter {
                    site: Some("blog".to_owned()),
                    ..whole.clone()
                },
                0,
            ),
            (
                LiveFilter {
                    path: path("/b/*"),
                    ..whole.clone()
                },
                0,
            ),
            (
                LiveFilter {
                    outcome: Some(Outcome::Pass),
                    ..whole.clone()
                },
                0,
            ),
            (
                LiveFilter {
                    policy: Some("rules".to_owned()),
                    ..whole
                },
                0,
            ),
        ] {
            let live = LiveRequests::default();
            let listener = live.listen(filter.clone(), 10).unwrap();
            offer(&live, "/a/1", Outcome::Hit);
            offer(&live, "/c", Outcome::Miss);
            assert_eq!(live.take(&listener).len(), wanted, "{filter:?}");
        }
    }

    #[test]
    fn listeners_are_bounded_and_a_place_is_free_again() {
        let live = LiveRequests::default();
        let listen = || live.listen(LiveFilter::default(), 1);
        let mut all: Vec<_> = (0..MAX_LISTENERS).map(|_| listen().unwrap()).collect();
        assert!(listen().is_none());
        live.leave(&all.pop().unwrap());
        assert!(listen().is_some());
    }
}
