//! What a form gives, how a cure proposes a value that the form takes, and tokens, which other
//! forms are made of.

use crate::mistakes::Mistake;

/// The value of a form, or the mistake and its cure.
pub(super) type FormResult<T> = Result<T, Mistake>;

/// A cure that proposes a value, in quotes, if the key takes it; otherwise another one. What an
/// operator writes as told must not be refused next.
pub(super) fn cure<T>(
    proposal: &str,
    form: fn(&str) -> FormResult<T>,
    words: impl FnOnce(&str) -> String,
    otherwise: &str,
) -> String {
    if proposal.is_empty() {
        return otherwise.to_owned();
    }
    match form(proposal) {
        Ok(_) => words(&format!("\"{proposal}\"")),
        Err(_) => otherwise.to_owned(),
    }
}

/// A token (RFC 9110 §5.6.2) of 1 to 64 bytes.
pub fn token(text: &str) -> FormResult<String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if (1..=64).contains(&text.len()) && text.bytes().all(good) {
        return Ok(text.to_owned());
    }
    Err(Mistake::new(
        format!("`{text}` is not a token"),
        "write 1 to 64 letters, digits, - . or _, without spaces",
    ))
}
