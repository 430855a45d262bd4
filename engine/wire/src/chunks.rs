//! A body in chunks and where it ends (RFC 9112 §7.1).

use super::fault::Fault;
use super::lines::{Lines, RawLine};

/// A body in chunks, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    lines: Lines,
    end: DataEnd,
    next: Next,
}

/// The line end after the data of a chunk.
#[derive(Debug, Default)]
struct DataEnd {
    has_return: bool,
}

impl DataEnd {
    /// Reads it; returns how many of `bytes` belong to it, once it is whole.
    fn take(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                b'\r' if !self.has_return => self.has_return = true,
                b'\n' if std::mem::take(&mut self.has_return) => return Ok(Some(at + 1)),
                _ => return Err(Fault::ChunkEnd),
            }
        }
        Ok(None)
    }
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    /// The line with a chunk's size.
    #[default]
    Size,
    /// That many bytes of data.
    Data(u64),
    /// The line end after them.
    DataEnd,
    /// Fields after the last chunk, up to an empty line.
    Trailers,
}

impl Chunks {
    /// Reads bytes up to the end of the body; returns where that is, once it is there.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            match self.next {
                Next::Size => {
                    let Some((line, end)) = self.lines.cut(rest)? else {
                        return Ok(None);
                    };
                    at += end;
                    self.next = after_size(size(line)?);
                }
                Next::Data(left) => {
                    let taken = left.min(rest.len() as u64);
                    at += taken as usize;
                    if taken < left {
                        self.next = Next::Data(left - taken);
                        return Ok(None);
                    }
                    self.next = Next::DataEnd;
                }
                // A chunk that does not end goes on with data, which may have no line end for long.
                Next::DataEnd => {
                    let Some(taken) = self.end.take(rest)? else {
                        return Ok(None);
                    };
                    at += taken;
                    self.next = Next::Size;
                }
                Next::Trailers => {
                    let Some((line, end)) = self.lines.cut(rest)? else {
                        return Ok(None);
                    };
                    at += end;
                    if line.bytes.is_empty() {
                        return Ok(Some(at));
                    }
                }
            }
        }
    }
}

fn after_size(size: u64) -> Next {
    match size {
        0 => Next::Trailers,
        size => Next::Data(size),
    }
}

/// The size of a chunk. Extensions may follow it on its line (§7.1.1); they have no meaning here.
fn size(line: RawLine<'_>) -> Result<u64, Fault> {
    let digits = line
        .bytes
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    let (size, extensions) = line.bytes.split_at(digits);
    let is_extension = extensions.is_empty() || extensions.trim_ascii_start().starts_with(b";");
    let is_text = extensions
        .iter()
        .all(|byte| *byte == b'\t' || !byte.is_ascii_control());
    let size = str::from_utf8(size)
        .ok()
        .filter(|size| size.len() <= 16)
        .and_then(|size| u64::from_str_radix(size, 16).ok());
    size.filter(|_| is_extension && is_text && !line.overlong)
        .ok_or(Fault::ChunkSize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the body ends. It must be the same however the bytes are cut in two.
    fn end(text: &str) -> Result<Option<usize>, Fault> {
        let whole = Chunks::default().take(text.as_bytes());
        for cut in 0..text.len() {
            let (first, second) = text.as_bytes().split_at(cut);
            let mut chunks = Chunks::default();
            let cut_end = match chunks.take(first) {
                Ok(None) => chunks.take(second).map(|end| end.map(|end| end + cut)),
                early => early,
            };
            assert_eq!(cut_end, whole, "{text:?} cut at {cut}");
        }
        whole
    }

    #[test]
    fn a_body_ends_after_its_trailers() {
        assert_eq!(end("0\r\n\r\n"), Ok(Some(5)));
        assert_eq!(end("3\r\nabc\r\n0\r\n\r\nGET"), Ok(Some(13)));
        assert_eq!(
            end("0A;a=b ; c=\"d\"\r\n0123456\r\n\n\r\n000\r\nX: 1\r\nY: 2\r\n\r\n"),
            Ok(Some(47))
        );
        assert_eq!(end("3 ;a\r\nabc\r\n0\r\n"), Ok(None));
        assert_eq!(end("ffffffffffffffff\r\nabc"), Ok(None));
    }

    #[test]
    fn an_ambiguous_chunk_size_is_a_fault() {
        for size in [
            "",
            "+3",
            "-3",
            "0x3",
            "3 ",
            "3 3",
            "g",
            "3g",
            "3\t",
            "10000000000000000",
            "00000000000000003",
            "3;\u{1}",
            "3;\ra",
            " 3",
            "٣",
        ] {
            assert_eq!(
                end(&format!("{size}\r\nabc\r\n0\r\n\r\n")),
                Err(Fault::ChunkSize),
                "{size:?}"
            );
        }
        assert_eq!(end("3;a\nabc\r\n"), Err(Fault::BareLf));
        assert_eq!(
            Chunks::default().take(format!("3;{}", "a".repeat(3_000)).as_bytes()),
            Ok(None)
        );
        let mut chunks = Chunks::default();
        chunks
            .take(format!("3;{}", "a".repeat(3_000)).as_bytes())
            .unwrap();
        assert_eq!(chunks.take(b"\r\n"), Err(Fault::ChunkSize));
    }

    #[test]
    fn a_chunk_that_is_longer_than_its_size_is_a_fault() {
        assert_eq!(
            Chunks::default().take(b"3\r\nabcdef\r\n0\r\n\r\n"),
            Err(Fault::ChunkEnd)
        );
        assert_eq!(Chunks::default().take(b"3\r\nabcdef"), Err(Fault::ChunkEnd));
        assert_eq!(
            Chunks::default().take(b"3\r\nabc\n0\r\n\r\n"),
            Err(Fault::ChunkEnd)
        );
        assert_eq!(
            Chunks::default().take(b"3\r\nab\r\n0\r\n\r\n"),
            Err(Fault::ChunkEnd)
        );
    }

    #[test]
    fn a_trailer_that_ends_with_lf_alone_is_a_fault() {
        assert_eq!(end("0\r\nX: 1\n\r\n"), Err(Fault::BareLf));
    }
}
