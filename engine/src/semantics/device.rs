//! The class of the visitor's device: client hints first, then the user agent.
