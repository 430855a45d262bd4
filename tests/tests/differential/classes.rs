//! Why the two may differ: each class says what it covers, in which direction, and what the RFC
//! decides.

use http::header::{
    AGE, CACHE_CONTROL, DATE, ETAG, EXPIRES, HeaderMap, HeaderValue, LAST_MODIFIED, PRAGMA,
    SET_COOKIE, VARY,
};
use tero_semantics::cache_control::{MaxStale, RequestDirectives, ResponseDirectives};
use tero_semantics::freshness::MAX_HEURISTIC;
use tero_semantics::http_date::http_date;

use super::Served;
use super::generate::Exchange;

/// An exchange on which the two differ.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) exchange: Exchange,
    pub(crate) ours: Served,
    pub(crate) theirs: Served,
}

/// A kind of difference.
pub(crate) struct Class<T: ?Sized> {
    pub(crate) name: &'static str,
    /// What the RFC says about it.
    #[allow(dead_code, reason = "it is there to be read")]
    pub(crate) decided: &'static str,
    pub(crate) covers: fn(&T) -> bool,
}

impl Difference {
    /// Ours answers from what is stored, theirs does not.
    fn only_ours(&self) -> bool {
        self.ours.is_some() && self.theirs.is_none()
    }

    /// Theirs answers from what is stored, ours does not.
    fn only_theirs(&self) -> bool {
        self.theirs.is_some() && self.ours.is_none()
    }

    fn said(&self) -> ResponseDirectives {
        ResponseDirectives::of(&self.exchange.response)
    }

    fn asked(&self) -> RequestDirectives {
        RequestDirectives::of(&self.exchange.second)
    }

    fn has(&self, name: http::HeaderName) -> bool {
        self.exchange.response.contains_key(name)
    }

    fn asks_for_stale(&self) -> bool {
        line(&self.exchange.second, CACHE_CONTROL).contains("max-stale")
    }
}

/// All lines of a field.
fn line(headers: &HeaderMap, name: http::HeaderName) -> String {
    let lines: Vec<&str> = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    lines.join(", ")
}

/// The directives of a response as they are written, without regard to quotes.
fn directives(headers: &HeaderMap) -> Vec<String> {
    line(headers, CACHE_CONTROL)
        .split(',')
        .map(|directive| directive.trim().to_owned())
        .collect()
}

fn any_directive(headers: &HeaderMap, is: fn(&str) -> bool) -> bool {
    directives(headers).iter().any(|directive| is(directive))
}

fn is_twice(headers: &HeaderMap) -> bool {
    let names: Vec<String> = directives(headers)
        .iter()
        .map(|one| one.split('=').next().unwrap_or_default().to_owned())
        .collect();
    names
        .iter()
        .enumerate()
        .any(|(at, name)| names[..at].contains(name))
}

fn is_rfc_1123(value: &HeaderValue) -> bool {
    value
        .to_str()
        .is_ok_and(|text| text.get(3..5) == Some(", "))
}

