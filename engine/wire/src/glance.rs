//! A quick look at the bytes of a request without content, which nearly all requests are: whether
//! they are one head and nothing else.

const LINE_FEED: u8 = b'\n';
const RETURN: u8 = b'\r';
const LANES: usize = 16;
/// Longer heads are read line by line: a lane counts up to 255, and so many blocks fit.
const LONGEST: usize = LANES * 255;

/// How many lines `bytes` have, the empty one included, if they begin like a GET or a HEAD, hold
/// one empty line, at their end, and as many CR as LF; otherwise `None`.
///
/// If these bytes then parse as a head without a bare CR, they contain no bare LF either (RFC 9112
/// §2.2). Two LF in a row count as an empty line too: a lenient parser would end the head there,
/// and never reach the CR after it that make up for them.
#[inline]
pub(super) fn lines_of_one_head(bytes: &[u8]) -> Option<usize> {
    let is_candidate = bytes.len() <= LONGEST
        && bytes.ends_with(b"\r\n\r\n")
        && (bytes.starts_with(b"GET ") || bytes.starts_with(b"HEAD "));
    if !is_candidate {
        return None;
    }
    LaneCounts::of(bytes).lines_of_one_head()
}

/// What was counted, lane by lane, so that the processor counts in all lanes at once.
#[derive(Default)]
struct LaneCounts {
    feeds: [u8; LANES],
    returns: [u8; LANES],
    /// Empty lines: an LF that follows another one, or follows it after one more byte.
    doubled: [u8; LANES],
}

impl LaneCounts {
    /// The counts over all bytes but the last two, which have no bytes after them.
    #[inline]
    fn of(bytes: &[u8]) -> LaneCounts {
        let (these, next, second) = (
            &bytes[..bytes.len() - 2],
            &bytes[1..bytes.len() - 1],
            &bytes[2..],
        );
        let mut counts = LaneCounts::default();
        let (blocks, rest) = these.as_chunks::<LANES>();
        let (blocks_next, rest_next) = next.as_chunks::<LANES>();
        let (blocks_second, rest_second) = second.as_chunks::<LANES>();
        for ((block, next), second) in blocks.iter().zip(blocks_next).zip(blocks_second) {
            counts.add(block, next, second);
        }
        counts.add(&padded(rest), &padded(rest_next), &padded(rest_second));
        counts
    }

    #[inline]
    fn add(&mut self, block: &[u8; LANES], next: &[u8; LANES], second: &[u8; LANES]) {
        for lane in 0..LANES {
            let is_feed = block[lane] == LINE_FEED;
            self.feeds[lane] += u8::from(is_feed);
            self.returns[lane] += u8::from(block[lane] == RETURN);
            self.doubled[lane] +=
                u8::from(is_feed & ((next[lane] == LINE_FEED) | (second[lane] == LINE_FEED)));
        }
    }

    fn lines_of_one_head(&self) -> Option<usize> {
        let feeds = sum(&self.feeds);
        (feeds == sum(&self.returns) && sum(&self.doubled) == 1).then_some(feeds as usize + 1)
    }
}

/// A block that begins with `rest`, which is shorter than a block.
#[inline]
fn padded(rest: &[u8]) -> [u8; LANES] {
    let mut block = [0; LANES];
    block[..rest.len()].copy_from_slice(rest);
    block
}

fn sum(lanes: &[u8; LANES]) -> u32 {
    lanes.iter().map(|&lane| u32::from(lane)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_clean_head_is_recognised() {
        for (bytes, lines) in [
            ("GET / HTTP/1.1\r\n\r\n", Some(2)),
            ("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", Some(3)),
            ("GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n", Some(4)),
            ("GET / HTTP/1.1\r\nHost: a\r\n", None),
            ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", None),
            ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", None),
            ("GET / HTTP/1.1\nHost: a\r\n\r\n", None),
            ("GET / HTTP/1.1\r\nHost: a\n\r\n", None),
            ("GET / HTTP/1.1\r\nHost: a\r\nA: b\n\n\r\n\r\n", None),
            ("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n", None),
            ("GET / HTTP/1.1\r\n\r\nX\r\n\r\n", None),
            ("GET / HTTP/1.1\r\nA:\n\nX\r\r\r\n\r\n", None),
            ("GET / HTTP/1.1\r\n\r\n\r\n", None),
            ("", None),
        ] {
            assert_eq!(lines_of_one_head(bytes.as_bytes()), lines, "{bytes:?}");
        }
    }

    #[test]
    fn line_ends_count_at_every_offset() {
        for length in 1..100 {
            let field = "a".repeat(length);
            assert_eq!(
                lines_of_one_head(format!("GET / HTTP/1.1\r\n{field}\r\nB: c\r\n\r\n").as_bytes()),
                Some(4),
                "{length}"
            );
            assert_eq!(
                lines_of_one_head(format!("GET / HTTP/1.1\r\n{field}\nB: c\r\n\r\n").as_bytes()),
                None,
                "{length}"
            );
            assert_eq!(
                lines_of_one_head(format!("GET / HTTP/1.1\r\n{field}\r\n\r\n\r\n").as_bytes()),
                None,
                "{length}"
            );
            assert_eq!(
                lines_of_one_head(format!("GET / HTTP/1.1\r\n{field}\n\nB\r\r\r\n\r\n").as_bytes()),
                None,
                "{length}"
            );
        }
        let fields = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "A:\r\n".repeat(count));
        assert_eq!(lines_of_one_head(fields(1_000).as_bytes()), Some(1_002));
        assert_eq!(
            lines_of_one_head(fields(2_000).as_bytes()),
            None,
            "too long for a glance"
        );
    }
}
