//! The questions as policies see them: exactly the inputs that the manifest names, in the types of
//! the contract. All texts of a question lie in one buffer, which is used again for the next one,
//! so a question allocates nothing. The same inputs form the key under which a decision is
//! remembered ([`DecisionInputs`]).

mod client;
mod inputs;

pub(super) use inputs::{DecisionInputs, ResponseInputs, cut_to_minute, encode_response};

use std::time::Duration;

use http::{HeaderMap, HeaderName};

use crate::contract::types;
use crate::cookies::cookies;
use crate::device::{Device, DeviceSource};
use crate::facts::{PlanRequest, PolicyRequest, PolicyResponse};
use crate::manifest::Manifest;
use client::Network;
use tero_semantics::key;
use tero_time::calendar::{Holiday, HolidayKind};
use tero_time::moment::Moment;

/// The bytes of texts that a buffer keeps between questions. A plan may have many more.
const KEPT_BYTES: usize = 64 << 10;

/// The texts and lists of one question. If a value is not UTF-8, the policy sees U+FFFD in place of
/// the invalid bytes; the key of a remembered decision holds the bytes themselves.
#[derive(Debug, Default)]
pub(super) struct QuestionBuffer {
    texts: String,
    headers: Vec<types::Field>,
    cookies: Vec<types::Field>,
    response_headers: Vec<types::Field>,
    nearby_holidays: Vec<types::NearbyHoliday>,
    popular: Vec<types::PopularPage>,
}

impl QuestionBuffer {
    /// Forgets the last question.
    fn clear(&mut self) {
        self.texts.clear();
        self.texts.shrink_to(KEPT_BYTES);
        self.headers.clear();
        self.cookies.clear();
        self.response_headers.clear();
        self.nearby_holidays.clear();
        self.popular = Vec::new();
    }

    /// A question about a request, as a policy with this manifest may see it: its texts, and the
    /// records that point into them.
    pub(super) fn request(
        &mut self,
        request: &PolicyRequest<'_>,
        manifest: &Manifest,
        now: &Moment,
    ) -> (&str, types::Request<'_>, types::Moment<'_>) {
        self.clear();
        let head = self.head(request, manifest);
        let now = self.now(now);
        (
            &self.texts,
            head.with_lists(&self.headers, &self.cookies),
            now.with_list(&self.nearby_holidays),
        )
    }

    /// A question about a response.
    pub(super) fn response(
        &mut self,
        request: &PolicyRequest<'_>,
        response: &PolicyResponse<'_>,
        manifest: &Manifest,
        now: &Moment,
    ) -> (
        &str,
        (types::Request<'_>, types::Response<'_>),
        types::Moment<'_>,
    ) {
        self.clear();
        let head = self.head(request, manifest);
        let (names, headers) = (&manifest.response_headers, response.headers);
        lines(&mut self.texts, &mut self.response_headers, headers, names);
        let now = self.now(now);
        let tells_each = manifest.tells_each_response();
        let response = types::Response {
            status: response.status.as_u16(),
            headers: &self.response_headers,
            length: response.length.filter(|_| tells_each),
            header_ttl_secs: response.header_ttl.map(secs),
            header_browser_ttl_secs: response.header_browser_ttl.map(secs),
            key_hash: if tells_each {
                key::hash(response.key)
            } else {
                0
            },
        };
        (
            &self.texts,
            (head.with_lists(&self.headers, &self.cookies), response),
            now.with_list(&self.nearby_holidays),
        )
    }

    /// A question about a plan.
    pub(super) fn plan(
        &mut self,
        request: &PlanRequest<'_>,
        now: &Moment,
    ) -> (
        &str,
        (types::Span, &[types::PopularPage]),
        types::Moment<'_>,
    ) {
        self.clear();
        let texts = &mut self.texts;
        let plan = text(texts, request.plan);
        let pages = request.popular.iter().map(|page| types::PopularPage {
            url: text(texts, &page.url),
            requests: page.requests,
            variant_name: page.variant.as_deref().map(|name| text(texts, name)),
        });
        self.popular.extend(pages);
        let now = self.now(now);
        (
            &self.texts,
            (plan, &self.popular),
            now.with_list(&self.nearby_holidays),
        )
    }

