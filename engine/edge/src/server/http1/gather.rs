//! Writes of several slices: small ones are joined, and field lines are added to the end of a head.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::AsyncWrite;

/// Up to this many bytes, copying the slices of a write together costs less than letting the kernel
/// gather them.
const SMALL_WRITE: usize = 2048;

const END_OF_LINE: &[u8] = b"\r\n";

thread_local! {
    /// The bytes of one write.
    static TOGETHER: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(SMALL_WRITE));
}

/// Writes `slices`. Returns how many of their bytes were written.
pub(super) fn write<S: AsyncWrite + Unpin>(
    stream: &mut S,
    context: &mut Context<'_>,
    slices: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    if length(slices) > SMALL_WRITE {
        return Pin::new(stream).poll_write_vectored(context, slices);
    }
    TOGETHER.with_borrow_mut(|together| {
        together.clear();
        put(together, slices);
        Pin::new(stream).poll_write(context, together)
    })
}

/// As [`write`], with field lines, which end with CRLF each, added to the head in the first slice.
/// If a byte was written, all of the head counts as written, and its rest is appended to `left`.
///
/// # Errors
/// If the first slice isn't a complete head, or those of the stream.
pub(super) fn write_with_lines<S: AsyncWrite + Unpin>(
    stream: &mut S,
    context: &mut Context<'_>,
    slices: &[IoSlice<'_>],
    lines: &[u8],
    left: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    let Some((head, rest)) = slices.split_first() else {
        return Poll::Ready(Ok(0));
    };
    let Some(open) = head
        .strip_suffix(END_OF_LINE)
        .filter(|open| open.ends_with(END_OF_LINE))
    else {
        return Poll::Ready(Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the first slice is not a complete head",
        )));
    };
    TOGETHER.with_borrow_mut(|together| {
        together.clear();
        for part in [open, lines, END_OF_LINE] {
            together.extend_from_slice(part);
        }
        let length_of_head = together.len();
        let written = if length_of_head + length(rest) <= SMALL_WRITE {
            put(together, rest);
            Pin::new(stream).poll_write(context, together)
        } else {
            let slices: Vec<_> = std::iter::once(IoSlice::new(together))
                .chain(rest.iter().copied())
                .collect();
            Pin::new(stream).poll_write_vectored(context, &slices)
        };
        let written = ready!(written)?;
        if written == 0 {
            return Poll::Ready(Ok(0));
        }
        left.extend_from_slice(together.get(written..length_of_head).unwrap_or_default());
        Poll::Ready(Ok(head.len() + written.saturating_sub(length_of_head)))
    })
}

fn length(slices: &[IoSlice<'_>]) -> usize {
    slices.iter().map(|slice| slice.len()).sum()
}

fn put(together: &mut Vec<u8>, slices: &[IoSlice<'_>]) {
    slices
        .iter()
        .for_each(|slice| together.extend_from_slice(slice));
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 6000\r\n\r\n";
    const LINES: &[u8] = b"age: 5\r\nvia: 1.1 tero\r\n";

    /// A stream that takes so many bytes of each write.
    struct Narrow {
        takes: usize,
        taken: Vec<u8>,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let length = bytes.len().min(self.takes);
            self.taken.extend_from_slice(&bytes[..length]);
            Poll::Ready(Ok(length))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            context: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = slices
                .iter()
                .flat_map(|slice| slice.iter().copied())
                .collect();
            self.poll_write(context, &all)
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Writes a head and `body`, of which the stream takes `takes` bytes at first. Returns all
    /// bytes that arrive, and how many were reported as written at first.
    fn sent(takes: usize, body: &[u8]) -> (Vec<u8>, usize) {
        let (mut stream, mut left) = (
            Narrow {
                takes,
                taken: Vec::new(),
            },
            BytesMut::new(),
        );
        let mut context = Context::from_waker(Waker::noop());
        let slices = [
            IoSlice::new(HEAD),
            IoSlice::new(&body[..body.len() / 3]),
            IoSlice::new(&body[body.len() / 3..]),
        ];
        let Poll::Ready(Ok(gone)) =
            write_with_lines(&mut stream, &mut context, &slices, LINES, &mut left)
        else {
            panic!()
        };
        stream.taken.extend_from_slice(&left);
        stream.taken.extend_from_slice(&body[gone - HEAD.len()..]);
        (stream.taken, gone)
    }

    #[test]
    fn lines_are_added_to_the_head_however_much_the_stream_takes() {
        for body in [vec![], vec![b'b'; 100], vec![b'b'; 6_000]] {
            let open = &HEAD[..HEAD.len() - 2];
            let expected = [open, LINES, b"\r\n", &body].concat();
            for takes in 1..=expected.len() + 1 {
                let (arrived, gone) = sent(takes, &body);
                assert!(
                    arrived == expected,
                    "{takes} bytes at a time of {} of content",
                    body.len()
                );
                assert_eq!(
                    gone,
                    HEAD.len()
                        + takes
                            .min(expected.len())
                            .saturating_sub(expected.len() - body.len()),
                    "{takes}"
                );
            }
        }
    }

    #[test]
    fn lines_need_a_head_and_a_stream_that_takes_bytes() {
        let (mut stream, mut left) = (
            Narrow {
                takes: 0,
                taken: Vec::new(),
            },
            BytesMut::new(),
        );
        let mut context = Context::from_waker(Waker::noop());
        let mut written = |slices: &[IoSlice<'_>]| {
            write_with_lines(&mut stream, &mut context, slices, LINES, &mut left)
        };
        assert!(matches!(written(&[IoSlice::new(HEAD)]), Poll::Ready(Ok(0))));
        assert!(matches!(
            written(&[IoSlice::new(b"content\r\n")]),
            Poll::Ready(Err(_))
        ));
        assert!(left.is_empty());
    }
}
