//! The lines of one file, unpacked and bounded.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

/// The longest line that is read, in bytes. A longer one is skipped and counted.
pub const MAX_LINE_BYTES: usize = 64 << 10;

/// Bytes that are read at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// The largest window of a Zstandard frame, as a power of two: 128 MiB, what the format's tools take
/// without being asked.
const ZSTD_WINDOW_LOG: u32 = 27;

/// A line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReadLine<'l> {
    /// All of it, without its line break. Bytes that are not UTF-8 are replaced.
    Whole(Cow<'l, str>),
    /// It is longer than [`MAX_LINE_BYTES`].
    TooLong,
}

/// The lines of a file.
pub(super) struct LogLines<'l> {
    input: Unpacker<'l>,
    line: Vec<u8>,
}

/// The text of a file. What it is packed with is found out when the first line is read.
enum Unpacker<'l> {
    Packed(Option<Box<dyn Read + 'l>>),
    Plain(Box<dyn BufRead + 'l>),
}

impl<'l> LogLines<'l> {
    pub(super) fn new(input: Box<dyn Read + 'l>) -> LogLines<'l> {
        LogLines {
            input: Unpacker::Packed(Some(input)),
            line: Vec::new(),
        }
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// If the file can't be read on: such as a damaged compressed one.
    pub(super) fn next_line(&mut self) -> io::Result<Option<ReadLine<'_>>> {
        let input = self.input.text()?;
        self.line.clear();
        let mut is_too_long = false;
        loop {
            let chunk = match input.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                if self.line.is_empty() && !is_too_long {
                    return Ok(None);
                }
                break;
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            if self.line.len() + part.len() > MAX_LINE_BYTES {
                is_too_long = true;
            } else if !is_too_long {
                self.line.extend_from_slice(part);
            }
            let used = end.map_or(chunk.len(), |end| end + 1);
            input.consume(used);
            if end.is_some() {
                break;
            }
        }
        if is_too_long {
            return Ok(Some(ReadLine::TooLong));
        }
        // `from_utf8_lossy` looks at each character, also where nothing is to be replaced.
        let line = match std::str::from_utf8(&self.line) {
            Ok(line) => Cow::Borrowed(line),
            Err(_) => String::from_utf8_lossy(&self.line),
        };
        Ok(Some(ReadLine::Whole(line)))
    }
}

impl<'l> Unpacker<'l> {
    /// The unpacked text.
    fn text(&mut self) -> io::Result<&mut (dyn BufRead + 'l)> {
        if let Unpacker::Packed(input) = self {
            let input = input.take().unwrap_or_else(|| Box::new(io::empty()));
            *self = Unpacker::Plain(unpacked(input)?);
        }
        match self {
            Unpacker::Plain(text) => Ok(&mut **text),
            Unpacker::Packed(_) => Err(io::ErrorKind::Other.into()),
        }
    }
}

/// Tells gzip (RFC 1952) and Zstandard (RFC 8878) by their first bytes.
fn unpacked<'l>(mut input: Box<dyn Read + 'l>) -> io::Result<Box<dyn BufRead + 'l>> {
    let mut magic = Vec::with_capacity(4);
    input.by_ref().take(4).read_to_end(&mut magic)?;
    let is_gzip = magic.starts_with(&[0x1f, 0x8b]);
    let is_zstd = magic == [0x28, 0xb5, 0x2f, 0xfd];
    let whole = BufReader::with_capacity(BUFFER_BYTES, io::Cursor::new(magic).chain(input));
    if is_gzip {
        return Ok(Box::new(BufReader::with_capacity(
            BUFFER_BYTES,
            MultiGzDecoder::new(whole),
        )));
    }
    if is_zstd {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(whole)?;
        decoder.window_log_max(ZSTD_WINDOW_LOG)?;
        return Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder)));
    }
    Ok(Box::new(whole))
}

/// Counts what is read of a file.
pub(super) struct CountedInput<'l> {
    input: Box<dyn Read + 'l>,
    read: Arc<AtomicU64>,
}

impl<'l> CountedInput<'l> {
    pub(super) fn new(input: Box<dyn Read + 'l>, read: Arc<AtomicU64>) -> CountedInput<'l> {
        CountedInput { input, read }
    }
}

impl Read for CountedInput<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
