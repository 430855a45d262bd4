//! Warming: sends a plan's URLs down the request path when a local-time window opens, or when asked.
