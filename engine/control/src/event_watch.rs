//! Looks at the edge for what an operator must know, and passes on what has changed: to the log, and to
//! the webhooks.

mod sources;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::event_memory::EventMemory;
use crate::events::{EventChange, EventLog};
use crate::webhooks::Webhooks;
use tero_edge::server::ShutdownStage;

pub(crate) use sources::EventSources;

/// How often the edge is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Looks at an edge as long as it runs, and passes on what has changed.
#[derive(Debug)]
pub(crate) struct EventWatch {
    pub(crate) log: Arc<EventLog>,
    pub(crate) sources: EventSources,
    pub(crate) webhooks: Arc<Webhooks>,
    pub(crate) memory: Arc<EventMemory>,
}

impl EventWatch {
    /// Looks again and again, and tells the webhooks, once the edge serves: until then, a process
    /// before it may do so. It goes on with the events that were saved.
    pub(crate) async fn run(&self, mut stages: watch::Receiver<ShutdownStage>) {
        let serves = stages.wait_for(|stage| *stage >= ShutdownStage::Running);
        if serves.await.is_err() {
            return;
        }
        let now = self.sources.clock().now();
        self.memory.restore(now).await;
        tokio::join!(self.look(), self.webhooks.run(self.memory.turn()));
    }

    /// Saves what has changed.
    pub(crate) async fn save(&self) {
        self.memory.save().await;
    }

    async fn look(&self) {
        let clock = self.sources.clock().clone();
        loop {
            clock.sleep(LOOK_EVERY).await;
            let Some(telling) = self.memory.turn().telling().await else {
                continue;
            };
            for change in self.log.look(self.sources.findings(), clock.now()) {
                note(&change);
                self.webhooks.take(&change);
            }
            self.memory.save_told(&telling).await;
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
