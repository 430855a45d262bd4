//! A request on its way to its handler, typed as its endpoint says.

use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::context::AdminContext;
use super::reply::{AdminRefusal, AdminResponse};
use tero_admin_api::{Endpoint, EndpointInfo, Question as _};

/// From the end of the header to the answer; if policies are compiled first.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const COMPILE_TIMEOUT: Duration = Duration::from_secs(600);
/// Above the greatest `[server] upgrade_timeout`, which ends it first.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(3 * 3_600);

/// How much work an answer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// None: the thread of the interface answers.
    AtOnce,
    /// It may take long, so it runs on another thread.
    Long,
    /// It may wait until policies are compiled.
    Compiling,
    /// It ends a trial or goes back to a version before, which is compiled already as a rule: it must
    /// not wait until others are.
    Undoing,
    /// A version is uploaded, and compiled.
    Upload,
    /// It waits for another process.
    Upgrading,
    /// A data table is uploaded.
    UploadTable,
    /// It purges, and may wait for the log of a fleet.
    Purging,
    /// A peer tells purges, which must not wait for those that wait for the log.
    Exchanging,
}

impl Work {
    /// How long the answer may take.
    pub(super) fn timeout(self) -> Duration {
        match self {
            Work::AtOnce | Work::Long | Work::Purging | Work::Exchanging => ANSWER_TIMEOUT,
            Work::Compiling | Work::Undoing | Work::Upload | Work::UploadTable => COMPILE_TIMEOUT,
            Work::Upgrading => UPGRADE_TIMEOUT,
        }
    }
}

/// The parts of a request that its handler reads.
#[derive(Debug)]
pub(super) struct CallInput {
    /// The parameters of the path, in order.
    pub(super) parameters: Vec<String>,
    pub(super) query: Option<String>,
    /// The `Accept` field; empty if there is none.
    pub(super) accept: String,
    pub(super) content: Bytes,
}

/// A request of `E`.
pub(super) struct Call<'c, E> {
    input: &'c CallInput,
    endpoint: PhantomData<E>,
}

impl<E: Endpoint> Call<'_, E> {
    /// The parameter of the path: the name of a policy or a plan, or the id of a run.
    pub(super) fn parameter(&self) -> &str {
        self.input.parameters.first().map_or("", String::as_str)
    }

    /// The question.
    ///
    /// # Errors
    /// 400 if query or content are not what `E` takes.
    pub(super) fn read(&self) -> Result<E::Request, AdminRefusal> {
        let query = self.input.query.as_deref();
        Ok(E::Request::read(query, &self.input.content)?)
    }

    /// The `Accept` field; empty if there is none.
    pub(super) fn accept(&self) -> &str {
        &self.input.accept
    }

    /// The content, without copying it.
    pub(super) fn content(&self) -> &[u8] {
        &self.input.content
    }
}

type HandlerFn =
    dyn Fn(&AdminContext, &CallInput) -> Result<AdminResponse, AdminRefusal> + Send + Sync;

/// Answers the requests of one endpoint.
pub(super) struct Handler {
    pub(super) work: Work,
    answer: Box<HandlerFn>,
}

impl Handler {
    /// Answers a request.
    ///
    /// # Errors
    /// A refusal.
    pub(super) fn answer(
        &self,
        context: &AdminContext,
        input: &CallInput,
    ) -> Result<AdminResponse, AdminRefusal> {
        (self.answer)(context, input)
    }
}

/// The handler of `E`, whose answer is a stream. It is on the thread of the interface, and begins a
/// task there.
pub(super) fn stream_handler<E: Endpoint>(
    answer: impl Fn(&AdminContext, Call<'_, E>) -> Result<mpsc::Receiver<Bytes>, AdminRefusal>
    + Send
    + Sync
    + 'static,
) -> (EndpointInfo, Handler) {
    let answer = move |context: &AdminContext, input: &CallInput| {
        let endpoint = PhantomData;
        let pieces = answer(context, Call { input, endpoint })?;
        Ok(AdminResponse::stream_of::<E>(pieces))
    };
    let answer = Box::new(answer);
    let work = Work::AtOnce;
    (EndpointInfo::of::<E>(), Handler { work, answer })
}

/// The handler of `E`.
pub(super) fn handler<E: Endpoint>(
    work: Work,
    answer: impl Fn(&AdminContext, Call<'_, E>) -> Result<E::Response, AdminRefusal>
    + Send
    + Sync
    + 'static,
) -> (EndpointInfo, Handler) {
    let answer = move |context: &AdminContext, input: &CallInput| {
        let endpoint = PhantomData;
        let response = answer(context, Call { input, endpoint })?;
        Ok(AdminResponse::of::<E>(&response))
    };
    let answer = Box::new(answer);
    (EndpointInfo::of::<E>(), Handler { work, answer })
}
