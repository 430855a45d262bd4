//! The cookies of a request (RFC 6265 §4.2.1, §5.4).

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

/// The cookies with these names, as pairs of an index into `names` and a value, in the order in
/// which the client sent them. A cookie without `=` is left out.
pub fn cookies<'a>(
    headers: &'a HeaderMap,
    names: &'a [Box<str>],
) -> impl Iterator<Item = (usize, &'a [u8])> {
    let lines = if names.is_empty() {
        None
    } else {
        Some(headers.get_all(COOKIE))
    };
    lines
        .into_iter()
        .flatten()
        .map(HeaderValue::as_bytes)
        .flat_map(|line| line.split(|byte| *byte == b';'))
        .filter_map(|pair| {
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
            Some((
                names.iter().position(|wanted| wanted.as_bytes() == name)?,
                value,
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_come_in_the_order_in_which_they_were_sent() {
        let mut headers = HeaderMap::new();
        for line in ["b=2; a = 1 ;c=3;=x;a", "a=x=y; ; A=4"] {
            headers.append(COOKIE, HeaderValue::from_static(line));
        }
        let names = ["a".into(), "b".into()];
        let found: Vec<_> = cookies(&headers, &names).collect();
        assert_eq!(found, [(1, b"2".as_slice()), (0, b"1"), (0, b"x=y")]);
        assert_eq!(cookies(&headers, &[]).count(), 0);
    }
}
