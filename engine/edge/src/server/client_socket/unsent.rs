//! How much of what was written to a client it has not acknowledged yet.

use std::os::fd::AsRawFd;

/// The bytes that were written to `stream` and not acknowledged by the other side. `None` if the
/// system can't tell.
#[cfg(target_os = "linux")]
#[allow(
    unsafe_code,
    reason = "no safe interface of the libraries in use asks the kernel for this number"
)]
pub(super) fn unsent(stream: &impl AsRawFd) -> Option<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open, since `stream` is borrowed, and the request writes one `int`
    // to the address that it is given (tcp(7), unix(7), `SIOCOUTQ`, which has the number of
    // `TIOCOUTQ`).
    let result = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    u64::try_from(bytes).ok().filter(|_| result == 0)
}

/// The same where no such request is known.
#[cfg(not(target_os = "linux"))]
pub(super) fn unsent(_: &impl AsRawFd) -> Option<u64> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Read;

    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn bytes_count_until_the_other_side_has_them() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (mut other, _) = listener.accept().unwrap();
        assert_eq!(unsent(&stream), Some(0));
        let piece = vec![0; 1 << 20];
        let mut written = 0;
        while let Ok(more) = stream.try_write(&piece) {
            written += more;
        }
        let before = unsent(&stream).unwrap();
        assert!(
            before > 0 && before <= written as u64,
            "{before} of {written}"
        );
        let mut read = vec![0; written];
        other.read_exact(&mut read).unwrap();
        while unsent(&stream) != Some(0) {
            tokio::task::yield_now().await;
        }
    }
}
