//! Whether a response may be stored, and which of its fields (RFC 9111 §3).

use http::header::{
    AGE, AUTHORIZATION, CONTENT_LENGTH, CONTENT_LOCATION, ETAG, EXPIRES, HeaderMap, HeaderName,
    HeaderValue, LAST_MODIFIED, SET_COOKIE,
};
use http::{Method, StatusCode, Uri};

use super::cache_control::{RequestDirectives, ResponseDirectives};
use super::decision::{ResponseDecision, StoringDecision};
use super::forwarding::end_to_end;
use super::freshness::is_heuristically_cacheable;
use super::invalidation::same_resource;
use super::range::Partial;
use super::vary::Vary;

/// Parts of the safety floor that a site lets its policies lift.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FloorExceptions {
    /// `"set-cookie"`: a response with `Set-Cookie` may be stored, without that field.
    pub set_cookie: bool,
    /// `"authorization"`: the answer to a request with `Authorization` may be stored.
    pub authorization: bool,
    /// `"private"`: a response marked `private` may be stored.
    pub private: bool,
    /// `"no-store"`: a response marked `no-store` may be stored.
    pub no_store: bool,
}

/// A request and the head of its response, as far as storing depends on them.
#[derive(Clone, Copy, Debug)]
pub struct StorabilityInput<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// The request's absolute URL. Only storing the answer to a POST depends on it.
    pub target: &'a Uri,
    /// The request's fields.
    pub request_headers: &'a HeaderMap,
    /// The request's directives.
    pub request: &'a RequestDirectives,
    /// The response's status.
    pub status: StatusCode,
    /// The response's fields, as they came.
    pub response_headers: &'a HeaderMap,
    /// The response's directives that govern.
    pub directives: &'a ResponseDirectives,
    /// What the policies decided about the response.
    pub decision: &'a ResponseDecision,
}

/// Whether to store a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storability {
    /// It may be stored.
    Yes,
    /// It may be stored as this part of a response, which answers ranges and can be completed
    /// (§3.3), and never as a whole one.
    Part(Partial),
    /// It may not.
    No(Refusal),
}

/// Why a response is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request's method: neither GET, nor a POST whose answer stands for a later GET.
    Method,
    /// An interim response, or one that only answers a condition or a range of its request.
    Status,
    /// Parts of a response in one message, or a part whose place in the whole it does not tell.
    Partial,
    /// A policy said "never".
    Policy,
    /// The request said `no-store`.
    RequestNoStore,
    /// The response said `no-store`.
    NoStore,
    /// The response said `private`.
    Private,
    /// The request had `Authorization`, and the response does not allow for it.
    Authorization,
    /// The response sets a cookie.
    SetCookie,
    /// The response said `must-understand`, and its status is unknown to us.
    NotUnderstood,
    /// `Vary: *`: it could never be selected.
    VaryAll,
    /// Nothing gives it a lifetime, and nothing to validate it by.
    NoLifetime,
}

impl Refusal {
    /// The name in logs and in the `detail` of `Cache-Status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::Method => "method",
            Refusal::Status => "status",
            Refusal::Partial => "partial",
            Refusal::Policy => "policy",
            Refusal::RequestNoStore => "request-no-store",
            Refusal::NoStore => "no-store",
            Refusal::Private => "private",
            Refusal::Authorization => "authorization",
            Refusal::SetCookie => "set-cookie",
            Refusal::NotUnderstood => "not-understood",
            Refusal::VaryAll => "vary-all",
            Refusal::NoLifetime => "no-lifetime",
        }
    }
}

impl Refusal {
    /// Whether another request for the same key could get a response that may be stored.
    pub fn is_of_request(self) -> bool {
        matches!(
            self,
            Refusal::Method | Refusal::RequestNoStore | Refusal::Authorization
        )
    }
}

/// Whether a shared cache may store this response, and if not, why (§3).
///
/// `floor` says which parts of the safety floor a policy's `always` lifts; without that word it
/// lifts none.
pub fn storability(exchange: &StorabilityInput<'_>, floor: FloorExceptions) -> Storability {
    let is_partial = exchange.status == StatusCode::PARTIAL_CONTENT;
    match (refusal(exchange, floor), part(exchange.response_headers)) {
        (Some(refusal), _) => Storability::No(refusal),
        (None, Some(part)) if is_partial => Storability::Part(part),
        (None, None) if is_partial => Storability::No(Refusal::Partial),
        (None, _) => Storability::Yes,
    }
}

