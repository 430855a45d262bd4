//! Bounds for frames that cost the edge more than the client.
//!
//! The protocol below answers or takes in any number of them: resets, each of which ends a request
//! that has begun (CVE-2023-44487), `PING` and `SETTINGS`, which must be acknowledged, `PRIORITY`,
//! empty `DATA`, `WINDOW_UPDATE` by single bytes. What a client needs them for goes with requests
//! and content: so these earn more of them, and a busy proxy is never cut.

use std::time::Duration;

use crate::telemetry::connection_faults::ConnectionFault;
use tero_semantics::timestamp::Timestamp;
use tero_wire::{FrameHead, FrameKind};

/// The time over which resets are counted.
const RESET_WINDOW: Duration = Duration::from_secs(60);
/// The time over which frames are counted that ask for nothing.
const CONTROL_WINDOW: Duration = Duration::from_secs(10);
/// So many frames that ask for nothing may go with each request.
const FREE_BY_REQUEST: u64 = 4;
/// One more may go with so many bytes of content, in either direction.
const FREE_BY_CONTENT: u64 = 4096;
/// A `WINDOW_UPDATE` or a `CONTINUATION` below this, in bytes, asks for nothing.
const SMALL: u32 = 1024;
/// The length of frames that the edge accepts, in bytes (`SETTINGS_MAX_FRAME_SIZE`).
pub(super) const FRAME_SIZE: u32 = 16 * 1024;

/// What a client has to keep to.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameLimits {
    /// Resets in [`RESET_WINDOW`], at most.
    pub(super) resets: u64,
    /// Frames that ask for nothing in [`CONTROL_WINDOW`], at most, beside those that go with
    /// requests and content.
    pub(super) control_frames: u64,
    /// Bytes of an encoded header block, at most.
    pub(super) header_block: u64,
}

/// What the frames of a connection have cost.
#[derive(Debug)]
pub(super) struct FrameBudget {
    limits: FrameLimits,
    resets: WindowCount,
    control: WindowCount,
    /// Frames that ask for nothing and go with requests or content of this window.
    earned: u64,
    /// Bytes of content that have not earned a frame yet.
    content: u64,
    /// The latest stream that the client has opened.
    latest_stream: u32,
    /// Bytes and frames of the header block under way.
    block: (u64, u64),
    fault: Option<ConnectionFault>,
}

/// A count that begins anew after a while.
#[derive(Debug)]
struct WindowCount {
    length: Duration,
    since: Timestamp,
    count: u64,
}

impl WindowCount {
    fn new(length: Duration, now: Timestamp) -> WindowCount {
        WindowCount {
            length,
            since: now,
            count: 0,
        }
    }

    /// Begins anew if it is time. Returns whether it did.
    fn turn(&mut self, now: Timestamp) -> bool {
        // A clock that was set back begins anew, too.
        let is_over = now < self.since || now.since(self.since) >= self.length;
        if is_over {
            (self.since, self.count) = (now, 0);
        }
        is_over
    }
}

impl FrameBudget {
    pub(super) fn new(limits: FrameLimits, now: Timestamp) -> FrameBudget {
        FrameBudget {
            limits,
            resets: WindowCount::new(RESET_WINDOW, now),
            control: WindowCount::new(CONTROL_WINDOW, now),
            earned: 0,
            content: 0,
            latest_stream: 0,
            block: (0, 0),
            fault: None,
        }
    }

    /// Why the connection has to end, if it has.
    pub(super) fn fault(&self) -> Option<ConnectionFault> {
        self.fault
    }

    /// Counts a frame of the client.
    pub(super) fn received(&mut self, frame: &FrameHead, now: Timestamp) {
        if self.control.turn(now) {
            self.earned = 0;
        }
        match frame.kind {
            FrameKind::Data if frame.data() > 0 => self.earn_by_content(frame.data()),
            // The end of a stream asks for its answer.
            FrameKind::Data if frame.ends_stream() => {}
            FrameKind::Headers => {
                self.block = (0, 0);
                self.add_to_block(frame);
                if frame.stream > self.latest_stream {
                    self.latest_stream = frame.stream;
                    self.earned += FREE_BY_REQUEST;
                }
            }
            FrameKind::Continuation => {
                self.add_to_block(frame);
                if frame.length < SMALL {
                    self.spend();
                }
            }
            FrameKind::Reset => {
                self.resets.turn(now);
                self.resets.count += 1;
                if self.resets.count > self.limits.resets {
                    self.end(ConnectionFault::Resets);
                }
            }
            FrameKind::WindowUpdate if frame.number() >= SMALL => {}
            _ => self.spend(),
        }
    }

    /// Counts bytes of content that went to the client.
    pub(super) fn sent(&mut self, data: u32) {
        self.earn_by_content(data);
    }

    fn earn_by_content(&mut self, data: u32) {
        self.content += u64::from(data);
        self.earned += self.content / FREE_BY_CONTENT;
        self.content %= FREE_BY_CONTENT;
    }

    fn spend(&mut self) {
        self.control.count += 1;
        if self.control.count > self.limits.control_frames + self.earned {
            self.end(ConnectionFault::ControlFrames);
        }
    }

