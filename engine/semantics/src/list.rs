//! Fields that are lists (RFC 9110 §5.6.1), and tokens (§5.6.2).

/// Whether a byte may stand in a token.
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Where the quoted string ends that begins just before `rest`: the place of its closing quote.
pub(super) fn closing_quote(rest: &[u8]) -> Option<usize> {
    let mut escaped = false;
    rest.iter().position(|byte| {
        let closes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    })
}

/// The members of a list, without surrounding white space and without the empty ones. A comma
/// inside a quoted string separates nothing. If a quote is never closed, it and all later quotes
/// are ordinary characters, so that it can't hide what follows it.
pub(super) fn list_members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = line;
    let mut quotes_close = true;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let end = member_end(rest, &mut quotes_close);
            let member = rest[..end].trim_ascii();
            rest = rest.get(end + 1..).unwrap_or_default();
            if !member.is_empty() {
                return Some(member);
            }
        }
        None
    })
}

/// Where the first member of `rest` ends. `quotes_close` becomes false for good at the first quote
/// that isn't closed, so that a line of a thousand such quotes is still read only twice.
fn member_end(rest: &[u8], quotes_close: &mut bool) -> usize {
    let mut at = 0;
    while let Some(byte) = rest.get(at) {
        match byte {
            b',' => return at,
            b'"' if *quotes_close => match closing_quote(&rest[at + 1..]) {
                Some(length) => at += length + 1,
                None => *quotes_close = false,
            },
            _ => {}
        }
        at += 1;
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_unclosed_quotes_is_read_in_linear_time() {
        let line = format!("\"{}", "\\\",".repeat(100_000));
        assert_eq!(list_members(line.as_bytes()).count(), 100_000);
    }
}
