//! Lines, cut from bytes that come in pieces (RFC 9112 §2.2).

use memchr::memchr;

use super::fault::Fault;

/// How many bytes of a line, its CR included, are kept until its end comes. Later ones are never
/// looked at.
const KEPT: usize = 1024;

/// Cuts lines. A line is copied only if its end comes in a later piece, and no more of it than
/// [`KEPT`].
#[derive(Debug, Default)]
pub(super) struct Lines {
    kept: Vec<u8>,
    /// The last byte of the line whose end has not come.
    last: Option<u8>,
    overlong: bool,
}

/// A line without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RawLine<'l> {
    pub(super) bytes: &'l [u8],
    /// It was longer than [`KEPT`].
    pub(super) overlong: bool,
}

impl Lines {
    /// The first line that ends within `bytes`, and where the next one begins; `None` if its end has
    /// not come.
    #[inline]
    pub(super) fn cut<'l>(
        &'l mut self,
        bytes: &'l [u8],
    ) -> Result<Option<(RawLine<'l>, usize)>, Fault> {
        if self.last.is_some() {
            return self.cut_kept(bytes);
        }
        let Some(end) = memchr(b'\n', bytes) else {
            self.keep(bytes);
            return Ok(None);
        };
        match bytes[..end].split_last() {
            // The same bound as for a line in pieces: its meaning must not depend on how it comes.
            Some((&b'\r', bytes)) => Ok(Some((
                RawLine {
                    bytes,
                    overlong: end > KEPT,
                },
                end + 1,
            ))),
            _ => Err(Fault::BareLf),
        }
    }

    /// As [`Lines::cut`], for a line that began in an earlier piece.
    #[cold]
    fn cut_kept<'l>(&'l mut self, bytes: &'l [u8]) -> Result<Option<(RawLine<'l>, usize)>, Fault> {
        let Some(end) = memchr(b'\n', bytes) else {
            self.keep(bytes);
            return Ok(None);
        };
        self.keep(&bytes[..end]);
        if self.last != Some(b'\r') {
            return Err(Fault::BareLf);
        }
        self.last = None;
        let overlong = std::mem::take(&mut self.overlong);
        if !overlong {
            self.kept.pop();
        }
        Ok(Some((
            RawLine {
                bytes: &self.kept,
                overlong,
            },
            end + 1,
        )))
    }

    fn keep(&mut self, bytes: &[u8]) {
        let Some(&last) = bytes.last() else { return };
        if self.last.replace(last).is_none() {
            self.kept.clear();
        }
        let room = KEPT - self.kept.len();
        self.overlong |= bytes.len() > room;
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of `pieces`, with `...` after those that were longer.
    fn lines(pieces: &[&[u8]]) -> Result<Vec<String>, Fault> {
        let (mut cutter, mut found) = (Lines::default(), Vec::new());
        for piece in pieces {
            let mut at = 0;
            while let Some((line, next)) = cutter.cut(&piece[at..])? {
                let more = if line.overlong { "..." } else { "" };
                found.push(format!("{}{more}", String::from_utf8_lossy(line.bytes)));
                at += next;
            }
        }
        Ok(found)
    }

    #[test]
    fn lines_are_the_same_however_they_are_cut() {
        let bytes = b"one\r\n\r\nthree\r\nrest";
        for first in 0..bytes.len() {
            for second in first..bytes.len() {
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(
                    lines(&pieces).unwrap(),
                    ["one", "", "three"],
                    "{first} {second}"
                );
            }
        }
    }

    #[test]
    fn a_line_that_ends_with_lf_alone_is_a_fault() {
        for pieces in [
            &[&b"a\n"[..]][..],
            &[b"\n"],
            &[b"a\r\n", b"\n"],
            &[b"a", b"\n"],
            &[b"a\r", b"b\n"],
            &[b"a\r\n\n"],
        ] {
            assert_eq!(lines(pieces), Err(Fault::BareLf), "{pieces:?}");
        }
    }

    #[test]
    fn at_most_the_bound_is_kept_of_a_line() {
        let long = [b'a'; 3 * KEPT];
        let mut cutter = Lines::default();
        for piece in long.chunks(100) {
            assert_eq!(cutter.cut(piece), Ok(None));
        }
        assert_eq!(cutter.kept.len(), KEPT);
        let (line, next) = cutter.cut(b"\r\nb\r\n").unwrap().unwrap();
        assert_eq!(
            (line, next),
            (
                RawLine {
                    bytes: &long[..KEPT],
                    overlong: true
                },
                2
            )
        );
        for (length, overlong) in [(KEPT - 1, false), (KEPT, true)] {
            let line = [&long[..length], b"\r\n"].concat();
            assert_eq!(
                Lines::default().cut(&line).unwrap().unwrap().0.overlong,
                overlong
            );
            let mut cutter = Lines::default();
            assert_eq!(cutter.cut(&line[..length]), Ok(None));
            assert_eq!(
                cutter.cut(&line[length..]).unwrap().unwrap().0.overlong,
                overlong
            );
        }
        assert_eq!(
            cutter.cut(b"b\r\n").unwrap().unwrap().0,
            RawLine {
                bytes: b"b",
                overlong: false
            }
        );
    }
}
