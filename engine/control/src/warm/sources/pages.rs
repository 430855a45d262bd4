//! Pages as lists write them: a path with its query.

/// Longer targets are not fetched: no server has to take them.
pub(super) const MAX_TARGET_BYTES: usize = 4_096;

/// What a file lists, one a line; empty lines and those that begin with `#` are none.
pub fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The target that a visitor would ask for; none where there is no such page.
pub fn target(text: &str) -> Option<&str> {
    let good = text.starts_with('/')
        && text.len() <= MAX_TARGET_BYTES
        && text.parse::<http::Uri>().is_ok();
    // A fragment never leaves the browser.
    good.then(|| text.split('#').next().unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_a_page_a_line() {
        let text = "# the start page\n/\r\n\n  /barberias?zona=palermo#mapa \n#/no";
        assert_eq!(
            listed(text).collect::<Vec<_>>(),
            ["/", "/barberias?zona=palermo#mapa"]
        );
    }

    #[test]
    fn a_target_is_a_path_that_can_be_asked_for() {
        for (text, expected) in [
            ("/", Some("/")),
            (
                "/barberias?zona=palermo#mapa",
                Some("/barberias?zona=palermo"),
            ),
            ("http://a/", None),
            ("a", None),
            ("", None),
            ("/a b", None),
            ("/a\nb", None),
        ] {
            assert_eq!(target(text), expected, "{text}");
        }
        let long = |length: usize| format!("/{}", "x".repeat(length - 1));
        assert!(
            target(&long(MAX_TARGET_BYTES)).is_some()
                && target(&long(MAX_TARGET_BYTES + 1)).is_none()
        );
    }
}
