//! The fuzz targets: each gives its bytes to several readers, and asserts properties of the
//! results. The ordinary tests replay the committed corpus with the same functions.
//!
//! - `wire`: the bytes of connections, from clients and from next hops
//! - `urls`: targets, hosts, queries and references, and the keys made from them
//! - `fields`: the fields of requests and responses, with cookies and upgrades, and what
//!   `Cache-Status` and the access log say about them
//! - `exchange`: the fields over the life of a stored response
//! - `answers`: the answers of policies
//! - `files`: files that operators write, send or fetch, and files of the state directory; the
//!   first line says which kind
//! - `disk`: the files of a disk, arbitrary ones and changed ones
//!
//! Not covered: WebAssembly, which wasmtime and wit-component read, and compiled modules on disk,
//! which are used only if their checksum is right.
//!
//! Inputs for text formats are text, so that a corpus can be read and written by hand.

mod contents;
mod disk;
mod exchange;
mod fields;
mod files;
mod next_hop;
mod script;
mod state;
mod urls;
mod wire;

pub use disk::disk;
pub use exchange::exchange;
pub use fields::fields;
pub use files::files;
pub use urls::urls;
pub use wire::wire;

/// Reads answers of policies.
pub fn answers(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        tero_policy_host::fuzzing::answers(text);
    }
}

/// A fuzz target.
pub type Target = fn(&[u8]);

/// All targets, by the name of their corpus folder.
pub const TARGETS: [(&str, Target); 7] = [
    ("answers", answers),
    ("disk", disk),
    ("exchange", exchange),
    ("fields", fields),
    ("files", files),
    ("urls", urls),
    ("wire", wire),
];
