//! What the fuzz targets do with their bytes: each drives several readers and says what must hold
//! of what they read. The same functions replay the committed corpus in the ordinary test run.
//!
//! - `wire`: the bytes of connections, from clients and from next hops
//! - `urls`: targets, hosts, queries and references, and the keys made from them
//! - `fields`: the fields of requests and responses, cookies and upgrades among them, and what is
//!   said of them in `Cache-Status` and the access log
//! - `exchange`: the same over the life of a stored response
//! - `answers`: what guests answer
//! - `files`: what operators write, send and fetch, and what is read back from the state directory;
//!   its first line says which
//!
//! Not driven: WebAssembly (wasmtime and wit-component read it), and compiled modules on disk,
//! which count only with their checksum.
//!
//! Inputs are text wherever what is read is text, so that a corpus can be read and written by hand.

mod contents;
mod exchange;
mod fields;
mod files;
mod next_hop;
mod script;
mod state;
mod urls;
mod wire;

pub use exchange::exchange;
pub use fields::fields;
pub use files::files;
pub use urls::urls;
pub use wire::wire;

/// What guests answer.
pub fn answers(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        tero_policy_host::fuzzing::answers(text);
    }
}

/// A target of the corpus folder `name`.
pub type Target = fn(&[u8]);

/// Every target under the name of its corpus.
pub const TARGETS: [(&str, Target); 6] = [
    ("answers", answers),
    ("exchange", exchange),
    ("fields", fields),
    ("files", files),
    ("urls", urls),
    ("wire", wire),
];
