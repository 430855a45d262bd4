//! Events in a file of the state directory, and what the webhooks have told of them, so that a
//! restart and an upgrade go on with both. An unreadable file is logged and ignored.
//!
//! At an upgrade the process before tells on while its successor is made ready, and saves for the last
//! time when it leaves the turn ([`crate::event_turn`]). The successor reads the file only then.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::event_turn::{EventTurn, Telling};
use crate::events::{EventLog, EventRecord, IncidentKind};
use crate::webhooks::{ToldEvents, Webhooks};
use tero_semantics::timestamp::Timestamp;
use tero_state::dir::StateDir;
use tero_state::file::{FileError, StateFile};

const FILE_NAME: &str = "events.json";

/// A larger file can't be ours: there are 500 events at most, with a sentence each.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// The file that keeps the events. Without a file, a restart forgets them.
#[derive(Debug)]
pub(crate) struct EventMemory {
    log: Arc<EventLog>,
    webhooks: Arc<Webhooks>,
    file: Option<StateFile>,
    turn: EventTurn,
    last: Mutex<LastSave>,
}

/// What was saved last.
#[derive(Debug, Default)]
struct LastSave {
    /// What the file has.
    content: SavedEvents,
    /// Whether it could not be written since.
    has_failed: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct SavedEvents {
    /// The oldest first.
    events: Vec<SavedEvent>,
    /// The numbers of events of which a webhook has told the beginning, but not the end.
    told: BTreeMap<String, Vec<u64>>,
    /// The digest of each webhook's URL. An earlier version doesn't save it.
    #[serde(default)]
    places: BTreeMap<String, String>,
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
    /// The events of `log`, what `webhooks` have told, and the file in the state directory `dir`.
    pub(crate) fn new(
        dir: Option<&Arc<StateDir>>,
        log: &Arc<EventLog>,
        webhooks: &Arc<Webhooks>,
    ) -> EventMemory {
        EventMemory {
            log: Arc::clone(log),
            webhooks: Arc::clone(webhooks),
            file: dir.map(|dir| StateFile::new(dir, FILE_NAME, MAX_FILE_BYTES)),
            turn: EventTurn::default(),
            last: Mutex::default(),
        }
    }

    /// Whether this process tells.
    pub(crate) fn turn(&self) -> &EventTurn {
        &self.turn
    }

    /// Goes on with the events that were saved, on a thread that may wait for a disk. From now on this
    /// process tells.
    pub(crate) async fn restore(&self, now: Timestamp) {
        if let Some(saved) = self.read().await {
            // Another version may have kinds of its own.
            let events: Vec<_> = saved.events.iter().filter_map(SavedEvent::event).collect();
            self.log.restore(&events, now);
            self.webhooks.restore(&events, &saved.told(), now);
            self.last().content = saved;
        }
        self.turn.begin().await;
    }

    async fn read(&self) -> Option<SavedEvents> {
        let file = self.file.clone()?;
        let path = file.path().display().to_string();
        match tokio::task::spawn_blocking(move || file.read()).await {
            Ok(Ok(saved)) => return saved,
            Ok(Err(error)) => tracing::warn!(path, %error, "events can't be read"),
            Err(_) => tracing::error!("reading events has panicked"),
        }
        None
    }

    /// Saves the events if they have changed, and if this process tells of them, on a thread that may wait
    /// for a disk.
    pub(crate) async fn save(&self) {
        if let Some(telling) = self.turn.telling().await {
            self.save_told(&telling).await;
        }
    }

    /// The same for the one who has the turn.
    pub(crate) async fn save_told(&self, _: &Telling<'_>) {
        let new = SavedEvents::of(&self.log, &self.webhooks);
        let Some(file) = self.file.clone() else {
            return;
        };
        if self.last().content == new {
            return;
        }
        let content = new.clone();
        let written = tokio::task::spawn_blocking(move || write(&file, &content)).await;
        match written {
            Ok(written) => self.note(new, written),
            Err(_) => tracing::error!("saving events has panicked"),
        }
    }

    /// Saves the events for the last time, on this thread, and leaves telling of them to another process.
    /// Waits until messages that are under way have been answered.
    pub(crate) fn leave(&self) {
        self.turn.leave(|| {
            let Some(file) = &self.file else { return };
            let new = SavedEvents::of(&self.log, &self.webhooks);
            let written = write(file, &new);
            self.note(new, written);
        });
    }

    /// Goes on telling: the other process can't serve.
    pub(crate) fn take_back(&self) {
        self.turn.take_back();
    }

    /// Notes whether this was saved. It is tried again, and an error told once.
    fn note(&self, saved: SavedEvents, written: Result<(), FileError>) {
        let mut last = self.last();
        let had_failed = std::mem::replace(&mut last.has_failed, written.is_err());
        match written {
            Ok(()) => last.content = saved,
            Err(error) if !had_failed => {
                tracing::warn!(file = FILE_NAME, %error, "events can't be saved");
            }
            Err(_) => {}
        }
    }

    fn last(&self) -> MutexGuard<'_, LastSave> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process that has the turn writes the file also while a successor has the directory, which reads this
/// file once it has the turn.
fn write(file: &StateFile, saved: &SavedEvents) -> Result<(), FileError> {
    file.replace_although_handed_over(saved)
}

impl SavedEvents {
    fn of(log: &EventLog, webhooks: &Webhooks) -> SavedEvents {
        let events = log.events().into_iter().rev();
        let (mut told, mut places) = (BTreeMap::new(), BTreeMap::new());
        for (webhook, of_webhook) in webhooks.told() {
            told.insert(webhook.clone(), of_webhook.numbers);
            places.extend(of_webhook.place.map(|place| (webhook, place)));
        }
        SavedEvents {
            events: events.map(SavedEvent::of).collect(),
            told,
            places,
        }
    }

    /// What each webhook has told, by its name.
    fn told(&self) -> BTreeMap<String, ToldEvents> {
        let told = self.told.iter();
        let of_webhook = |(webhook, numbers): (&String, &Vec<u64>)| {
            let told = ToldEvents {
                numbers: numbers.clone(),
                place: self.places.get(webhook).cloned(),
            };
            (webhook.clone(), told)
        };
        told.map(of_webhook).collect()
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

#[cfg(test)]
mod tests;
