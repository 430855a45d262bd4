//! A forecast: the requests of an access log, rehearsed on an edge with the log's time as its clock.
//!
//! What decides is the edge ([`tero_edge::request::rehearsal`]). This file sends the requests of a log
//! and says what came of them; what a log doesn't tell is assumed ([`assumptions`]).

pub mod assumptions;
pub mod compare;
pub mod curve;
mod head;
mod html;
pub mod noise;
mod origin;
pub mod report;
pub mod tally;
pub mod text;
mod world;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::log::LogReport;
use super::record::{BadLine, LogRecord, LoggedCache};
use assumptions::Assumptions;
use curve::HitCurve;
use head::RequestMaker;
use tally::Tally;
use tero_edge::request::rehearsal::{PlanFigures, RehearsalStage, RehearsalWorld, SentAnswer};
use tero_edge::store::StoreUsage;
use tero_semantics::timestamp::Timestamp;
use world::{LogWorld, SharedWorld};

pub use html::page;

/// Requests of one second that are spread over it at most. Many logs tell no more than the second.
const MAX_SPREAD: usize = 100_000;

/// Bad lines of which the place is told.
const MAX_TOLD_LINES: usize = 20;

/// How a log is rehearsed.
#[derive(Clone, Debug, Default)]
pub struct SimulationSettings {
    /// What is assumed.
    pub assumptions: Assumptions,
    /// Whether a curve of the hit rate over the memory is made.
    pub curve: bool,
    /// Whether figures are kept for each URL, to be compared with those of another simulation.
    pub by_url: bool,
}

/// How far a simulation has come.
#[derive(Clone, Copy, Debug)]
pub struct SimulationProgress {
    /// Requests rehearsed.
    pub requests: u64,
    /// The time of the log.
    pub at: Timestamp,
}

/// What was read of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSummary {
    /// Requests that were rehearsed.
    pub requests: u64,
    /// Requests that can't be sent: their target or host is malformed.
    pub unsendable: u64,
    /// Lines that can't be used, by what is wrong with them.
    pub bad_lines: BTreeMap<&'static str, u64>,
    /// The first of them, for people.
    pub told_lines: Vec<String>,
    /// The time of the first request.
    pub first: Timestamp,
    /// The time of the last one.
    pub last: Timestamp,
    /// Requests whose line does not say their host.
    pub without_host: u64,
    /// Requests whose line does not say how many bytes were sent.
    pub without_bytes: u64,
    /// Requests that the server which wrote the log answered by itself.
    pub own_answers: u64,
    /// The longest time in which nothing was asked for.
    pub longest_quiet: Duration,
    /// What the reader of the log doubts, in sentences.
    pub doubts: Vec<String>,
}

impl LogSummary {
    /// Takes over what the reader of the log says: it counts every line that can't be used, and hands
    /// over the first ones.
    pub fn take_report(&mut self, report: &LogReport) {
        self.bad_lines.clone_from(&report.faults);
        self.doubts = report.doubts();
    }
}

/// What came of a simulation.
#[derive(Debug)]
pub struct Simulation {
    /// What was read.
    pub log: LogSummary,
    /// What became of the requests.
    pub tally: Tally,
    /// The hit rate over the memory, if it was wanted.
    pub curve: Option<HitCurve>,
    /// What warming plans have done.
    pub plans: Vec<PlanFigures>,
    /// The memory in use at the end.
    pub usage: StoreUsage,
}

/// Why nothing was simulated.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError<E> {
    /// The log has no request that can be used.
    #[error("the log has no request that can be used ({0} lines can't be read)")]
    Empty(u64),
    /// The edge can't be made.
    #[error(transparent)]
    Stage(E),
}

