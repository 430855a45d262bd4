//! systemd: sockets that it has opened for the process (sd_listen_fds(3)), and what it is told
//! (sd_notify(3)). Without it, all of this does nothing.

use std::io;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;

use tero_config::ListenAddress;
use tero_edge::server::open_sockets::{ListenSocket, OpenSockets};

/// Takes the sockets that systemd has opened for this process. To be called once, before there are
/// threads: the variables that name them are removed.
///
/// # Errors
/// If one of them is not a socket that listens on an address or a path.
pub fn take_sockets() -> io::Result<Vec<OpenSockets>> {
    let mut passed = ListenFd::from_env();
    let mut open: Vec<OpenSockets> = Vec::new();
    for number in 0..passed.len() {
        let Some((address, socket)) = take_socket(&mut passed, number)? else {
            continue;
        };
        match open.iter_mut().find(|open| open.address == address) {
            Some(same) => same.sockets.push(socket),
            None => open.push(OpenSockets {
                role: None,
                address,
                dual_stack: None,
                owns_file: false,
                sockets: vec![socket],
            }),
        }
    }
    Ok(open)
}

fn take_socket(
    passed: &mut ListenFd,
    number: usize,
) -> io::Result<Option<(ListenAddress, ListenSocket)>> {
    if let Ok(socket) = passed.take_tcp_listener(number) {
        return socket
            .map(|socket| {
                let address = ListenAddress::Tcp(socket.local_addr()?);
                Ok((address, ListenSocket::Tcp(socket)))
            })
            .transpose();
    }
    let Some(socket) = passed.take_unix_listener(number)? else {
        return Ok(None);
    };
    let address = socket.local_addr()?;
    let no_path = || io::Error::other("a socket without a path");
    let path = address.as_pathname().ok_or_else(no_path)?;
    let address = ListenAddress::Unix(path.to_owned());
    Ok(Some((address, ListenSocket::Unix(socket))))
}

/// Tells that the process serves, or that it has read its configuration again.
pub fn tell_ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// Tells that the process reads its configuration again, or starts a successor.
pub(crate) fn tell_reloading() {
    let now = NotifyState::monotonic_usec_now();
    match now {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// Tells that the process drains.
pub(crate) fn tell_stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// Tells which process is the main one from now on.
pub(crate) fn tell_successor(process: u32) {
    tell(&[NotifyState::MainPid(process), NotifyState::Ready]);
}

/// Tells that the process works.
pub fn tell_alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often [`tell_alive`] has to be called: half of the time after which the process counts as
/// hanging (`WatchdogSec=`). `None` if it is not watched.
pub fn alive_every() -> Option<Duration> {
    // The variable with the process that it is for is taken from successors.
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd can't be told");
    }
}
