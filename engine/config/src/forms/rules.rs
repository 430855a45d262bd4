//! The forms of a site's own rules: redirects, answers, passwords.

use http::{HeaderValue, StatusCode};

use super::form_result::{FormResult, token};
use crate::mistakes::Mistake;
use tero_semantics::redirect::RedirectTemplate;

/// A method that a client may send.
pub fn method(text: &str) -> FormResult<http::Method> {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    if text.eq_ignore_ascii_case("TRACE") || text.eq_ignore_ascii_case("CONNECT") {
        let problem = format!("{text} is never let in");
        return Err(Mistake::new(problem, "leave it out"));
    }
    if let Some(meant) = known.iter().find(|known| known.eq_ignore_ascii_case(text))
        && *meant != text
    {
        let problem = format!("`{text}` is another method than {meant}");
        return Err(Mistake::new(problem, format!("write \"{meant}\"")));
    }
    http::Method::from_bytes(text.as_bytes()).map_err(|_| {
        Mistake::new(
            format!("`{text}` is not a method"),
            "write one such as \"GET\" or \"POST\"",
        )
    })
}

/// What browsers name when they ask for a password.
pub fn realm(text: &str) -> FormResult<String> {
    let good =
        |byte: u8| (byte.is_ascii_graphic() || byte == b' ') && !matches!(byte, b'"' | b'\\');
    if (1..=64).contains(&text.len()) && text.bytes().all(good) {
        return Ok(text.to_owned());
    }
    Err(Mistake::new(
        "this is not the name of a realm",
        "write 1 to 64 visible ASCII characters and spaces, without quotes and backslashes",
    ))
}

/// A hash of a password: bcrypt with a cost of 4 to 14, or SHA-crypt of at most 500,000 rounds, so
/// that checking one takes at most about a second.
pub fn password_hash(hash: &str) -> FormResult<()> {
    let cure = "make a hash with `htpasswd -nB NAME` or `openssl passwd -6`";
    let refused = |problem: &str| Err(Mistake::new(problem, cure));
    let is_of_crypt = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    let parts: Vec<&str> = hash.split('$').collect();
    match parts[..] {
        ["", "2a" | "2b" | "2y", cost, rest] => {
            let is_cost = cost.len() == 2 && matches!(cost.parse(), Ok(4_u8..=14));
            if !is_cost {
                return refused("the cost of its hash is not 4 to 14");
            }
            match rest.len() == 53 && rest.bytes().all(is_of_crypt) {
                true => Ok(()),
                false => refused("its hash is malformed"),
            }
        }
        ["", kind @ ("5" | "6"), ref rest @ ..] => {
            let (rounds, rest) = match rest {
                [first, rest @ ..] if first.starts_with("rounds=") => (Some(&first[7..]), rest),
                rest => (None, rest),
            };
            if rounds.is_some_and(|rounds| !matches!(rounds.parse(), Ok(1_000_u32..=500_000))) {
                return refused("the rounds of its hash are not 1000 to 500000");
            }
            let length = if kind == "5" { 43 } else { 86 };
            match rest {
                [salt, sum]
                    if (1..=16).contains(&salt.len())
                        && sum.len() == length
                        && salt.bytes().chain(sum.bytes()).all(is_of_crypt) =>
                {
                    Ok(())
                }
                _ => refused("its hash is malformed"),
            }
        }
        ["", "apr1" | "1", ..] => refused("hashes of MD5 are too weak to be taken"),
        _ if hash.starts_with("{SHA}") => refused("hashes of SHA-1 are too weak to be taken"),
        _ => refused("its hash is of no known kind"),
    }
}

/// Where a redirect leads.
pub fn redirect_template(text: &str) -> FormResult<RedirectTemplate> {
    RedirectTemplate::parse(text).map_err(|error| {
        Mistake::new(
            format!("`{text}` can't be redirected to: {}", error.as_str()),
            "write a URL or a path, \"https://new.example/{path}\" or \"/new/{rest}\"",
        )
    })
}

/// The status of a redirect.
pub fn redirect_status(status: u64) -> FormResult<StatusCode> {
    match u16::try_from(status) {
        Ok(code @ (301..=303 | 307 | 308)) => {
            StatusCode::from_u16(code).map_err(|_| not_a_redirect(status))
        }
        _ => Err(not_a_redirect(status)),
    }
}

/// The status of an answer without the origin.
pub fn own_status(status: u64) -> FormResult<StatusCode> {
    let code = u16::try_from(status).ok();
    // A partial or unmodified answer needs a response that it is about.
    let code = code.filter(|code| !matches!(code, 206 | 304) && (200..=599).contains(code));
    code.and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or_else(|| {
            Mistake::new(
                format!("{status} can't be the status of such an answer"),
                "write one such as 200, 404 or 410",
            )
        })
}

/// A media type with its parameters.
pub fn content_type(text: &str) -> FormResult<HeaderValue> {
    let is_token = |text: &str| !text.is_empty() && token(text).is_ok();
    let kind = text.split(';').next().unwrap_or_default().trim_end();
    let is_good = kind
        .split_once('/')
        .is_some_and(|(kind, sub)| is_token(kind) && is_token(sub))
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ');
    HeaderValue::from_str(text)
        .ok()
        .filter(|_| is_good)
        .ok_or_else(|| {
            Mistake::new(
                format!("`{text}` is not a media type"),
                "write one such as \"text/html; charset=utf-8\"",
            )
        })
}

/// The mistake of a status that isn't a redirect.
pub(crate) fn not_a_redirect(status: impl std::fmt::Display) -> Mistake {
    let problem = format!("{status} is not the status of a redirect");
    Mistake::new(problem, "write 301, 302, 303, 307 or 308")
}
