//! Connects the bindings with the trait. [`export!`](crate::export) calls these functions, authors
//! do not.

use std::cell::RefCell;
use std::thread::LocalKey;

use crate::bindings::{self, types};
use crate::{
    Device, Duration, Holiday, Hook, LocalTime, Lookup, Manifest, Moment, NearbyHoliday,
    OffsetChange, Opening, Policy, PopularPage, QueryParameters, QueryRule, Request,
    RequestDecision, Response, ResponseDecision, Storing, WarmUrl, Weekday,
};

/// The place of a module's configured policy. A module has one thread, so this is a plain static.
pub type Slot<P> = RefCell<Option<P>>;

pub fn configure<P: Policy>(
    slot: &'static LocalKey<Slot<P>>,
    settings: &str,
) -> Result<types::Manifest, String> {
    // A trap alone tells the operator nothing, so the panic's message is logged before it.
    std::panic::set_hook(Box::new(|panic| bindings::log(&panic.to_string())));
    let policy: P = crate::configure(settings)?;
    let manifest = policy.manifest();
    slot.set(Some(policy));
    Ok(manifest.into())
}

pub fn on_request<P: Policy>(
    slot: &'static LocalKey<Slot<P>>,
    request: types::Request,
    now: types::Moment,
) -> types::RequestDecision {
    ask(slot, |policy| {
        policy.on_request(&request.into(), &now.into()).into()
    })
}

pub fn on_response<P: Policy>(
    slot: &'static LocalKey<Slot<P>>,
    request: types::Request,
    response: types::Response,
    now: types::Moment,
) -> types::ResponseDecision {
    ask(slot, |policy| {
        policy
            .on_response(&request.into(), &response.into(), &now.into())
            .into()
    })
}

pub fn plan_warm<P: Policy>(
    slot: &'static LocalKey<Slot<P>>,
    plan: &str,
    popular: Vec<types::PopularPage>,
    now: types::Moment,
) -> Vec<types::WarmUrl> {
    let popular: Vec<PopularPage> = popular.into_iter().map(PopularPage::from).collect();
    ask(slot, |policy| policy.plan_warm(plan, &popular, &now.into()))
        .into_iter()
        .map(types::WarmUrl::from)
        .collect()
}

fn ask<P: Policy, T>(slot: &'static LocalKey<Slot<P>>, question: impl FnOnce(&P) -> T) -> T {
    slot.with_borrow(|policy| {
        question(
            policy
                .as_ref()
                .expect("the edge configures a policy before it asks it anything"),
        )
    })
}

impl From<Manifest> for types::Manifest {
    fn from(manifest: Manifest) -> types::Manifest {
        types::Manifest {
            hooks: manifest.hooks.into_iter().map(types::Hook::from).collect(),
            headers: manifest.headers,
            cookies: manifest.cookies,
            response_headers: manifest.response_headers,
            query: manifest.query,
            device: manifest.device,
            zone: manifest.zone,
            variants: manifest.variants,
        }
    }
}

impl From<Hook> for types::Hook {
    fn from(hook: Hook) -> types::Hook {
        match hook {
            Hook::OnRequest => types::Hook::OnRequest,
            Hook::OnResponse => types::Hook::OnResponse,
            Hook::PlanWarm => types::Hook::PlanWarm,
        }
    }
}

impl From<types::PopularPage> for PopularPage {
    fn from(page: types::PopularPage) -> PopularPage {
        PopularPage {
            url: page.url,
            requests: page.requests,
            variant: page.variant_name,
        }
    }
}

impl From<WarmUrl> for types::WarmUrl {
    fn from(page: WarmUrl) -> types::WarmUrl {
        types::WarmUrl {
            url: page.url,
            variants: page.variants,
            priority: page.priority,
        }
    }
}

impl From<types::Request> for Request {
    fn from(request: types::Request) -> Request {
        let device = match request.device {
            types::Device::Desktop => Device::Desktop,
            types::Device::Mobile => Device::Mobile,
            types::Device::Tablet => Device::Tablet,
            types::Device::Tv => Device::Tv,
            types::Device::Bot => Device::Bot,
            types::Device::Unknown => Device::Unknown,
        };
        Request {
            method: request.method,
            scheme: request.scheme,
            host: request.host,
            path: request.path,
            query: request.query,
            headers: request.headers,
            cookies: request.cookies,
            device,
            variant: request.variant_name,
        }
    }
}

