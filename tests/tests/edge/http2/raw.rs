//! A client that sends exactly the frames that a test wants, for what no client should send.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tero_tests::HOST;

/// The preface of a client (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RESET: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 0x1;
pub(super) const ACK: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;

pub(super) const PROTOCOL_ERROR: u32 = 0x1;
pub(super) const REFUSED_STREAM: u32 = 0x7;
pub(super) const ENHANCE_YOUR_CALM: u32 = 0xb;

/// `SETTINGS_HEADER_TABLE_SIZE` (RFC 9113 §6.5.2).
const HEADER_TABLE_SIZE: u16 = 1;

/// How long a read waits before the test fails.
const GUARD: Duration = tero_tests::GUARD;

/// A frame as it came.
#[derive(Clone, Debug)]
pub(super) struct RawFrame {
    pub(super) kind: u8,
    pub(super) stream: u32,
    pub(super) content: Vec<u8>,
}

impl RawFrame {
    /// The error that a `RST_STREAM` tells.
    pub(super) fn error(&self) -> u32 {
        u32::from_be_bytes(self.content[..4].try_into().unwrap())
    }

    /// The status in a head of a response.
    pub(super) fn status(&self) -> u16 {
        status(&self.content)
    }
}

/// A connection that speaks in frames.
#[derive(Debug)]
pub(super) struct RawClient {
    stream: TcpStream,
    received: Vec<u8>,
}

/// The fields of a GET for the site.
pub(super) fn get(path: &str) -> Vec<(&str, &str)> {
    vec![
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", HOST),
        (":path", path),
    ]
}

/// An encoded frame.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32).to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(content);
    bytes
}

/// A header block, by literals that are not indexed (RFC 7541 §6.2.2).
pub(super) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        text(&mut bytes, name.as_bytes());
        text(&mut bytes, value.as_bytes());
    }
    bytes
}

/// A string literal without Huffman coding.
pub(super) fn text(bytes: &mut Vec<u8>, text: &[u8]) {
    integer(bytes, 0, 7, text.len());
    bytes.extend(text);
}

/// An integer after `bits` of a prefix (RFC 7541 §5.1).
pub(super) fn integer(bytes: &mut Vec<u8>, prefix: u8, bits: u32, value: usize) {
    let most = (1 << bits) - 1;
    if value < most {
        return bytes.push(prefix | value as u8);
    }
    bytes.push(prefix | most as u8);
    let mut left = value - most;
    while left >= 128 {
        bytes.push((left % 128) as u8 | 0x80);
        left /= 128;
    }
    bytes.push(left as u8);
}

impl RawClient {
    /// Connects, and begins as every client does. It has no room for a table of fields, so that
    /// each status is told anew.
    pub(super) fn connect(address: SocketAddr) -> RawClient {
        RawClient::connect_with(address, &[(HEADER_TABLE_SIZE, 0)])
    }

    /// The same, with these settings.
    pub(super) fn connect_with(address: SocketAddr, settings: &[(u16, u32)]) -> RawClient {
        let mut client = RawClient::silent(address);
        client.write(PREFACE);
        let content: Vec<u8> = settings
            .iter()
            .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        client.send(SETTINGS, 0, 0, &content);
        client
    }

