//! `GET /metrics`: the counters as Prometheus reads them.
//!
//! Each module keeps its own counters; a scrape reads them all. Labels are bounded: sites, policies
//! and plans by the configuration, variants by `max_policy_variants`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{Datelike as _, Timelike as _};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;

use super::call::Call;
use super::context::AdminContext;
use super::exposition::{as_prometheus_text, prefers_open_metrics};
use super::reply::AdminRefusal;
use super::samples::{counters, gauges, histograms, per_site, seconds, site_label};
use super::{
    cluster_metrics, data, disk_metrics, events, fleet_metrics, origin_metrics, policy_metrics,
    process, trials, warm,
};
use crate::acme::{NameReport, OrderCounts};
use tero_admin_api::{MetricsText, endpoints::Metrics};
use tero_edge::limit_table::LimitTable;
use tero_edge::request::site::Site;
use tero_edge::telemetry::Outcome;
use tero_edge::telemetry::access_log::AccessLog;
use tero_edge::telemetry::handshake_counters::HandshakeResult;
use tero_semantics::timestamp::Timestamp;
use tero_time::zones;

/// All metrics.
pub(super) fn metrics(
    context: &AdminContext,
    call: Call<'_, Metrics>,
) -> Result<MetricsText, AdminRefusal> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(MetricsCollector(context.clone())));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)
        .map_err(|_| AdminRefusal::failed())?;
    let is_open_metrics = prefers_open_metrics(call.accept());
    if !is_open_metrics {
        text = as_prometheus_text(&text);
    }
    Ok(MetricsText {
        text,
        is_open_metrics,
    })
}

#[derive(Debug)]
struct MetricsCollector(AdminContext);

impl Collector for MetricsCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let sites: Vec<Arc<Site>> = self.0.edge.sites.load().iter().cloned().collect();
        requests(&mut encoder, &sites)?;
        routes(&mut encoder, &sites)?;
        rules(&mut encoder, &sites)?;
        key_values(&mut encoder, &sites)?;
        maintenance(&mut encoder, &sites, self.0.edge.clock.wall())?;
        local_times(&mut encoder, &sites, self.0.edge.clock.wall())?;
        self.responses(&mut encoder, &sites)?;
        origin_metrics::origins(&mut encoder, &sites)?;
        codings(&mut encoder, &sites)?;
        self.cache(&mut encoder)?;
        self.purges(&mut encoder)?;
        cluster_metrics::metrics(&self.0, &mut encoder)?;
        events::metrics(&self.0, &mut encoder)?;
        zone_data(&mut encoder)?;
        self.connections(&mut encoder)?;
        self.tls(&mut encoder)?;
        policy_metrics::policies(&mut encoder, &sites, self.0.edge.clock.wall())?;
        trials::metrics(&self.0.rollout.state(), &mut encoder)?;
        data::metrics(&self.0.data.state(), &mut encoder)?;
        self.decisions(&mut encoder)?;
        warm::metrics(&self.0, &mut encoder)?;
        self.acme(&mut encoder)?;
        fleet_metrics::metrics(&self.0, &mut encoder)?;
        self.build(&mut encoder)?;
        process::metrics(&mut encoder)
    }
}

fn requests(encoder: &mut DescriptorEncoder, sites: &[Arc<Site>]) -> fmt::Result {
    let (mut samples, mut bytes) = (Vec::new(), Vec::new());
    for site in sites {
        for (index, variant) in site.counters.variants().iter().enumerate() {
            let traffic = site.counters.traffic_of_variant(index);
            for outcome in Outcome::ALL {
                let labels = vec![
                    site_label(site),
                    ("outcome", outcome.as_str().to_owned()),
                    ("variant", variant.to_string()),
                ];
                samples.push((labels.clone(), traffic.requests.count(outcome)));
                bytes.push((labels, traffic.bytes.count(outcome)));
            }
        }
    }
    counters(
        encoder,
        "tero_requests",
        "Requests answered, by outcome",
        samples,
    )?;
    let abandoned = per_site(sites, |site| site.counters.abandoned());
    counters(
        encoder,
        "tero_requests_abandoned",
        "Requests whose connection ended before there was an answer",
        abandoned,
    )?;
    counters(
        encoder,
        "tero_response_bytes",
        "Bytes of content sent, by outcome",
        bytes,
    )?;
    let saved = per_site(sites, |site| site.counters.saved_bytes());
    counters(
        encoder,
        "tero_coding_saved_bytes",
        "Bytes of content that were not sent, since the edge had coded it",
        saved,
    )?;
    let seconds = per_site(sites, |site| site.counters.request_seconds());
    histograms(
        encoder,
        "tero_request_seconds",
        "From the head of a request to the head of its response",
        seconds,
    )?;
    let seconds = per_site(sites, |site| site.counters.response_seconds());
    histograms(
        encoder,
        "tero_response_seconds",
        "From the head of a request to the last byte of its response",
        seconds,
    )
}

