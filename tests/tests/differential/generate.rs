//! Random exchanges: most are ordinary, so that agreement means something, and some are odd in one
//! or more ways.

use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// The time of the first request: `Tue, 10 Mar 2026 12:00:00 GMT`.
pub(crate) const NOON_SECS: u64 = 1_773_144_000;

/// A splitmix64 generator.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn seeded(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        let index = usize::try_from(self.next() % of.len() as u64).expect("it is below a length");
        of[index]
    }
}

/// A request, its response, and a later request for the same URL.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) first: HeaderMap,
    pub(crate) status: StatusCode,
    pub(crate) response: HeaderMap,
    /// Seconds from the first request to its response.
    pub(crate) delay: u64,
    /// Seconds from the response to the second request.
    pub(crate) after: u64,
    pub(crate) second: HeaderMap,
}

const STATUSES: [u16; 27] = [
    203, 204, 206, 299, 300, 301, 302, 303, 304, 307, 308, 400, 403, 404, 405, 410, 412, 414, 416,
    417, 418, 500, 501, 502, 503, 504, 599,
];
const SPANS: [u64; 14] = [
    0, 1, 4, 5, 6, 9, 10, 11, 59, 60, 61, 3_600, 90_000, 1_000_000,
];
const SAID: [&str; 12] = [
    "public",
    "private",
    "no-store",
    "no-cache",
    "must-revalidate",
    "proxy-revalidate",
    "must-understand",
    "immutable",
    "stale-while-revalidate=10",
    "stale-if-error=10",
    "no-transform",
    "unknown=1",
];
const ODDLY_SAID: [&str; 18] = [
    "private=\"x-one\"",
    "no-cache=\"x-one\"",
    "no-cache=x-one",
    "max-age=\"10\"",
    "MAX-AGE=10",
    "Public",
    "No-Store",
    "max-age=x",
    "max-age=1.5",
    "max-age=-1",
    "max-age",
    "max-age= 10",
    "s-maxage=+10",
    "max-age=010",
    "max-age=99999999999",
    "max-age=99999999999999999999",
    "public=1",
    "unknown=\"a, no-store, b\"",
];
const ODDLY_ASKED: [&str; 8] = [
    "max-age=x",
    "max-age=\"5\"",
    "max-age=+5",
    "max-stale=x",
    "min-fresh= 5",
    "Max-Age=0",
    "No-Cache",
    "unknown=\"a, no-cache\"",
];

/// Makes an exchange.
pub(crate) fn exchange(dice: &mut Dice) -> Exchange {
    let (status, delay, after) = (
        status(dice),
        if dice.percent(15) {
            dice.one(&[1, 3, 10])
        } else {
            0
        },
        dice.one(&SPANS),
    );
    let (mut first, mut second) = (HeaderMap::new(), HeaderMap::new());
    for headers in [&mut first, &mut second] {
        selecting(dice, headers);
    }
    if dice.percent(8) {
        put(&mut first, "authorization", "Basic YTpi");
    }
    if dice.percent(3) {
        put(&mut first, "cache-control", "no-store");
    }
    asked(dice, &mut second);
    Exchange {
        first,
        status,
        response: response(dice),
        delay,
        after,
        second,
    }
}

fn status(dice: &mut Dice) -> StatusCode {
    let status = if dice.percent(70) {
        200
    } else {
        dice.one(&STATUSES)
    };
    StatusCode::from_u16(status).expect("they are statuses")
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    headers.append(
        HeaderName::from_static(name),
        HeaderValue::from_str(value).expect("it is a value"),
    );
}

/// Adds fields that `Vary` may name.
fn selecting(dice: &mut Dice, headers: &mut HeaderMap) {
    if dice.percent(60) {
        put(
            headers,
            "accept-encoding",
            dice.one(&["gzip", "gzip", "gzip", "gzip, br", "br,gzip", "identity"]),
        );
    }
    if dice.percent(40) {
        put(headers, "x-one", dice.one(&["1", "1", "1", "2"]));
        if dice.percent(5) {
            put(headers, "x-one", dice.one(&["1", "2"]));
        }
    }
}