/// The part that a 206 holds, where it tells the length of the whole: without that, no suffix could
/// be told from it.
fn part(response: &HeaderMap) -> Option<Partial> {
    Partial::of(response).filter(|part| part.length.is_some())
}

fn refusal(exchange: &StorabilityInput<'_>, floor: FloorExceptions) -> Option<Refusal> {
    let StorabilityInput {
        directives,
        decision,
        ..
    } = *exchange;
    let lifted = if decision.storing == StoringDecision::Always {
        floor
    } else {
        FloorExceptions::default()
    };
    let rules = [
        (!method_allows(exchange), Refusal::Method),
        (!is_whole_answer(exchange.status), Refusal::Status),
        (decision.storing == StoringDecision::Never, Refusal::Policy),
        // §5.2.1.5
        (exchange.request.no_store, Refusal::RequestNoStore),
        // §5.2.2.3: who understands the status ignores `no-store` beside `must-understand`.
        (
            directives.must_understand && !is_understood(exchange.status),
            Refusal::NotUnderstood,
        ),
        (
            directives.no_store && !directives.must_understand && !lifted.no_store,
            Refusal::NoStore,
        ),
        // §5.2.2.7: without field names; with them, the rest of the response is stored.
        (
            directives.private.is_all() && !lifted.private,
            Refusal::Private,
        ),
        (
            is_unshared_authorization(exchange) && !lifted.authorization,
            Refusal::Authorization,
        ),
        // No rule of the RFC (§7.3 only warns), but the floor: a cookie is for one visitor. So even
        // where the response itself keeps the field out of what is stored
        // (`no-cache="set-cookie"`): the visitor who waits for it shares the answer with others.
        (
            exchange.response_headers.contains_key(SET_COOKIE) && !lifted.set_cookie,
            Refusal::SetCookie,
        ),
        // §4.1: it would never be selected.
        (
            Vary::of(exchange.response_headers) == Vary::Everything,
            Refusal::VaryAll,
        ),
        (!has_lifetime(exchange), Refusal::NoLifetime),
    ];
    rules
        .into_iter()
        .find_map(|(refused, refusal)| refused.then_some(refusal))
}

/// §3: the method must be understood. A HEAD's answer has no body to store; a POST's answer stands
/// for a later GET if it says so and has an explicit lifetime (RFC 9110 §9.3.3).
fn method_allows(exchange: &StorabilityInput<'_>) -> bool {
    match *exchange.method {
        Method::GET => true,
        Method::POST => {
            exchange.status == StatusCode::OK
                && has_explicit_lifetime(exchange)
                && names_target(exchange.target, exchange.response_headers)
        }
        _ => false,
    }
}

/// Whether an answer names its request's absolute URL in `Content-Location` (RFC 9110 §8.7): the
/// least that makes an answer to a POST one for later GETs.
pub fn names_target(target: &Uri, response: &HeaderMap) -> bool {
    same_resource(target, response.get(CONTENT_LOCATION))
}

/// §3: the status must be final. A 304 freshens what is stored but is nothing itself; 412, 416 and
/// 417 answer a condition, a range or an expectation of their own request, and would mean nothing
/// to another.
fn is_whole_answer(status: StatusCode) -> bool {
    status.as_u16() >= 200
        && !matches!(
            status,
            StatusCode::NOT_MODIFIED
                | StatusCode::PRECONDITION_FAILED
                | StatusCode::RANGE_NOT_SATISFIABLE
                | StatusCode::EXPECTATION_FAILED
        )
}

/// Statuses whose meaning for a cache we know: those of RFC 9110 §15 and RFC 6585.
fn is_understood(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200..=206 | 300..=305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 428 | 429 | 431 | 500..=505 | 511)
}

