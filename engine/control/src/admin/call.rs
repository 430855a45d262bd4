//! A request on its way to its handler, which knows of it what the contract says.

use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;

use super::context::AdminContext;
use super::reply::{AdminRefusal, AdminResponse};
use tero_admin_api::{Endpoint, EndpointInfo, Question as _};

/// From the end of the header to the answer; where policies are compiled first.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const COMPILE_TIMEOUT: Duration = Duration::from_secs(600);

/// How much work an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// None: the thread of the interface does it.
    AtOnce,
    /// It may take long, on a thread of its own.
    Long,
    /// It may have to wait until policies are compiled.
    Compiling,
    /// A version is uploaded, and compiled.
    Upload,
}

impl Work {
    /// How long the answer may take.
    pub(super) fn timeout(self) -> Duration {
        match self {
            Work::AtOnce | Work::Long => ANSWER_TIMEOUT,
            Work::Compiling | Work::Upload => COMPILE_TIMEOUT,
        }
    }
}

/// What a request brings along.
#[derive(Debug)]
pub(super) struct CallInput {
    /// The parameters of its path, in its order.
    pub(super) parameters: Vec<String>,
    pub(super) query: Option<String>,
    pub(super) content: Bytes,
}

/// A request of `E`.
pub(super) struct Call<'c, E> {
    input: &'c CallInput,
    endpoint: PhantomData<E>,
}

impl<E: Endpoint> Call<'_, E> {
    /// The parameter of its path: the name of a policy or a plan, or the id of a run.
    pub(super) fn parameter(&self) -> &str {
        self.input.parameters.first().map_or("", String::as_str)
    }

    /// What is asked.
    ///
    /// # Errors
    /// 400 when it is not of the form that `E` takes.
    pub(super) fn read(&self) -> Result<E::Request, AdminRefusal> {
        let query = self.input.query.as_deref();
        Ok(E::Request::read(query, &self.input.content)?)
    }

    /// The content as it came, without a copy.
    pub(super) fn content(&self) -> &[u8] {
        &self.input.content
    }
}

type HandlerFn =
    dyn Fn(&AdminContext, &CallInput) -> Result<AdminResponse, AdminRefusal> + Send + Sync;

/// What answers the requests of one endpoint.
pub(super) struct Handler {
    pub(super) work: Work,
    answer: Box<HandlerFn>,
}

impl Handler {
    /// Answers a request.
    ///
    /// # Errors
    /// Why there is no good answer.
    pub(super) fn answer(
        &self,
        context: &AdminContext,
        input: &CallInput,
    ) -> Result<AdminResponse, AdminRefusal> {
        (self.answer)(context, input)
    }
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
