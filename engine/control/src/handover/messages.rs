//! The messages between a process and its successor. A release may add members, which others pass
//! over; what must be understood has another number of [`PROTOCOL`].

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use tero_config::ListenAddress;
use tero_edge::server::open_sockets::SocketRole;

/// The protocol that is spoken here.
pub(super) const PROTOCOL: u32 = 1;

/// The first message: what the successor gets. The open files follow in the same order, the sockets
/// first, then the lock of the state directory if there is one.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Offer {
    pub(super) protocol: u32,
    /// The process that makes the offer.
    pub(super) process: u32,
    pub(super) sockets: Vec<OfferedSockets>,
    pub(super) has_lock: bool,
}

/// The sockets of one listener.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct OfferedSockets {
    role: OfferedRole,
    address: OfferedAddress,
    pub(super) dual_stack: bool,
    pub(super) owns_file: bool,
    pub(super) count: usize,
}

/// As [`SocketRole`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OfferedRole {
    Public,
    Admin,
}

/// As [`ListenAddress`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OfferedAddress {
    Tcp(std::net::SocketAddr),
    Unix(PathBuf),
}

/// What the successor says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SuccessorMessage {
    /// It can serve, and waits for [`PredecessorMessage::Go`].
    Ready {
        /// Its version.
        version: String,
        /// The commit that it was built from.
        commit: String,
    },
    /// It can't serve, and ends.
    Failed {
        /// Why.
        reason: String,
    },
}

/// What the process before says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PredecessorMessage {
    /// The successor serves from now on.
    Go {
        /// There were purges since the offer.
        purged: bool,
    },
    /// Requests that come by old connections are not answered any more.
    Quiet,
}

impl OfferedSockets {
    pub(super) fn new(
        role: SocketRole,
        address: &ListenAddress,
        dual_stack: bool,
        owns_file: bool,
        count: usize,
    ) -> OfferedSockets {
        OfferedSockets {
            role: match role {
                SocketRole::Public => OfferedRole::Public,
                SocketRole::Admin => OfferedRole::Admin,
            },
            address: match address {
                ListenAddress::Tcp(address) => OfferedAddress::Tcp(*address),
                ListenAddress::Unix(path) => OfferedAddress::Unix(path.clone()),
            },
            dual_stack,
            owns_file,
            count,
        }
    }

    pub(super) fn role(&self) -> SocketRole {
        match self.role {
            OfferedRole::Public => SocketRole::Public,
            OfferedRole::Admin => SocketRole::Admin,
        }
    }

    pub(super) fn address(&self) -> ListenAddress {
        match &self.address {
            OfferedAddress::Tcp(address) => ListenAddress::Tcp(*address),
            OfferedAddress::Unix(path) => ListenAddress::Unix(path.clone()),
        }
    }
}
