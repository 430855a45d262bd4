//! Switching to another protocol: `Upgrade` (RFC 9110 §7.8).

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue};

use super::list::list_members;

/// The protocol that `Upgrade` names; `None` if the field is absent or names several.
///
/// ```
/// use http::header::{HeaderMap, HeaderValue, UPGRADE};
/// use tero_semantics::upgrade::only_protocol;
///
/// let request = |value| HeaderMap::from_iter([(UPGRADE, HeaderValue::from_static(value))]);
/// assert_eq!(only_protocol(&request("websocket")).unwrap(), "websocket");
/// assert_eq!(only_protocol(&request("websocket, h2c")), None);
/// ```
pub fn only_protocol(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut lines = headers.get_all(UPGRADE).iter();
    let only = lines
        .next()
        .filter(|line| !line.is_empty() && !line.as_bytes().contains(&b','))?;
    lines.next().is_none().then_some(only)
}

/// Whether `Connection` names `Upgrade`. Without it, `Upgrade` must be ignored (RFC 9110 §7.8).
///
/// ```
/// use http::header::{CONNECTION, HeaderMap, HeaderValue};
/// use tero_semantics::upgrade::is_meant;
///
/// let request = |value| HeaderMap::from_iter([(CONNECTION, HeaderValue::from_static(value))]);
/// assert!(is_meant(&request("keep-alive, Upgrade")));
/// assert!(!is_meant(&request("keep-alive")));
/// ```
pub fn is_meant(headers: &HeaderMap) -> bool {
    let mut options = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|line| list_members(line.as_bytes()));
    options.any(|option| option.eq_ignore_ascii_case(b"upgrade"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_protocols_count_as_none() {
        for (lines, named) in [
            (&["websocket"][..], Some("websocket")),
            (&[], None),
            (&[""], None),
            (&["websocket, h2c"], None),
            (&["websocket", "h2c"], None),
        ] {
            let mut map = HeaderMap::new();
            for line in lines {
                map.append(UPGRADE, HeaderValue::from_static(line));
            }
            assert_eq!(
                only_protocol(&map).map(|name| name.to_str().unwrap()),
                named,
                "{lines:?}"
            );
        }
    }

    #[test]
    fn an_upgrade_counts_only_if_connection_names_it() {
        for (line, expected) in [
            ("Upgrade", true),
            ("keep-alive, upgrade", true),
            ("upgraded", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(CONNECTION, HeaderValue::from_static(line))]);
            assert_eq!(is_meant(&headers), expected, "{line}");
        }
    }
}
