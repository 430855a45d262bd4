//! `tero:policy@0.1`. Its questions hold their texts themselves, and its decisions know nothing of
//! what 0.2 added: such a policy is told less and decides less, and everything else is the same.

pub(super) mod bindings;

use wasmtime::Store;
use wasmtime::component::InstancePre;

use self::bindings::tero::policy::types as old;
use super::exports::{ContractExports, LinkedComponent};
use super::types;
use crate::guest::state::GuestState;

pub(super) fn link(
    component: InstancePre<GuestState>,
) -> wasmtime::Result<Box<dyn LinkedComponent>> {
    Ok(Box::new(bindings::PolicyPre::new(component)?))
}

impl LinkedComponent for bindings::PolicyPre<GuestState> {
    fn instantiate(
        &self,
        store: &mut Store<GuestState>,
    ) -> wasmtime::Result<Box<dyn ContractExports>> {
        Ok(Box::new(bindings::PolicyPre::instantiate(self, store)?))
    }
}

impl ContractExports for bindings::Policy {
    fn configure(
        &self,
        store: &mut Store<GuestState>,
        settings: &str,
    ) -> wasmtime::Result<Result<types::Manifest, String>> {
        let configured = self.call_configure(store, settings)?;
        Ok(configured.map(manifest))
    }

    fn on_request(
        &self,
        store: &mut Store<GuestState>,
        texts: &str,
        request: types::Request<'_>,
        now: types::Moment<'_>,
    ) -> wasmtime::Result<types::RequestDecision> {
        let texts = Texts(texts);
        let (headers, cookies) = (texts.fields(request.headers), texts.fields(request.cookies));
        let nearby = texts.nearby(now.nearby_holidays);
        let request = texts.request(&request, &headers, &cookies);
        let decision = self.call_on_request(store, request, texts.moment(&now, &nearby))?;
        Ok(request_decision(decision))
    }

    fn on_response(
        &self,
        store: &mut Store<GuestState>,
        texts: &str,
        (request, response): (types::Request<'_>, types::Response<'_>),
        now: types::Moment<'_>,
    ) -> wasmtime::Result<types::ResponseDecision> {
        let texts = Texts(texts);
        let (headers, cookies) = (texts.fields(request.headers), texts.fields(request.cookies));
        let of_response = texts.fields(response.headers);
        let nearby = texts.nearby(now.nearby_holidays);
        let request = texts.request(&request, &headers, &cookies);
        let response = old::Response {
            status: response.status,
            headers: &of_response,
            length: response.length,
            header_ttl_secs: response.header_ttl_secs,
            header_browser_ttl_secs: response.header_browser_ttl_secs,
            key_hash: response.key_hash,
        };
        let now = texts.moment(&now, &nearby);
        let decision = self.call_on_response(store, request, response, now)?;
        Ok(response_decision(decision))
    }

    fn plan_warm(
        &self,
        store: &mut Store<GuestState>,
        texts: &str,
        (plan, popular): (types::Span, &[types::PopularPage]),
        now: types::Moment<'_>,
    ) -> wasmtime::Result<Vec<types::WarmUrl>> {
        let texts = Texts(texts);
        let nearby = texts.nearby(now.nearby_holidays);
        let pages = popular.iter().map(|page| old::PopularPage {
            url: texts.text(page.url),
            requests: page.requests,
            variant_name: page.variant_name.map(|name| texts.text(name)),
        });
        let pages = pages.collect::<Vec<_>>();
        let now = texts.moment(&now, &nearby);
        let urls = self.call_plan_warm(store, texts.text(plan), &pages, now)?;
        Ok(urls.into_iter().map(warm_url).collect())
    }
}

/// The texts of a question.
#[derive(Clone, Copy)]
struct Texts<'t>(&'t str);

