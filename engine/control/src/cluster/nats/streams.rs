//! The streams and buckets of a fleet, with their limits. [`prepare_all`] alone makes them: nodes need no
//! right to create or delete any.

use std::time::Duration;

use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{
    Config as StreamConfig, DiscardPolicy, RetentionPolicy, StorageType,
};
use async_nats::jetstream::{Context, ErrorCode};
use tero_config as config;
use tero_time::clock::Clock;

use super::{NatsError, REQUEST_TIMEOUT, answer, connect, jetstream_of, with_causes};
use crate::cluster::prepared_stream::{PreparedStream, StreamChange};
use crate::cluster::purge_log::MAX_ENTRY;
use crate::cluster::work::WORK_BYTES;

/// The purge log, see [`purge_log`](crate::cluster::purge_log).
pub const PURGES: &str = "PURGES";
/// The object store of modules and tables, by digest.
pub const MODULES: &str = "MODULES";
/// The bucket of what is active.
pub const ACTIVE: &str = "ACTIVE";
/// The bucket of leases.
pub const LEASES: &str = "LEASES";

/// The queue of pages that nodes share.
pub const WARM: &str = "WARM";
/// The bucket of the reports of shared runs.
pub const RUNS: &str = "RUNS";

/// How long a purge stays in the log. A node that was away for longer takes everything for stale.
const PURGES_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// The largest purge log, in bytes.
const PURGES_BYTES: i64 = 1 << 30;
/// The largest message of the purge log, in bytes: the largest entry that nodes read, with its headers.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "both are some KiB"
)]
const MAX_MESSAGE: i32 = (MAX_ENTRY + MAX_HEADERS) as i32;
/// The longest headers of an entry, in bytes: its id, and the name of the stream.
const MAX_HEADERS: usize = 1_024;
/// How long the log knows the id of an entry: a purge that is sent again in this time is not logged
/// twice.
const KNOWN_FOR: Duration = Duration::from_secs(120);
/// The largest store of modules and tables, in bytes.
const MODULES_BYTES: i64 = 1 << 30;
/// The largest bucket, in bytes.
const BUCKET_BYTES: i64 = 64 << 20;
/// Values that are kept of what was active before.
const ACTIVE_HISTORY: i64 = 64;
/// A lease that is not renewed for so long has ended.
const LEASES_AGE: Duration = Duration::from_secs(15);
/// How long pages wait for a node, and reports of runs stay: as long as the longest run.
const RUNS_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// The largest queue of pages, in bytes.
#[allow(clippy::cast_possible_wrap, reason = "it is some MiB")]
const WARM_BYTES: i64 = WORK_BYTES as i64;
/// Copies that are tried, the most first: as many as there are servers, at most three.
const REPLICAS: [usize; 2] = [3, 1];

/// Makes what a fleet needs, and gives what is there the limits of this version. Nothing is deleted.
///
/// # Errors
/// [`NatsError`]; what was made before stays.
pub async fn prepare_all(settings: &config::Cluster) -> Result<Vec<PreparedStream>, NatsError> {
    let client = connect(settings).await?;
    let jetstream = jetstream_of(client.clone());
    let mut prepared = Vec::new();
    for stream in streams(settings) {
        prepared.push(prepare(&jetstream, stream).await?);
    }
    let _ = client.drain().await;
    Ok(prepared)
}

