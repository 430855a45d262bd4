//! `traceparent`: which trace a request belongs to (W3C Trace Context,
//! <https://www.w3.org/TR/trace-context/>).

use http::{HeaderMap, HeaderName, HeaderValue};

/// The field.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The length of version 00.
const LENGTH: usize = 55;

/// The trace of a request, and the span that it is sent from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The id of the trace; never all zeros.
    pub trace: [u8; 16],
    /// The id of the span; never all zeros.
    pub span: [u8; 8],
    /// Whether the sender records its spans of the trace.
    pub is_sampled: bool,
}

impl TraceParent {
    /// What a request says; `None` if it says nothing, or nothing that can be understood. Then it
    /// begins a trace (§3.2.2, §4.3).
    pub fn of(headers: &HeaderMap) -> Option<TraceParent> {
        let mut lines = headers.get_all(TRACEPARENT).iter();
        match (lines.next(), lines.next()) {
            (Some(line), None) => TraceParent::parse(line.as_bytes()),
            _ => None,
        }
    }

    fn parse(text: &[u8]) -> Option<TraceParent> {
        // Versions to come may have more behind another hyphen (§4.3).
        let (known, more) = text.split_at_checked(LENGTH)?;
        let mut version = [0];
        read_hex(&known[..2], &mut version)?;
        let is_long = !more.is_empty();
        if version == [0xff] || is_long && (version == [0] || more[0] != b'-') {
            return None;
        }
        if [2, 35, 52].iter().any(|place| known[*place] != b'-') {
            return None;
        }
        let (mut trace, mut span, mut flags) = ([0; 16], [0; 8], [0]);
        read_hex(&known[3..35], &mut trace)?;
        read_hex(&known[36..52], &mut span)?;
        read_hex(&known[53..], &mut flags)?;
        let is_valid = trace != [0; 16] && span != [0; 8];
        is_valid.then_some(TraceParent {
            trace,
            span,
            is_sampled: flags[0] & 1 != 0,
        })
    }

    /// As a field.
    pub fn to_value(self) -> HeaderValue {
        let mut text = Vec::with_capacity(LENGTH);
        text.extend_from_slice(b"00-");
        write_hex(&self.trace, &mut text);
        text.push(b'-');
        write_hex(&self.span, &mut text);
        text.extend_from_slice(if self.is_sampled { b"-01" } else { b"-00" });
        HeaderValue::from_bytes(&text).expect("digits and hyphens are a value")
    }
}

/// Reads lower-case digits, as the specification demands them.
fn read_hex(digits: &[u8], bytes: &mut [u8]) -> Option<()> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(())
}

fn write_hex(bytes: &[u8], text: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn read(lines: &[&str]) -> Option<TraceParent> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(TRACEPARENT, HeaderValue::from_str(line).unwrap());
        }
        TraceParent::of(&headers)
    }

    #[test]
    fn what_is_valid_is_read_and_written_back() {
        let good = read(&[GOOD]).unwrap();
        assert_eq!(
            (good.trace[0], good.span[7], good.is_sampled),
            (0x4b, 0xb7, true)
        );
        assert_eq!(good.to_value(), GOOD);
        let unsampled = GOOD.replace("-01", "-00");
        assert_eq!(read(&[&unsampled]).unwrap().to_value(), unsampled.as_str());
        // Other flags are not passed on, and a later version is read as this one.
        assert!(read(&[&GOOD.replace("-01", "-03")]).unwrap().is_sampled);
        let later = GOOD.replacen("00", "01", 1);
        assert_eq!(read(&[&later]).unwrap().to_value(), GOOD);
        assert_eq!(read(&[&format!("{later}-more")]).unwrap().to_value(), GOOD);
    }

    #[test]
    fn what_is_not_begins_a_trace() {
        for bad in [
            "",
            "00",
            &GOOD.to_uppercase(),
            &GOOD.replacen("00", "ff", 1),
            &GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &GOOD.replace('-', "_"),
            &GOOD[1..],
            &format!("{GOOD}-more"),
            &format!("{GOOD}0"),
            &format!("{}x", GOOD.replacen("00", "01", 1)),
            &GOOD.replace("-01", "-0g"),
        ] {
            assert_eq!(read(&[bad]), None, "{bad}");
        }
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[GOOD, GOOD]), None);
    }
}
