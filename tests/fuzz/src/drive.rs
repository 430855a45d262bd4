//! What the fuzz targets do with their bytes: each drives several readers and says what must hold of what they read. The same
//! functions replay the committed corpus in the ordinary test run.
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
        tero::policy::fuzzing::answers(text);
    }
}

/// A target of the corpus folder `name`.
pub type Target = fn(&[u8]);

/// Every target under the name of its corpus.
pub const TARGETS: [(&str, Target); 6] =
    [("answers", answers), ("exchange", exchange), ("fields", fields), ("files", files), ("urls", urls), ("wire", wire)];
