//! Events in a file of the state directory, and what the webhooks have told of them, so that a
//! restart and an upgrade go on with both. An unreadable file is logged and ignored.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::events::{EventLog, EventRecord, IncidentKind};
use crate::webhooks::Webhooks;
use tero_semantics::timestamp::Timestamp;
use tero_state::dir::StateDir;
use tero_state::file::{FileError, StateFile};

const FILE_NAME: &str = "events.json";

/// A larger file can't be ours: there are 500 events at most, with a sentence each.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// The file that keeps the events. Without a file, a restart forgets them.
#[derive(Debug, Default)]
pub(crate) struct EventMemory {
    file: Option<StateFile>,
    /// What the file has.
    saved: Mutex<SavedEvents>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct SavedEvents {
    /// The oldest first.
    events: Vec<SavedEvent>,
    /// The numbers of events of which a webhook has told the beginning, but not the end.
    told: BTreeMap<String, Vec<u64>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedEvent {
    number: u64,
    kind: String,
    subject: String,
    text: String,
    began_unix_secs: i64,
    told_unix_secs: i64,
    resolved_unix_secs: Option<i64>,
}

impl EventMemory {
    /// The file in the state directory `dir`.
    pub(crate) fn new(dir: Option<&Arc<StateDir>>) -> EventMemory {
        EventMemory {
            file: dir.map(|dir| StateFile::new(dir, FILE_NAME, MAX_FILE_BYTES)),
            saved: Mutex::default(),
        }
    }

    /// Goes on with the events that were saved, on a thread that may wait for a disk.
    pub(crate) async fn restore(&self, log: &EventLog, webhooks: &Webhooks, now: Timestamp) {
        let Some(file) = self.file.clone() else {
            return;
        };
        let path = file.path().display().to_string();
        let saved: SavedEvents = match tokio::task::spawn_blocking(move || file.read()).await {
            Ok(Ok(saved)) => saved.unwrap_or_default(),
            Ok(Err(error)) => return tracing::warn!(path, %error, "events can't be read"),
            Err(_) => return tracing::error!("reading events has panicked"),
        };
        // Another version may have kinds of its own.
        let events: Vec<_> = saved.events.iter().filter_map(SavedEvent::event).collect();
        log.restore(&events, now);
        webhooks.restore(&events, &saved.told, now);
        self.note(saved);
    }

    /// Saves the events if they have changed, on a thread that may wait for a disk.
    pub(crate) async fn save(&self, log: &EventLog, webhooks: &Webhooks) {
        let Some(file) = self.file.clone() else {
            return;
        };
        let events = log.events().into_iter().rev();
        let new = SavedEvents {
            events: events.map(SavedEvent::of).collect(),
            told: webhooks.told(),
        };
        if *self.saved.lock().unwrap_or_else(PoisonError::into_inner) == new {
            return;
        }
        let path = file.path().display().to_string();
        let content = new.clone();
        match tokio::task::spawn_blocking(move || file.replace(&content)).await {
            // While a successor is made ready they are its own; if it can't serve, they are saved later.
            Ok(Err(FileError::HandedOver(_))) => return,
            Ok(Err(error)) => tracing::warn!(path, %error, "events can't be saved"),
            Ok(Ok(())) => {}
            Err(_) => tracing::error!("saving events has panicked"),
        }
        // A disk that is full is told of with the next change, not at every look.
        self.note(new);
    }

    fn note(&self, saved: SavedEvents) {
        *self.saved.lock().unwrap_or_else(PoisonError::into_inner) = saved;
    }
}

impl SavedEvent {
    fn of(event: EventRecord) -> SavedEvent {
        SavedEvent {
            number: event.number,
            kind: event.kind.as_str().to_owned(),
            subject: event.subject,
            text: event.text,
            began_unix_secs: event.began.unix_secs(),
            told_unix_secs: event.told.unix_secs(),
            resolved_unix_secs: event.resolved.map(Timestamp::unix_secs),
        }
    }

    /// `None` if its kind is unknown.
    fn event(&self) -> Option<EventRecord> {
        let mut kinds = IncidentKind::ALL.into_iter();
        Some(EventRecord {
            number: self.number,
            kind: kinds.find(|kind| kind.as_str() == self.kind)?,
            subject: self.subject.clone(),
            text: self.text.clone(),
            began: Timestamp::from_unix_secs(self.began_unix_secs),
            told: Timestamp::from_unix_secs(self.told_unix_secs),
            resolved: self.resolved_unix_secs.map(Timestamp::from_unix_secs),
        })
    }
}