    fn add_to_block(&mut self, frame: &FrameHead) {
        let (bytes, frames) = &mut self.block;
        *bytes += u64::from(frame.length);
        *frames += 1;
        let most_frames = (self.limits.header_block / u64::from(FRAME_SIZE)).max(4) + 1;
        if *bytes > self.limits.header_block || (*frames > most_frames && !frame.ends_block()) {
            self.end(ConnectionFault::HeaderBlock);
        }
    }

    fn end(&mut self, fault: ConnectionFault) {
        self.fault.get_or_insert(fault);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tero_wire::Frames;

    const LIMITS: FrameLimits = FrameLimits {
        resets: 3,
        control_frames: 5,
        header_block: 100_000,
    };

    struct FloodClient {
        budget: FrameBudget,
        frames: Frames,
        now: Timestamp,
    }

    impl FloodClient {
        fn new() -> FloodClient {
            let now = Timestamp::from_unix_secs(1_000);
            FloodClient {
                budget: FrameBudget::new(LIMITS, now),
                frames: Frames::of_server(),
                now,
            }
        }

        /// Sends frames of a kind. The first bytes of their content are `number`.
        fn send(&mut self, times: u64, kind: u8, flags: u8, stream: u32, length: u32, number: u32) {
            for _ in 0..times {
                let size = length.to_be_bytes();
                let mut bytes = vec![size[1], size[2], size[3], kind, flags];
                bytes.extend(stream.to_be_bytes());
                bytes.extend(number.to_be_bytes());
                bytes.resize(9 + length as usize, 0);
                let (budget, now) = (&mut self.budget, self.now);
                self.frames
                    .take(&bytes, |frame| budget.received(frame, now));
            }
        }

        fn wait_secs(&mut self, secs: u64) {
            self.now = self.now.saturating_add(Duration::from_secs(secs));
        }

        #[track_caller]
        fn check(&self, expected: Option<ConnectionFault>) {
            assert_eq!(self.budget.fault(), expected);
        }
    }

    #[test]
    fn resets_are_bounded_in_a_minute() {
        let mut client = FloodClient::new();
        client.send(3, 3, 0, 1, 4, 8);
        client.check(None);
        client.wait_secs(60);
        client.send(3, 3, 0, 1, 4, 8);
        client.check(None);
        client.wait_secs(59);
        client.send(1, 3, 0, 1, 4, 8);
        client.check(Some(ConnectionFault::Resets));
    }

    #[test]
    fn frames_that_ask_for_nothing_are_bounded() {
        for (kind, flags, length, number) in [
            (6, 0, 8, 0), // PING
            (6, 1, 8, 0), // its acknowledgement
            (4, 0, 0, 0), // SETTINGS
            (4, 0, 6, 0),
            (2, 0, 5, 0),           // PRIORITY
            (0, 0, 0, 0),           // DATA without content
            (0, 8, 4, 0x0300_0000), // and with padding alone
            (8, 0, 4, 1),           // WINDOW_UPDATE by one byte
            (16, 0, 4, 0),          // PRIORITY_UPDATE
        ] {
            let mut client = FloodClient::new();
            client.send(5, kind, flags, 1, length, number);
            client.check(None);
            client.wait_secs(10);
            client.send(5, kind, flags, 1, length, number);
            client.check(None);
            client.send(1, kind, flags, 1, length, number);
            client.check(Some(ConnectionFault::ControlFrames));
        }
    }

    #[test]
    fn requests_and_content_earn_more_frames() {
        let mut client = FloodClient::new();
        client.send(1, 1, 0x5, 1, 10, 0);
        client.send(9, 6, 0, 0, 8, 0);
        client.check(None);
        client.send(1, 0, 0, 1, 4096, 0);
        client.send(1, 6, 0, 0, 8, 0);
        client.check(None);
        client.budget.sent(4096);
        client.send(1, 6, 0, 0, 8, 0);
        client.check(None);
        client.send(1, 6, 0, 0, 8, 0);
        client.check(Some(ConnectionFault::ControlFrames));
    }

    #[test]
    fn large_updates_and_ends_of_streams_cost_nothing() {
        let mut client = FloodClient::new();
        client.send(100, 8, 0, 0, 4, 1024);
        client.send(100, 0, 1, 1, 0, 0);
        client.check(None);
    }

    #[test]
    fn a_header_block_is_bounded_in_bytes_and_frames() {
        let mut client = FloodClient::new();
        client.send(1, 1, 0, 1, 16_384, 0);
        client.send(4, 9, 0, 1, 16_384, 0);
        client.send(1, 9, 4, 1, 16_384, 0);
        client.check(None);
        client.send(1, 1, 0, 3, 16_384, 0);
        client.send(6, 9, 0, 3, 16_384, 0);
        client.check(Some(ConnectionFault::HeaderBlock));
        let mut client = FloodClient::new();
        client.send(1, 1, 0, 1, 2_000, 0);
        client.send(7, 9, 0, 1, 2_000, 0);
        client.check(Some(ConnectionFault::HeaderBlock));
    }
}
