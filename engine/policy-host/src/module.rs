//! From the bytes of a module to a policy that can be asked: what a package holds, what a module
//! imports, what is compiled and kept, and the policies that tero ships.

pub(crate) mod builtin;
pub(crate) mod compiled;
pub(crate) mod component;
pub(crate) mod digest;
pub(crate) mod load;
pub(crate) mod package;
