//! The sample booking site that `tero demo` puts behind an edge.
