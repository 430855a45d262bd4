//! Looks at the edge for what an operator must know, and passes on what has changed: to the log, and to
//! the webhooks.

mod sources;

use std::sync::Arc;
use std::time::Duration;

use crate::events::{EventChange, EventLog};
use crate::webhooks::Webhooks;

pub(crate) use sources::EventSources;

/// How often the edge is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Looks at an edge as long as it runs, and passes on what has changed.
#[derive(Debug)]
pub(crate) struct EventWatch {
    pub(crate) log: Arc<EventLog>,
    pub(crate) sources: EventSources,
    pub(crate) webhooks: Arc<Webhooks>,
}

impl EventWatch {
    /// Looks again and again, and tells the webhooks.
    pub(crate) async fn run(&self) {
        tokio::join!(self.look(), self.webhooks.run());
    }

    async fn look(&self) {
        let clock = self.sources.clock().clone();
        loop {
            clock.sleep(LOOK_EVERY).await;
            for change in self.log.look(self.sources.findings(), clock.now()) {
                note(&change);
                self.webhooks.take(&change);
            }
        }
    }
}

/// Each event is a line of the log when it is told, and one when it is over.
fn note(change: &EventChange) {
    match change {
        EventChange::Told(event) => {
            let (kind, subject) = (event.kind.as_str(), &event.subject);
            let severity = event.kind.severity().as_str();
            tracing::warn!(
                event = event.number,
                kind,
                subject,
                severity,
                "{}",
                event.text
            );
        }
        EventChange::Resolved(event) => {
            let (kind, subject) = (event.kind.as_str(), &event.subject);
            let lasted = event
                .resolved
                .map_or(0, |end| end.since(event.began).as_secs());
            tracing::info!(
                event = event.number,
                kind,
                subject,
                lasted_secs = lasted,
                "resolved: {}",
                event.text
            );
        }
    }
}
