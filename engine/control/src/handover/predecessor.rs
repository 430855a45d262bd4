//! The successor's side: takes over what a running process offers.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::channel::{Channel, Received};
use super::messages::{Offer, OfferedSockets, PROTOCOL, PredecessorMessage, SuccessorMessage};
use crate::build_info::BuildInfo;
use tero_edge::request::Edge;
use tero_edge::server::open_sockets::{ListenSocket, OpenSocketSet, OpenSockets};

/// How long the successor waits for the offer, and for the word to serve.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// After so long, the process before is given up on.
const QUIET_TIMEOUT: Duration = Duration::from_secs(60);

/// The process that this one succeeds.
#[derive(Debug)]
pub struct Predecessor {
    channel: Channel,
    process: u32,
    sockets: OpenSocketSet,
    lock: Option<File>,
}

/// Why a process can't be succeeded.
#[derive(Debug, thiserror::Error)]
pub enum PredecessorError {
    /// There is no such process, or it can't be understood.
    #[error("can't take over from the running process")]
    Channel(#[from] io::Error),
    /// Nothing came from it.
    #[error("the running process says nothing")]
    Silent,
    /// It speaks another protocol.
    #[error(
        "the running process speaks protocol {0} of handovers, and this one {PROTOCOL}; stop it, and start this one"
    )]
    Protocol(u32),
}

impl Predecessor {
    /// Receives the offer of the process that has started this one, by standard input.
    ///
    /// # Errors
    /// [`PredecessorError`]
    pub fn at_standard_input() -> Result<Predecessor, PredecessorError> {
        Predecessor::receive(Channel::of_standard_input()?)
    }

    fn receive(channel: Channel) -> Result<Predecessor, PredecessorError> {
        let Received::Message(offer) = channel.receive::<Offer>(ANSWER_TIMEOUT)? else {
            return Err(PredecessorError::Silent);
        };
        if offer.protocol != PROTOCOL {
            return Err(PredecessorError::Protocol(offer.protocol));
        }
        let sockets = offer.sockets.iter();
        let sockets: io::Result<_> = sockets.map(|offered| receive(&channel, offered)).collect();
        let sockets = OpenSocketSet::new(sockets?);
        let lock = offer.has_lock.then(|| channel.receive_file());
        let lock = lock.transpose()?.map(File::from);
        Ok(Predecessor {
            channel,
            process: offer.process,
            sockets,
            lock,
        })
    }

    /// Its number.
    pub fn process(&self) -> u32 {
        self.process
    }

    /// Takes its sockets.
    pub(crate) fn take_sockets(&mut self) -> OpenSocketSet {
        std::mem::take(&mut self.sockets)
    }

    /// Takes the lock of its state directory.
    pub(crate) fn take_lock(&mut self) -> Option<File> {
        self.lock.take()
    }

    /// Tells it that this process can't serve.
    pub fn tell_failure(&self, reason: &str) {
        let reason = reason.to_owned();
        // If it is gone, there is no one to tell.
        let _ = self.channel.send(&SuccessorMessage::Failed { reason });
    }

    /// Says that this process can serve, and waits for its turn. Returns whether there may have been
    /// purges since the offer. A process that has ended meanwhile leaves its turn, and can't say what
    /// was purged: one that gives its successor up ends it before it closes the channel.
    ///
    /// # Errors
    /// [`PredecessorError`]
    pub(crate) fn take_over(&self, build: BuildInfo) -> Result<bool, PredecessorError> {
        let ready = SuccessorMessage::Ready {
            version: build.version.to_owned(),
            commit: build.commit.to_owned(),
        };
        match self.channel.send(&ready) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(true),
            sent => sent?,
        }
        match self.channel.receive(ANSWER_TIMEOUT)? {
            Received::Message(PredecessorMessage::Go { purged }) => Ok(purged),
            Received::Closed => Ok(true),
            Received::Message(PredecessorMessage::Quiet) | Received::Nothing => {
                Err(PredecessorError::Silent)
            }
        }
    }

    /// Lets purges wait until it answers no requests any more.
    ///
    /// # Errors
    /// If there can be no thread.
    pub(crate) fn follow(self, edge: &Arc<Edge>) -> io::Result<()> {
        edge.succession.set_alone(false);
        let edge = Arc::clone(edge);
        let wait = move || {
            // Whatever came, or did not: it is over.
            let _ = self.channel.receive::<PredecessorMessage>(QUIET_TIMEOUT);
            edge.succession.set_alone(true);
        };
        let thread = std::thread::Builder::new().name("predecessor".to_owned());
        thread.spawn(wait).map(drop)
    }
}

fn receive(channel: &Channel, offered: &OfferedSockets) -> io::Result<OpenSockets> {
    let address = offered.address();
    let sockets = (0..offered.count).map(|_| {
        let file = channel.receive_file()?;
        Ok(ListenSocket::of(file, &address))
    });
    Ok(OpenSockets {
        role: Some(offered.role()),
        dual_stack: Some(offered.dual_stack),
        owns_file: offered.owns_file,
        sockets: sockets.collect::<io::Result<_>>()?,
        address,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILD: BuildInfo = BuildInfo {
        version: "0.1.0",
        commit: "abc",
    };

    /// A successor, and the end of the channel of the process before it.
    fn successor() -> (Predecessor, Channel) {
        let (before, theirs) = Channel::pair().unwrap();
        let predecessor = Predecessor {
            channel: Channel::of(theirs),
            process: 1,
            sockets: OpenSocketSet::default(),
            lock: None,
        };
        (predecessor, before)
    }

    #[test]
    fn the_process_before_says_whether_there_were_purges() {
        for purged in [true, false] {
            let (successor, before) = successor();
            before.send(&PredecessorMessage::Go { purged }).unwrap();
            assert_eq!(successor.take_over(BUILD).unwrap(), purged);
        }
        let (successor, before) = successor();
        before.send(&PredecessorMessage::Quiet).unwrap();
        assert!(successor.take_over(BUILD).is_err());
    }

    #[test]
    fn purges_may_be_unknown_if_the_process_before_has_ended() {
        let (successor_of_one, before) = successor();
        drop(before);
        assert!(successor_of_one.take_over(BUILD).unwrap());
        // It ends while this one waits for its turn.
        let (successor, before) = successor();
        let ends = std::thread::spawn(move || {
            let ready = before.receive::<SuccessorMessage>(QUIET_TIMEOUT);
            assert!(matches!(
                ready,
                Ok(Received::Message(SuccessorMessage::Ready { .. }))
            ));
        });
        assert!(successor.take_over(BUILD).unwrap());
        ends.join().unwrap();
    }
}