    /// A connection on which nothing was sent.
    pub(super) fn silent(address: SocketAddr) -> RawClient {
        let stream = TcpStream::connect(address).expect("the edge listens");
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(GUARD)).unwrap();
        stream.set_write_timeout(Some(GUARD)).unwrap();
        RawClient {
            stream,
            received: Vec::new(),
        }
    }

    /// Sends bytes. Returns whether the edge takes them.
    pub(super) fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends a frame. Returns whether the edge takes it.
    pub(super) fn send(&mut self, kind: u8, flags: u8, stream: u32, content: &[u8]) -> bool {
        self.write(&frame(kind, flags, stream, content))
    }

    /// Sends a request without content.
    pub(super) fn request(&mut self, stream: u32, fields: &[(&str, &str)]) -> bool {
        self.send(HEADERS, END_HEADERS | END_STREAM, stream, &block(fields))
    }

    /// The next frame; `None` at the end of the connection.
    ///
    /// # Panics
    /// If nothing comes.
    pub(super) fn next(&mut self) -> Option<RawFrame> {
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            let mut piece = [0; 16 << 10];
            match self.stream.read(&mut piece) {
                Ok(0) => return None,
                Ok(length) => self.received.extend(&piece[..length]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    panic!("the edge neither answers nor ends the connection")
                }
                Err(_) => return None,
            }
        }
    }

    fn take(&mut self) -> Option<RawFrame> {
        let head = self.received.get(..9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        if self.received.len() < 9 + length {
            return None;
        }
        let bytes: Vec<u8> = self.received.drain(..9 + length).collect();
        Some(RawFrame {
            kind: bytes[3],
            stream: u32::from_be_bytes([bytes[5], bytes[6], bytes[7], bytes[8]]),
            content: bytes[9..].to_vec(),
        })
    }

    /// The next frame of these kinds; `None` at the end of the connection.
    pub(super) fn next_of(&mut self, kinds: &[u8]) -> Option<RawFrame> {
        loop {
            let frame = self.next()?;
            if kinds.contains(&frame.kind) {
                return Some(frame);
            }
        }
    }

    /// What comes first of a stream: its head or its reset.
    ///
    /// # Panics
    /// If the connection ends before.
    pub(super) fn first_of(&mut self, stream: u32) -> RawFrame {
        loop {
            let frame = self
                .next_of(&[HEADERS, RESET])
                .expect("the edge says something about the stream");
            if frame.stream == stream {
                return frame;
            }
        }
    }

    /// Reads to the end of the connection. Returns the error of the last `GOAWAY`.
    pub(super) fn end(&mut self) -> Option<u32> {
        let mut error = None;
        while let Some(frame) = self.next() {
            if frame.kind == GOAWAY {
                error = Some(u32::from_be_bytes(frame.content[4..8].try_into().unwrap()));
            }
        }
        error
    }

    /// Whether the edge has ended the connection.
    pub(super) fn has_ended(&mut self) -> bool {
        self.stream
            .set_read_timeout(Some(Duration::from_millis(1)))
            .unwrap();
        let mut piece = [0; 16 << 10];
        let ended = loop {
            match self.stream.read(&mut piece) {
                Ok(0) => break true,
                Ok(length) => self.received.extend(&piece[..length]),
                Err(error) => {
                    break !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                }
            }
        };
        self.stream.set_read_timeout(Some(GUARD)).unwrap();
        ended
    }
}

/// The status at the beginning of a header block: an entry of the static table, or a literal of
/// digits (RFC 7541 §5.2, §6).
fn status(mut block: &[u8]) -> u16 {
    // A change of the size of the table may come first (§6.3).
    while block[0] & 0xe0 == 0x20 {
        block = &block[1..];
    }
    match block[0] {
        0x88 => 200,
        0x89 => 204,
        0x8a => 206,
        0x8b => 304,
        0x8c => 400,
        0x8d => 404,
        0x8e => 500,
        first if first & 0xf0 == 0x40 || first & 0xf0 == 0 => {
            let length = usize::from(block[1] & 0x7f);
            let digits = &block[2..2 + length];
            if block[1] & 0x80 == 0 {
                return String::from_utf8_lossy(digits).parse().unwrap();
            }
            unhuffman(digits)
        }
        first => panic!("not a status: {first:#x}"),
    }
}

/// Digits in Huffman coding (RFC 7541, appendix B): three codes of five bits, the others of six.
fn unhuffman(bytes: &[u8]) -> u16 {
    let bits: Vec<u16> = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| u16::from(byte >> bit & 1)))
        .collect();
    let number = |bits: &[u16]| bits.iter().fold(0, |number, bit| number * 2 + bit);
    let (mut at, mut status) = (0, 0);
    for _ in 0..3 {
        let five = number(&bits[at..at + 5]);
        let digit = if five < 3 {
            at += 5;
            five
        } else {
            at += 6;
            number(&bits[at - 6..at]) - 0b01_1001 + 3
        };
        status = status * 10 + digit;
    }
    status
}
