//! The way between a process and its successor: a pair of connected sockets, by which messages go as
//! lines of JSON and open files by their numbers (`SCM_RIGHTS`, unix(7)).
//!
//! The successor gets its end as standard input. So no number has to stay open across `exec`, which
//! processes that compile policies would inherit too.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest message, in bytes: a thousand listeners take a fifth of it.
const MAX_MESSAGE: usize = 1 << 20;

/// One end of the way.
#[derive(Debug)]
pub(super) struct Channel(UnixStream);

/// What came of waiting for a message.
#[derive(Debug)]
pub(super) enum Received<M> {
    /// A message.
    Message(M),
    /// Nothing within the time.
    Nothing,
    /// The other process is gone.
    Closed,
}

impl Channel {
    /// This end of a way, and the other.
    pub(super) fn pair() -> io::Result<(Channel, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Channel(ours), theirs.into()))
    }

    /// The other end.
    #[cfg(test)]
    pub(super) fn of(end: OwnedFd) -> Channel {
        Channel(end.into())
    }

    /// The end that is standard input.
    pub(super) fn of_standard_input() -> io::Result<Channel> {
        let input = io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Channel(input.into()))
    }

    /// Waits no longer than `limit` for room to send. The system keeps some hundred open files for a process that
    /// reads nothing.
    pub(super) fn limit_sends(&self, limit: Duration) -> io::Result<()> {
        self.0.set_write_timeout(Some(limit))
    }

    /// Sends a message.
    pub(super) fn send(&self, message: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        (&self.0).write_all(&line)
    }

    /// Waits for a message, until its first byte for no longer than `limit`.
    ///
    /// # Errors
    /// If it is not one of this kind, or too long, and the system's.
    pub(super) fn receive<M: DeserializeOwned>(&self, limit: Duration) -> io::Result<Received<M>> {
        let mut line = Vec::new();
        self.0.set_read_timeout(Some(limit))?;
        loop {
            // One at a time: a number goes with the byte that is read with it.
            let mut byte = [0];
            match (&self.0).read(&mut byte) {
                Ok(0) => return Ok(Received::Closed),
                Ok(_) if byte[0] == b'\n' => break,
                Ok(_) if line.len() < MAX_MESSAGE => line.push(byte[0]),
                Ok(_) => return Err(io::Error::other("a message is too long")),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) && line.is_empty() => {
                    return Ok(Received::Nothing);
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Ok(Received::Closed);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Received::Message(serde_json::from_slice(&line)?))
    }

    /// Sends the number of an open file.
    pub(super) fn send_file(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        let files = [file];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&files));
        sendmsg(
            &self.0,
            &[IoSlice::new(b"f")],
            &mut control,
            SendFlags::NOSIGNAL,
        )?;
        Ok(())
    }

    /// Receives the number of an open file.
    pub(super) fn receive_file(&self) -> io::Result<OwnedFd> {
        let mut byte = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC;
        recvmsg(
            &self.0,
            &mut [IoSliceMut::new(&mut byte)],
            &mut control,
            flags,
        )?;
        let files = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(files) => Some(files),
            _ => None,
        });
        let file = files.flatten().next();
        file.ok_or_else(|| io::Error::other("an open file is missing"))
    }
}

/// Whether something took longer than its limit.
pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    #[test]
    fn messages_and_files_arrive_in_order() {
        let (ours, theirs) = Channel::pair().unwrap();
        let theirs = Channel::of(theirs);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        ours.send(&vec!["one", "line\nwith two"]).unwrap();
        ours.send_file(listener.as_fd()).unwrap();
        ours.send(&7).unwrap();
        drop((ours, listener));
        let Received::Message(words) = theirs.receive::<Vec<String>>(LIMIT).unwrap() else {
            panic!("no message");
        };
        assert_eq!(words, ["one", "line\nwith two"]);
        let listener = TcpListener::from(theirs.receive_file().unwrap());
        assert_eq!(listener.local_addr().unwrap(), address);
        TcpStream::connect(address).expect("it listens");
        assert!(matches!(
            theirs.receive::<u8>(LIMIT),
            Ok(Received::Message(7))
        ));
        assert!(matches!(theirs.receive::<u8>(LIMIT), Ok(Received::Closed)));
    }

    #[test]
    fn silence_and_nonsense_are_told_apart() {
        let (ours, theirs) = Channel::pair().unwrap();
        let short = Duration::from_millis(1);
        assert!(matches!(ours.receive::<u8>(short), Ok(Received::Nothing)));
        let mut theirs = UnixStream::from(theirs);
        theirs.write_all(b"nonsense\n").unwrap();
        assert!(ours.receive::<u8>(LIMIT).is_err());
        theirs.write_all(b"x").unwrap();
        assert!(ours.receive_file().is_err());
        let long = vec![b'1'; MAX_MESSAGE + 1];
        std::thread::scope(|scope| {
            scope.spawn(|| theirs.write_all(&long));
            assert!(ours.receive::<u8>(LIMIT).is_err());
            drop(ours);
        });
    }
}
