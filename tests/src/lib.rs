//! Black-box tests of tero: a scripted origin, an edge, a client.

pub mod guests;
