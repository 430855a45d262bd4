//! Connects the bindings with the trait. [`export!`](crate::export) calls these functions, authors
//! do not.

use std::cell::RefCell;
use std::thread::LocalKey;

use crate::bindings::{self, types};
use crate::{
    Client, Device, DeviceSource, Duration, Expiry, FieldEdit, Holiday, Hook, LocalTime, Lookup,
    Manifest, Moment, NearbyHoliday, NetworkPrefix, OffsetChange, Opening, Policy, PopularPage,
    QueryChoice, QueryParameters, QueryRule, Request, RequestDecision, Response, ResponseDecision,
    Storing, WarmUrl, Weekday,
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
    texts: &str,
    request: types::Request,
    now: types::Moment,
) -> types::RequestDecision {
    let texts = Texts(texts);
    let (request, now) = (texts.request(request), texts.moment(now));
    ask(slot, |policy| policy.on_request(&request, &now).into())
}

pub fn on_response<P: Policy>(
    slot: &'static LocalKey<Slot<P>>,
    texts: &str,
    request: types::Request,
    response: types::Response,
    now: types::Moment,
) -> types::ResponseDecision {
    let texts = Texts(texts);
    let (request, response) = (texts.request(request), texts.response(response));
    let now = texts.moment(now);
    ask(slot, |policy| {
        policy.on_response(&request, &response, &now).into()
    })
}

pub fn plan_warm<P: Policy>(
    slot: &'static LocalKey<Slot<P>>,
    texts: &str,
    plan: types::Span,
    popular: Vec<types::PopularPage>,
    now: types::Moment,
) -> Vec<types::WarmUrl> {
    let texts = Texts(texts);
    let popular: Vec<PopularPage> = popular.into_iter().map(|page| texts.page(page)).collect();
    let (plan, now) = (texts.text(plan), texts.moment(now));
    ask(slot, |policy| policy.plan_warm(plan, &popular, &now))
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

/// The texts of a question, which its records point into.
#[derive(Clone, Copy)]
struct Texts<'t>(&'t str);

impl<'t> Texts<'t> {
    /// The edge makes the spans, so each lies within the texts.
    fn text(self, span: types::Span) -> &'t str {
        let start = span.start as usize;
        self.0
            .get(start..start + span.length as usize)
            .unwrap_or_default()
    }

    fn option(self, span: Option<types::Span>) -> Option<&'t str> {
        span.map(|span| self.text(span))
    }

    /// The pairs are as large as the records, so they take their place and allocate nothing.
    fn fields(self, fields: Vec<types::Field>) -> Vec<(&'t str, &'t str)> {
        fields
            .into_iter()
            .map(|field| (self.text(field.name), self.text(field.value)))
            .collect()
    }

    fn request(self, request: types::Request) -> Request<'t> {
        Request {
            method: self.text(request.method),
            scheme: self.text(request.scheme),
            host: self.text(request.host),
            path: self.text(request.path),
            query: self.option(request.query),
            headers: self.fields(request.headers),
            cookies: self.fields(request.cookies),
            device: match request.device {
                types::Device::Desktop => Device::Desktop,
                types::Device::Mobile => Device::Mobile,
                types::Device::Tablet => Device::Tablet,
                types::Device::Tv => Device::Tv,
                types::Device::Bot => Device::Bot,
                types::Device::Unknown => Device::Unknown,
            },
            device_source: match request.device_source {
                types::DeviceSource::ClientHints => DeviceSource::ClientHints,
                types::DeviceSource::UserAgent => DeviceSource::UserAgent,
                types::DeviceSource::Nothing => DeviceSource::Nothing,
            },
            client: Client {
                network: self.option(request.client.network),
                country: self.option(request.client.country),
                region: self.option(request.client.region),
                bucket: request.client.bucket,
            },
            route: self.option(request.route),
            variant: self.option(request.variant_name),
        }
    }

    fn response(self, response: types::Response) -> Response<'t> {
        let secs = |secs: u32| Duration::from_secs(secs.into());
        Response {
            status: response.status,
            headers: self.fields(response.headers),
            length: response.length,
            header_ttl: response.header_ttl_secs.map(secs),
            header_browser_ttl: response.header_browser_ttl_secs.map(secs),
            key_hash: response.key_hash,
        }
    }

    fn page(self, page: types::PopularPage) -> PopularPage {
        PopularPage {
            url: self.text(page.url).to_owned(),
            requests: page.requests,
            variant: self.option(page.variant_name).map(str::to_owned),
        }
    }

    fn moment(self, moment: types::Moment) -> Moment<'t> {
        Moment {
            unix_secs: moment.unix_secs,
            year: moment.year,
            month: moment.month,
            day: moment.day,
            weekday: match moment.weekday {
                types::Weekday::Monday => Weekday::Monday,
                types::Weekday::Tuesday => Weekday::Tuesday,
                types::Weekday::Wednesday => Weekday::Wednesday,
                types::Weekday::Thursday => Weekday::Thursday,
                types::Weekday::Friday => Weekday::Friday,
                types::Weekday::Saturday => Weekday::Saturday,
                types::Weekday::Sunday => Weekday::Sunday,
            },
            hour: moment.hour,
            minute: moment.minute,
            second: moment.second,
            utc_offset_mins: moment.utc_offset_mins,
            next_offset_change: moment.next_offset_change.map(|change| OffsetChange {
                unix_secs: change.unix_secs,
                utc_offset_mins: change.utc_offset_mins,
            }),
            holiday: moment.holiday.map(|holiday| self.holiday(holiday)),
            nearby_holidays: moment
                .nearby_holidays
                .into_iter()
                .map(|near| NearbyHoliday {
                    days_ahead: near.days_ahead,
                    holiday: self.holiday(near.holiday),
                })
                .collect(),
        }
    }

    fn holiday(self, holiday: types::Holiday) -> Holiday<'t> {
        Holiday {
            name: self.text(holiday.name),
            open: holiday.open.and_then(opening),
        }
    }
}

