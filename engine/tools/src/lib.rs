//! Tools for the desk: templates of configurations, projects of policies, previews, imports,
//! replays, made-up traffic and the demo.

pub mod calendar_import;
pub mod demo;
mod dice;
pub mod disk_folder;
pub mod fuzz;
pub mod import;
pub mod preview;
pub mod project;
pub mod proof;
pub mod replay;
pub mod templates;
pub mod traffic;
