//! `tero:policy@0.2`, the newest version. Its types are the engine's own, so nothing is converted.

pub(super) mod bindings;

use wasmtime::Store;
use wasmtime::component::InstancePre;

use super::exports::{ContractExports, LinkedComponent};
use super::types;
use crate::guest::state::GuestState;

pub(super) fn link(
    component: InstancePre<GuestState>,
) -> wasmtime::Result<Box<dyn LinkedComponent>> {
    Ok(Box::new(bindings::PolicyPre::new(component)?))
}

impl LinkedComponent for bindings::PolicyPre<GuestState> {
    fn instantiate(
        &self,
        store: &mut Store<GuestState>,
    ) -> wasmtime::Result<Box<dyn ContractExports>> {
        Ok(Box::new(bindings::PolicyPre::instantiate(self, store)?))
    }
}

impl ContractExports for bindings::Policy {
    fn configure(
        &self,
        store: &mut Store<GuestState>,
        settings: &str,
    ) -> wasmtime::Result<Result<types::Manifest, String>> {
        self.call_configure(store, settings)
    }

    fn on_request(
        &self,
        store: &mut Store<GuestState>,
        texts: &str,
        request: types::Request<'_>,
        now: types::Moment<'_>,
    ) -> wasmtime::Result<types::RequestDecision> {
        self.call_on_request(store, texts, request, now)
    }

    fn on_response(
        &self,
        store: &mut Store<GuestState>,
        texts: &str,
        (request, response): (types::Request<'_>, types::Response<'_>),
        now: types::Moment<'_>,
    ) -> wasmtime::Result<types::ResponseDecision> {
        self.call_on_response(store, texts, request, response, now)
    }

    fn plan_warm(
        &self,
        store: &mut Store<GuestState>,
        texts: &str,
        (plan, popular): (types::Span, &[types::PopularPage]),
        now: types::Moment<'_>,
    ) -> wasmtime::Result<Vec<types::WarmUrl>> {
        self.call_plan_warm(store, texts, plan, popular, now)
    }
}
