//! `tero cluster init`: makes the streams and buckets of a fleet. Nodes make none, so that a typing
//! error in a prefix does not become a second fleet, and an edge needs no right to do so.

use std::io;

use super::prepared_stream::PreparedStream;
use tero_config as config;

/// Why the streams of a fleet were not made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The program was built without the feature `cluster`.
    #[error("this program can't be a node of a fleet: build it with `--features cluster`")]
    NoCluster,
    /// The servers, or what they answer.
    #[error("{0}")]
    Servers(String),
    /// The runtime could not be made.
    #[error(transparent)]
    Start(#[from] io::Error),
}

/// Makes the streams and buckets of a fleet, or gives those that are there the limits of this version.
/// Nothing is deleted.
///
/// # Errors
/// [`InitError`]; what was made before stays.
#[cfg(feature = "cluster")]
pub fn prepare_streams(settings: &config::Cluster) -> Result<Vec<PreparedStream>, InitError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime
        .block_on(super::nats::streams::prepare_all(settings))
        .map_err(|error| InitError::Servers(error.to_string()))
}

/// This program can't be a node of a fleet.
///
/// # Errors
/// [`InitError::NoCluster`]
#[cfg(not(feature = "cluster"))]
pub fn prepare_streams(_: &config::Cluster) -> Result<Vec<PreparedStream>, InitError> {
    Err(InitError::NoCluster)
}
