//! The legacy JSON policy file, turned into a configuration.
