//! Ids of requests, by which their traces are found in the logs of all hops. No RFC has the field, but
//! frameworks, proxies and content delivery networks share it.

use http::{HeaderMap, HeaderName};

use super::list::is_token_byte;

/// `X-Request-Id`
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Bytes of an id, at most.
pub const MAX_REQUEST_ID: usize = 128;

/// The id that the fields of a request give it: the value of its one `X-Request-Id`, if that is a
/// token (RFC 9110 §5.6.2) of 1 to [`MAX_REQUEST_ID`] bytes. Whether the sender is believed is for
/// the caller to say.
///
/// ```
/// use http::{HeaderMap, HeaderValue};
/// use tero_semantics::request_id::told_id;
///
/// let mut request = HeaderMap::new();
/// request.insert("x-request-id", HeaderValue::from_static("7f3a-02"));
/// assert_eq!(told_id(&request), Some("7f3a-02"));
/// request.append("x-request-id", HeaderValue::from_static("7f3a-03"));
/// assert_eq!(told_id(&request), None);
/// ```
pub fn told_id(headers: &HeaderMap) -> Option<&str> {
    let mut lines = headers.get_all(X_REQUEST_ID).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return None;
    };
    let id = line.to_str().ok()?;
    let is_good = (1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(is_token_byte);
    is_good.then_some(id)
}

#[cfg(test)]
mod tests {
    use super::super::testing::headers;
    use super::*;

    #[test]
    fn an_id_is_one_token_of_bounded_length() {
        let longest = "x".repeat(MAX_REQUEST_ID);
        for good in ["1", "0b9e-4c_2.a~", "!#$%&'*+-.^_`|~", &longest] {
            assert_eq!(told_id(&headers(&[("x-request-id", good)])), Some(good));
        }
        let too_long = "x".repeat(MAX_REQUEST_ID + 1);
        for bad in [
            "", "a b", "a,b", "a\"b", "a=b", "a/b", "{a}", "\u{e9}", &too_long,
        ] {
            assert_eq!(told_id(&headers(&[("x-request-id", bad)])), None, "{bad}");
        }
        let twice = [("x-request-id", "a"), ("x-request-id", "a")];
        assert_eq!(told_id(&headers(&twice)), None);
        assert_eq!(told_id(&headers(&[])), None);
    }
}
