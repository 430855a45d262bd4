//! Why the two may differ: each class says which differences it covers, and what the RFC decides.

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
    /// Only ours serves the stored response.
    fn only_ours(&self) -> bool {
        self.ours.is_some() && self.theirs.is_none()
    }

    /// Only theirs serves the stored response.
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

/// All lines of a field as one.
fn line(headers: &HeaderMap, name: http::HeaderName) -> String {
    let lines: Vec<&str> = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    lines.join(", ")
}

/// The directives of a response, split at commas without regard to quotes.
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

/// The differences about reuse. The first that covers a case counts.
pub(crate) const REUSE: &[Class<Difference>] = &[
    Class {
        name: "a cookie is never stored",
        decided: "RFC 9111 §7.3 leaves it to the cache; theirs stores `Set-Cookie` beside `public` or `immutable`, ours never",
        covers: |case| case.only_theirs() && case.has(SET_COOKIE),
    },
    Class {
        name: "names are compared without regard to case",
        decided: "RFC 9110 §5.6.6 and RFC 9111 §5.2: directives are case-insensitive; theirs reads lower case only",
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
        decided: "RFC 9110 §5.6.1, §5.6.4: a comma within quotes does not separate, and RFC 9111 §5.2 allows quoted values; theirs splits",
        covers: |case| {
            line(&case.exchange.response, CACHE_CONTROL).contains(", no-store,")
                && line(&case.exchange.response, CACHE_CONTROL).contains('"')
                || line(&case.exchange.second, CACHE_CONTROL).contains("\"a, no-cache\"")
        },
    },
    Class {
        name: "private and no-cache may name fields",
        decided: "RFC 9111 §5.2.2.4, §5.2.2.7: then only those fields are withheld; theirs applies both to the whole response",
        covers: |case| {
            case.only_ours() && any_directive(&case.exchange.response, |one| one.contains("x-one"))
        },
    },
    Class {
        name: "the meaning of any final status is the origin's",
        decided: "RFC 9111 §3: any final status may be stored, except 206, 304 and with `must-understand`; theirs has a list",
        covers: |case| case.only_ours() && !THEIR_STATUSES.contains(&case.exchange.status.as_u16()),
    },
    Class {
        name: "must-understand lifts no-store",
        decided: "RFC 9111 §5.2.2.3: a cache that understands the status ignores `no-store` beside it",
        covers: |case| case.only_ours() && case.said().must_understand && case.said().no_store,
    },
    Class {
        name: "must-understand forbids statuses that are not understood",
        decided: "RFC 9111 §5.2.2.3",
        covers: |case| case.only_theirs() && case.said().must_understand,
    },
    Class {
        name: "proxy-revalidate is about stale responses",
        decided: "RFC 9111 §5.2.2.8: it applies once the response is stale; theirs never treats the response as fresh",
        covers: |case| case.only_ours() && case.said().proxy_revalidate,
    },
    Class {
        name: "a response without lifetime and validator is useless",
        decided: "RFC 9111 §3 permits storing but does not require it; ours does not store a response with neither lifetime nor validator",
        covers: |case| case.only_theirs() && case.asks_for_stale() && case.has_nothing_to_live_by(),
    },
    Class {
        name: "no-cache, s-maxage and proxy-revalidate forbid stale use",
        decided: "RFC 9111 §4.2.4, §5.2.2.4, §5.2.2.8, §5.2.2.10; theirs reads `must-revalidate` only",
        covers: |case| case.only_theirs() && case.asks_for_stale() && case.said().forbids_stale(),
    },
    Class {
        name: "Pragma means nothing in a response",
        decided: "RFC 9111 §5.4: it is defined for requests",
        covers: |case| case.only_ours() && case.has(PRAGMA),
    },
    Class {
        name: "Pragma means nothing beside Cache-Control",
        decided: "RFC 9111 §5.4: it counts only without `Cache-Control`",
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
        decided: "RFC 9111 §4.1, RFC 9110 §5.2; theirs reads the first line only",
        covers: |case| {
            case.only_theirs()
                && case.has(VARY)
                && [&case.exchange.first, &case.exchange.second]
                    .iter()
                    .any(|headers| headers.get_all("x-one").iter().count() > 1)
        },
    },
    Class {
        name: "a lifetime needs a number",
        decided: "RFC 9111 §4.2.1: invalid freshness information means stale; theirs ignores a directive without an argument",
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
        name: "a max-stale that is not a number is ignored",
        decided: "RFC 9111 §5.2.1.2: `max-stale` without a value means any staleness, and a malformed value is undefined; theirs means any",
        covers: |case| {
            case.only_theirs() && line(&case.exchange.second, CACHE_CONTROL).contains("max-stale=x")
        },
    },
    Class {
        name: "too large a lifetime is the largest possible",
        decided: "RFC 9111 §1.2.2: a value that overflows counts as 2^31 or more; theirs counts it as zero",
        covers: |case| {
            case.only_ours()
                && any_directive(&case.exchange.response, |one| {
                    one.ends_with("99999999999999999999")
                })
        },
    },
    Class {
        name: "a permission must follow the grammar",
        decided: "RFC 9111 §5.2.2.9 gives `public` no argument; ours accepts permissions only as defined",
        covers: |case| {
            case.only_theirs() && any_directive(&case.exchange.response, |one| one == "public=1")
        },
    },
    Class {
        name: "of two values the first counts",
        decided: "RFC 9111 §4.2.1 lets the cache use the first, or treat the response as stale; theirs adds `must-revalidate`, which then even permits storing a response to `Authorization`",
        covers: |case| is_twice(&case.exchange.response) || is_twice(&case.exchange.second),
    },
    Class {
        name: "dates come in three forms",
        decided: "RFC 9110 §5.6.7: recipients must accept all three; theirs reads one",
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
        decided: "RFC 9111 §5.2.1.2 says no more than; theirs reads it as less than",
        covers: |case| {
            case.only_ours() && matches!(case.asked().max_stale, Some(MaxStale::Within(_)))
        },
    },
    Class {
        name: "stale-while-revalidate",
        decided: "RFC 5861 §3, which theirs does not implement",
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
        name: "the response delay counts as age",
        decided: "RFC 9111 §4.2.3: the response delay is part of the corrected age; theirs leaves it out",
        covers: |case| case.exchange.delay > 0 && !case.only_ours(),
    },
    Class {
        name: "Date gives an apparent age",
        decided: "RFC 9111 §4.2.3: the apparent age; theirs reads `Age` only",
        covers: |case| !case.only_ours() && case.apparent_age() > 0,
    },
    Class {
        name: "the first member of Age counts",
        decided: "RFC 9111 §5.1; theirs ignores a list",
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
        name: "a heuristic lifetime is limited",
        decided: "RFC 9111 §4.2.2 leaves the limit to the cache: ours is a day; theirs has none",
        covers: |case| {
            let wanted = case.asked().min_fresh.unwrap_or_default().as_secs();
            case.only_theirs()
                && case.guesses()
                && case.exchange.after + wanted >= MAX_HEURISTIC.as_secs()
        },
    },
    Class {
        name: "immutable gives no lifetime",
        decided: "RFC 8246 §2 applies while the response is fresh; theirs invents a day",
        covers: |case| case.only_theirs() && case.said().immutable,
    },
];

