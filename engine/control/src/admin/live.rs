//! `GET /live`: a stream of figures and of requests while they are answered.
//!
//! A listener is a task on the thread of the interface. It takes what has come together every quarter
//! of a second, so an edge without listeners has nothing to do, and a listener that does not read is
//! not written to.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use super::call::Call;
use super::context::AdminContext;
use super::live_figures;
use super::reply::AdminRefusal;
use tero_admin_api::endpoints::Live;
use tero_admin_api::{Answer as _, LiveEvent, LiveQuestion, RequestReport};
use tero_edge::telemetry::Outcome;
use tero_edge::telemetry::live_requests::{LiveFilter, LiveListener, LiveRequest};

/// The time between two turns.
const TURN: Duration = Duration::from_millis(250);
/// Turns between two lines of figures.
const TURNS_PER_SECOND: u32 = 4;
/// An empty line.
const NOTHING: Bytes = Bytes::from_static(b"\n");
/// Pieces that wait for the client.
const WAITING_PIECES: usize = 2;

/// Begins a stream.
pub(super) fn live(
    context: &AdminContext,
    call: Call<'_, Live>,
) -> Result<mpsc::Receiver<Bytes>, AdminRefusal> {
    let question = call.read()?;
    let per_second = question.requests.unwrap_or(LiveQuestion::DEFAULT_REQUESTS);
    let filter = filter(context, &question)?;
    let listener = context
        .edge
        .live
        .listen(filter, per_second.div_ceil(TURNS_PER_SECOND));
    let listener = listener.ok_or_else(|| {
        AdminRefusal::full(
            "there are too many listeners",
            "close a dashboard or a `tero tail`, and try again",
        )
    })?;
    let (pieces, body) = mpsc::channel(WAITING_PIECES);
    let stream = EventStream {
        context: context.clone(),
        listener,
        tells_figures: question.figures.unwrap_or(true),
    };
    tokio::spawn(stream.run(pieces));
    Ok(body)
}

fn filter(context: &AdminContext, question: &LiveQuestion) -> Result<LiveFilter, AdminRefusal> {
    let sites = context.edge.sites.load();
    if let Some(name) = &question.site
        && sites.named(name).is_none()
    {
        let names: Vec<&str> = sites.iter().map(|site| &*site.settings.name).collect();
        return Err(AdminRefusal::bad(
            format!("there is no site `{}`", name.escape_debug()),
            format!("write one of {}", names.join(", ")),
        ));
    }
    let policies = || sites.iter().flat_map(|site| site.policies.policies());
    if let Some(name) = &question.policy
        && !policies().any(|policy| &**policy.name() == name.as_str())
    {
        return Err(AdminRefusal::bad(
            format!("no site asks a policy `{}`", name.escape_debug()),
            "GET /policies lists them",
        ));
    }
    let path = question.path.as_deref().map(|path| {
        path.parse().map_err(|_| {
            AdminRefusal::bad(
                format!("`{}` is not a pattern of paths", path.escape_debug()),
                "write a path from its `/` on, in which `*` stands for anything: /shops/*",
            )
        })
    });
    let outcome = question.outcome.as_deref().map(|name| {
        let mut outcomes = Outcome::ALL.into_iter();
        outcomes
            .find(|outcome| outcome.as_str() == name)
            .ok_or_else(|| {
                AdminRefusal::bad(
                    format!("there is no outcome `{}`", name.escape_debug()),
                    format!(
                        "write one of {}",
                        Outcome::ALL.map(Outcome::as_str).join(", ")
                    ),
                )
            })
    });
    Ok(LiveFilter {
        site: question.site.clone(),
        path: path.transpose()?,
        outcome: outcome.transpose()?,
        policy: question.policy.clone(),
    })
}

/// What one listener is told.
struct EventStream {
    context: AdminContext,
    listener: LiveListener,
    tells_figures: bool,
}

impl EventStream {
    /// Tells it until the client has gone.
    async fn run(self, pieces: mpsc::Sender<Bytes>) {
        let (mut turn, mut quiet) = (0_u32, Duration::ZERO);
        loop {
            let mut piece = self.piece(turn.is_multiple_of(TURNS_PER_SECOND));
            if piece.is_empty() && quiet >= LiveQuestion::EMPTY_LINE_AFTER {
                piece = NOTHING;
            }
            let has_gone = match piece.is_empty() {
                true => {
                    quiet += TURN;
                    pieces.is_closed()
                }
                false => {
                    quiet = Duration::ZERO;
                    pieces.send(piece).await.is_err()
                }
            };
            if has_gone {
                return;
            }
            turn = turn.wrapping_add(1);
            tokio::select! {
                () = self.context.edge.clock.sleep(TURN) => {}
                () = pieces.closed() => return,
            }
        }
    }

    /// What has come since the last turn, and the figures if they are due.
    fn piece(&self, figures_are_due: bool) -> Bytes {
        let figures =
            (self.tells_figures && figures_are_due).then(|| live_figures::line(&self.context));
        let requests = self.context.edge.live.take(&self.listener);
        if requests.is_empty() {
            return figures.unwrap_or_default();
        }
        let mut piece = BytesMut::from(figures.unwrap_or_default());
        for request in &requests {
            piece.extend_from_slice(LiveEvent::Request(report(request)).to_text().as_bytes());
        }
        piece.freeze()
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        self.context.edge.live.leave(&self.listener);
    }
}

fn report(request: &LiveRequest) -> RequestReport {
    let text = |text: Option<&'static str>| text.map(str::to_owned);
    RequestReport {
        at_unix_ms: request.at.unix_millis(),
        took_ms: (request.took.as_secs_f64() * 1_000_000.0).round() / 1_000.0,
        site: request.site.to_string(),
        method: request.method.to_string(),
        url: request.url.clone(),
        status: request.status.as_u16(),
        outcome: request.outcome.as_str().to_owned(),
        forward: text(request.forward),
        stored: request.stored,
        not_stored: text(request.not_stored),
        failure: text(request.failure),
        reason: request.reason.clone(),
        variant: request.variant.clone(),
        device: text(request.device),
        route: request.route.clone(),
        age_secs: request.age_secs,
        ttl_secs: request.ttl_secs,
        origin: request.origin.clone(),
    }
}