    fn head(&mut self, request: &PolicyRequest<'_>, manifest: &Manifest) -> RequestHead {
        let texts = &mut self.texts;
        let method = text(texts, request.method.as_str());
        let scheme = text(texts, request.scheme);
        let host = text(texts, request.host);
        let path = text(texts, request.path);
        let query = request.query.filter(|_| manifest.query);
        let query = query.map(|query| text(texts, query));
        lines(texts, &mut self.headers, request.headers, &manifest.headers);
        for cookie in cookies(request.headers, &manifest.cookies) {
            let name = text(texts, cookie.name);
            let value = bytes(texts, cookie.value);
            self.cookies.push(types::Field { name, value });
        }
        RequestHead {
            method,
            scheme,
            host,
            path,
            query,
            device: device(Some(request.device).filter(|_| manifest.device)),
            device_source: source(Some(request.device_source).filter(|_| manifest.device_source)),
            client: client(texts, request, manifest),
            route: told(texts, request.route, manifest.route),
            variant_name: request.variant.map(|name| text(texts, name)),
        }
    }

    fn now(&mut self, now: &Moment) -> LocalNow {
        let texts = &mut self.texts;
        for (days_ahead, near) in &now.nearby_holidays {
            self.nearby_holidays.push(types::NearbyHoliday {
                days_ahead: *days_ahead,
                holiday: holiday(texts, near),
            });
        }
        LocalNow {
            unix_secs: now.unix_secs,
            year: now.year,
            month: now.month,
            day: now.day,
            weekday: weekday(now.weekday),
            hour: now.hour,
            minute: now.minute,
            second: now.second,
            utc_offset_mins: now.utc_offset_mins,
            next_offset_change: now.next_offset_change.map(|change| types::OffsetChange {
                unix_secs: u64::try_from(change.unix_secs).unwrap_or(0),
                utc_offset_mins: change.utc_offset_mins,
            }),
            holiday: now.holiday.as_deref().map(|today| holiday(texts, today)),
        }
    }
}

/// A request without its lists, which are borrowed once all texts are written.
struct RequestHead {
    method: types::Span,
    scheme: types::Span,
    host: types::Span,
    path: types::Span,
    query: Option<types::Span>,
    device: types::Device,
    device_source: types::DeviceSource,
    client: types::Client,
    route: Option<types::Span>,
    variant_name: Option<types::Span>,
}

impl RequestHead {
    fn with_lists<'b>(
        self,
        headers: &'b [types::Field],
        cookies: &'b [types::Field],
    ) -> types::Request<'b> {
        types::Request {
            method: self.method,
            scheme: self.scheme,
            host: self.host,
            path: self.path,
            query: self.query,
            headers,
            cookies,
            device: self.device,
            device_source: self.device_source,
            client: self.client,
            route: self.route,
            variant_name: self.variant_name,
        }
    }
}

/// A moment without its list.
struct LocalNow {
    unix_secs: u64,
    year: u16,
    month: u8,
    day: u8,
    weekday: types::Weekday,
    hour: u8,
    minute: u8,
    second: u8,
    utc_offset_mins: i16,
    next_offset_change: Option<types::OffsetChange>,
    holiday: Option<types::Holiday>,
}

impl LocalNow {
    fn with_list(self, nearby_holidays: &[types::NearbyHoliday]) -> types::Moment<'_> {
        types::Moment {
            unix_secs: self.unix_secs,
            year: self.year,
            month: self.month,
            day: self.day,
            weekday: self.weekday,
            hour: self.hour,
            minute: self.minute,
            second: self.second,
            utc_offset_mins: self.utc_offset_mins,
            next_offset_change: self.next_offset_change,
            holiday: self.holiday,
            nearby_holidays,
        }
    }
}

