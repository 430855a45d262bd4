//! What a message says of another protocol (RFC 9110 §7.8).

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue};

use super::list::list_members;

/// The one protocol that `Upgrade` names; none where it names several.
pub fn only_protocol(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut lines = headers.get_all(UPGRADE).iter();
    let only = lines
        .next()
        .filter(|line| !line.is_empty() && !line.as_bytes().contains(&b','))?;
    lines.next().is_none().then_some(only)
}

/// Whether `Connection` says that `Upgrade` is meant.
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
    fn one_protocol_is_named_or_none() {
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
    fn an_upgrade_is_meant_where_connection_names_it() {
        for (line, meant) in [
            ("Upgrade", true),
            ("keep-alive, upgrade", true),
            ("upgraded", false),
            ("", false),
        ] {
            assert_eq!(
                is_meant(&HeaderMap::from_iter([(
                    CONNECTION,
                    HeaderValue::from_static(line)
                )])),
                meant,
                "{line}"
            );
        }
    }
}
