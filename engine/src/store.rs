//! Stored responses in memory, their weight, and the surrogate-key index.
