//! File descriptors: the limit is raised at the start, and some are kept from clients, so that the
//! admin interface, the log and connections to origins have theirs.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tero_config::Config;

/// Descriptors for connections to the admin interface.
const FOR_ADMIN: u64 = 160;
/// Descriptors for the log, for files of the state directory and for looking up names.
const FOR_FILES: u64 = 32;
/// Descriptors that the runtime of a worker opens.
const FOR_WORKER: u64 = 4;

/// The number of client connections that the descriptors of this process allow, at most `[server]
/// max_connections`. Raises the soft limit of descriptors to the hard one before, and logs a warning
/// if that does not suffice.
pub(crate) fn client_connections(config: &Config) -> usize {
    let Some(limit) = raise_limit() else {
        return config.server.max_connections;
    };
    let connections = config.server.max_connections;
    let (sites, workers) = (&config.sites, config.server.workers as u64);
    let fetches: usize = sites.iter().map(|site| site.max_origin_connections).sum();
    let tunnels: usize = sites.iter().map(|site| site.max_tunnels).sum();
    let need = DescriptorNeed {
        open: open_descriptors() + FOR_WORKER * workers,
        // Each tunnel takes a client connection, too.
        origins: (fetches + tunnels.min(connections)) as u64,
        connections,
    };
    let connections = need.connections_within(limit);
    if connections < need.connections {
        tracing::warn!(
            max_connections = need.connections,
            limit,
            needed = need.all(),
            "max_connections can't be met: no more than {connections} connections are open at a time, since no more than \
             {limit} files may be open; raise that limit (LimitNOFILE of systemd, ulimit -Hn)"
        );
    }
    connections
}

/// The connections to the admin interface that the descriptors of this process allow, at most `most`:
/// an eighth of a low limit.
pub(crate) fn admin_connections(most: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(most, |limit| admin_connections_within(limit, most))
}

fn admin_connections_within(limit: u64, most: usize) -> usize {
    usize::try_from(limit / 8)
        .unwrap_or(usize::MAX)
        .clamp(1, most)
}

/// The descriptors that an edge needs.
#[derive(Clone, Copy, Debug)]
struct DescriptorNeed {
    /// Those that are open already, or will be once the edge serves.
    open: u64,
    /// Those for connections to origins.
    origins: u64,
    /// Client connections that the configuration allows.
    connections: usize,
}

impl DescriptorNeed {
    /// Those that are not for clients.
    fn kept(&self) -> u64 {
        FOR_ADMIN + FOR_FILES + self.origins
    }

    /// All of them.
    fn all(&self) -> u64 {
        self.open + self.kept() + self.connections as u64
    }

    /// The client connections that `limit` leaves room for. If it is low, half of it is kept for
    /// other purposes.
    fn connections_within(&self, limit: u64) -> usize {
        let kept = self.kept().min(limit / 2);
        let left = limit.saturating_sub(self.open + kept);
        usize::try_from(left)
            .unwrap_or(usize::MAX)
            .clamp(1, self.connections)
    }
}

/// Raises the soft limit to the hard one. Returns the limit that holds; `None` if there is none.
fn raise_limit() -> Option<u64> {
    let now = getrlimit(Resource::Nofile);
    if now.current == now.maximum {
        return now.current;
    }
    let raised = Rlimit {
        current: now.maximum,
        maximum: now.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => now.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files can't be raised");
            now.current
        }
    }
}

/// The number of descriptors that are open.
fn open_descriptors() -> u64 {
    let process = procfs::process::Process::myself();
    let open = process.and_then(|process| process.fd_count());
    open.map_or(0, |open| open as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_what_the_others_leave() {
        let need = DescriptorNeed {
            open: 40,
            origins: 256,
            connections: 10_000,
        };
        assert_eq!(need.all(), 40 + 160 + 32 + 256 + 10_000);
        for (limit, expected) in [
            (u64::MAX, 10_000),
            (10_488, 10_000),
            (10_487, 9_999),
            (1_024, 536),
            // Half of a low limit is kept.
            (256, 88),
            (100, 10),
            (10, 1),
            (0, 1),
        ] {
            assert_eq!(need.connections_within(limit), expected, "{limit}");
        }
    }

    #[test]
    fn the_admin_interface_has_an_eighth_of_a_low_limit() {
        for (limit, expected) in [
            (u64::MAX, 128),
            (1_024, 128),
            (1_023, 127),
            (128, 16),
            (0, 1),
        ] {
            assert_eq!(admin_connections_within(limit, 128), expected, "{limit}");
        }
    }
}
