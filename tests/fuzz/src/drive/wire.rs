//! The bytes of a connection, from a client or from a next hop, divided into messages.
//!
//! The result must not depend on how the bytes arrive: in one piece, in pieces and one by one, they
//! are the same requests up to the same fault. The parser that reads the messages next must find
//! the same ends, and the same chunked bodies.

use http::{HeaderMap, Method};
use tero_wire::{Fault, FrameHead, Frames, Requests, Responses};

use super::next_hop;

/// The most fields that a connection accepts.
const MAX_FIELDS: usize = 100;

/// Reads bytes as requests and as responses, cut in several ways.
pub fn wire(bytes: &[u8]) {
    let whole = frames(bytes, bytes.len().max(1));
    for size in [1, 3, 9, 16] {
        assert_eq!(frames(bytes, size), whole, "frames in pieces of {size}");
    }
    let (single, _) = requests(bytes, 1);
    for size in [2, 7, 16, bytes.len().max(1)] {
        let (pieces, glanced) = requests(bytes, size);
        // The parser checks the rest of a head that was only glanced at.
        if !glanced || !needs_parser(bytes) {
            assert_eq!(pieces, single, "in pieces of {size}");
        }
    }
    for method in [Method::GET, Method::HEAD] {
        let whole = responses(&method, bytes, bytes.len().max(1));
        assert_eq!(responses(&method, bytes, 1), whole);
        assert_eq!(responses(&method, bytes, 5), whole);
        if whole.is_ok() {
            same_body(&method, bytes);
        }
    }
}

/// The frames of an HTTP/2 client, and what is incomplete after them.
fn frames(bytes: &[u8], size: usize) -> (Vec<FrameHead>, [bool; 3]) {
    let (mut frames, mut seen) = (Frames::of_client(), Vec::new());
    for piece in bytes.chunks(size) {
        frames.take(piece, |frame| {
            assert!(frame.data() <= frame.length);
            seen.push(*frame);
        });
    }
    let incomplete = [
        frames.is_in_preface(),
        frames.is_in_frame(),
        frames.is_in_block(),
    ];
    (seen, incomplete)
}

/// The ends of requests, the fault after them, and whether a head was only glanced at.
fn requests(bytes: &[u8], size: usize) -> ((Vec<usize>, Option<Fault>), bool) {
    let (mut checker, mut ends, mut glanced, mut at) = (Requests::default(), Vec::new(), false, 0);
    for piece in bytes.chunks(size) {
        let mut rest = piece;
        while !rest.is_empty() {
            let taken = match checker.take(rest) {
                Ok(taken) => taken,
                Err(fault) => return ((ends, Some(fault)), glanced),
            };
            assert!(
                taken.ended || taken.bytes == rest.len(),
                "what belongs to a request is taken as it comes"
            );
            assert!(taken.bytes > 0 || taken.ended);
            glanced |= taken.lines > 0;
            at += taken.bytes;
            rest = &rest[taken.bytes..];
            if taken.ended {
                assert!(!checker.is_in_body());
                ends_where_it_says(&bytes[ends.last().copied().unwrap_or(0)..at], taken.lines);
                ends.push(at);
            }
        }
    }
    ((ends, None), glanced)
}