fn asked(dice: &mut Dice, headers: &mut HeaderMap) {
    if dice.percent(4) {
        put(headers, "pragma", dice.one(&["no-cache", "no-cache", "x"]));
    }
    if dice.percent(60) {
        return;
    }
    let mut said = Vec::new();
    for _ in 0..dice.one(&[1, 1, 1, 2]) {
        let (name, span) = (
            dice.one(&["max-age", "min-fresh", "max-stale"]),
            dice.one(&SPANS),
        );
        said.push(match () {
            () if dice.percent(12) => dice.one(&ODDLY_ASKED).to_owned(),
            () if dice.percent(40) => dice
                .one(&["no-cache", "max-stale", "only-if-cached", "no-store"])
                .to_owned(),
            () => format!("{name}={span}"),
        });
    }
    put(headers, "cache-control", &said.join(", "));
}

fn response(dice: &mut Dice) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if dice.percent(75) {
        let mut said = Vec::new();
        if dice.percent(60) {
            said.push(format!("max-age={}", dice.one(&SPANS)));
        }
        if dice.percent(15) {
            said.push(format!("s-maxage={}", dice.one(&SPANS)));
        }
        for _ in 0..dice.one(&[0, 0, 1, 1, 2]) {
            said.push(if dice.percent(80) {
                dice.one(&SAID).to_owned()
            } else {
                dice.one(&ODDLY_SAID).to_owned()
            });
        }
        if dice.percent(4) {
            said.push(format!("max-age={}", dice.one(&SPANS)));
        }
        put(&mut headers, "cache-control", &said.join(", "));
    }
    dates(dice, &mut headers);
    if dice.percent(20) {
        put(
            &mut headers,
            "vary",
            dice.one(&[
                "accept-encoding",
                "x-one",
                "Accept-Encoding, x-one",
                "x-two",
                "*",
                "x-one, *",
            ]),
        );
    }
    for (percent, name, values) in [
        (30, "etag", &["\"a\"", "W/\"a\""][..]),
        (3, "set-cookie", &["a=b"]),
        (3, "pragma", &["no-cache"]),
        (10, "age", &["0", "5", "5", "50", "5, 6", "x", "-1", "+5"]),
    ] {
        if dice.percent(percent) {
            put(&mut headers, name, dice.one(values));
        }
    }
    headers
}

fn dates(dice: &mut Dice, headers: &mut HeaderMap) {
    match dice.one(&[0, 0, 0, 0, 0, 1, 2, 3]) {
        0 => put(headers, "date", &date(0)),
        1 => put(headers, "date", &date(dice.one(&[-100, -10, -1, 1, 10]))),
        2 => put(headers, "date", "yesterday"),
        _ => {}
    }
    if dice.percent(25) {
        let value = date(dice.one(&[-10, 0, 1, 10, 60, 100]));
        let odd = [
            "0",
            "never",
            "Tuesday, 10-Mar-26 12:01:00 GMT",
            "Tue Mar 10 12:01:00 2026",
        ];
        put(
            headers,
            "expires",
            if dice.percent(80) {
                &value
            } else {
                dice.one(&odd)
            },
        );
    }
    if dice.percent(25) {
        let value = date(dice.one(&[10, 0, -5, -100, -1_000, -36_000, -1_000_000, -40_000_000]));
        put(
            headers,
            "last-modified",
            if dice.percent(90) {
                &value
            } else {
                "Monday, 09-Mar-26 12:00:00 GMT"
            },
        );
    }
}

/// The HTTP date so many seconds after noon.
pub(crate) fn date(secs: i64) -> String {
    let time = tero_semantics::timestamp::Timestamp::from_unix_secs(NOON_SECS.cast_signed() + secs);
    tero_semantics::http_date::date_value(time)
        .to_str()
        .expect("a date is ASCII")
        .to_owned()
}

/// Makes validators of a stored response, and a 304.
pub(crate) fn validators(dice: &mut Dice) -> (HeaderMap, HeaderMap) {
    let mut both = [HeaderMap::new(), HeaderMap::new()];
    for headers in &mut both {
        if dice.percent(70) {
            put(
                headers,
                "etag",
                dice.one(&["\"a\"", "\"a\"", "W/\"a\"", "\"b\""]),
            );
        }
        if dice.percent(50) {
            put(
                headers,
                "last-modified",
                &date(dice.one(&[-100, -100, -200])),
            );
        }
        put(headers, "x-one", dice.one(&["1", "2"]));
        for (name, value) in [
            ("x-two", "1"),
            ("content-encoding", "gzip"),
            ("content-length", "5"),
        ] {
            if dice.percent(50) {
                put(headers, name, value);
            }
        }
    }
    let [stored, not_modified] = both;
    (stored, not_modified)
}