/// All streams with their limits; the copies are those of a single server.
pub fn streams(settings: &config::Cluster) -> Vec<StreamConfig> {
    let purges = StreamConfig {
        name: settings.named(PURGES),
        subjects: vec![settings.subject("purges")],
        description: Some("Purges of the fleet, in order".to_owned()),
        max_age: PURGES_AGE,
        max_bytes: PURGES_BYTES,
        max_message_size: MAX_MESSAGE,
        duplicate_window: KNOWN_FOR,
        // An entry that is taken out leaves a gap, which all nodes take for a loss.
        deny_delete: true,
        deny_purge: true,
        ..unbounded()
    };
    let name = settings.named(MODULES);
    let modules = StreamConfig {
        name: format!("OBJ_{name}"),
        subjects: vec![format!("$O.{name}.C.>"), format!("$O.{name}.M.>")],
        description: Some("Modules and data tables by digest".to_owned()),
        discard: DiscardPolicy::New,
        max_bytes: MODULES_BYTES,
        allow_rollup: true,
        allow_direct: true,
        ..unbounded()
    };
    let warm = StreamConfig {
        name: settings.named(WARM),
        subjects: vec![settings.subject("warm.>")],
        description: Some("Pages of plans that nodes share".to_owned()),
        retention: RetentionPolicy::WorkQueue,
        discard: DiscardPolicy::New,
        max_age: RUNS_AGE,
        max_bytes: WARM_BYTES,
        duplicate_window: KNOWN_FOR,
        ..unbounded()
    };
    let bucket = |name: &str, about: &str, history: i64, age: Duration| {
        let bucket = settings.named(name);
        StreamConfig {
            name: format!("KV_{bucket}"),
            subjects: vec![format!("$KV.{bucket}.>")],
            description: Some(about.to_owned()),
            discard: DiscardPolicy::New,
            max_messages_per_subject: history,
            max_bytes: BUCKET_BYTES,
            max_age: age,
            // The server wants it no longer than the age.
            duplicate_window: if age.is_zero() {
                KNOWN_FOR
            } else {
                age.min(KNOWN_FOR)
            },
            allow_rollup: true,
            deny_delete: true,
            allow_direct: true,
            ..unbounded()
        }
    };
    vec![
        purges,
        modules,
        warm,
        bucket(RUNS, "Reports of shared runs", 1, RUNS_AGE),
        bucket(ACTIVE, "What is active", ACTIVE_HISTORY, Duration::ZERO),
        bucket(LEASES, "Who does what is done once", 1, LEASES_AGE),
    ]
}

fn unbounded() -> StreamConfig {
    StreamConfig {
        max_messages: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        storage: StorageType::File,
        discard: DiscardPolicy::Old,
        num_replicas: 1,
        ..StreamConfig::default()
    }
}

async fn prepare(jetstream: &Context, wanted: StreamConfig) -> Result<PreparedStream, NatsError> {
    let name = &wanted.name;
    let clock = Clock::real();
    let found = clock.timeout(REQUEST_TIMEOUT, jetstream.get_stream(name));
    let failed = |cause: String| NatsError::Request {
        asked: "looking at a stream",
        cause: format!("{name}: {cause}"),
    };
    match found.await {
        Err(_) => Err(failed("no answer in time".to_owned())),
        Ok(Ok(stream)) => update(jetstream, &stream.cached_info().config, wanted).await,
        Ok(Err(error)) => match error.kind() {
            GetStreamErrorKind::JetStream(told)
                if told.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                create(jetstream, wanted).await
            }
            _ => Err(failed(with_causes(&error))),
        },
    }
}

/// Makes a stream with as many copies as there are servers for.
async fn create(jetstream: &Context, wanted: StreamConfig) -> Result<PreparedStream, NatsError> {
    let name = wanted.name.clone();
    let mut cause = String::new();
    for replicas in REPLICAS {
        let stream = StreamConfig {
            num_replicas: replicas,
            ..wanted.clone()
        };
        let error = match jetstream.create_stream(stream).await {
            Ok(_) => {
                return Ok(PreparedStream {
                    name,
                    change: StreamChange::Created,
                    replicas,
                });
            }
            Err(error) => error,
        };
        cause = format!("{name}: {}", with_causes(&error));
        match error.kind() {
            CreateStreamErrorKind::JetStream(error) if is_too_many(error.error_code()) => {}
            _ => break,
        }
    }
    Err(NatsError::Request {
        asked: "making a stream",
        cause,
    })
}

/// Whether the servers are too few for so many copies.
fn is_too_many(code: ErrorCode) -> bool {
    [
        ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED,
        ErrorCode::CLUSTER_NO_PEERS,
    ]
    .contains(&code)
}

/// Gives a stream that is there the limits of this version. It keeps its copies.
async fn update(
    jetstream: &Context,
    before: &StreamConfig,
    wanted: StreamConfig,
) -> Result<PreparedStream, NatsError> {
    let name = wanted.name.clone();
    let replicas = before.num_replicas;
    let stream = StreamConfig {
        num_replicas: replicas,
        // These can't be changed, and say nothing about limits.
        storage: before.storage,
        retention: before.retention,
        placement: before.placement.clone(),
        ..wanted
    };
    let after = answer("changing a stream", jetstream.update_stream(&stream)).await?;
    let change = match after.config == *before {
        true => StreamChange::Unchanged,
        false => StreamChange::Updated,
    };
    Ok(PreparedStream {
        name,
        change,
        replicas,
    })
}
