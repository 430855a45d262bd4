//! A look at the bytes of a request without content, which is what nearly all are: whether they are
//! one head and nothing else.

const LINE_FEED: u8 = b'\n';
const RETURN: u8 = b'\r';
const LANES: usize = 16;
/// Longer ones are read line by line; a lane counts no further than this times [`LANES`].
const LONGEST: usize = LANES * 255;

/// How many lines `bytes` have, its empty one included, where they begin like a GET or a HEAD, hold
/// one empty line, at their end, and as many CR as LF. Whoever then reads it as a head without a CR
/// that stands alone knows that no LF does (RFC 9112 §2.2). Two LF in a row are an empty line as
/// well: who is lenient would end the head there, and never come to the CR behind that make up for
/// them.
#[inline]
pub(super) fn lines_of_one_head(bytes: &[u8]) -> Option<usize> {
    let is_one = bytes.len() <= LONGEST
        && bytes.ends_with(b"\r\n\r\n")
        && (bytes.starts_with(b"GET ") || bytes.starts_with(b"HEAD "));
    if !is_one {
        return None;
    }
    // An empty line is an LF two bytes behind another one: the last two bytes have none behind
    // them.
    let (these, next, behind) = (
        &bytes[..bytes.len() - 2],
        &bytes[1..bytes.len() - 1],
        &bytes[2..],
    );
    let mut tally = LaneCounts::default();
    let (blocks, rest) = these.as_chunks::<LANES>();
    let (blocks_next, rest_next) = next.as_chunks::<LANES>();
    let (blocks_behind, rest_behind) = behind.as_chunks::<LANES>();
    for ((block, block_next), block_behind) in blocks.iter().zip(blocks_next).zip(blocks_behind) {
        tally.add(block, block_next, block_behind);
    }
    let (mut last, mut last_next, mut last_behind) = ([0; LANES], [0; LANES], [0; LANES]);
    last[..rest.len()].copy_from_slice(rest);
    last_next[..rest_next.len()].copy_from_slice(rest_next);
    last_behind[..rest_behind.len()].copy_from_slice(rest_behind);
    tally.add(&last, &last_next, &last_behind);
    tally.lines_of_one_head()
}

/// What was counted, lane by lane, so that the processor does all lanes at once.
#[derive(Default)]
struct LaneCounts {
    feeds: [u8; LANES],
    returns: [u8; LANES],
    doubled: [u8; LANES],
}

impl LaneCounts {
    #[inline]
    fn add(&mut self, block: &[u8; LANES], next: &[u8; LANES], behind: &[u8; LANES]) {
        for lane in 0..LANES {
            let is_feed = block[lane] == LINE_FEED;
            self.feeds[lane] += u8::from(is_feed);
            self.returns[lane] += u8::from(block[lane] == RETURN);
            self.doubled[lane] +=
                u8::from(is_feed & ((next[lane] == LINE_FEED) | (behind[lane] == LINE_FEED)));
        }
    }

    fn lines_of_one_head(&self) -> Option<usize> {
        let sum = |lanes: &[u8; LANES]| lanes.iter().map(|&lane| u32::from(lane)).sum::<u32>();
        let feeds = sum(&self.feeds);
        (feeds == sum(&self.returns) && sum(&self.doubled) == 1).then_some(feeds as usize + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_clean_head_is_told_by_its_lines() {
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
    fn every_place_of_a_line_end_counts() {
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
