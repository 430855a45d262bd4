//! From the bytes of a module to a policy: packages, components and their imports, compiled modules
//! on disk, and the built-in policies.

pub(crate) mod builtin;
pub(crate) mod compiled;
pub(crate) mod compiler;
pub(crate) mod component;
pub(crate) mod digest;
pub(crate) mod load;
pub(crate) mod package;
pub(crate) mod wrap;
