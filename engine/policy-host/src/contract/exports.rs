//! What the engine wants of a module, whichever version of the contract it was built for.

use wasmtime::Store;

use super::types;
use crate::guest::state::GuestState;

/// A component that exports the contract, ready to make instances.
pub(crate) trait LinkedComponent: Send + Sync {
    /// An instance, not yet configured.
    fn instantiate(
        &self,
        store: &mut Store<GuestState>,
    ) -> wasmtime::Result<Box<dyn ContractExports>>;
}

/// What an instance answers, in the types of the newest version.
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
