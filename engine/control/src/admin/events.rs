//! `GET /events`, and the metrics of events and webhooks.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use super::call::Call;
use super::context::AdminContext;
use super::reply::AdminRefusal;
use super::samples::{counters, gauges, seconds};
use crate::events::EventRecord;
use tero_admin_api::endpoints::Events;
use tero_admin_api::{EventReport, EventsResponse};

/// The events, the latest first.
pub(super) fn events(
    context: &AdminContext,
    _: Call<'_, Events>,
) -> Result<EventsResponse, AdminRefusal> {
    let events = context.events.events();
    Ok(EventsResponse {
        events: events.into_iter().map(report).collect(),
    })
}

fn report(event: EventRecord) -> EventReport {
    EventReport {
        number: event.number,
        kind: event.kind.as_str().to_owned(),
        severity: event.kind.severity().as_str().to_owned(),
        subject: event.subject,
        text: event.text,
        began_unix_secs: event.began.unix_secs(),
        told_unix_secs: event.told.unix_secs(),
        resolved_unix_secs: event.resolved.map(|end| end.unix_secs()),
    }
}

/// Writes the metrics.
pub(super) fn metrics(context: &AdminContext, encoder: &mut DescriptorEncoder) -> fmt::Result {
    let label = |kind: crate::events::IncidentKind| vec![("kind", kind.as_str().to_owned())];
    let open = context.events.open().into_iter();
    let open = open.map(|(kind, count)| (label(kind), count)).collect();
    let help = "Events that go on";
    gauges(encoder, "tero_events_open", help, open)?;
    let (mut told, mut resolved) = (Vec::new(), Vec::new());
    let (mut detection, mut resolution) = (Vec::new(), Vec::new());
    for (kind, totals) in context.events.totals() {
        told.push((label(kind), totals.told));
        resolved.push((label(kind), totals.resolved));
        detection.push((label(kind), totals.detection_seconds));
        resolution.push((label(kind), totals.resolution_seconds));
    }
    counters(encoder, "tero_events", "Events that were told", told)?;
    counters(
        encoder,
        "tero_events_resolved",
        "Events that are over",
        resolved,
    )?;
    let help = "From the beginning of events to their telling, all together";
    seconds(encoder, "tero_event_detection_seconds", help, detection)?;
    let help = "From the beginning of events that are over to their end, all together";
    seconds(encoder, "tero_event_resolution_seconds", help, resolution)?;
    let (mut messages, mut left_out) = (Vec::new(), Vec::new());
    for (name, counts) in context.webhooks.counts() {
        let webhook = ("webhook", name.to_string());
        for (result, count) in [("sent", counts.sent), ("failed", counts.failed)] {
            let labels = vec![webhook.clone(), ("result", result.to_owned())];
            messages.push((labels, count));
        }
        left_out.push((vec![webhook], counts.left_out));
    }
    let help = "Messages to webhooks, by what became of them";
    counters(encoder, "tero_webhook_messages", help, messages)?;
    let help = "Events that a webhook was never told, since too many waited";
    counters(encoder, "tero_webhook_left_out", help, left_out)
}