/// §3.5
fn is_unshared_authorization(exchange: &StorabilityInput<'_>) -> bool {
    exchange.request_headers.contains_key(AUTHORIZATION) && !exchange.directives.allows_authorized()
}

/// §3: explicit freshness of any kind, a status that is heuristically cacheable, or `public`. A
/// policy's TTL counts as a lifetime where the status alone would do, and `always` does so
/// anywhere. What has none of them, and no validator to be revalidated by, is of no use.
fn has_lifetime(exchange: &StorabilityInput<'_>) -> bool {
    let StorabilityInput {
        response_headers: headers,
        decision,
        ..
    } = *exchange;
    let by_status = is_heuristically_cacheable(exchange.status) || exchange.directives.public;
    let is_useful =
        decision.ttl.is_some() || headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED);
    has_explicit_lifetime(exchange)
        || (is_useful && (by_status || decision.storing == StoringDecision::Always))
}

fn has_explicit_lifetime(exchange: &StorabilityInput<'_>) -> bool {
    let directives = exchange.directives;
    let expires = directives.targeted.is_none() && exchange.response_headers.contains_key(EXPIRES);
    directives.s_maxage.is_some() || directives.max_age.is_some() || expires
}

fn left_out(directives: &ResponseDirectives) -> impl Iterator<Item = &HeaderName> {
    directives
        .no_cache
        .fields()
        .iter()
        .chain(directives.private.fields())
}

