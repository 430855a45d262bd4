//! Connections to the next hop: pools, timeouts, retries, health.
