//! The bytes of a connection, told apart into messages. The first line says whose they are and in pieces of which size they come:
//! `requests 7` or `responses 7`; what follows are the bytes.

use http::HeaderMap;
use tero::wire::{Fault, Requests, Responses};

/// More fields than this no connection lets in.
const MAX_FIELDS: usize = 100;

/// Takes a connection in one piece and in several, and asks a second parser where the requests end.
pub fn wire(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let rest = bytes.get(end + 1..).unwrap_or_default();
    let mut words = std::str::from_utf8(&bytes[..end]).unwrap_or_default().split(' ');
    let whose = words.next().unwrap_or_default();
    let size = words.next().and_then(|word| word.parse().ok()).unwrap_or(1).max(1);
    match whose {
        "requests" => requests(rest, size),
        "responses" => assert_eq!(responses(rest, rest.len().max(1)).is_ok(), responses(rest, size).is_ok()),
        _ => {}
    }
}

/// What became of a connection.
#[derive(Debug)]
struct Told<'a> {
    /// Whole requests, each with the lines of a head that was only glanced at.
    requests: Vec<(&'a [u8], usize)>,
    fault: Option<Fault>,
}

fn told_apart(bytes: &[u8], size: usize) -> Told<'_> {
    let (mut checker, mut told) = (Requests::default(), Told { requests: Vec::new(), fault: None });
    let (mut start, mut at) = (0, 0);
    for piece in bytes.chunks(size) {
        let until = at + piece.len();
        while at < until {
            match checker.take(&bytes[at..until]) {
                Ok(taken) => {
                    assert!(taken.bytes > 0 && (taken.ended || at + taken.bytes == until), "nothing is taken of what is there");
                    at += taken.bytes;
                    if taken.ended {
                        told.requests.push((&bytes[start..at], taken.lines));
                        start = at;
                    }
                }
                Err(fault) => {
                    told.fault = Some(fault);
                    return told;
                }
            }
        }
    }
    told
}

fn requests(bytes: &[u8], size: usize) {
    let (whole, pieces) = (told_apart(bytes, bytes.len().max(1)), told_apart(bytes, size));
    for told in [&whole, &pieces] {
        for (request, lines) in &told.requests {
            ends_where_it_says(request, *lines);
        }
    }
    // A head that was only glanced at may announce content, which its caller then sees; all else is the same however it comes.
    let is_glanced = |told: &Told<'_>| told.requests.iter().any(|(_, lines)| *lines > 0);
    if !is_glanced(&whole) && !is_glanced(&pieces) {
        // Which of two faults is found may depend on what came in one piece.
        assert_eq!((&whole.requests, whole.fault.is_some()), (&pieces.requests, pieces.fault.is_some()));
    }
}

/// The parser that reads the request next finds its end in the same place.
fn ends_where_it_says(request: &[u8], glanced_lines: usize) {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut head = httparse::Request::new(&mut fields);
    // What that parser refuses goes no further.
    let Ok(httparse::Status::Complete(length)) = head.parse(request) else { return };
    let of =
        |name: &str| head.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value).collect();
    let (lengths, codings): (Vec<&[u8]>, Vec<&[u8]>) = (of("content-length"), of("transfer-encoding"));
    if glanced_lines > 0 {
        assert_eq!(length, request.len(), "a head that was glanced at has something behind it");
        return glanced(head.headers, glanced_lines);
    }
    let content = &request[length..];
    match (&lengths[..], &codings[..]) {
        ([], []) => assert!(content.is_empty()),
        ([said], []) => assert_eq!(std::str::from_utf8(said).unwrap().trim().parse(), Ok(content.len() as u64)),
        ([], [_]) => assert_eq!(end_of_chunks(content), Some(content.len()), "another body in chunks"),
        _ => panic!("a request that can be read in two ways went through"),
    }
}

/// What the caller asks once a head that was only glanced at is parsed: a parser that leaves out what repeats is found out.
fn glanced(fields: &[httparse::Header<'_>], lines: usize) {
    let mut headers = HeaderMap::new();
    for field in fields {
        if let (Ok(name), Ok(value)) = (field.name.parse::<http::HeaderName>(), http::HeaderValue::from_bytes(field.value)) {
            headers.append(name, value);
        }
    }
    let count = |name: &str| headers.get_all(name).iter().count();
    let (codings, lengths) = (count("transfer-encoding"), count("content-length"));
    if codings > 0 && lengths > 0 {
        // Our caller's parser drops the length then.
        headers.remove("content-length");
        assert!(Requests::content(&headers, lines).is_err(), "a length beside a coding went through");
    } else if codings + lengths == 1 {
        let verdict = Requests::content(&headers, lines);
        let is_chunked =
            headers.get("transfer-encoding").is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
        assert!(verdict.is_err() || lengths == 1 || is_chunked, "an unknown coding went through");
    }
}

/// Where a body in chunks ends, by the book of the second parser.
fn end_of_chunks(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let Ok(httparse::Status::Complete((line, size))) = httparse::parse_chunk_size(bytes.get(at..)?) else { return None };
        at += line;
        if size == 0 {
            break;
        }
        at = at.checked_add(usize::try_from(size).ok()?)?.checked_add(2)?;
        if bytes.get(at - 2..at)? != b"\r\n" {
            return None;
        }
    }
    // Trailers, up to an empty line.
    loop {
        let line = bytes.get(at..)?.windows(2).position(|end| end == b"\r\n")?;
        at += line + 2;
        if line == 0 {
            return Some(at);
        }
    }
}

fn responses(bytes: &[u8], size: usize) -> Result<(), Fault> {
    let mut checker = Responses::default();
    checker.expect();
    bytes.chunks(size).try_for_each(|piece| checker.take(piece))
}
