//! The world of a simulation: origins as the log shows them, and the tally.

use std::sync::{Arc, Mutex};

use super::curve::{CurveSettings, HitCurve};
use super::origin::LogOrigin;
use super::tally::Tally;
use super::{SimulationSettings, lock};
use crate::replay::record::LogRecord;
use tero_edge::request::refusal::AdmissionRefusal;
use tero_edge::request::rehearsal::{
    OriginAnswered, OriginQuestion, OriginReply, RehearsalWorld, RehearsedAnswer, SentAnswer,
};
use tero_edge::store::Key;
use tero_edge::telemetry::Outcome;

/// What is around the edge.
#[derive(Debug)]
pub(super) struct LogWorld {
    origin: LogOrigin,
    tally: Tally,
    curve: Option<HitCurve>,
}

/// The world as the edge has it.
pub(super) struct SharedWorld(pub(super) Arc<Mutex<LogWorld>>);

impl LogWorld {
    pub(super) fn new(settings: &SimulationSettings) -> LogWorld {
        LogWorld {
            origin: LogOrigin::new(&settings.assumptions),
            tally: Tally::new(settings.by_url),
            curve: settings
                .curve
                .then(|| HitCurve::new(CurveSettings::default())),
        }
    }

    /// Takes account of what a line says of its URL.
    pub(super) fn hear(&mut self, record: &LogRecord) {
        self.origin.hear(record);
    }

    pub(super) fn into_results(self) -> (Tally, Option<HitCurve>) {
        let mut tally = self.tally;
        tally.note_forgotten(self.origin.forgotten());
        (tally, self.curve)
    }

    fn answered(&mut self, answer: &RehearsedAnswer<'_>) {
        self.tally.answered(answer);
        let Some(curve) = &mut self.curve else { return };
        let key = &answer.exchange.key;
        match answer.provenance.outcome {
            Outcome::Pass | Outcome::Error | Outcome::Rule => {}
            outcome => {
                // What is not stored takes no memory, and is never found.
                let weight = answer
                    .stored
                    .map_or(0, |stored| stored.weight() + Key::new(key).weight());
                curve.access(key, weight, outcome != Outcome::Miss);
            }
        }
    }
}

impl RehearsalWorld for SharedWorld {
    fn ask_origin(&mut self, question: &OriginQuestion<'_>) -> OriginReply {
        let mut world = lock(&self.0);
        let reply = world.origin.reply(question);
        world.tally.asked_origin(question, reply.bytes);
        reply
    }

    fn origin_answered(&mut self, answered: &OriginAnswered<'_>) {
        lock(&self.0).tally.origin_answered(answered);
    }

    fn answered(&mut self, answer: &RehearsedAnswer<'_>) {
        lock(&self.0).answered(answer);
    }

    fn refused(&mut self, refusal: AdmissionRefusal, _: SentAnswer) {
        lock(&self.0).tally.refused(&refusal.to_string());
    }
}
