//! What is used at a desk: set-ups, projects of policies, previews, imports, replays, the demo.

pub mod demo;
pub mod import;
pub mod preview;
pub mod project;
pub mod replay;
pub mod templates;