/// The differences about reuse, each looked for in this order.
pub(crate) const REUSE: &[Class<Difference>] = &[
    Class {
        name: "a cookie is never stored",
        decided: "RFC 9111 §7.3 leaves it to the cache; theirs stores `Set-Cookie` beside `public` or `immutable`, ours never",
        covers: |case| case.only_theirs() && case.has(SET_COOKIE),
    },
    Class {
        name: "names are compared without regard to case",
        decided: "RFC 9110 §5.6.6 and RFC 9111 §5.2: directives are case-insensitive; theirs knows them in lower case only",
        covers: |case| {
            let is_cased = |headers| {
                any_directive(headers, |one| {
                    one.split('=')
                        .next()
                        .is_some_and(|name| name != name.to_lowercase())
                })
            };
            is_cased(&case.exchange.response) || is_cased(&case.exchange.second)
        },
    },
    Class {
        name: "a quoted string is one argument",
        decided: "RFC 9110 §5.6.1, §5.6.4: a comma within quotes parts nothing, and RFC 9111 §5.2 takes quoted values; theirs splits",
        covers: |case| {
            line(&case.exchange.response, CACHE_CONTROL).contains(", no-store,")
                && line(&case.exchange.response, CACHE_CONTROL).contains('"')
                || line(&case.exchange.second, CACHE_CONTROL).contains("\"a, no-cache\"")
        },
    },
    Class {
        name: "private and no-cache may name fields",
        decided: "RFC 9111 §5.2.2.4, §5.2.2.7: then only those fields are kept back; theirs takes both for the whole response",
        covers: |case| {
            case.only_ours() && any_directive(&case.exchange.response, |one| one.contains("x-one"))
        },
    },
    Class {
        name: "the meaning of any final status is the origin's",
        decided: "RFC 9111 §3: a final status may be stored unless it is 206, 304 or `must-understand`; theirs has a list",
        covers: |case| case.only_ours() && !THEIR_STATUSES.contains(&case.exchange.status.as_u16()),
    },
    Class {
        name: "must-understand lifts no-store",
        decided: "RFC 9111 §5.2.2.3: who understands the status ignores `no-store` beside it",
        covers: |case| case.only_ours() && case.said().must_understand && case.said().no_store,
    },
    Class {
        name: "must-understand keeps out what is not understood",
        decided: "RFC 9111 §5.2.2.3",
        covers: |case| case.only_theirs() && case.said().must_understand,
    },
    Class {
        name: "proxy-revalidate is about stale responses",
        decided: "RFC 9111 §5.2.2.8: once it has become stale; theirs never takes it for fresh",
        covers: |case| case.only_ours() && case.said().proxy_revalidate,
    },
    Class {
        name: "a response without a lifetime is not stale but useless",
        decided: "RFC 9111 §3 permits storing and demands it of nobody; ours keeps nothing that has neither lifetime nor validator",
        covers: |case| case.only_theirs() && case.asks_for_stale() && case.has_nothing_to_live_by(),
    },
    Class {
        name: "no-cache, s-maxage and proxy-revalidate forbid stale use",
        decided: "RFC 9111 §4.2.4, §5.2.2.4, §5.2.2.8, §5.2.2.10; theirs knows `must-revalidate` alone",
        covers: |case| case.only_theirs() && case.asks_for_stale() && case.said().forbids_stale(),
    },
    Class {
        name: "Pragma says nothing in a response",
        decided: "RFC 9111 §5.4: it is defined for requests",
        covers: |case| case.only_ours() && case.has(PRAGMA),
    },
    Class {
        name: "Pragma says nothing beside Cache-Control",
        decided: "RFC 9111 §5.4: it counts where `Cache-Control` is absent",
        covers: |case| {
            case.only_ours()
                && case.exchange.second.contains_key(PRAGMA)
                && case.exchange.second.contains_key(CACHE_CONTROL)
        },
    },
    Class {
        name: "values of Vary are compared in normal form",
        decided: "RFC 9111 §4.1 lets the cache normalise; theirs compares bytes",
        covers: |case| {
            case.only_ours()
                && case.has(VARY)
                && line(&case.exchange.first, http::header::ACCEPT_ENCODING)
                    != line(&case.exchange.second, http::header::ACCEPT_ENCODING)
        },
    },
    Class {
        name: "all lines of a field are compared",
        decided: "RFC 9111 §4.1, RFC 9110 §5.2; theirs looks at the first line",
        covers: |case| {
            case.only_theirs()
                && case.has(VARY)
                && [&case.exchange.first, &case.exchange.second]
                    .iter()
                    .any(|headers| headers.get_all("x-one").iter().count() > 1)
        },
    },
    Class {
        name: "a lifetime without a number is none",
        decided: "RFC 9111 §4.2.1: invalid freshness information means stale; theirs overlooks a directive without an argument",
        covers: |case| {
            case.only_theirs() && any_directive(&case.exchange.response, |one| one == "max-age")
        },
    },
    Class {
        name: "delta-seconds are digits",
        decided: "RFC 9111 §1.2.2; theirs also reads a plus sign and white space beside the value",
        covers: |case| {
            let odd =
                |headers| any_directive(headers, |one| one.contains("=+") || one.contains("= "));
            odd(&case.exchange.response)
                || odd(&case.exchange.second)
                || case
                    .exchange
                    .response
                    .get(AGE)
                    .is_some_and(|age| age == "+5")
        },
    },
    Class {
        name: "a limit that is no number limits nothing",
        decided: "RFC 9111 §5.2.1.2: `max-stale` without a value means any, with a broken one nothing that is known; theirs says any",
        covers: |case| {
            case.only_theirs() && line(&case.exchange.second, CACHE_CONTROL).contains("max-stale=x")
        },
    },
    Class {
        name: "too large a lifetime is the largest",
        decided: "RFC 9111 §1.2.2: what overflows is taken for 2^31 or more; theirs takes it for zero",
        covers: |case| {
            case.only_ours()
                && any_directive(&case.exchange.response, |one| {
                    one.ends_with("99999999999999999999")
                })
        },
    },
    Class {
        name: "a permission is what the grammar writes",
        decided: "RFC 9111 §5.2.2.9 gives `public` no argument; ours takes permissions only as they are defined",
        covers: |case| {
            case.only_theirs() && any_directive(&case.exchange.response, |one| one == "public=1")
        },
    },
    Class {
        name: "of two values the first counts",
        decided: "RFC 9111 §4.2.1 lets the cache use the first or take the response for stale; theirs adds `must-revalidate`, which then even lets an authorised answer in",
        covers: |case| is_twice(&case.exchange.response) || is_twice(&case.exchange.second),
    },
    Class {
        name: "dates come in three forms",
        decided: "RFC 9110 §5.6.7: all three must be read; theirs reads one",
        covers: |case| {
            [EXPIRES, LAST_MODIFIED].iter().any(|name| {
                case.exchange
                    .response
                    .get(name)
                    .is_some_and(|value| http_date(value).is_some() && !is_rfc_1123(value))
            })
        },
    },
    Class {
        name: "max-stale includes its last second",
        decided: "RFC 9111 §5.2.1.2: by no more than; theirs says by less than",
        covers: |case| {
            case.only_ours() && matches!(case.asked().max_stale, Some(MaxStale::Within(_)))
        },
    },
    Class {
        name: "stale-while-revalidate",
        decided: "RFC 5861 §3, which theirs does not know",
        covers: |case| case.only_ours() && case.said().stale_while_revalidate.is_some(),
    },
    Class {
        name: "min-fresh beside max-stale",
        decided: "RFC 9111 §5.2.1: a preference; ours serves what `max-stale` allows, theirs refuses",
        covers: |case| {
            case.only_ours() && case.asked().max_stale.is_some() && case.asked().min_fresh.is_some()
        },
    },
    Class {
        name: "the time on the way counts as age",
        decided: "RFC 9111 §4.2.3: the response delay is part of the corrected age; theirs leaves it out",
        covers: |case| case.exchange.delay > 0 && !case.only_ours(),
    },
    Class {
        name: "Date tells an age",
        decided: "RFC 9111 §4.2.3: the apparent age; theirs looks at `Age` alone",
        covers: |case| !case.only_ours() && case.apparent_age() > 0,
    },
    Class {
        name: "the first member of Age counts",
        decided: "RFC 9111 §5.1; theirs takes a list for nothing",
        covers: |case| {
            !case.only_ours()
                && case
                    .exchange
                    .response
                    .get(AGE)
                    .is_some_and(|age| age == "5, 6")
        },
    },
    Class {
        name: "a guess is bounded",
        decided: "RFC 9111 §4.2.2 leaves the bound to the cache: a day; theirs has none",
        covers: |case| {
            let wanted = case.asked().min_fresh.unwrap_or_default().as_secs();
            case.only_theirs()
                && case.guesses()
                && case.exchange.after + wanted >= MAX_HEURISTIC.as_secs()
        },
    },
    Class {
        name: "immutable gives no lifetime",
        decided: "RFC 8246 §2 is about the time of freshness; theirs makes up a day",
        covers: |case| case.only_theirs() && case.said().immutable,
    },
];

