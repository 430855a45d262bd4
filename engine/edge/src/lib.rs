//! The data plane: from sockets to answers, out of memory or from the next hop.
//!
//! ```text
//! server → request → { store, collapse, origin }        telemetry, pace
//! ```
//!
//! [`request`] is the path of a request and where the other modules meet; [`store`], [`collapse`] and
//! [`origin`] do one thing each and do not know each other. Versions of policies, plans, the admin
//! interface and other nodes are unknown here.

pub mod collapse;
pub mod origin;
pub mod pace;
pub mod request;
pub mod run_id;
pub mod server;
pub mod store;
pub mod telemetry;