/// Rehearses the requests of a log, which come by time, on the edge that `stage` makes: at the time of
/// the first request, in the world that it is given. `tell` hears now and then how far it is.
///
/// # Errors
/// [`SimulationError`] if the log has no request, or `stage` fails.
pub fn simulate<E>(
    records: impl IntoIterator<Item = Result<LogRecord, BadLine>>,
    settings: &SimulationSettings,
    stage: impl FnOnce(Timestamp, Box<dyn RehearsalWorld>) -> Result<Box<dyn RehearsalStage>, E>,
    tell: &mut dyn FnMut(SimulationProgress),
) -> Result<Simulation, SimulationError<E>> {
    let mut log = LogSummary::default();
    let mut seconds = SecondsOfLog {
        records: records.into_iter(),
        next: None,
    };
    let mut second = Vec::new();
    seconds.take(&mut second, &mut log);
    let Some(first) = second.first() else {
        return Err(SimulationError::Empty(log.bad_lines.values().sum()));
    };
    (log.first, log.last) = (first.at, first.at);
    let world = Arc::new(Mutex::new(LogWorld::new(settings)));
    let shared = SharedWorld(Arc::clone(&world));
    let mut stage = stage(log.first, Box::new(shared)).map_err(SimulationError::Stage)?;
    let mut maker = RequestMaker::new(&settings.assumptions);
    while !second.is_empty() {
        for mut record in spread(&mut second) {
            // The rest of a crowded second comes at its end.
            record.at = record.at.max(log.last);
            log.longest_quiet = log.longest_quiet.max(record.at.since(log.last));
            log.last = record.at;
            rehearse(&mut *stage, &world, record, &mut maker, &mut log);
            if log.requests.is_multiple_of(4_096) {
                tell(SimulationProgress {
                    requests: log.requests,
                    at: log.last,
                });
            }
        }
        seconds.take(&mut second, &mut log);
    }
    stage.finish();
    let (plans, usage) = (stage.plans(), stage.usage());
    drop(stage);
    let mut world = lock(&world);
    let world = std::mem::replace(&mut *world, LogWorld::new(&SimulationSettings::default()));
    let (tally, curve) = world.into_results();
    Ok(Simulation {
        log,
        tally,
        curve,
        plans,
        usage,
    })
}

/// Sends one request.
fn rehearse(
    stage: &mut dyn RehearsalStage,
    world: &Mutex<LogWorld>,
    record: LogRecord,
    maker: &mut RequestMaker<'_>,
    log: &mut LogSummary,
) {
    stage.turn_to(record.at);
    let Some(target) = maker.sendable(&record) else {
        log.unsendable += 1;
        return;
    };
    log.requests += 1;
    log.without_host += u64::from(record.host.is_none());
    log.without_bytes += u64::from(record.bytes.is_none());
    log.own_answers += u64::from(record.cache == Some(LoggedCache::Own));
    let sent = SentAnswer {
        status: record.status,
        bytes: record.content_bytes(),
        is_own: record.cache == Some(LoggedCache::Own),
    };
    lock(world).hear(&record);
    let (head, source) = maker.request(target, record);
    stage.send(head, source, sent);
}

/// Records by the second.
struct SecondsOfLog<I> {
    records: I,
    /// The first record of the next second.
    next: Option<LogRecord>,
}

impl<I: Iterator<Item = Result<LogRecord, BadLine>>> SecondsOfLog<I> {
    /// Takes the records of the next second; none at the end of the log.
    fn take(&mut self, second: &mut Vec<LogRecord>, log: &mut LogSummary) {
        second.clear();
        second.extend(self.next.take());
        while second.len() < MAX_SPREAD
            && let Some(record) = self.records.next()
        {
            match record {
                Ok(record) => {
                    let is_next = second
                        .first()
                        .is_some_and(|first| first.at.unix_secs() != record.at.unix_secs());
                    if is_next {
                        self.next = Some(record);
                        return;
                    }
                    second.push(record);
                }
                Err(bad) => {
                    *log.bad_lines.entry(bad.fault.as_str()).or_default() += 1;
                    if log.told_lines.len() < MAX_TOLD_LINES {
                        log.told_lines.push(bad.to_string());
                    }
                }
            }
        }
    }
}

/// Spreads the requests of a second evenly over it, if the log tells no more than the second:
/// otherwise all of them would come at the same instant, and share their fetches.
fn spread(second: &mut Vec<LogRecord>) -> impl Iterator<Item = LogRecord> {
    let count = second.len() as u64;
    let is_coarse = count > 1 && second.iter().all(|one| one.at.unix_millis() % 1_000 == 0);
    second
        .drain(..)
        .zip(0_u64..)
        .map(move |(mut record, place)| {
            if is_coarse {
                let after = Duration::from_millis(place * 1_000 / count);
                record.at = record.at.saturating_add(after);
            }
            record
        })
}

fn lock(world: &Mutex<LogWorld>) -> MutexGuard<'_, LogWorld> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
