use super::*;
use crate::testing::{FieldLines, headers};

/// A GET for a page that may be stored, changed row by row.
struct Case<'a> {
    method: Method,
    request: FieldLines<'a>,
    status: u16,
    response: FieldLines<'a>,
    decision: ResponseDecision,
    floor: FloorExceptions,
    default_ttl: DefaultTtl,
}

/// Exceptions that lift the whole floor.
const NO_FLOOR: FloorExceptions = FloorExceptions {
    set_cookie: true,
    authorization: true,
    private: true,
    no_store: true,
    no_cache: true,
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
            default_ttl: DefaultTtl::None,
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
        let (request_headers, response_headers) = (headers(self.request), headers(self.response));
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
            default_ttl: self.default_ttl,
        };
        match storability(&exchange, self.floor) {
            Storability::Yes => None,
            Storability::Part(part) => panic!("{part:?} is not a whole response"),
            Storability::No(refusal) => Some(refusal),
        }
    }
}

#[test]
fn final_statuses_with_explicit_freshness_are_stored() {
    for status in 100..=999 {
        let expected = match status {
            100..=199 | 304 | 412 | 416 | 417 => Some(Refusal::Status),
            206 => Some(Refusal::Partial),
            407 | 408 | 411 | 413 | 415 | 421 | 425 | 428 | 429 | 431 | 511 => {
                Some(Refusal::AboutRequest)
            }
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
fn without_explicit_freshness_a_cacheable_status_and_a_validator_or_ttl_are_needed() {
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
        // `Expires` no longer counts if a targeted field governs.
        (
            500,
            &[("cdn-cache-control", "foo"), ("expires", "0")],
            &ResponseDecision::default(),
            no_lifetime,
        ),
        // A policy's TTL is a lifetime. For a status without a heuristic one, it needs "always".
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
fn directives_of_the_response_forbid_storing() {
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
fn must_understand_overrides_no_store_for_understood_statuses() {
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
fn the_response_to_a_request_with_authorization_needs_permission() {
    let credentials = [("authorization", "Basic eA=="), ("client-cert", ":MIIB:")];
    let rows = [
        ("max-age=60", Some(Refusal::Authorization)),
        ("max-age=60, proxy-revalidate", Some(Refusal::Authorization)),
        ("max-age=60, no-cache", Some(Refusal::Authorization)),
        ("max-age=60, public", None),
        ("max-age=60, must-revalidate", None),
        ("s-maxage=60", None),
    ];
    for (own, (line, expected)) in credentials
        .iter()
        .flat_map(|own| rows.map(|row| (own, row)))
    {
        assert_eq!(
            Case {
                request: &[*own],
                response: &[("cache-control", line)],
                ..Case::default()
            }
            .refusal(),
            expected,
            "{own:?} {line}"
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
fn a_request_with_no_store_forbids_storing() {
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
fn only_gets_and_posts_that_name_their_target_are_stored() {
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
fn a_response_that_is_not_admitted_says_so_only_if_it_could_be_stored() {
    let of = |response: &'static [(&'static str, &'static str)], admit| {
        Case {
            response,
            decision: ResponseDecision {
                admit,
                ..ResponseDecision::default()
            },
            ..Case::default()
        }
        .refusal()
    };
    let fresh: &[(&str, &str)] = &[("cache-control", "max-age=60")];
    assert_eq!(of(fresh, Some(false)), Some(Refusal::NotAdmitted));
    assert_eq!((of(fresh, Some(true)), of(fresh, None)), (None, None));
    let private: &[(&str, &str)] = &[("cache-control", "private, max-age=60")];
    assert_eq!(of(private, Some(false)), Some(Refusal::Private));
    // Another request may be for a visitor.
    assert!(Refusal::NotAdmitted.is_of_request());
    assert!(Refusal::Crawler.is_of_request());
}

#[test]
fn the_lifetime_that_a_policy_gives_errors_lets_them_be_stored() {
    let of = |status, error_ttl: Option<u64>| {
        Case {
            status,
            response: &[],
            decision: ResponseDecision {
                error_ttl: error_ttl.map(std::time::Duration::from_secs),
                ..ResponseDecision::default()
            },
            ..Case::default()
        }
        .refusal()
    };
    for status in [400, 418, 500, 503] {
        assert_eq!(of(status, None), Some(Refusal::NoLifetime), "{status}");
        assert_eq!(of(status, Some(5)), None, "{status}");
    }
    assert_eq!(of(302, Some(5)), Some(Refusal::NoLifetime));
    assert_eq!(of(429, Some(5)), Some(Refusal::AboutRequest));
}

#[test]
fn a_policy_can_refuse_anything_but_lifts_the_floor_only_with_the_site() {
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
        (
            &[("cookie", "a=b")],
            &[("cache-control", "no-cache")],
            Refusal::NoCacheToCookie,
            FloorExceptions {
                no_cache: true,
                ..none
            },
        ),
    ];
    for (request, response, refusal, floor) in rows {
        let refusal_with = |decision, floor| {
            let case = Case {
                request,
                response,
                decision,
                floor,
                ..Case::default()
            };
            case.refusal()
        };
        assert_eq!(refusal_with(always(), none), Some(*refusal));
        assert_eq!(refusal_with(always(), *floor), None);
        // The site alone lifts nothing.
        let by_headers = ResponseDecision {
            storing: StoringDecision::ByHeaders,
            ..always()
        };
        assert_eq!(refusal_with(by_headers, *floor), Some(*refusal));
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
fn a_response_that_is_never_fresh_is_not_stored_for_a_request_with_cookies() {
    let cc = "cache-control";
    let (date, past) = (
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("expires", "Sun, 06 Nov 1994 08:49:37 GMT"),
    );
    let later = ("expires", "Sun, 06 Nov 1994 08:49:38 GMT");
    // The fields of the response, and whether it is refused to a request with cookies.
    let rows: &[(FieldLines<'_>, bool)] = &[
        (&[(cc, "no-cache")], true),
        (&[(cc, "max-age=60, no-cache")], true),
        (&[(cc, "max-age=0")], true),
        (&[(cc, "s-maxage=0, max-age=60")], true),
        (&[(cc, "no-cache, must-revalidate, max-age=0")], true),
        (&[(cc, "max-age=x")], true),
        (&[date, past], true),
        (&[date, ("expires", "0")], true),
        (
            &[("cdn-cache-control", "max-age=0"), (cc, "max-age=60")],
            true,
        ),
        // Only for browsers.
        (&[(cc, "max-age=0, s-maxage=60")], false),
        (
            &[("cdn-cache-control", "max-age=60"), (cc, "no-cache")],
            false,
        ),
        // Only these fields.
        (&[(cc, "max-age=60, no-cache=\"x\"")], false),
        (&[(cc, "max-age=1")], false),
        (&[date, later], false),
        (&[], false),
    ];
    let etag = ("etag", "\"a\"");
    for (fields, refused) in rows {
        let response: Vec<_> = fields.iter().copied().chain([etag]).collect();
        let refusal = |request, decision, floor| {
            let case = Case {
                request,
                response: &response,
                decision,
                floor,
                ..Case::default()
            };
            case.refusal()
        };
        let (none, cookie) = (FloorExceptions::default(), &[("cookie", "a=b")]);
        let expected = refused.then_some(Refusal::NoCacheToCookie);
        for decision in [ResponseDecision::default(), always()] {
            assert_eq!(refusal(&[], decision.clone(), none), None, "{fields:?}");
            assert_eq!(refusal(cookie, decision, none), expected, "{fields:?}");
        }
        assert_eq!(refusal(cookie, always(), NO_FLOOR), None, "{fields:?}");
    }
}

#[test]
fn stored_fields_omit_those_that_must_not_be_stored() {
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

/// Why a response is not stored on a site with this default lifetime.
fn refusal(
    status: u16,
    request: &[(&'static str, &'static str)],
    response: &[(&'static str, &'static str)],
    default_ttl: DefaultTtl,
) -> Option<Refusal> {
    let case = Case {
        status,
        request,
        response,
        default_ttl,
        ..Case::default()
    };
    case.refusal()
}

#[test]
fn the_sites_default_is_a_lifetime_and_lifts_nothing() {
    let given = DefaultTtl::Given(std::time::Duration::from_secs(60));
    for status in [200, 302, 403, 404, 503] {
        assert_eq!(refusal(status, &[], &[], given), None, "{status}");
        let none = refusal(status, &[], &[], DefaultTtl::None);
        assert_eq!(none, Some(Refusal::NoLifetime), "{status}");
    }
    let (cc, cookie) = ("cache-control", ("cookie", "a=b"));
    for (request, response, expected) in [
        (&[][..], &[("set-cookie", "a=b")][..], Refusal::SetCookie),
        (&[], &[(cc, "private")], Refusal::Private),
        (&[], &[(cc, "no-store")], Refusal::NoStore),
        (&[], &[(cc, "no-cache")], Refusal::NoLifetime),
        (&[], &[("vary", "*")], Refusal::VaryAll),
        (&[("authorization", "x")], &[], Refusal::Authorization),
        (&[cookie], &[(cc, "no-cache")], Refusal::NoCacheToCookie),
    ] {
        let refused = refusal(200, request, response, given);
        assert_eq!(refused, Some(expected), "{request:?} {response:?}");
    }
    let withheld = DefaultTtl::WithheldFromCookie;
    let refused = refusal(200, &[cookie], &[], withheld);
    assert_eq!(refused, Some(Refusal::DefaultTtlToCookie));
    assert!(Refusal::DefaultTtlToCookie.is_of_request());
    assert_eq!(
        refusal(200, &[cookie], &[(cc, "max-age=1")], withheld),
        None
    );
    assert_eq!(
        refusal(200, &[cookie], &[("etag", "\"1\"")], withheld),
        None
    );
}
