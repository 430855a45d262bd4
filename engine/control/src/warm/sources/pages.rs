//! Pages in lists: paths with their queries.

/// The longest target that is fetched, in bytes; servers need not accept longer ones.
pub(super) const MAX_TARGET_BYTES: usize = 4_096;

/// The pages of a list, one per line. Empty lines and lines that begin with `#` are skipped.
pub fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The target of a visitor's request for a listed page; `None` if the text is not a path that can
/// be requested.
pub fn target(text: &str) -> Option<&str> {
    let good = text.starts_with('/')
        && text.len() <= MAX_TARGET_BYTES
        && text.parse::<http::Uri>().is_ok();
    // Browsers do not send the fragment.
    good.then(|| text.split('#').next().unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_one_page_per_line() {
        let text = "# the start page\n/\r\n\n  /barberias?zona=palermo#mapa \n#/no";
        assert_eq!(
            listed(text).collect::<Vec<_>>(),
            ["/", "/barberias?zona=palermo#mapa"]
        );
    }

    #[test]
    fn a_target_is_a_path_that_can_be_requested() {
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