/// The statuses that theirs stores.
const THEIR_STATUSES: [u16; 14] = [
    200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501,
];

impl Difference {
    /// Neither lifetime nor validator.
    fn has_nothing_to_live_by(&self) -> bool {
        let said = self.said();
        let lifetime = said.max_age.is_some() || said.s_maxage.is_some() || self.has(EXPIRES);
        !lifetime && !self.has(http::header::ETAG) && !self.has(LAST_MODIFIED)
    }

    /// Whether only `Last-Modified` gives a lifetime.
    fn guesses(&self) -> bool {
        let said = self.said();
        said.max_age.is_none()
            && said.s_maxage.is_none()
            && !self.has(EXPIRES)
            && self.has(LAST_MODIFIED)
    }

    /// Seconds from `Date` to the response's arrival.
    fn apparent_age(&self) -> i64 {
        let came = (super::generate::NOON_SECS + self.exchange.delay).cast_signed();
        self.exchange
            .response
            .get(DATE)
            .and_then(http_date)
            .map_or(0, |date| came - date.unix_secs())
    }
}

/// The freshening of a stored response by a 304.
#[derive(Debug)]
pub(crate) struct Freshening {
    pub(crate) stored: HeaderMap,
    pub(crate) not_modified: HeaderMap,
    /// The fields afterwards; none where the 304 is not about what is stored.
    pub(crate) ours: Option<HeaderMap>,
    pub(crate) theirs: Option<HeaderMap>,
}

