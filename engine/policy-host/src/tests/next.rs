//! A next version of the contract, as it would be added: its bindings, and the conversions from and
//! to the newest types.

mod bindings {
    #![allow(
        unsafe_code,
        missing_docs,
        unreachable_pub,
        clippy::all,
        reason = "generated"
    )]

    wasmtime::component::bindgen!({
        path: ["../../sdk/wit", "src/tests/next"],
        world: "tero:policy/policy@0.2.0",
        ownership: Borrowing { duplicate_if_necessary: true },
        with: { "tero:policy/types@0.1.0": crate::contract::types },
    });
}

use wasmtime::Store;
use wasmtime::component::InstancePre;

use self::bindings::tero::policy0_2_0::types as next;
use crate::contract::exports::{ContractExports, LinkedComponent};
use crate::contract::types;
use crate::guest::state::GuestState;

pub(crate) fn link(
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
        self.call_on_request(store, asked(request), now)
    }

    fn on_response(
        &self,
        store: &mut Store<GuestState>,
        request: types::Request<'_>,
        response: types::Response<'_>,
        now: types::Moment<'_>,
    ) -> wasmtime::Result<types::ResponseDecision> {
        self.call_on_response(store, asked(request), response, now)
            .map(decided)
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

fn asked(request: types::Request<'_>) -> next::Request<'_> {
    let types::Request {
        method,
        scheme,
        host,
        path,
        query,
        headers,
        cookies,
        device,
        variant_name,
    } = request;
    next::Request {
        method,
        scheme,
        host,
        path,
        query,
        headers,
        cookies,
        device,
        variant_name,
        protocol: "HTTP/1.1",
    }
}

fn decided(decision: next::ResponseDecision) -> types::ResponseDecision {
    let next::ResponseDecision {
        storing,
        ttl_ms,
        tags,
        reason,
    } = decision;
    types::ResponseDecision {
        storing,
        ttl_secs: ttl_ms.map(|millis| u32::try_from(millis / 1_000).unwrap_or(u32::MAX)),
        browser_ttl_secs: None,
        stale_while_revalidate_secs: None,
        stale_if_error_secs: None,
        tags,
        reason,
    }
}
