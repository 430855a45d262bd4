//! Hosts of a site as a configuration names them: a host, `*.example.org` for every name below one,
//! or `*` for every host. Of several that cover a host, the most exact one is meant: the host itself,
//! then the longest name below which it is, then `*`.

/// The longest name of a host in the domain name system (RFC 1035 §2.3.4), in bytes. A longer one
/// is below no name: looking for it would take quadratic time.
const MAX_NAME: usize = 253;

/// Whether a host of a site stands for several, so that no request can be made under it.
///
/// ```
/// use tero_semantics::host_pattern::is_pattern;
///
/// assert!(is_pattern("*") && is_pattern("*.shop.example"));
/// assert!(!is_pattern("shop.example"));
/// ```
pub fn is_pattern(named: &str) -> bool {
    named.starts_with('*')
}

/// Whether a host of a site covers `host`, which is in lower case. A port is part of both or of
/// neither. `*.shop.example` covers names at any depth, and not `shop.example` itself.
///
/// ```
/// use tero_semantics::host_pattern::covers;
///
/// assert!(covers("*.shop.example", "a.b.shop.example"));
/// assert!(!covers("*.shop.example", "shop.example"));
/// assert!(!covers("*.shop.example", "workshop.example"));
/// assert!(covers("*", "shop.example"));
/// ```
pub fn covers(named: &str, host: &str) -> bool {
    match named.strip_prefix('*') {
        Some("") => true,
        Some(below) => names_above(host).any(|above| above == below),
        None => named == host,
    }
}

/// Whether a site that names the hosts `own` answers for `host`, beside sites that name `others`:
/// the most exact host decides. One that several sites name belongs to none of them.
///
/// ```
/// use tero_semantics::host_pattern::belongs;
///
/// let (shop, blog) = (["*.shop.example"], ["blog.shop.example"]);
/// assert!(belongs("www.shop.example", &shop, &blog));
/// assert!(!belongs("blog.shop.example", &shop, &blog));
/// ```
pub fn belongs(host: &str, own: &[impl AsRef<str>], others: &[impl AsRef<str>]) -> bool {
    exactness(own, host) > exactness(others, host)
}

/// How exactly the best of these hosts covers `host`; 0 if none does.
fn exactness(named: &[impl AsRef<str>], host: &str) -> usize {
    let covering = named
        .iter()
        .map(AsRef::as_ref)
        .filter(|named| covers(named, host));
    let exact = covering.map(|named| match is_pattern(named) {
        true => named.len(),
        false => usize::MAX,
    });
    exact.max().unwrap_or(0)
}

/// The names that a host is below, the longest first, each with a dot in front: what follows the star
/// in the patterns that cover it.
///
/// ```
/// use tero_semantics::host_pattern::names_above;
///
/// assert!(names_above("a.b.example").eq([".b.example", ".example"]));
/// ```
pub fn names_above(host: &str) -> impl Iterator<Item = &str> {
    let is_name = host.len() <= MAX_NAME;
    let dots = host
        .match_indices('.')
        .filter(move |(at, _)| is_name && *at > 0);
    dots.map(|(at, _)| &host[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_covered_by_what_it_is_below() {
        for (named, host, expected) in [
            ("*.example", "a.example", true),
            ("*.example", "example", false),
            ("*.example", ".example", false),
            ("*.b.example", "a.example", false),
            ("*.b.example", "a.b.example", true),
            ("*.example", "a.example.org", false),
            ("*.example", "a.example:8080", false),
            ("a.example:8080", "a.example:8080", true),
            ("*", "[::1]", true),
        ] {
            assert_eq!(covers(named, host), expected, "{named} {host}");
        }
    }

    #[test]
    fn names_that_cannot_exist_are_below_none() {
        let host = |length: usize| format!("{}.example", "a.".repeat((length - 9) / 2) + "a");
        let (longest, longer) = (host(253), host(255));
        assert_eq!((longest.len(), longer.len()), (253, 255));
        assert!(covers("*.example", &longest));
        assert!(!covers("*.example", &longer));
    }

    #[test]
    fn the_most_exact_host_decides() {
        for (own, others, expected) in [
            (&["*"][..], &[][..], true),
            (&[], &["*"], false),
            (&["*"], &["*.example"], false),
            (&["*.b.example"], &["*.example"], true),
            (&["*.b.example"], &["a.b.example"], false),
            (&["a.b.example", "*"], &["*.b.example"], true),
        ] {
            assert_eq!(belongs("a.b.example", own, others), expected, "{own:?}");
        }
    }
}