/// Appends a text.
fn text(texts: &mut String, text: &str) -> types::Span {
    let start = texts.len();
    texts.push_str(text);
    span(start, texts)
}

/// Appends bytes that should be UTF-8.
fn bytes(texts: &mut String, bytes: &[u8]) -> types::Span {
    match std::str::from_utf8(bytes) {
        Ok(good) => text(texts, good),
        Err(_) => text(texts, &String::from_utf8_lossy(bytes)),
    }
}

/// What was written from `start` on. The server limits what it reads, so a question is far below
/// 4 GiB.
fn span(start: usize, texts: &str) -> types::Span {
    let number = |bytes| u32::try_from(bytes).unwrap_or(u32::MAX);
    types::Span {
        start: number(start),
        length: number(texts.len() - start),
    }
}

/// Appends a text that the manifest may name.
fn told(texts: &mut String, it: Option<&str>, is_named: bool) -> Option<types::Span> {
    it.filter(|_| is_named).map(|it| text(texts, it))
}

/// Appends the lines of these fields: by name in the order of the manifest, then by line.
fn lines(
    texts: &mut String,
    list: &mut Vec<types::Field>,
    headers: &HeaderMap,
    names: &[HeaderName],
) {
    for name in names {
        for value in headers.get_all(name) {
            let name = text(texts, name.as_str());
            let value = bytes(texts, value.as_bytes());
            list.push(types::Field { name, value });
        }
    }
}

fn client(texts: &mut String, request: &PolicyRequest<'_>, manifest: &Manifest) -> types::Client {
    let client = &request.client;
    let network = manifest.network.zip(client.address);
    types::Client {
        network: network.map(|(prefix, address)| {
            let start = texts.len();
            Network::of(address, prefix).write(texts);
            span(start, texts)
        }),
        country: told(texts, client.country, manifest.country),
        region: told(texts, client.region, manifest.region),
        bucket: manifest
            .bucket
            .as_ref()
            .and_then(|rule| client::bucket(rule, request.headers, client)),
    }
}

fn holiday(texts: &mut String, holiday: &Holiday) -> types::Holiday {
    types::Holiday {
        name: text(texts, &holiday.name),
        open: match holiday.kind {
            HolidayKind::Closed => None,
            HolidayKind::HalfDay {
                from_mins,
                until_mins,
            } => Some(types::Opening {
                from_mins,
                until_mins,
            }),
        },
    }
}

fn secs(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

fn device(device: Option<Device>) -> types::Device {
    match device.unwrap_or_default() {
        Device::Desktop => types::Device::Desktop,
        Device::Mobile => types::Device::Mobile,
        Device::Tablet => types::Device::Tablet,
        Device::Tv => types::Device::Tv,
        Device::Bot => types::Device::Bot,
        Device::Unknown => types::Device::Unknown,
    }
}

fn source(source: Option<DeviceSource>) -> types::DeviceSource {
    match source.unwrap_or_default() {
        DeviceSource::ClientHints => types::DeviceSource::ClientHints,
        DeviceSource::UserAgent => types::DeviceSource::UserAgent,
        DeviceSource::Nothing => types::DeviceSource::Nothing,
    }
}

fn weekday(weekday: chrono::Weekday) -> types::Weekday {
    match weekday {
        chrono::Weekday::Mon => types::Weekday::Monday,
        chrono::Weekday::Tue => types::Weekday::Tuesday,
        chrono::Weekday::Wed => types::Weekday::Wednesday,
        chrono::Weekday::Thu => types::Weekday::Thursday,
        chrono::Weekday::Fri => types::Weekday::Friday,
        chrono::Weekday::Sat => types::Weekday::Saturday,
        chrono::Weekday::Sun => types::Weekday::Sunday,
    }
}

#[cfg(test)]
mod tests;
