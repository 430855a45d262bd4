//! `tero:policy@0.1`, the newest version: its types are the engine's own, so nothing is turned into
//! anything.

mod bindings {
    //! Generated from `sdk/wit`. What guests are given is borrowed, what they answer is owned.

    #![allow(
        unsafe_code,
        reason = "the generated implementations of wasmtime's own traits are marked unsafe"
    )]
    #![allow(
        missing_docs,
        unreachable_pub,
        clippy::all,
        reason = "generated; the text of the contract is in `sdk/wit/policy.wit`"
    )]

    wasmtime::component::bindgen!({
        path: "../../sdk/wit",
        world: "policy",
        ownership: Borrowing { duplicate_if_necessary: true },
        additional_derives: [PartialEq],
    });
}

use wasmtime::Store;
use wasmtime::component::InstancePre;

use super::{ContractExports, LinkedComponent, types};
use crate::guest::state::GuestState;

#[allow(
    unreachable_pub,
    reason = "the generated bindings of another version re-export what they share"
)]
pub use bindings::tero;

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
        request: types::Request<'_>,
        now: types::Moment<'_>,
    ) -> wasmtime::Result<types::RequestDecision> {
        self.call_on_request(store, request, now)
    }

    fn on_response(
        &self,
        store: &mut Store<GuestState>,
        request: types::Request<'_>,
        response: types::Response<'_>,
        now: types::Moment<'_>,
    ) -> wasmtime::Result<types::ResponseDecision> {
        self.call_on_response(store, request, response, now)
    }

    fn plan_warm(
        &self,
        store: &mut Store<GuestState>,
        plan: &str,
        popular: &[types::PopularPage<'_>],
        now: types::Moment<'_>,
    ) -> wasmtime::Result<Vec<types::WarmUrl>> {
        self.call_plan_warm(store, plan, popular, now)
    }
}
