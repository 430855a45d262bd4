use std::path::Path;

use super::*;
use crate::events::IncidentKind;
use tero_config::Config;

const NINE: i64 = 1_795_597_200; // 2026-11-25, 06:00 in Buenos Aires, 09:00 UTC.

fn at(secs: i64) -> Timestamp {
    Timestamp::from_unix_secs(NINE + secs)
}

fn queue(keys: &str) -> WebhookQueue {
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n[[site]]\nname = \"a\"\nhosts = [\"*\"]\norigins = [\"http://a\"]\n\
         [[webhook]]\nname = \"chat\"\nurl = \"http://127.0.0.1:1/\"\n{keys}"
    );
    let config = Config::parse(&text, "tero.toml", Path::new("")).unwrap();
    WebhookQueue::new(config.webhooks[0].clone())
}

fn event(number: u64, kind: IncidentKind) -> EventRecord {
    EventRecord {
        number,
        kind,
        subject: number.to_string(),
        text: "it is not well".to_owned(),
        began: at(0),
        told: at(0),
        resolved: None,
    }
}

fn told(number: u64, kind: IncidentKind) -> EventChange {
    EventChange::Told(event(number, kind))
}

fn resolved(number: u64, kind: IncidentKind) -> EventChange {
    EventChange::Resolved(event(number, kind))
}

/// What is told at a moment, and taken.
fn message(queue: &mut WebhookQueue, open: &[EventRecord], secs: i64) -> Vec<(&'static str, u64)> {
    let notes = queue.due(open, at(secs), at(secs)).unwrap_or_default();
    if !notes.is_empty() {
        let settings = queue.settings.clone();
        queue.sent(&settings, true, at(secs));
    }
    notes
        .iter()
        .map(|note| (note.as_str(), note.event().number))
        .collect()
}

/// The message that was due at a moment is not taken.
fn fail(queue: &mut WebhookQueue, secs: i64) {
    let settings = queue.settings.clone();
    queue.sent(&settings, false, at(secs));
}

#[test]
fn an_event_is_told_reminded_of_and_resolved() {
    let mut queue = queue("remind = \"1h\"");
    queue.take(&told(1, IncidentKind::PolicyOff));
    let open = [event(1, IncidentKind::PolicyOff)];
    assert_eq!(message(&mut queue, &open, 0), [("told", 1)]);
    assert_eq!(message(&mut queue, &open, 3_599), []);
    assert_eq!(message(&mut queue, &open, 3_600), [("goes_on", 1)]);
    assert_eq!(message(&mut queue, &open, 3_601), []);
    queue.take(&resolved(1, IncidentKind::PolicyOff));
    assert_eq!(message(&mut queue, &[], 3_700), [("resolved", 1)]);
    assert_eq!(message(&mut queue, &[], 100_000), []);
}

#[test]
fn a_restart_goes_on_with_what_was_told() {
    let mut before = queue("");
    let kind = IncidentKind::PolicyOff;
    for number in 1..=3 {
        before.take(&told(number, kind));
    }
    message(&mut before, &[], 0);
    before.take(&told(4, kind));
    // Its end waits when the process ends.
    before.take(&resolved(1, kind));
    assert_eq!(before.told(), [1, 2, 3]);
    let ended = |number| EventRecord {
        resolved: Some(at(1)),
        ..event(number, kind)
    };
    let events = [ended(1), ended(2), event(3, kind), event(4, kind)];
    let mut after = queue("remind = \"1h\"");
    after.restore(&events, &before.told(), at(10));
    let open = [event(3, kind), event(4, kind)];
    let first = [("resolved", 1), ("resolved", 2), ("told", 4)];
    assert_eq!(message(&mut after, &open, 10), first);
    let reminders = [("goes_on", 3), ("goes_on", 4)];
    assert_eq!(message(&mut after, &open, 3_610), reminders);
}

#[test]
fn quiet_hours_follow_the_local_clock_and_pages_come_all_the_same() {
    let mut queue = queue("quiet = \"22:00-07:00\"\nzone = \"America/Argentina/Buenos_Aires\"");
    queue.take(&told(1, IncidentKind::PolicyOff));
    queue.take(&told(2, IncidentKind::ErrorsRise));
    queue.take(&told(3, IncidentKind::CalendarEnds));
    assert_eq!(message(&mut queue, &[], 0), [("told", 2)]);
    // What is over before the morning is not told at all.
    queue.take(&resolved(1, IncidentKind::PolicyOff));
    assert_eq!(message(&mut queue, &[], 3_599), []);
    assert_eq!(message(&mut queue, &[], 3_600), [("told", 3)]);
}

