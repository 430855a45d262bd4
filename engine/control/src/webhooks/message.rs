//! The content of a message, in the form that its place takes.

use serde::Serialize;

use super::queue::EventNote;
use tero_config::WebhookFormat;

/// `{"text": …}`: Slack and many chat services take it.
#[derive(Serialize)]
struct ChatMessage {
    text: String,
}

/// The events, for programs.
#[derive(Serialize)]
struct EventMessage<'m> {
    /// How the edge calls itself.
    edge: &'m str,
    events: Vec<EventEntry<'m>>,
}

#[derive(Serialize)]
struct EventEntry<'m> {
    number: u64,
    /// `told`, `goes_on` or `resolved`.
    state: &'static str,
    kind: &'static str,
    severity: &'static str,
    subject: &'m str,
    text: &'m str,
    began_unix_secs: i64,
    told_unix_secs: i64,
    resolved_unix_secs: Option<i64>,
}

/// The content of a message with these notes.
pub(super) fn content(format: WebhookFormat, edge: &str, notes: &[EventNote]) -> String {
    let json = match format {
        WebhookFormat::Slack => {
            let lines: Vec<String> = notes.iter().map(|note| line(edge, note)).collect();
            let text = lines.join("\n");
            serde_json::to_string(&ChatMessage { text })
        }
        WebhookFormat::Json => {
            let events = notes.iter().map(entry).collect();
            serde_json::to_string(&EventMessage { edge, events })
        }
    };
    json.expect("texts and numbers are JSON")
}

fn line(edge: &str, note: &EventNote) -> String {
    let event = note.event();
    let text = escaped(&event.text);
    match note {
        EventNote::Told(_) => format!("{edge}: {text} ({})", event.kind.severity().as_str()),
        EventNote::GoesOn(_) => format!("{edge}: still, {text}"),
        EventNote::Resolved(_) => {
            let lasted = event
                .resolved
                .map_or(0, |end| end.since(event.began).as_secs());
            format!("{edge}: resolved after {lasted} s: {text}")
        }
    }
}

/// Three characters have a meaning in texts of Slack: a name in an event must not become a link or
/// a call to all members.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn entry(note: &EventNote) -> EventEntry<'_> {
    let event = note.event();
    EventEntry {
        number: event.number,
        state: note.as_str(),
        kind: event.kind.as_str(),
        severity: event.kind.severity().as_str(),
        subject: &event.subject,
        text: &event.text,
        began_unix_secs: event.began.unix_secs(),
        told_unix_secs: event.told.unix_secs(),
        resolved_unix_secs: event.resolved.map(|end| end.unix_secs()),
    }
}