impl<'t> Texts<'t> {
    /// The engine makes the spans, so each lies within the texts.
    fn text(self, span: types::Span) -> &'t str {
        let start = span.start as usize;
        self.0
            .get(start..start + span.length as usize)
            .unwrap_or_default()
    }

    fn fields(self, fields: &[types::Field]) -> Vec<(&'t str, &'t str)> {
        fields
            .iter()
            .map(|field| (self.text(field.name), self.text(field.value)))
            .collect()
    }

    fn request<'a>(
        self,
        request: &types::Request<'_>,
        headers: &'a [(&'a str, &'a str)],
        cookies: &'a [(&'a str, &'a str)],
    ) -> old::Request<'a>
    where
        't: 'a,
    {
        old::Request {
            method: self.text(request.method),
            scheme: self.text(request.scheme),
            host: self.text(request.host),
            path: self.text(request.path),
            query: request.query.map(|query| self.text(query)),
            headers,
            cookies,
            device: match request.device {
                types::Device::Desktop => old::Device::Desktop,
                types::Device::Mobile => old::Device::Mobile,
                types::Device::Tablet => old::Device::Tablet,
                types::Device::Tv => old::Device::Tv,
                types::Device::Bot => old::Device::Bot,
                types::Device::Unknown => old::Device::Unknown,
            },
            variant_name: request.variant_name.map(|name| self.text(name)),
        }
    }

    fn nearby(self, nearby: &[types::NearbyHoliday]) -> Vec<old::NearbyHoliday<'t>> {
        nearby
            .iter()
            .map(|near| old::NearbyHoliday {
                days_ahead: near.days_ahead,
                holiday: self.holiday(&near.holiday),
            })
            .collect()
    }

    fn holiday(self, holiday: &types::Holiday) -> old::Holiday<'t> {
        old::Holiday {
            name: self.text(holiday.name),
            open: holiday.open.map(|open| old::Opening {
                from_mins: open.from_mins,
                until_mins: open.until_mins,
            }),
        }
    }

    fn moment<'a>(
        self,
        now: &types::Moment<'_>,
        nearby_holidays: &'a [old::NearbyHoliday<'a>],
    ) -> old::Moment<'a>
    where
        't: 'a,
    {
        old::Moment {
            unix_secs: now.unix_secs,
            year: now.year,
            month: now.month,
            day: now.day,
            weekday: match now.weekday {
                types::Weekday::Monday => old::Weekday::Monday,
                types::Weekday::Tuesday => old::Weekday::Tuesday,
                types::Weekday::Wednesday => old::Weekday::Wednesday,
                types::Weekday::Thursday => old::Weekday::Thursday,
                types::Weekday::Friday => old::Weekday::Friday,
                types::Weekday::Saturday => old::Weekday::Saturday,
                types::Weekday::Sunday => old::Weekday::Sunday,
            },
            hour: now.hour,
            minute: now.minute,
            second: now.second,
            utc_offset_mins: now.utc_offset_mins,
            next_offset_change: now.next_offset_change.map(|change| old::OffsetChange {
                unix_secs: change.unix_secs,
                utc_offset_mins: change.utc_offset_mins,
            }),
            holiday: now.holiday.map(|holiday| self.holiday(&holiday)),
            nearby_holidays,
        }
    }
}

fn manifest(manifest: old::Manifest) -> types::Manifest {
    let hook = |hook| match hook {
        old::Hook::OnRequest => types::Hook::OnRequest,
        old::Hook::OnResponse => types::Hook::OnResponse,
        old::Hook::PlanWarm => types::Hook::PlanWarm,
    };
    types::Manifest {
        hooks: manifest.hooks.into_iter().map(hook).collect(),
        headers: manifest.headers,
        cookies: manifest.cookies,
        response_headers: manifest.response_headers,
        query: manifest.query,
        device: manifest.device,
        device_source: false,
        zone: manifest.zone,
        network: None,
        country: false,
        region: false,
        bucket: None,
        route: false,
        tables: Vec::new(),
        variants: manifest.variants,
        query_rules: Vec::new(),
        key_parts: Vec::new(),
        origins: Vec::new(),
        rate_classes: Vec::new(),
        request_edits: Vec::new(),
        response_edits: Vec::new(),
        stored_edits: Vec::new(),
        abilities: types::Abilities::empty(),
        path_patterns: None,
    }
}

fn request_decision(decision: old::RequestDecision) -> types::RequestDecision {
    types::RequestDecision {
        lookup: decision.lookup.map(|lookup| match lookup {
            old::Lookup::Cache => types::Lookup::Cache,
            old::Lookup::Pass => types::Lookup::Pass,
        }),
        variant_name: decision.variant_name,
        query: decision.query.map(|rule| {
            types::QueryChoice::Rule(types::QueryRule {
                parameters: match rule.parameters {
                    old::QueryParameters::All => types::QueryParameters::All,
                    old::QueryParameters::Ignore(names) => types::QueryParameters::Ignore(names),
                    old::QueryParameters::Only(names) => types::QueryParameters::Only(names),
                },
                sort: rule.sort,
            })
        }),
        key_parts: Vec::new(),
        rewrite: None,
        origin: None,
        request_edits: Vec::new(),
        response_edits: Vec::new(),
        answer: None,
        log_tag: None,
        rate_class: None,
        reason: decision.reason,
    }
}

fn response_decision(decision: old::ResponseDecision) -> types::ResponseDecision {
    types::ResponseDecision {
        storing: match decision.storing {
            old::Storing::ByHeaders => types::Storing::ByHeaders,
            old::Storing::Never => types::Storing::Never,
            old::Storing::Always => types::Storing::Always,
        },
        admit: None,
        ttl_secs: decision.ttl_secs,
        error_ttl_secs: None,
        browser_ttl_secs: decision.browser_ttl_secs,
        stale_while_revalidate_secs: decision.stale_while_revalidate_secs,
        stale_if_error_secs: decision.stale_if_error_secs,
        expiry: None,
        edits: Vec::new(),
        tags: decision.tags,
        reason: decision.reason,
    }
}

fn warm_url(url: old::WarmUrl) -> types::WarmUrl {
    types::WarmUrl {
        url: url.url,
        variants: url.variants,
        priority: url.priority,
    }
}
