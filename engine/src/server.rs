//! Listeners, HTTP/1, drain and shutdown.
