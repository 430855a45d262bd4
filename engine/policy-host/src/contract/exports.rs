//! The exports that the engine calls, whichever version of the contract a module was built for.

use wasmtime::Store;

use super::types;
use crate::guest::state::GuestState;

/// A component that exports the contract, ready to be instantiated.
pub(crate) trait LinkedComponent: Send + Sync {
    /// Makes an instance that is not yet configured.
    fn instantiate(
        &self,
        store: &mut Store<GuestState>,
    ) -> wasmtime::Result<Box<dyn ContractExports>>;
}

/// The exports of an instance, in the types of the newest version. The spans of a question point into
/// `texts`.
pub(crate) trait ContractExports: Send {
    fn configure(
        &self,
        store: &mut Store<GuestState>,
        settings: &str,
    ) -> wasmtime::Result<Result<types::Manifest, String>>;

    fn on_request(
        &self,
        store: &mut Store<GuestState>,
        texts: &str,
        request: types::Request<'_>,
        now: types::Moment<'_>,
    ) -> wasmtime::Result<types::RequestDecision>;

    fn on_response(
        &self,
        store: &mut Store<GuestState>,
        texts: &str,
        about: (types::Request<'_>, types::Response<'_>),
        now: types::Moment<'_>,
    ) -> wasmtime::Result<types::ResponseDecision>;

    /// `about` is the name of the plan and the pages that visitors requested.
    fn plan_warm(
        &self,
        store: &mut Store<GuestState>,
        texts: &str,
        about: (types::Span, &[types::PopularPage]),
        now: types::Moment<'_>,
    ) -> wasmtime::Result<Vec<types::WarmUrl>>;
}