/// What rules of sites answered by themselves.
fn rules(encoder: &mut DescriptorEncoder, sites: &[Arc<Site>]) -> fmt::Result {
    let mut answers = Vec::new();
    for site in sites {
        for (rule, count) in site.counters.rules.counts() {
            let labels = vec![site_label(site), ("rule", rule.as_str().to_owned())];
            answers.push((labels, count));
        }
    }
    let help = "Requests answered by rules of a site";
    counters(encoder, "tero_rule_answers", help, answers)
}

/// The values that parts of keys have, and the requests whose values found no room.
fn key_values(encoder: &mut DescriptorEncoder, sites: &[Arc<Site>]) -> fmt::Result {
    let (mut admitted, mut passed) = (Vec::new(), Vec::new());
    for site in sites {
        let (values, requests) = site.key_values.figures();
        admitted.push((vec![site_label(site)], values as u64));
        passed.push((vec![site_label(site)], requests));
    }
    let help = "Values that parts of keys have, as policies choose them";
    gauges(encoder, "tero_key_values", help, admitted)?;
    let help =
        "Requests that passed since a part of their key had a new value, beyond max_key_values";
    counters(encoder, "tero_key_values_passed", help, passed)
}

fn maintenance(
    encoder: &mut DescriptorEncoder,
    sites: &[Arc<Site>],
    now: Timestamp,
) -> fmt::Result {
    let is_on = per_site(sites, |site| {
        u64::from(site.maintenance.current(now).is_some())
    });
    let help = "Whether a site is in maintenance";
    gauges(encoder, "tero_site_maintenance", help, is_on)
}

/// Local times, by which figures are told apart and rules hold.
fn local_times(
    encoder: &mut DescriptorEncoder,
    sites: &[Arc<Site>],
    now: Timestamp,
) -> fmt::Result {
    let (mut hours, mut minutes) = (Vec::new(), Vec::new());
    for site in sites {
        let zone = site.counters.zone();
        let local = zones::local(now, zone);
        let labels = vec![
            site_label(site),
            ("zone", zone.name().to_owned()),
            ("hour", format!("{:02}", local.hour())),
            ("weekday", local.weekday().to_string().to_lowercase()),
        ];
        hours.push((labels, 1_u64));
        let minute = u64::from(local.hour() * 60 + local.minute());
        minutes.push((vec![site_label(site)], minute));
    }
    let help = "The hour that the clock of each site shows; always 1";
    gauges(encoder, "tero_site_local_hour_info", help, hours)?;
    let help = "Minutes since midnight on the clock of each site";
    gauges(encoder, "tero_site_local_minute", help, minutes)
}

/// The figures of routes that have names.
fn routes(encoder: &mut DescriptorEncoder, sites: &[Arc<Site>]) -> fmt::Result {
    let (mut requests, mut responses, mut times) = (Vec::new(), Vec::new(), Vec::new());
    for site in sites {
        let tables = site.routes.iter();
        for (name, figures) in tables.flat_map(|routes| routes.counted()) {
            let labels = vec![site_label(site), ("route", name.to_owned())];
            let outcomes = figures.outcomes();
            for outcome in Outcome::ALL {
                let outcome_label = vec![("outcome", outcome.as_str().to_owned())];
                requests.push((
                    [labels.clone(), outcome_label].concat(),
                    outcomes.count(outcome),
                ));
            }
            for (class, count) in figures.responses() {
                let class_label = vec![("status", class.to_owned())];
                responses.push(([labels.clone(), class_label].concat(), count));
            }
            times.push((labels, figures.request_seconds()));
        }
    }
    let help = "Requests answered on routes that have names, by outcome";
    counters(encoder, "tero_route_requests", help, requests)?;
    let help = "Responses on routes that have names, by class of the status";
    counters(encoder, "tero_route_responses", help, responses)?;
    let help = "From the head of a request on a route to the head of its response";
    histograms(encoder, "tero_route_seconds", help, times)
}

