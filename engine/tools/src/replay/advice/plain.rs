//! What of a request may be written into a configuration. Clients choose their paths and queries: a
//! star would be a pattern for more than they asked for, and a quote would end a text.

/// The longest path, and the longest name of a parameter, that is proposed, in bytes.
const MAX_BYTES: usize = 128;

/// The pattern of a path: everything in its folder, or the path itself at the top. `None` for a path
/// that is not proposed: it is not plain.
pub(super) fn pattern_of(path: &str) -> Option<String> {
    if !is_plain_path(path) {
        return None;
    }
    Some(match path.rsplit_once('/') {
        Some(("", _)) | None => path.to_owned(),
        Some((folder, _)) => format!("{folder}/*"),
    })
}

/// Whether a path is plain: short, with no empty and no dot segment, of letters, digits and `-._~@:+`.
fn is_plain_path(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else {
        return false;
    };
    let is_good = |segment: &str| !matches!(segment, "." | "..") && segment.bytes().all(is_plain);
    let mut segments = rest.rsplit('/');
    let last = segments.next().unwrap_or_default();
    path.len() <= MAX_BYTES
        && is_good(last)
        && segments.all(|folder| !folder.is_empty() && is_good(folder))
}

/// Whether a pattern is one that [`pattern_of`] makes.
pub(super) fn is_plain_pattern(pattern: &str) -> bool {
    is_plain_path(pattern.strip_suffix('*').unwrap_or(pattern))
}

/// Whether a name of a query's parameter is plain: short, of letters, digits and `-._~@:+`.
pub(super) fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_BYTES && name.bytes().all(is_plain)
}

/// Whether a host is plain: a short name or IPv4 address, without a port.
pub(super) fn is_plain_host(host: &str) -> bool {
    let is_good =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    !host.is_empty() && host.len() <= MAX_BYTES && host.bytes().all(is_good)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~@:+".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_have_patterns() {
        for (path, pattern) in [
            ("/", Some("/")),
            ("/a", Some("/a")),
            ("/a/", Some("/a/*")),
            ("/a/b.c/d-e_f", Some("/a/b.c/*")),
            ("/*/a", None),
            ("/a*", None),
            ("/a/\"]\nx", None),
            ("/a\\b", None),
            ("/a/{b}/c", None),
            ("/a,b/c", None),
            ("//a", None),
            ("/a//b", None),
            ("/a/../b", None),
            ("/a/./b", None),
            ("/a/..", None),
            ("/%2e%2e/a", None),
            ("/ñ/a", None),
            ("a", None),
            ("", None),
        ] {
            assert_eq!(pattern_of(path).as_deref(), pattern, "{path}");
            assert!(pattern.is_none_or(is_plain_pattern));
        }
        assert_eq!(pattern_of(&format!("/{}", "a".repeat(MAX_BYTES))), None);
        for pattern in ["*", "/a*b", "/a\"*", "a/*"] {
            assert!(!is_plain_pattern(pattern), "{pattern}");
        }
    }

    #[test]
    fn hosts_with_signs_are_not_plain() {
        for host in [
            "",
            "*",
            "*.a.example",
            "a\"b",
            "a.example:81",
            "[::1]",
            "A.example",
            "ñ.example",
        ] {
            assert!(!is_plain_host(host), "{host}");
        }
        for host in ["a.example", "xn--a.b-c.example", "127.0.0.1"] {
            assert!(is_plain_host(host), "{host}");
        }
    }

    #[test]
    fn names_with_signs_are_not_plain() {
        for name in ["", "*", "utm_*", "a\"b", "a]", "a b", "a%20", "é"] {
            assert!(!is_plain_name(name), "{name}");
        }
        for name in ["page", "ref", "utm_source", "a.b-c"] {
            assert!(is_plain_name(name), "{name}");
        }
    }
}