impl Freshening {
    /// Whether both make the same fields of it, but for those that theirs writes for delivery.
    pub(crate) fn agrees(&self) -> bool {
        let without = |headers: &Option<HeaderMap>| {
            let mut headers = headers.clone()?;
            for name in [AGE, DATE] {
                headers.remove(name);
            }
            Some(headers)
        };
        without(&self.ours) == without(&self.theirs)
    }

    fn etags(&self) -> (Option<&[u8]>, Option<&[u8]>) {
        (
            self.stored.get(ETAG).map(HeaderValue::as_bytes),
            self.not_modified.get(ETAG).map(HeaderValue::as_bytes),
        )
    }
}

/// The differences about what a 304 freshens.
pub(crate) const FRESHENING: &[Class<Freshening>] = &[
    Class {
        name: "strong comparison",
        decided: "RFC 9111 §4.3.4, RFC 9110 §8.8.3.2: a strong tag in the 304 selects by strong comparison; theirs forgives the stored one its weakness",
        covers: |case| {
            case.theirs.is_some()
                && case.ours.is_none()
                && case.etags() == (Some(b"W/\"a\""), Some(b"\"a\""))
        },
    },
    Class {
        name: "a 304 without our validators answers the one question that was asked",
        decided: "ours departs from RFC 9111 §4.3.4: many origins leave the `ETag` out, and no other response was asked about",
        covers: |case| case.ours.is_some() && case.theirs.is_none() && case.etags().1.is_none(),
    },
    Class {
        name: "one of several validators is enough",
        decided: "RFC 9111 §4.3.4: each strong validator selects what has it, `Last-Modified` too where nothing had a tag before; theirs looks at the tag alone",
        covers: |case| {
            let same_date = case.stored.get(LAST_MODIFIED) == case.not_modified.get(LAST_MODIFIED);
            case.ours.is_some() && case.theirs.is_none() && case.etags().0.is_none() && same_date
        },
    },
    Class {
        name: "fields that are new are added",
        decided: "RFC 9111 §3.2: each field of the 304 is stored; theirs replaces only what it has",
        covers: |case| {
            let (Some(ours), Some(theirs)) = (&case.ours, &case.theirs) else {
                return false;
            };
            theirs
                .keys()
                .all(|name| ours.get(name) == theirs.get(name) || *name == AGE || *name == DATE)
                && ours
                    .keys()
                    .filter(|name| !theirs.contains_key(*name))
                    .all(|name| case.not_modified.contains_key(name))
        },
    },
];
