//! The cookies of a request (RFC 6265 §4.2.1, §5.4).

use http::HeaderMap;
use http::header::COOKIE;
use tero_semantics::cookies::told_cookies;

/// A cookie that a policy is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedCookie<'a> {
    /// The place of its name among those that were asked for.
    pub place: usize,
    /// The beginning of its name is asked for, and this is the rest.
    pub rest: Option<&'a [u8]>,
    /// Its name.
    pub name: &'a str,
    /// Its value.
    pub value: &'a [u8],
}

/// Whether a name as a manifest writes it, which may end in `*`, means a cookie.
pub fn is_meant(written: &str, name: &[u8]) -> bool {
    match written.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning.as_bytes()),
        None => written.as_bytes() == name,
    }
}

/// The cookies with these names, each of which may end in `*`, in the order in which the client
/// sent them. A cookie without `=` is left out, and so is one whose name is not UTF-8.
pub fn cookies<'a>(
    headers: &'a HeaderMap,
    names: &'a [Box<str>],
) -> impl Iterator<Item = NamedCookie<'a>> {
    let lines = if names.is_empty() {
        None
    } else {
        Some(headers.get_all(COOKIE))
    };
    lines
        .into_iter()
        .flatten()
        .flat_map(|line| told_cookies(line.as_bytes()))
        .filter_map(|(name, value)| {
            let place = names.iter().position(|wanted| is_meant(wanted, name))?;
            let beginning = names[place].strip_suffix('*');
            Some(NamedCookie {
                place,
                rest: beginning.map(|beginning| &name[beginning.len()..]),
                name: std::str::from_utf8(name).ok()?,
                value,
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn cookies_come_in_the_order_in_which_they_were_sent() {
        let mut headers = HeaderMap::new();
        for line in ["b=2; a = 1 ;c=3;=x;a", "a=x=y; ; A=4"] {
            headers.append(COOKIE, HeaderValue::from_static(line));
        }
        let names = ["a".into(), "b".into()];
        let found = cookies(&headers, &names).map(|cookie| (cookie.name, cookie.value));
        let expected: [(&str, &[u8]); 3] = [("b", b"2"), ("a", b"1"), ("a", b"x=y")];
        assert!(found.eq(expected));
        assert_eq!(cookies(&headers, &[]).count(), 0);
    }

    #[test]
    fn a_name_that_ends_in_a_star_means_all_that_begin_so() {
        let mut headers = HeaderMap::new();
        for line in [&b"s_1=a; S_1=b; s=c; s_=d"[..], b"s_\xff=e; t=f"] {
            headers.append(COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        let names = ["t".into(), "s_*".into()];
        let found =
            cookies(&headers, &names).map(|cookie| (cookie.place, cookie.name, cookie.rest));
        let expected: [(usize, &str, Option<&[u8]>); 3] =
            [(1, "s_1", Some(b"1")), (1, "s_", Some(b"")), (0, "t", None)];
        assert!(found.eq(expected));
        assert_eq!(cookies(&headers, &["*".into()]).count(), 5);
    }
}
