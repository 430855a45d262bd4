//! Fields that end at this hop, and the traces that each hop leaves: `Connection`, `Via`, `CDN-Loop` (RFC 9110 §7.6, RFC 8586).
