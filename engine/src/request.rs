//! The request path: receive, admit, look up, reuse or fetch, store, deliver.

pub mod devices;