/// The statuses that the other crate stores.
const THEIR_STATUSES: [u16; 14] = [
    200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501,
];

impl Difference {
    /// Whether the response has neither lifetime nor validator.
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

    /// Seconds from `Date` to the arrival of the response.
    fn apparent_age(&self) -> i64 {
        let came = (super::generate::NOON_SECS + self.exchange.delay).cast_signed();
        self.exchange
            .response
            .get(DATE)
            .and_then(http_date)
            .map_or(0, |date| came - date.unix_secs())
    }
}

/// A stored response, and what a 304 makes of it.
#[derive(Debug)]
pub(crate) struct Freshening {
    pub(crate) stored: HeaderMap,
    pub(crate) not_modified: HeaderMap,
    /// The updated fields; `None` if the 304 does not select the stored response.
    pub(crate) ours: Option<HeaderMap>,
    pub(crate) theirs: Option<HeaderMap>,
}

impl Freshening {
    /// Whether both have the same result, apart from fields that the other crate writes for
    /// delivery.
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

    /// Whether both freshen, and ours differs in nothing but fields of the 304 that were not stored
    /// before, and in these.
    fn ours_only_adds(&self, but: &[http::HeaderName]) -> bool {
        let (Some(ours), Some(theirs)) = (&self.ours, &self.theirs) else {
            return false;
        };
        let is_left_out = |name| [AGE, DATE].contains(name) || but.contains(name);
        theirs
            .keys()
            .all(|name| ours.get(name) == theirs.get(name) || is_left_out(name))
            && ours
                .keys()
                .filter(|name| !theirs.contains_key(*name))
                .all(|name| self.not_modified.contains_key(name))
    }

    fn etags(&self) -> (Option<&[u8]>, Option<&[u8]>) {
        (
            self.stored.get(ETAG).map(HeaderValue::as_bytes),
            self.not_modified.get(ETAG).map(HeaderValue::as_bytes),
        )
    }
}

/// The differences about what a 304 updates.
pub(crate) const FRESHENING: &[Class<Freshening>] = &[
    Class {
        name: "the stored tag stays",
        decided: "RFC 9111 §3.2 replaces it; ours keeps the tag that came with the stored bytes, since that of the 304 may match it weakly only",
        covers: |case| {
            let (stored, told) = case.etags();
            stored.is_some() && told.is_some() && stored != told && case.ours_only_adds(&[ETAG])
        },
    },
    Class {
        name: "a 304 without validators applies to the response that was validated",
        decided: "ours departs from RFC 9111 §4.3.4: many origins leave out `ETag`, and only one response was validated",
        covers: |case| case.ours.is_some() && case.theirs.is_none() && case.etags().1.is_none(),
    },
    Class {
        name: "one of several validators is enough",
        decided: "RFC 9111 §4.3.4: each strong validator selects the responses with it, and `Last-Modified` does so too if there was no tag before; theirs compares the tag only",
        covers: |case| {
            let same_date = case.stored.get(LAST_MODIFIED) == case.not_modified.get(LAST_MODIFIED);
            case.ours.is_some() && case.theirs.is_none() && case.etags().0.is_none() && same_date
        },
    },
    Class {
        name: "fields that are new are added",
        decided: "RFC 9111 §3.2: each field of the 304 is stored; theirs only replaces existing fields",
        covers: |case| case.ours_only_adds(&[]),
    },
];
