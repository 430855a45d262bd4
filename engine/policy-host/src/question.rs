//! The questions as policies see them: exactly the inputs that the manifest names, in the types of
//! the contract. The same inputs form the key under which a decision is remembered.

use std::borrow::Cow;
use std::time::Duration;

use http::{HeaderMap, HeaderName};

use crate::contract::types;
use crate::cookies::cookies;
use crate::device::Device;
use crate::facts::{PolicyRequest, PolicyResponse, PopularPage};
use crate::manifest::Manifest;
use tero_semantics::key;
use tero_semantics::timestamp::Timestamp;
use tero_time::calendar::{Holiday, HolidayKind};
use tero_time::moment::Moment;

/// The fields and cookies of a message that a manifest names. If a value is not UTF-8, the policy
/// sees U+FFFD in place of the invalid bytes; the key of a remembered decision holds the bytes
/// themselves.
pub(super) struct MessageFields<'a>(Vec<(&'a str, Cow<'a, str>)>);

impl<'a> MessageFields<'a> {
    /// The values of these fields: by name in the order of the manifest, then by line.
    pub(super) fn of(headers: &'a HeaderMap, names: &'a [HeaderName]) -> MessageFields<'a> {
        let lines = names.iter().flat_map(|name| {
            headers
                .get_all(name)
                .iter()
                .map(move |value| (name.as_str(), value))
        });
        MessageFields(
            lines
                .map(|(name, value)| (name, String::from_utf8_lossy(value.as_bytes())))
                .collect(),
        )
    }

    /// The values of these cookies, in the order in which the client sent them.
    pub(super) fn cookies(headers: &'a HeaderMap, names: &'a [Box<str>]) -> MessageFields<'a> {
        let sent = cookies(headers, names);
        MessageFields(
            sent.map(|cookie| (cookie.name, String::from_utf8_lossy(cookie.value)))
                .collect(),
        )
    }

    /// The pairs of name and value that the contract takes.
    pub(super) fn pairs(&self) -> Vec<(&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect()
    }
}

/// A request as a policy with this manifest may see it.
pub(super) fn request<'a>(
    request: &PolicyRequest<'a>,
    manifest: &Manifest,
    headers: &'a [(&'a str, &'a str)],
    cookies: &'a [(&'a str, &'a str)],
) -> types::Request<'a> {
    types::Request {
        method: request.method.as_str(),
        scheme: request.scheme,
        host: request.host,
        path: request.path,
        query: request.query.filter(|_| manifest.query),
        headers,
        cookies,
        device: device(if manifest.device {
            request.device
        } else {
            Device::Unknown
        }),
        variant_name: request.variant,
    }
}

/// A response as a policy may see it.
pub(super) fn response<'a>(
    response: &PolicyResponse<'_>,
    headers: &'a [(&'a str, &'a str)],
) -> types::Response<'a> {
    types::Response {
        status: response.status.as_u16(),
        headers,
        length: response.length,
        header_ttl_secs: response.header_ttl.map(secs),
        header_browser_ttl_secs: response.header_browser_ttl.map(secs),
        key_hash: key::hash(response.key),
    }
}

fn secs(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

/// A popular page as a policy may see it.
pub(super) fn popular_page(page: &PopularPage) -> types::PopularPage<'_> {
    types::PopularPage {
        url: &page.url,
        requests: page.requests,
        variant_name: page.variant.as_deref(),
    }
}

fn device(device: Device) -> types::Device {
    match device {
        Device::Desktop => types::Device::Desktop,
        Device::Mobile => types::Device::Mobile,
        Device::Tablet => types::Device::Tablet,
        Device::Tv => types::Device::Tv,
        Device::Bot => types::Device::Bot,
        Device::Unknown => types::Device::Unknown,
    }
}

/// The calendar entries of the days around a moment, as a policy may see them.
pub(super) fn nearby_holidays(moment: &Moment) -> Vec<types::NearbyHoliday<'_>> {
    let near = moment.nearby_holidays.iter();
    near.map(|(days_ahead, it)| types::NearbyHoliday {
        days_ahead: *days_ahead,
        holiday: holiday(it),
    })
    .collect()
}

fn holiday(holiday: &Holiday) -> types::Holiday<'_> {
    types::Holiday {
        name: &holiday.name,
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

/// A moment as a policy may see it.
pub(super) fn moment<'a>(
    moment: &'a Moment,
    nearby_holidays: &'a [types::NearbyHoliday<'a>],
) -> types::Moment<'a> {
    types::Moment {
        unix_secs: moment.unix_secs,
        year: moment.year,
        month: moment.month,
        day: moment.day,
        weekday: weekday(moment.weekday),
        hour: moment.hour,
        minute: moment.minute,
        second: moment.second,
        utc_offset_mins: moment.utc_offset_mins,
        next_offset_change: moment.next_offset_change.map(|change| types::OffsetChange {
            unix_secs: u64::try_from(change.unix_secs).unwrap_or(0),
            utc_offset_mins: change.utc_offset_mins,
        }),
        holiday: moment.holiday.as_deref().map(holiday),
        nearby_holidays,
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

/// The inputs that the decisions of several policies about a request depend on: the union of their
/// manifests.
#[derive(Clone, Debug, Default)]
pub(super) struct DecisionInputs {
    headers: Vec<HeaderName>,
    cookies: Vec<Box<str>>,
    query: bool,
    device: bool,
    time: bool,
}

impl DecisionInputs {
    pub(super) fn of<'a>(manifests: impl Iterator<Item = &'a Manifest>) -> DecisionInputs {
        let mut inputs = DecisionInputs::default();
        for manifest in manifests {
            inputs.headers.extend(manifest.headers.iter().cloned());
            inputs.cookies.extend(manifest.cookies.iter().cloned());
            inputs.query |= manifest.query;
            inputs.device |= manifest.device;
            inputs.time |= manifest.zone.is_some();
        }
        inputs
            .headers
            .sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        inputs.headers.dedup();
        inputs.cookies.sort_unstable();
        inputs.cookies.dedup();
        inputs
    }

    /// Appends the inputs to `key`. Two questions that may have different answers never get the
    /// same bytes: every text is written with its length, every list with an end.
    pub(super) fn encode(&self, request: &PolicyRequest<'_>, now: Timestamp, key: &mut Vec<u8>) {
        if self.time {
            key.extend_from_slice(&minute(now).to_le_bytes());
        }
        if self.device {
            key.push(request.device as u8);
        }
        for text in [
            request.method.as_str(),
            request.scheme,
            request.host,
            request.path,
        ] {
            push(key, text.as_bytes());
        }
        if self.query {
            if let Some(query) = request.query {
                key.push(MORE);
                push(key, query.as_bytes());
            } else {
                key.push(END);
            }
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
    }
}

/// Appends what a policy is told about a response, but for the time, to `key`.
pub(super) fn encode_response(
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

/// Minutes since the Unix epoch. Offsets from UTC are whole minutes, so the minute changes
/// everywhere at once.
fn minute(now: Timestamp) -> i64 {
    now.unix_secs().div_euclid(60)
}

/// The beginning of the current minute.
pub(super) fn cut_to_minute(now: Timestamp) -> Timestamp {
    Timestamp::from_unix_secs(minute(now).saturating_mul(60))
}

#[cfg(test)]
mod tests;
