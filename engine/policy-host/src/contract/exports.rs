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

/// The exports of an instance, in the types of the newest version.
pub(crate) trait ContractExports: Send {
    fn configure(
        &self,
        store: &mut Store<GuestState>,
        settings: &str,
    ) -> wasmtime::Result<Result<types::Manifest, String>>;

    fn on_request(
        &self,
        store: &mut Store<GuestState>,
        request: types::Request<'_>,
        now: types::Moment<'_>,
    ) -> wasmtime::Result<types::RequestDecision>;

    fn on_response(
        &self,
        store: &mut Store<GuestState>,
        request: types::Request<'_>,
        response: types::Response<'_>,
        now: types::Moment<'_>,
    ) -> wasmtime::Result<types::ResponseDecision>;

    fn plan_warm(
        &self,
        store: &mut Store<GuestState>,
        plan: &str,
        popular: &[types::PopularPage<'_>],
        now: types::Moment<'_>,
    ) -> wasmtime::Result<Vec<types::WarmUrl>>;
}