#[test]
fn messages_are_bounded_and_what_waits_comes_together() {
    let mut queue = queue("most_per_hour = 1");
    for (number, secs) in [(1, 1), (2, 2), (3, 3)] {
        queue.take(&told(number, IncidentKind::PolicyOff));
        let expected: &[_] = if number == 1 { &[("told", 1)] } else { &[] };
        assert_eq!(message(&mut queue, &[], secs), expected);
    }
    assert_eq!(message(&mut queue, &[], 3_600), []);
    assert_eq!(message(&mut queue, &[], 3_601), [("told", 2), ("told", 3)]);
    for number in 10..10 + MAX_WAITING as u64 + 5 {
        queue.take(&told(number, IncidentKind::PolicyOff));
    }
    assert_eq!(queue.counts.left_out, 5);
    assert_eq!(message(&mut queue, &[], 7_300).len(), MAX_IN_MESSAGE);
}

#[test]
fn pages_have_messages_that_tickets_leave() {
    let kept = [1, 2, 3, 4, 5, 12, 1_000].map(kept_for_pages);
    assert_eq!(kept, [0, 1, 1, 1, 2, 3, 250]);
    let mut queue = queue("most_per_hour = 2");
    queue.take(&told(1, IncidentKind::PolicyOff));
    assert_eq!(message(&mut queue, &[], 0), [("told", 1)]);
    queue.take(&told(2, IncidentKind::PolicyOff));
    assert_eq!(message(&mut queue, &[], 1), []);
    queue.take(&told(3, IncidentKind::ErrorsRise));
    assert_eq!(message(&mut queue, &[], 2), [("told", 3), ("told", 2)]);
}

#[test]
fn what_was_not_taken_is_sent_again_later_and_later() {
    let mut queue = queue("");
    queue.take(&told(1, IncidentKind::PolicyOff));
    let mut now = 0;
    for rest in [10, 20, 40, 80, 160, 320, 600, 600] {
        let first = queue.due(&[], at(now), at(now)).unwrap();
        assert_eq!(first.len(), 1);
        fail(&mut queue, now);
        assert_eq!(
            queue.due(&[], at(now + rest - 1), at(now + rest - 1)),
            None,
            "{rest}"
        );
        now += rest;
    }
    // What has come meanwhile waits for the next message.
    queue.take(&told(2, IncidentKind::PolicyOff));
    assert_eq!(message(&mut queue, &[], now), [("told", 1)]);
    assert_eq!(message(&mut queue, &[], now), [("told", 2)]);
    assert_eq!(queue.counts.failed, 8);
}

#[test]
fn a_webhook_for_pages_tells_of_nothing_else() {
    let mut queue = queue("severity = \"page\"");
    queue.take(&told(1, IncidentKind::PolicyOff));
    queue.take(&told(2, IncidentKind::SiteWithoutOrigin));
    assert_eq!(message(&mut queue, &[], 0), [("told", 2)]);
    queue.take(&resolved(2, IncidentKind::SiteWithoutOrigin));
    assert_eq!(message(&mut queue, &[], 1), [("resolved", 2)]);
}
#[test]
fn reminders_do_not_pile_up() {
    let mut queue = queue("quiet = \"22:00-21:00\"\nremind = \"1h\"\nmost_per_hour = 1");
    let open: Vec<_> = (1..=3)
        .map(|number| event(number, IncidentKind::ErrorsRise))
        .collect();
    for event in &open {
        queue.take(&EventChange::Told(event.clone()));
    }
    assert_eq!(message(&mut queue, &open, 0).len(), 3);
    // A ticket, which waits for the end of the quiet hours, was told before these.
    queue.told.insert(4, at(0));
    let open = [&open[..], &[event(4, IncidentKind::PolicyOff)]].concat();
    for hour in 1..=10 {
        let told = message(&mut queue, &open, hour * 3_600);
        assert_eq!(told, [("goes_on", 1), ("goes_on", 2), ("goes_on", 3)]);
        assert_eq!(queue.waiting.len(), 1, "at hour {hour}");
    }
    // A place that takes nothing is not reminded of each hour of that.
    let (mut now, mut attempts) = (11 * 3_600, 0);
    while now < 40 * 3_600 {
        if let Some(notes) = queue.due(&open, at(now), at(now)) {
            assert_eq!(notes.len(), 3);
            fail(&mut queue, now);
            attempts += 1;
        }
        now += 600;
    }
    assert!(attempts > 100 && queue.waiting.len() <= 1);
    assert_eq!(queue.counts.left_out, 0);
}