/// What became of coding stored responses.
fn codings(encoder: &mut DescriptorEncoder, sites: &[Arc<Site>]) -> fmt::Result {
    let (mut made, mut spent, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
    for site in sites {
        let labels = |name, value: &str| vec![site_label(site), (name, value.to_owned())];
        let counted = &site.counters.coding;
        for (coding, count, seconds) in counted.of_codings() {
            made.push((labels("coding", coding), count));
            spent.push((labels("coding", coding), seconds));
        }
        let reasons = counted.of_reasons();
        skipped.extend(reasons.map(|(reason, count)| (labels("reason", reason), count)));
    }
    let help = "Contents of stored responses that the edge has coded";
    counters(encoder, "tero_coded_contents", help, made)?;
    let help = "Time spent coding";
    seconds(encoder, "tero_coding_seconds", help, spent)?;
    let help = "Stored responses, or codings of them, that were not made";
    counters(encoder, "tero_coding_skipped", help, skipped)
}

impl MetricsCollector {
    fn responses(&self, encoder: &mut DescriptorEncoder, sites: &[Arc<Site>]) -> fmt::Result {
        let of_sites = sites.iter().map(|site| {
            let name = site.settings.name.to_string();
            (name, site.counters.statuses())
        });
        let refusals = self.0.edge.counters.refusals();
        let mut samples = Vec::new();
        for (site, statuses) in of_sites.chain([(String::new(), refusals)]) {
            for (status, count) in statuses {
                samples.push((vec![("site", site.clone()), ("status", status)], count));
            }
        }
        let help = "Responses to clients, by status; without a site, of refused requests";
        counters(encoder, "tero_responses", help, samples)?;
        let errors = per_site(sites, |site| site.counters.errors());
        let help = "Responses with 5xx, without those of rules of the site";
        counters(encoder, "tero_errors", help, errors)?;
        let lines = self.0.edge.access_log.as_ref().map(AccessLog::lines);
        let lines = lines.map(|lines| {
            let counts = [
                ("written", lines.written),
                ("dropped", lines.dropped),
                ("failed", lines.failed),
            ];
            counts.map(|(result, count)| (vec![("result", result.to_owned())], count))
        });
        let lines = lines.into_iter().flatten().collect();
        let help = "Lines of the access log, and whether they were written";
        counters(encoder, "tero_access_log_lines", help, lines)?;
        let spans = self.0.edge.tracer.as_ref().map(|tracer| {
            let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
            let spans = tracer.counters();
            let counts = [
                ("sent", count(&spans.sent)),
                ("dropped", count(&spans.dropped)),
                ("failed", count(&spans.failed)),
            ];
            counts.map(|(result, count)| (vec![("result", result.to_owned())], count))
        });
        let spans = spans.into_iter().flatten().collect();
        let help = "Spans of requests, and whether the collector has them";
        counters(encoder, "tero_spans", help, spans)
    }

    fn connections(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let of_edge = &self.0.edge.counters;
        let denied = of_edge.admin_refusals().into_iter();
        let denied = denied.map(|(status, count)| (vec![("status", status)], count));
        let help = "Requests to the admin interface that were denied access";
        counters(encoder, "tero_admin_refused", help, denied.collect())?;
        let one = |value| vec![(Vec::new(), value)];
        let help = "Client connections accepted";
        counters(
            encoder,
            "tero_connections",
            help,
            one(of_edge.connections()),
        )?;
        let open = one(of_edge.open_connections());
        gauges(
            encoder,
            "tero_connections_open",
            "Client connections open",
            open,
        )?;
        let refused = one(of_edge.connections_turned_away());
        counters(
            encoder,
            "tero_connections_refused",
            "Connections closed at once: their client had max_connections_per_client",
            refused,
        )?;
        let headers = of_edge.proxy_headers_refused();
        let headers =
            headers.map(|(why, count)| (vec![("reason", why.as_str().to_owned())], count));
        let help = "Connections closed for their PROXY header";
        counters(encoder, "tero_proxy_headers_refused", help, headers.into())?;
        let faults = of_edge.http2_faults.counts();
        counters(
            encoder,
            "tero_http2_connections_ended",
            "Connections of HTTP/2 that were ended for a fault of their client",
            faults
                .map(|(fault, count)| (vec![("reason", fault.as_str().to_owned())], count))
                .collect(),
        )?;
        self.limits(encoder)?;
        let listeners = one(self.0.edge.live.listeners() as u64);
        let help =
            "Those who listen to requests and figures while they come: dashboards, `tero tail`";
        gauges(encoder, "tero_live_listeners", help, listeners)?;
        let workers = one(self.0.workers.count() as u64);
        let help = "Threads that answer requests";
        gauges(encoder, "tero_workers", help, workers)?;
        let most = one(self.0.max_connections.load(Ordering::Relaxed) as u64);
        let help = "Client connections that may be open";
        gauges(encoder, "tero_connections_max", help, most)
    }

    fn limits(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let sites = self.0.edge.sites.load();
        let limits = sites.rate_limits();
        let mut samples = Vec::new();
        for limit in limits.iter() {
            let (name, counters) = (&limit.settings.name, &limit.counters);
            for (mode, count) in [
                ("refused", counters.refused()),
                ("log_only", counters.spared()),
            ] {
                let labels = vec![("limit", name.to_string()), ("mode", mode.to_owned())];
                samples.push((labels, count));
            }
        }
        let help = "Requests over a limit: refused, or only logged";
        counters(encoder, "tero_limited_requests", help, samples)?;
        let of_table = |value: fn(&LimitTable) -> u64| {
            let table = limits.table().into_iter();
            table.map(|table| (Vec::new(), value(table))).collect()
        };
        let overflows = of_table(LimitTable::overflows);
        let help = "Requests that were not limited, since the memory for limits was full";
        counters(encoder, "tero_limit_overflows", help, overflows)?;
        let bytes = of_table(LimitTable::bytes);
        let help = "The memory for limits";
        gauges(encoder, "tero_limit_table_bytes", help, bytes)
    }

    fn tls(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let counts = &self.0.edge.counters.handshakes;
        let results = HandshakeResult::ALL.map(|result| {
            let label = vec![("result", result.as_str().to_owned())];
            (label, counts.count(result))
        });
        let help = "TLS handshakes, by how they ended";
        counters(encoder, "tero_tls_handshakes", help, results.into())?;
        let (mut ends, mut lifetimes) = (Vec::new(), Vec::new());
        for certificate in self.0.certificates.statuses() {
            let labels = vec![
                ("listener", certificate.listener),
                ("certificate", certificate.file.display().to_string()),
            ];
            let validity = certificate.validity;
            let end = validity.not_after.unix_secs().max(0) as u64;
            ends.push((labels.clone(), end));
            lifetimes.push((labels, validity.lifetime().as_secs()));
        }
        let help = "When a certificate expires";
        let name = "tero_tls_certificate_expiry_timestamp_seconds";
        gauges(encoder, name, help, ends)?;
        let help = "For how long a certificate holds from its beginning to its end";
        let name = "tero_tls_certificate_lifetime_seconds";
        gauges(encoder, name, help, lifetimes)?;
        let outdated = self.0.certificates.outdated().into_iter();
        let outdated = outdated
            .map(|(listener, is_outdated)| (vec![("listener", listener)], u64::from(is_outdated)));
        let help = "Whether files of certificates have changed and can't be used";
        gauges(
            encoder,
            "tero_tls_certificates_outdated",
            help,
            outdated.collect(),
        )
    }

    fn acme(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let orders = self.0.orders.as_ref();
        let counts = orders.map(|orders| orders.counts());
        let counts = counts.map(|OrderCounts { issued, failed }| {
            [("issued", issued), ("failed", failed)]
                .map(|(outcome, count)| (vec![("outcome", outcome.to_owned())], count))
        });
        let help = "Orders of certificates by ACME, and what became of them";
        let counts = counts.into_iter().flatten().collect();
        counters(encoder, "tero_acme_orders", help, counts)?;
        let names = orders.map(|orders| orders.report()).unwrap_or_default();
        let label = |name: &NameReport| vec![("name", name.name.to_string())];
        let ends = names.iter().filter_map(|name| {
            let end = name.validity?.not_after.unix_secs();
            Some((label(name), u64::try_from(end).unwrap_or(0)))
        });
        let lifetimes = names.iter().filter_map(|name| {
            let lifetime = name.validity?.lifetime().as_secs();
            Some((label(name), lifetime))
        });
        let help = "For how long a certificate by ACME holds from its beginning to its end";
        let metric = "tero_acme_certificate_lifetime_seconds";
        gauges(encoder, metric, help, lifetimes.collect())?;
        let help = "When a certificate by ACME expires; nothing without a certificate";
        let name = "tero_acme_certificate_expiry_timestamp_seconds";
        gauges(encoder, name, help, ends.collect())?;
        let failures = names.iter();
        let failures = failures.map(|name| (label(name), u64::from(name.failures)));
        let help = "Orders of a name by ACME that failed since the last certificate";
        gauges(encoder, "tero_acme_failures", help, failures.collect())
    }

    fn build(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let build = &self.0.build;
        let labels = vec![
            ("version", build.version.to_owned()),
            ("commit", build.commit.to_owned()),
        ];
        let (applied, refused) = self.0.reloader.counts();
        let reloads = [("applied", applied), ("refused", refused)]
            .map(|(result, count)| (vec![("result", result.to_owned())], count));
        let help = "Reloads of the configuration";
        counters(encoder, "tero_config_reloads", help, reloads.into())?;
        let waiting = self.0.reloader.waiting().into_iter();
        let waiting = waiting.map(|key| (vec![("key", key)], 1_u64)).collect();
        let help = "Keys of the configuration that wait for a restart";
        gauges(encoder, "tero_config_waiting", help, waiting)?;
        let help = "What the program is made of; always 1";
        gauges(encoder, "tero_build_info", help, vec![(labels, 1_u64)])
    }

    fn cache(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let usage = self.0.edge.store.usage();
        gauges(
            encoder,
            "tero_cache_entries",
            "Keys stored",
            vec![(Vec::new(), usage.entries)],
        )?;
        gauges(
            encoder,
            "tero_cache_bytes",
            "Memory of the store, fills in flight included",
            vec![(Vec::new(), usage.bytes)],
        )?;
        gauges(
            encoder,
            "tero_cache_max_bytes",
            "The memory that the store may use",
            vec![(Vec::new(), self.0.edge.store.memory())],
        )?;
        gauges(
            encoder,
            "tero_cache_newcomer_bytes",
            "The part of it for new keys that have to prove themselves",
            vec![(Vec::new(), usage.newcomer_bytes)],
        )?;
        let waiting = self.0.edge.coder.waiting() as u64;
        let help = "Stored responses that wait for being coded";
        gauges(
            encoder,
            "tero_coding_waiting",
            help,
            vec![(Vec::new(), waiting)],
        )?;
        counters(
            encoder,
            "tero_cache_evictions",
            "Keys pushed out to make room",
            vec![(Vec::new(), usage.evictions)],
        )?;
        let answer = |answer: &str| vec![("answer", answer.to_owned())];
        counters(
            encoder,
            "tero_cache_newcomers",
            "New keys of a full memory whose time to prove themselves was over",
            vec![
                (answer("admitted"), usage.admitted),
                (answer("refused"), usage.refused),
            ],
        )?;
        disk_metrics::disks(&self.0, encoder)
    }

    fn purges(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let purges = &self.0.edge.counters.purges;
        let help = "Stored responses that purges have dropped or marked stale";
        let purged = vec![(Vec::new(), purges.purged())];
        counters(encoder, "tero_purged_responses", help, purged)?;
        let help = "How long purges took";
        let seconds = vec![(Vec::new(), purges.seconds())];
        histograms(encoder, "tero_purge_seconds", help, seconds)?;
        let running = purges.running_for(self.0.edge.clock.now()).as_secs_f64();
        let help = "For how long the oldest purge has gone on; 0 if none does";
        gauges(
            encoder,
            "tero_purge_running_seconds",
            help,
            vec![(Vec::new(), running)],
        )
    }

    fn decisions(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let decisions = self.0.host.decisions();
        counters(
            encoder,
            "tero_decision_cache_hits",
            "Requests whose decision was remembered",
            vec![(Vec::new(), decisions.hits)],
        )?;
        counters(
            encoder,
            "tero_decision_cache_misses",
            "Requests for which policies were asked",
            vec![(Vec::new(), decisions.misses)],
        )?;
        gauges(
            encoder,
            "tero_decision_cache_bytes",
            "Memory of remembered decisions",
            vec![(Vec::new(), decisions.bytes)],
        )
    }
}

fn zone_data(encoder: &mut DescriptorEncoder) -> fmt::Result {
    let data = zones::in_force();
    let source = if data.folder().is_some() {
        "folder"
    } else {
        "compiled_in"
    };
    let labels = vec![
        ("release", data.release().to_owned()),
        ("source", source.to_owned()),
    ];
    gauges(
        encoder,
        "tero_zone_data_info",
        "The time zone data in force",
        vec![(labels, 1_u64)],
    )
}