impl From<types::Response> for Response {
    fn from(response: types::Response) -> Response {
        Response {
            status: response.status,
            headers: response.headers,
            length: response.length,
            header_ttl: response
                .header_ttl_secs
                .map(|secs| Duration::from_secs(secs.into())),
            header_browser_ttl: response
                .header_browser_ttl_secs
                .map(|secs| Duration::from_secs(secs.into())),
            key_hash: response.key_hash,
        }
    }
}

impl From<types::Moment> for Moment {
    fn from(moment: types::Moment) -> Moment {
        let weekday = match moment.weekday {
            types::Weekday::Monday => Weekday::Monday,
            types::Weekday::Tuesday => Weekday::Tuesday,
            types::Weekday::Wednesday => Weekday::Wednesday,
            types::Weekday::Thursday => Weekday::Thursday,
            types::Weekday::Friday => Weekday::Friday,
            types::Weekday::Saturday => Weekday::Saturday,
            types::Weekday::Sunday => Weekday::Sunday,
        };
        Moment {
            unix_secs: moment.unix_secs,
            year: moment.year,
            month: moment.month,
            day: moment.day,
            weekday,
            hour: moment.hour,
            minute: moment.minute,
            second: moment.second,
            utc_offset_mins: moment.utc_offset_mins,
            next_offset_change: moment.next_offset_change.map(|change| OffsetChange {
                unix_secs: change.unix_secs,
                utc_offset_mins: change.utc_offset_mins,
            }),
            holiday: moment.holiday.map(Holiday::from),
            nearby_holidays: moment
                .nearby_holidays
                .into_iter()
                .map(NearbyHoliday::from)
                .collect(),
        }
    }
}

impl From<types::Holiday> for Holiday {
    fn from(holiday: types::Holiday) -> Holiday {
        Holiday {
            name: holiday.name,
            open: holiday.open.and_then(opening),
        }
    }
}

impl From<types::NearbyHoliday> for NearbyHoliday {
    fn from(near: types::NearbyHoliday) -> NearbyHoliday {
        NearbyHoliday {
            days_ahead: near.days_ahead,
            holiday: near.holiday.into(),
        }
    }
}

/// The hours of a half-day. The day is closed if no clock shows them.
fn opening(opening: types::Opening) -> Option<Opening> {
    Some(Opening {
        from: LocalTime::from_mins(opening.from_mins)?,
        until: LocalTime::from_mins(opening.until_mins)?,
    })
}

impl From<RequestDecision> for types::RequestDecision {
    fn from(decision: RequestDecision) -> types::RequestDecision {
        types::RequestDecision {
            lookup: decision.lookup.map(|lookup| match lookup {
                Lookup::Cache => types::Lookup::Cache,
                Lookup::Pass => types::Lookup::Pass,
            }),
            variant_name: decision.variant,
            query: decision.query.map(query_rule),
            reason: decision.reason,
        }
    }
}

fn query_rule(rule: QueryRule) -> types::QueryRule {
    let parameters = match rule.parameters {
        QueryParameters::All => types::QueryParameters::All,
        QueryParameters::Ignore(names) => types::QueryParameters::Ignore(names),
        QueryParameters::Only(names) => types::QueryParameters::Only(names),
    };
    types::QueryRule {
        parameters,
        sort: rule.sort,
    }
}

impl From<ResponseDecision> for types::ResponseDecision {
    fn from(decision: ResponseDecision) -> types::ResponseDecision {
        types::ResponseDecision {
            storing: match decision.storing {
                Storing::ByHeaders => types::Storing::ByHeaders,
                Storing::Never => types::Storing::Never,
                Storing::Always => types::Storing::Always,
            },
            ttl_secs: decision.ttl.map(Duration::as_secs),
            browser_ttl_secs: decision.browser_ttl.map(Duration::as_secs),
            stale_while_revalidate_secs: decision.stale_while_revalidate.map(Duration::as_secs),
            stale_if_error_secs: decision.stale_if_error.map(Duration::as_secs),
            tags: decision.tags,
            reason: decision.reason,
        }
    }
}
