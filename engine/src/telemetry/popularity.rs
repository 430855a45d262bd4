//! What visitors want: pages by how often they are asked for.
