//! The data plane: from sockets to responses, out of memory or from the next hop.
//!
//! ```text
//! server → request → { store, collapse, origin, telemetry }        pace
//! ```
//!
//! [`request`] is the path of a request, where the other modules meet. [`store`], [`collapse`],
//! [`origin`] and [`pace`] do one thing each and don't know each other. Versions of policies,
//! plans, the admin interface and other nodes are unknown here.

pub mod collapse;
pub mod origin;
pub mod pace;
pub mod request;
pub mod run_id;
pub mod server;
pub mod store;
pub mod telemetry;
