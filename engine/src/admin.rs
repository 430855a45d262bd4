//! The operators' interface: purge, health, metrics, warming; never on the public listener.