/// Checks that the parser that reads the request next finds the same end.
fn ends_where_it_says(request: &[u8], glanced_lines: usize) {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut head = httparse::Request::new(&mut fields);
    // Messages that this parser refuses go no further.
    let Ok(httparse::Status::Complete(length)) = head.parse(request) else {
        return;
    };
    let of = |name: &str| {
        head.headers
            .iter()
            .filter(|field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
            .collect()
    };
    let (lengths, codings): (Vec<&[u8]>, Vec<&[u8]>) =
        (of("content-length"), of("transfer-encoding"));
    if glanced_lines > 0 {
        assert_eq!(
            length,
            request.len(),
            "a head that was glanced at has something behind it"
        );
        return glanced(head.headers, glanced_lines);
    }
    let content = &request[length..];
    match (&lengths[..], &codings[..]) {
        ([], []) => assert!(content.is_empty()),
        ([said], []) => assert_eq!(
            std::str::from_utf8(said).unwrap().trim().parse(),
            Ok(content.len() as u64)
        ),
        ([], [_]) => assert_eq!(
            end_of_chunks(content),
            Some(content.len()),
            "the chunked bodies differ"
        ),
        _ => panic!("a request that can be read in two ways went through"),
    }
}

/// Makes the checks of the caller after parsing a head that was only glanced at. They notice a
/// parser that drops repeated fields.
fn glanced(fields: &[httparse::Header<'_>], lines: usize) {
    let mut headers = HeaderMap::new();
    for field in fields {
        if let (Ok(name), Ok(value)) = (
            field.name.parse::<http::HeaderName>(),
            http::HeaderValue::from_bytes(field.value),
        ) {
            headers.append(name, value);
        }
    }
    let count = |name: &str| headers.get_all(name).iter().count();
    let (codings, lengths) = (count("transfer-encoding"), count("content-length"));
    if codings > 0 && lengths > 0 {
        // The parser of the caller drops `Content-Length` in this case.
        headers.remove("content-length");
        assert!(
            Requests::content(&headers, lines).is_err(),
            "a length beside a coding went through"
        );
    } else if codings + lengths == 1 {
        let verdict = Requests::content(&headers, lines);
        let is_chunked = headers
            .get("transfer-encoding")
            .is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
        assert!(
            verdict.is_err() || lengths == 1 || is_chunked,
            "an unknown coding went through"
        );
    }
}

/// The end of a chunked body, as the second parser finds it.
fn end_of_chunks(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let Ok(httparse::Status::Complete((line, size))) =
            httparse::parse_chunk_size(bytes.get(at..)?)
        else {
            return None;
        };
        at += line;
        if size == 0 {
            break;
        }
        at = at
            .checked_add(usize::try_from(size).ok()?)?
            .checked_add(2)?;
        if bytes.get(at - 2..at)? != b"\r\n" {
            return None;
        }
    }
    // Trailers end with an empty line.
    loop {
        let line = bytes.get(at..)?.windows(2).position(|end| end == b"\r\n")?;
        at += line + 2;
        if line == 0 {
            return Some(at);
        }
    }
}

fn responses(method: &Method, bytes: &[u8], size: usize) -> Result<(), Fault> {
    let mut checker = Responses::default();
    if *method == Method::HEAD {
        checker.expect_bodiless()
    } else {
        checker.expect()
    }
    bytes.chunks(size).try_for_each(|piece| checker.take(piece))
}

/// Checks that the parser that reads accepted chunks next finds the same content and the same end.
fn same_body(method: &Method, bytes: &[u8]) {
    let Some(chunks) = chunks_of_answer(bytes) else {
        return;
    };
    // Messages that this parser refuses go no further.
    let Some(answer) = next_hop::answer(method, bytes) else {
        return;
    };
    if *method == Method::HEAD || answer.status == 204 || answer.status == 304 {
        return assert!(answer.body.is_empty());
    }
    if answer.status.is_informational() {
        return;
    }
    let (content, trailers) = content_of_chunks(chunks);
    assert_eq!(answer.body, content, "the chunked bodies differ");
    match trailers {
        None => assert!(!answer.is_whole, "the body is incomplete"),
        Some(b"\r\n") => assert!(answer.is_whole, "the body is complete"),
        // The parser may judge trailer fields differently.
        Some(_) => {}
    }
}

/// The bytes after the head of the final response, if its body is chunked.
fn chunks_of_answer(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut head = httparse::Response::new(&mut fields);
        let Ok(httparse::Status::Complete(length)) = head.parse(bytes) else {
            return None;
        };
        bytes = &bytes[length..];
        if head.code.is_some_and(|code| code < 200 && code != 101) {
            continue;
        }
        let is_chunked =
            |field: &httparse::Header<'_>| field.name.eq_ignore_ascii_case("transfer-encoding");
        return head.headers.iter().any(is_chunked).then_some(bytes);
    }
}

/// The content of well-formed chunks, and the bytes after the last one.
fn content_of_chunks(mut bytes: &[u8]) -> (Vec<u8>, Option<&[u8]>) {
    let mut content = Vec::new();
    loop {
        let Some(end) = bytes.windows(2).position(|end| end == b"\r\n") else {
            return (content, None);
        };
        let digits = bytes
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        let size = std::str::from_utf8(&bytes[..digits])
            .ok()
            .and_then(|size| u64::from_str_radix(size, 16).ok());
        let size = size.expect("the size of a chunk that was let through");
        bytes = &bytes[end + 2..];
        if size == 0 {
            let end = if bytes.starts_with(b"\r\n") {
                2
            } else {
                bytes.len()
            };
            return (content, (end > 0).then_some(&bytes[..end]));
        }
        let taken = usize::try_from(size).unwrap_or(usize::MAX).min(bytes.len());
        content.extend(&bytes[..taken]);
        bytes = &bytes[taken..];
        match bytes.strip_prefix(b"\r\n") {
            Some(rest) if taken as u64 == size => bytes = rest,
            _ => return (content, None),
        }
    }
}

/// Whether only the parser can check a head: it may announce content, or contain a CR alone, which
/// no parser accepts.
fn needs_parser(bytes: &[u8]) -> bool {
    let text = bytes.to_ascii_lowercase();
    let stands_alone = |pair: &[u8]| pair[0] == b'\r' && pair[1] != b'\n';
    let names = |name: &[u8]| text.windows(name.len()).any(|window| window == name);
    names(b"content-length:") || names(b"transfer-encoding:") || text.windows(2).any(stands_alone)
}
