//! The frames of one direction of an HTTP/2 connection (RFC 9113 §4.1, §6), as far as their headers
//! tell them.
//!
//! The content of frames is not looked at but for its first bytes, and no byte is kept. So the cost
//! of a frame does not depend on its length.

/// The client's preface (RFC 9113 §3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Length of the header of a frame.
const HEADER: usize = 9;
/// So many of the first bytes of a frame's content are told.
const LEAD: usize = 4;

/// The kind of a frame (RFC 9113 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// `DATA`
    Data,
    /// `HEADERS`
    Headers,
    /// `PRIORITY`
    Priority,
    /// `RST_STREAM`
    Reset,
    /// `SETTINGS`
    Settings,
    /// `PING`
    Ping,
    /// `GOAWAY`
    GoAway,
    /// `WINDOW_UPDATE`
    WindowUpdate,
    /// `CONTINUATION`
    Continuation,
    /// `PUSH_PROMISE`, and kinds that this version of HTTP does not know.
    Other,
}

/// What the header of a frame tells, and the first bytes of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// Its kind.
    pub kind: FrameKind,
    /// Its flags, as they came.
    flags: u8,
    /// Its stream; 0 for the connection.
    pub stream: u32,
    /// The length of its content in bytes.
    pub length: u32,
    lead: [u8; LEAD],
}

/// Reads the frames of one direction.
///
/// ```
/// use tero_wire::{FrameKind, Frames, PREFACE};
///
/// let mut frames = Frames::of_client();
/// let mut seen = Vec::new();
/// frames.take(PREFACE, |_| panic!("the preface is not a frame"));
/// // A PING, in two pieces.
/// frames.take(&[0, 0, 8, 6, 0, 0, 0], |frame| seen.push(frame.kind));
/// assert!(frames.is_in_frame());
/// frames.take(&[0, 0, 1, 2, 3, 4, 5, 6, 7, 8], |frame| seen.push(frame.kind));
/// assert_eq!(seen, [FrameKind::Ping]);
/// assert!(!frames.is_in_frame());
/// ```
#[derive(Debug)]
pub struct Frames {
    /// Bytes of the preface that have not come.
    preface_left: usize,
    /// The header under way, and the first bytes of the content.
    begun: [u8; HEADER + LEAD],
    /// So many bytes of `begun` have come.
    have: usize,
    /// Bytes of the content that have not come, without those that `begun` waits for.
    content_left: u32,
    /// The stream whose header block is not complete (§4.3).
    open_block: bool,
}

impl FrameHead {
    fn of(begun: &[u8; HEADER + LEAD]) -> FrameHead {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3, lead @ ..] = *begun;
        FrameHead {
            kind: match kind {
                0 => FrameKind::Data,
                1 => FrameKind::Headers,
                2 => FrameKind::Priority,
                3 => FrameKind::Reset,
                4 => FrameKind::Settings,
                6 => FrameKind::Ping,
                7 => FrameKind::GoAway,
                8 => FrameKind::WindowUpdate,
                9 => FrameKind::Continuation,
                _ => FrameKind::Other,
            },
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff,
            length: u32::from_be_bytes([0, l0, l1, l2]),
            lead,
        }
    }

    /// Whether the stream ends with it (`END_STREAM`).
    pub fn ends_stream(&self) -> bool {
        matches!(self.kind, FrameKind::Data | FrameKind::Headers) && self.flags & 0x1 != 0
    }

    /// Whether a header block ends with it (`END_HEADERS`).
    pub fn ends_block(&self) -> bool {
        matches!(self.kind, FrameKind::Headers | FrameKind::Continuation) && self.flags & 0x4 != 0
    }

    /// Bytes of content that a `DATA` frame brings, without its padding.
    pub fn data(&self) -> u32 {
        let is_padded = self.flags & 0x8 != 0;
        match self.kind {
            FrameKind::Data if is_padded => {
                let padding = u32::from(self.lead[0]) + 1;
                self.length.saturating_sub(padding)
            }
            FrameKind::Data => self.length,
            _ => 0,
        }
    }

    /// The first four bytes of the content as a number: the increment of a `WINDOW_UPDATE`, the
    /// error of a `RST_STREAM`. What has not as many counts as 0.
    pub fn number(&self) -> u32 {
        if self.length < LEAD as u32 {
            return 0;
        }
        u32::from_be_bytes(self.lead)
    }

    /// Whether it acknowledges a frame of the other side (`ACK`).
    pub fn is_acknowledgement(&self) -> bool {
        matches!(self.kind, FrameKind::Settings | FrameKind::Ping) && self.flags & 0x1 != 0
    }
}

impl Frames {
    /// Those of a client, which begin with its preface. It is counted, not compared.
    pub fn of_client() -> Frames {
        Frames {
            preface_left: PREFACE.len(),
            ..Frames::of_server()
        }
    }

    /// Those of a server.
    pub fn of_server() -> Frames {
        Frames {
            preface_left: 0,
            begun: [0; HEADER + LEAD],
            have: 0,
            content_left: 0,
            open_block: false,
        }
    }

    /// Whether the preface has not come completely.
    pub fn is_in_preface(&self) -> bool {
        self.preface_left > 0
    }

    /// Whether a frame has begun and is not complete.
    pub fn is_in_frame(&self) -> bool {
        self.have > 0 || self.content_left > 0
    }