impl From<Manifest> for types::Manifest {
    fn from(manifest: Manifest) -> types::Manifest {
        let abilities = abilities(&manifest);
        types::Manifest {
            hooks: manifest.hooks.into_iter().map(types::Hook::from).collect(),
            headers: manifest.headers,
            cookies: manifest.cookies,
            response_headers: manifest.response_headers,
            query: manifest.query,
            device: manifest.device,
            device_source: manifest.device_source,
            zone: manifest.zone,
            network: manifest.network.map(types::NetworkPrefix::from),
            country: manifest.country,
            region: manifest.region,
            bucket: manifest.bucket.map(|rule| types::BucketRule {
                experiment: rule.experiment,
                buckets: rule.buckets,
                cookie: rule.cookie,
                network: rule.network.into(),
            }),
            route: manifest.route,
            tables: manifest.tables,
            variants: manifest.variants,
            query_rules: manifest.query_rules.into_iter().map(query_rule).collect(),
            key_parts: manifest.key_parts,
            origins: manifest.origins,
            rate_classes: manifest.rate_classes,
            request_edits: manifest.request_edits,
            response_edits: manifest.response_edits,
            stored_edits: manifest.stored_edits,
            abilities,
            path_patterns: manifest
                .path_patterns
                .filter(|patterns| patterns.len() <= Manifest::MAX_PATH_PATTERNS)
                .map(|patterns| types::PathPatterns {
                    patterns,
                    each_response: manifest.each_response,
                }),
        }
    }
}

impl From<NetworkPrefix> for types::NetworkPrefix {
    fn from(prefix: NetworkPrefix) -> types::NetworkPrefix {
        types::NetworkPrefix {
            ipv4: prefix.ipv4,
            ipv6: prefix.ipv6,
        }
    }
}

fn abilities(manifest: &Manifest) -> types::Abilities {
    use types::Abilities;
    [
        (manifest.rewrite, Abilities::REWRITE),
        (manifest.answer, Abilities::ANSWER),
        (manifest.log_tag, Abilities::LOG_TAG),
        (manifest.admission, Abilities::ADMISSION),
        (manifest.error_ttl, Abilities::ERROR_TTL),
        (manifest.expiry, Abilities::EXPIRY),
    ]
    .into_iter()
    .filter(|(is_named, _)| *is_named)
    .fold(Abilities::empty(), |all, (_, ability)| all | ability)
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

impl From<WarmUrl> for types::WarmUrl {
    fn from(page: WarmUrl) -> types::WarmUrl {
        types::WarmUrl {
            url: page.url,
            variants: page.variants,
            priority: page.priority,
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
            query: decision.query.map(|choice| match choice {
                QueryChoice::Declared(place) => types::QueryChoice::Declared(place),
                QueryChoice::Rule(rule) => types::QueryChoice::Rule(query_rule(rule)),
            }),
            key_parts: decision
                .key_parts
                .into_iter()
                .map(|(name, value)| types::KeyPart { name, value })
                .collect(),
            rewrite: rewrite(decision.rewrite_path, decision.rewrite_query),
            origin: decision.origin,
            request_edits: edits(decision.request_edits),
            response_edits: edits(decision.response_edits),
            answer: decision.answer.map(|answer| types::Answer {
                status: answer.status,
                fields: answer.fields,
                body: answer.body,
            }),
            log_tag: decision.log_tag,
            rate_class: decision.rate_class,
            reason: decision.reason,
        }
    }
}

fn rewrite(path: Option<String>, query: Option<String>) -> Option<types::Rewrite> {
    let is_any = path.is_some() || query.is_some();
    is_any.then_some(types::Rewrite { path, query })
}

fn edits(edits: Vec<FieldEdit>) -> Vec<types::Edit> {
    edits
        .into_iter()
        .map(|FieldEdit { name, value }| types::Edit { name, value })
        .collect()
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
            admit: decision.admit,
            error_ttl_secs: decision.error_ttl.map(Duration::as_secs),
            expiry: decision.expiry.map(|expiry| match expiry {
                Expiry::PurgeAt(secs) => types::Expiry::PurgeAt(secs),
                Expiry::StaleAt(secs) => types::Expiry::StaleAt(secs),
            }),
            edits: edits(decision.edits),
            tags: decision.tags,
            reason: decision.reason,
        }
    }
}