#[test]
fn tickets_do_not_crowd_out_pages() {
    let mut queue = queue("most_per_hour = 4");
    let most = MAX_WAITING as u64;
    queue.take(&told(1, IncidentKind::ErrorsRise));
    for number in 2..most + 50 {
        queue.take(&told(number, IncidentKind::PolicyOff));
    }
    queue.take(&told(most + 50, IncidentKind::PurgeLags));
    assert_eq!(queue.waiting.len(), MAX_WAITING);
    // The pages go first, though tickets came before.
    let first = message(&mut queue, &[], 0);
    assert_eq!(&first[..2], [("told", 1), ("told", most + 50)]);
    assert_eq!(first.len(), MAX_IN_MESSAGE);
    // Tickets take three of four messages, so that a page finds room.
    assert_eq!(message(&mut queue, &[], 1).len(), MAX_IN_MESSAGE);
    assert_eq!(message(&mut queue, &[], 2).len(), MAX_IN_MESSAGE);
    assert_eq!(message(&mut queue, &[], 3), []);
    queue.take(&told(1_000, IncidentKind::SiteWithoutOrigin));
    assert_eq!(message(&mut queue, &[], 4)[0], ("told", 1_000));
    assert_eq!(message(&mut queue, &[], 5), []);
    // Pages alone are bounded too.
    for number in 2_000..2_000 + 2 * most {
        queue.take(&told(number, IncidentKind::ErrorsRise));
    }
    assert_eq!(queue.waiting.len(), MAX_WAITING);
    assert!(queue.waiting.iter().all(EventNote::is_of_page));
}

#[test]
fn an_end_is_told_only_where_the_beginning_was() {
    let mut queue = queue("");
    // The webhook came with a reload, after the event.
    queue.take(&resolved(1, IncidentKind::PolicyOff));
    assert_eq!(message(&mut queue, &[], 0), []);
    // What was left out has no end either.
    for number in 2..MAX_WAITING as u64 + 3 {
        queue.take(&told(number, IncidentKind::PolicyOff));
    }
    assert_eq!(queue.counts.left_out, 1);
    queue.waiting.clear();
    queue.take(&resolved(2, IncidentKind::PolicyOff));
    assert_eq!(message(&mut queue, &[], 1), []);
    // What is on its way when it ends was told.
    queue.take(&told(1_000, IncidentKind::PolicyOff));
    assert!(queue.due(&[], at(2), at(2)).is_some());
    queue.take(&resolved(1_000, IncidentKind::PolicyOff));
    assert_eq!(message(&mut queue, &[], 3), [("told", 1_000)]);
    assert_eq!(message(&mut queue, &[], 4), [("resolved", 1_000)]);
}

#[test]
fn a_place_that_a_reload_corrects_is_tried_at_once() {
    let mut before = queue("");
    before.take(&told(1, IncidentKind::PolicyOff));
    for secs in [0, 10, 30] {
        assert!(before.due(&[], at(secs), at(secs)).is_some());
        fail(&mut before, secs);
    }
    assert_eq!(before.due(&[], at(31), at(31)), None);
    let wrong = before.settings.clone();
    // Other settings of the same place don't end its rest.
    let mut before = before.with(queue("remind = \"2h\"").settings, &[]);
    assert_eq!(before.due(&[], at(31), at(31)), None);
    let right = Webhook {
        url: Some("http://127.0.0.1:2/".parse().unwrap()),
        ..wrong.clone()
    };
    let mut after = before.with(right, &[event(1, IncidentKind::PolicyOff)]);
    assert!(after.due(&[], at(31), at(31)).is_some());
    // An answer of the old place that comes now is not one of the new.
    after.sent(&wrong, false, at(31));
    assert_eq!(message(&mut after, &[], 31), [("told", 1)]);
}

#[test]
fn a_new_place_is_told_of_all_open_events_and_of_no_end_of_others() {
    let mut queue = queue("");
    let kind = IncidentKind::PolicyOff;
    for number in [1, 2, 3] {
        queue.take(&told(number, kind));
    }
    let open = [event(1, kind), event(3, kind)];
    assert_eq!(message(&mut queue, &open, 0).len(), 3);
    queue.take(&resolved(2, kind));
    // A message to the old place is under way.
    assert!(queue.due(&open, at(1), at(1)).is_some());
    let old = queue.settings.clone();
    let new = Webhook {
        url: Some("http://127.0.0.1:2/".parse().unwrap()),
        ..old.clone()
    };
    let mut queue = queue.with(new.clone(), &open);
    queue.sent(&old, true, at(2));
    queue.take(&told(3, kind));
    queue.take(&resolved(2, kind));
    assert_eq!(message(&mut queue, &open, 3), [("told", 1), ("told", 3)]);
    // Another token of the same place changes nothing.
    let token = Some("a-secret-of-many-letters".to_owned());
    let mut queue = queue.with(Webhook { token, ..new }, &open);
    assert_eq!(message(&mut queue, &open, 4), []);
    queue.take(&resolved(1, kind));
    assert_eq!(message(&mut queue, &open[1..], 5), [("resolved", 1)]);
}