    /// Whether a header block has begun and is not complete.
    pub fn is_in_block(&self) -> bool {
        self.open_block
    }

    /// Reads the next bytes. `each` gets a frame when its header and the first bytes of its content
    /// have come.
    pub fn take(&mut self, mut bytes: &[u8], mut each: impl FnMut(&FrameHead)) {
        let of_preface = self.preface_left.min(bytes.len());
        self.preface_left -= of_preface;
        bytes = &bytes[of_preface..];
        while !bytes.is_empty() {
            if self.content_left > 0 {
                let skipped = bytes.len().min(self.content_left as usize);
                self.content_left -= skipped as u32;
                bytes = &bytes[skipped..];
                continue;
            }
            let wanted = self.wanted();
            let taken = bytes.len().min(wanted - self.have);
            self.begun[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == HEADER && self.wanted() > HEADER {
                continue;
            }
            if self.have >= HEADER {
                self.complete(&mut each);
            }
        }
    }

    /// The bytes that make the header under way complete.
    fn wanted(&self) -> usize {
        if self.have < HEADER {
            return HEADER;
        }
        let length = u32::from_be_bytes([0, self.begun[0], self.begun[1], self.begun[2]]);
        HEADER + LEAD.min(length as usize)
    }

    fn complete(&mut self, each: &mut impl FnMut(&FrameHead)) {
        if self.have < self.wanted() {
            return;
        }
        let frame = FrameHead::of(&self.begun);
        self.content_left = frame.length - (self.have - HEADER) as u32;
        self.have = 0;
        if matches!(frame.kind, FrameKind::Headers | FrameKind::Continuation) {
            self.open_block = !frame.ends_block();
        }
        each(&frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
        let length = (content.len() as u32).to_be_bytes();
        let mut bytes = vec![length[1], length[2], length[3], kind, flags];
        bytes.extend(stream.to_be_bytes());
        bytes.extend(content);
        bytes
    }

    fn read(mut frames: Frames, bytes: &[u8], size: usize) -> Vec<FrameHead> {
        let mut seen = Vec::new();
        for piece in bytes.chunks(size) {
            frames.take(piece, |frame| seen.push(*frame));
        }
        assert!(!frames.is_in_frame() && !frames.is_in_preface());
        seen
    }

    #[test]
    fn frames_are_the_same_however_the_bytes_are_cut() {
        let bytes = [
            PREFACE,
            &frame(4, 0, 0, &[]),
            &frame(1, 0x5, 1, &[7; 300]),
            &frame(0, 0x1, 1, b"abc"),
            &frame(0, 0, 3, &[]),
            &frame(8, 0, 0, &70_000_u32.to_be_bytes()),
            &frame(3, 0, 3, &8_u32.to_be_bytes()),
            &frame(0xff, 0, 0x8000_0005, &[1, 2, 3, 4, 5]),
        ]
        .concat();
        let whole = read(Frames::of_client(), &bytes, bytes.len());
        let kinds: Vec<_> = whole.iter().map(|frame| frame.kind).collect();
        assert_eq!(
            kinds,
            [
                FrameKind::Settings,
                FrameKind::Headers,
                FrameKind::Data,
                FrameKind::Data,
                FrameKind::WindowUpdate,
                FrameKind::Reset,
                FrameKind::Other
            ]
        );
        let numbers: Vec<_> = whole.iter().map(FrameHead::number).collect();
        assert_eq!(&numbers[4..6], [70_000, 8]);
        assert_eq!(whole[6].stream, 5, "the reserved bit does not count");
        for size in [1, 2, 3, 8, 9, 10, 13, 50] {
            assert_eq!(read(Frames::of_client(), &bytes, size), whole, "{size}");
        }
    }

    #[test]
    fn padding_is_not_content() {
        for (flags, content, data) in [
            (0, &b"abc"[..], 3),
            (0x8, b"\x02abc--", 3),
            (0x8, b"\x05-----", 0),
            (0x8, b"\xff--", 0),
            (0x8, b"", 0),
            (0, b"", 0),
        ] {
            let seen = read(Frames::of_server(), &frame(0, flags, 1, content), 64);
            assert_eq!(seen[0].data(), data, "{content:?}");
        }
    }

    #[test]
    fn a_header_block_is_open_until_its_end() {
        let mut frames = Frames::of_server();
        for (bytes, is_open) in [
            (frame(1, 0x1, 1, &[0; 10]), true),
            (frame(9, 0, 1, &[0; 10]), true),
            (frame(9, 0x4, 1, &[]), false),
            (frame(1, 0x4, 3, &[0; 10]), false),
        ] {
            frames.take(&bytes, |_| ());
            assert_eq!(frames.is_in_block(), is_open);
        }
    }

    #[test]
    fn flags_mean_what_they_mean_for_their_kind() {
        let one = |kind, flags| read(Frames::of_server(), &frame(kind, flags, 0, &[]), 9)[0];
        assert!(one(0, 0x1).ends_stream() && one(1, 0x1).ends_stream());
        assert!(!one(6, 0x1).ends_stream() && one(6, 0x1).is_acknowledgement());
        assert!(one(4, 0x1).is_acknowledgement() && !one(0, 0x1).is_acknowledgement());
        assert!(one(9, 0x4).ends_block() && !one(0, 0x4).ends_block());
    }
}
