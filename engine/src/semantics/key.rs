//! The primary key: scheme, host, path, the query parameters that count in canonical order, the policies' variant.