/// What is stored of a response's fields (§3.1): not the hop-by-hop ones, not those that `no-cache`
/// or `private` names, and never `Set-Cookie`. `Age` is left out because it is reckoned anew for
/// each use, `Content-Length` because the stored body has a length of its own, which the deliverer
/// tells.
pub fn stored_fields<'h>(
    response_headers: &'h HeaderMap,
    directives: &ResponseDirectives,
) -> impl Iterator<Item = (&'h HeaderName, &'h HeaderValue)> {
    end_to_end(response_headers).filter(|(name, _)| {
        let is_told_anew = **name == AGE || **name == CONTENT_LENGTH;
        !is_told_anew
            && **name != SET_COOKIE
            && !left_out(directives).any(|left_out| left_out == *name)
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{FieldLines, headers};
    use super::*;

    /// A GET for a page whose answer may be stored, changed row by row.
    struct Case<'a> {
        method: Method,
        request: FieldLines<'a>,
        status: u16,
        response: FieldLines<'a>,
        decision: ResponseDecision,
        floor: FloorExceptions,
    }

    const NO_FLOOR: FloorExceptions = FloorExceptions {
        set_cookie: true,
        authorization: true,
        private: true,
        no_store: true,
    };

    impl Default for Case<'_> {
        fn default() -> Self {
            Case {
                method: Method::GET,
                request: &[],
                status: 200,
                response: &[("cache-control", "max-age=60")],
                decision: ResponseDecision::default(),
                floor: FloorExceptions::default(),
            }
        }
    }

    fn always() -> ResponseDecision {
        let ttl = Some(std::time::Duration::from_secs(60));
        ResponseDecision {
            storing: StoringDecision::Always,
            ttl,
            ..ResponseDecision::default()
        }
    }

    impl Case<'_> {
        fn refusal(&self) -> Option<Refusal> {
            let (request_headers, response_headers) =
                (headers(self.request), headers(self.response));
            let targets = [HeaderName::from_static("cdn-cache-control")];
            let exchange = StorabilityInput {
                method: &self.method,
                target: &Uri::from_static("http://example.com/a?b=c"),
                request_headers: &request_headers,
                request: &RequestDirectives::of(&request_headers),
                status: StatusCode::from_u16(self.status).unwrap(),
                response_headers: &response_headers,
                directives: &ResponseDirectives::governing(&response_headers, &targets),
                decision: &self.decision,
            };
            match storability(&exchange, self.floor) {
                Storability::Yes => None,
                Storability::Part(part) => panic!("{part:?} is no whole response"),
                Storability::No(refusal) => Some(refusal),
            }
        }
    }

    #[test]
    fn every_final_status_with_explicit_freshness_is_stored_but_those_that_answer_a_condition() {
        for status in 100..=999 {
            let expected = match status {
                100..=199 | 304 | 412 | 416 | 417 => Some(Refusal::Status),
                206 => Some(Refusal::Partial),
                _ => None,
            };
            for response in [
                ("cache-control", "max-age=0"),
                ("cache-control", "s-maxage=9"),
                ("expires", "0"),
            ] {
                assert_eq!(
                    Case {
                        status,
                        response: &[response],
                        ..Case::default()
                    }
                    .refusal(),
                    expected,
                    "{status}"
                );
            }
            assert_eq!(
                Case {
                    status,
                    decision: always(),
                    floor: NO_FLOOR,
                    ..Case::default()
                }
                .refusal(),
                expected,
                "{status}"
            );
        }
    }

    #[test]
    fn without_explicit_freshness_the_status_or_public_decides_and_something_must_be_there_to_use_it_by()
     {
        let lm = ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
        let etag = ("etag", "\"a\"");
        let public = ("cache-control", "public");
        let no_lifetime = Some(Refusal::NoLifetime);
        let ttl = ResponseDecision {
            storing: StoringDecision::ByHeaders,
            ..always()
        };
        let rows: &[(u16, FieldLines<'_>, &ResponseDecision, Option<Refusal>)] = &[
            (200, &[], &ResponseDecision::default(), no_lifetime),
            (200, &[public], &ResponseDecision::default(), no_lifetime),
            (200, &[lm], &ResponseDecision::default(), None),
            (200, &[etag], &ResponseDecision::default(), None),
            (
                200,
                &[etag, ("cache-control", "no-cache")],
                &ResponseDecision::default(),
                None,
            ),
            (404, &[lm], &ResponseDecision::default(), None),
            (201, &[lm], &ResponseDecision::default(), no_lifetime),
            (302, &[lm], &ResponseDecision::default(), no_lifetime),
            (403, &[lm], &ResponseDecision::default(), no_lifetime),
            (500, &[lm], &ResponseDecision::default(), no_lifetime),
            (503, &[lm], &ResponseDecision::default(), no_lifetime),
            (599, &[lm], &ResponseDecision::default(), no_lifetime),
            (599, &[lm, public], &ResponseDecision::default(), None),
            // `Expires` counts no more where a targeted field governs.
            (
                500,
                &[("cdn-cache-control", "foo"), ("expires", "0")],
                &ResponseDecision::default(),
                no_lifetime,
            ),
            // A policy's TTL is a lifetime; beyond the statuses that allow a guess it takes the
            // policy's "always".
            (200, &[], &ttl, None),
            (500, &[], &ttl, no_lifetime),
            (500, &[], &always(), None),
            (
                200,
                &[],
                &ResponseDecision {
                    ttl: None,
                    ..always()
                },
                no_lifetime,
            ),
        ];
        for (status, response, decision, expected) in rows {
            let case = Case {
                status: *status,
                response,
                decision: (*decision).clone(),
                ..Case::default()
            };
            assert_eq!(
                case.refusal(),
                *expected,
                "{status} {response:?} {decision:?}"
            );
        }
    }

    #[test]
    fn the_responses_own_directives_forbid_storing() {
        let rows: &[(FieldLines<'_>, Option<Refusal>)] = &[
            (
                &[("cache-control", "max-age=60, no-store")],
                Some(Refusal::NoStore),
            ),
            (
                &[
                    ("cache-control", "No-StOrE, max-age=60"),
                    ("expires", "Thu, 18 Aug 2050 02:01:18 GMT"),
                ],
                Some(Refusal::NoStore),
            ),
            (
                &[
                    ("cache-control", "max-age=60"),
                    ("cache-control", "private"),
                ],
                Some(Refusal::Private),
            ),
            (&[("cache-control", "max-age=60, private=\"a\"")], None),
            (&[("cache-control", "max-age=60, no-cache=\"a\"")], None),
            (
                &[("cache-control", "max-age=60, private=\"a")],
                Some(Refusal::Private),
            ),
            (
                &[("cache-control", "max-age=60"), ("set-cookie", "a=b")],
                Some(Refusal::SetCookie),
            ),
            (
                &[
                    ("cache-control", "max-age=60, no-cache=\"set-cookie\""),
                    ("set-cookie", "a=b"),
                ],
                Some(Refusal::SetCookie),
            ),
            (
                &[("cache-control", "max-age=60"), ("vary", "*")],
                Some(Refusal::VaryAll),
            ),
            (
                &[
                    ("cache-control", "max-age=60"),
                    ("vary", "a"),
                    ("vary", ", *"),
                ],
                Some(Refusal::VaryAll),
            ),
            (&[("cache-control", "max-age=60"), ("vary", "a")], None),
            // A targeted field overrides both ways (RFC 9213 §2.2).
            (
                &[
                    ("cache-control", "no-store"),
                    ("cdn-cache-control", "max-age=60"),
                ],
                None,
            ),
            (
                &[
                    ("cache-control", "private"),
                    ("cdn-cache-control", "max-age=60"),
                ],
                None,
            ),
            (
                &[
                    ("cache-control", "max-age=60"),
                    ("cdn-cache-control", "no-store"),
                ],
                Some(Refusal::NoStore),
            ),
            (
                &[
                    ("cache-control", "max-age=60"),
                    ("cdn-cache-control", "private"),
                ],
                Some(Refusal::Private),
            ),
            (
                &[
                    ("cache-control", "no-store"),
                    ("cdn-cache-control", "max-age=60, &&&"),
                ],
                Some(Refusal::NoStore),
            ),
            (
                &[
                    ("cache-control", "no-store"),
                    ("cdn-cache-control", "max-age=\"60\""),
                ],
                Some(Refusal::NoStore),
            ),
        ];
        for (response, expected) in rows {
            assert_eq!(
                Case {
                    response,
                    ..Case::default()
                }
                .refusal(),
                *expected,
                "{response:?}"
            );
        }
    }

    #[test]
    fn must_understand_replaces_no_store_for_statuses_that_are_understood() {
        let both = &[("cache-control", "max-age=60, must-understand, no-store")][..];
        let alone = &[("cache-control", "max-age=60, must-understand")][..];
        for (status, expected) in [
            (200, None),
            (404, None),
            (503, None),
            (299, Some(Refusal::NotUnderstood)),
            (599, Some(Refusal::NotUnderstood)),
        ] {
            assert_eq!(
                Case {
                    status,
                    response: both,
                    ..Case::default()
                }
                .refusal(),
                expected,
                "{status}"
            );
            assert_eq!(
                Case {
                    status,
                    response: alone,
                    ..Case::default()
                }
                .refusal(),
                expected,
                "{status}"
            );
        }
    }

    #[test]
    fn an_answer_to_authorization_needs_leave() {
        let request = &[("authorization", "Basic eA==")][..];
        let rows = [
            ("max-age=60", Some(Refusal::Authorization)),
            ("max-age=60, proxy-revalidate", Some(Refusal::Authorization)),
            ("max-age=60, no-cache", Some(Refusal::Authorization)),
            ("max-age=60, public", None),
            ("max-age=60, must-revalidate", None),
            ("s-maxage=60", None),
        ];
        for (line, expected) in rows {
            assert_eq!(
                Case {
                    request,
                    response: &[("cache-control", line)],
                    ..Case::default()
                }
                .refusal(),
                expected,
                "{line}"
            );
        }
        let cookie = &[("cookie", "a=b")][..];
        assert_eq!(
            Case {
                request: cookie,
                ..Case::default()
            }
            .refusal(),
            None
        );
    }

    #[test]
    fn requests_forbid_storing_with_no_store() {
        let request = &[("cache-control", "no-store")][..];
        assert_eq!(
            Case {
                request,
                ..Case::default()
            }
            .refusal(),
            Some(Refusal::RequestNoStore)
        );
        assert_eq!(
            Case {
                request,
                decision: always(),
                floor: NO_FLOOR,
                ..Case::default()
            }
            .refusal(),
            Some(Refusal::RequestNoStore)
        );
    }

    #[test]
    fn only_gets_are_stored_and_posts_that_stand_for_one() {
        for method in [
            "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "M-SEARCH", "get",
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(
                Case {
                    method,
                    ..Case::default()
                }
                .refusal(),
                Some(Refusal::Method)
            );
        }
        let lifetime = ("cache-control", "max-age=60");
        let rows: &[(u16, FieldLines<'_>, bool)] = &[
            (200, &[lifetime], false),
            (
                200,
                &[lifetime, ("content-location", "http://example.com/a?b=c")],
                true,
            ),
            (200, &[lifetime, ("content-location", "/a?b=c")], true),
            (200, &[lifetime, ("content-location", "")], true),
            (200, &[lifetime, ("content-location", "/a")], false),
            (
                200,
                &[lifetime, ("content-location", "//other.example/a?b=c")],
                false,
            ),
            (
                200,
                &[("etag", "\"a\""), ("content-location", "/a?b=c")],
                false,
            ),
            (404, &[lifetime, ("content-location", "/a?b=c")], false),
        ];
        for (status, response, stored) in rows {
            let refusal = Case {
                method: Method::POST,
                status: *status,
                response,
                ..Case::default()
            }
            .refusal();
            assert_eq!(refusal.is_none(), *stored, "{status} {response:?}");
        }
    }

    #[test]
    fn a_policy_refuses_anything_and_lifts_the_floor_only_where_the_site_says_so() {
        let never = ResponseDecision {
            storing: StoringDecision::Never,
            ..always()
        };
        assert_eq!(
            Case {
                decision: never,
                ..Case::default()
            }
            .refusal(),
            Some(Refusal::Policy)
        );
        let none = FloorExceptions::default();
        let authorized = [("authorization", "x")];
        let rows: &[(FieldLines<'_>, FieldLines<'_>, Refusal, FloorExceptions)] = &[
            (
                &[],
                &[("set-cookie", "a=b")],
                Refusal::SetCookie,
                FloorExceptions {
                    set_cookie: true,
                    ..none
                },
            ),
            (
                &authorized,
                &[],
                Refusal::Authorization,
                FloorExceptions {
                    authorization: true,
                    ..none
                },
            ),
            (
                &[],
                &[("cache-control", "private")],
                Refusal::Private,
                FloorExceptions {
                    private: true,
                    ..none
                },
            ),
            (
                &[],
                &[("cache-control", "no-store")],
                Refusal::NoStore,
                FloorExceptions {
                    no_store: true,
                    ..none
                },
            ),
        ];
        for (request, response, refusal, floor) in rows {
            let case = |decision, floor| {
                Case {
                    request,
                    response,
                    decision,
                    floor,
                    ..Case::default()
                }
                .refusal()
            };
            assert_eq!(case(always(), none), Some(*refusal));
            assert_eq!(case(always(), *floor), None);
            // The site's word alone lifts nothing.
            let by_headers = ResponseDecision {
                storing: StoringDecision::ByHeaders,
                ..always()
            };
            assert_eq!(case(by_headers, *floor), Some(*refusal));
        }
        assert_eq!(
            Case {
                response: &[("vary", "*")],
                decision: always(),
                floor: NO_FLOOR,
                ..Case::default()
            }
            .refusal(),
            Some(Refusal::VaryAll)
        );
    }

    #[test]
    fn stored_fields_leave_out_what_is_not_to_be_stored() {
        let response = headers(&[
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "1"),
            ("proxy-authenticate", "Basic"),
            ("proxy-authentication-info", "x"),
            ("transfer-encoding", "chunked"),
            ("age", "5"),
            ("content-length", "5"),
            ("set-cookie", "a=b"),
            (
                "cache-control",
                "max-age=1, no-cache=\"a, B\", private=\"c\"",
            ),
            ("cdn-cache-control", "max-age=9"),
            ("a", "1"),
            ("b", "2"),
            ("c", "3"),
            ("d", "4"),
            ("d", "5"),
            ("date", "x"),
            ("www-authenticate", "Basic"),
        ]);
        let directives = ResponseDirectives::of(&response);
        let mut names: Vec<&str> = stored_fields(&response, &directives)
            .map(|(name, _)| name.as_str())
            .collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "cache-control",
                "cdn-cache-control",
                "d",
                "d",
                "date",
                "www-authenticate"
            ]
        );
    }
}
