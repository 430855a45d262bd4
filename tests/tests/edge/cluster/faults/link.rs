//! A way between two programs, through a proxy of the test: it can be cut, so that nothing comes through
//! and nothing is said, or reset.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// How often a connection looks whether it is cut.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A way to a program. Dropping it resets its connections.
#[derive(Debug)]
pub(super) struct Link {
    address: SocketAddr,
    state: Arc<LinkState>,
}

#[derive(Debug)]
struct LinkState {
    target: SocketAddr,
    is_cut: AtomicBool,
    /// Grows when all connections are reset.
    resets: AtomicU64,
    is_over: AtomicBool,
}

impl Link {
    /// A way to this port, where a program may listen later.
    pub(super) fn to(port: u16) -> Link {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(LinkState {
            target: SocketAddr::from(([127, 0, 0, 1], port)),
            is_cut: AtomicBool::new(false),
            resets: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        });
        let kept = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if kept.is_over.load(SeqCst) {
                    return;
                }
                let state = Arc::clone(&kept);
                std::thread::spawn(move || state.carry(&client));
            }
        });
        Link { address, state }
    }

    /// Where it begins.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets nothing through from now on. Connections stay open.
    pub(super) fn cut(&self) {
        self.state.is_cut.store(true, SeqCst);
    }

    /// Lets everything through again, with what has waited.
    pub(super) fn heal(&self) {
        self.state.is_cut.store(false, SeqCst);
    }

    /// Ends all connections.
    pub(super) fn reset(&self) {
        self.state.resets.fetch_add(1, SeqCst);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.state.is_over.store(true, SeqCst);
        self.reset();
        // The listener wakes up, and ends.
        drop(TcpStream::connect(self.address));
    }
}

impl LinkState {
    fn carry(self: Arc<LinkState>, client: &TcpStream) {
        let resets = self.resets.load(SeqCst);
        if !self.wait_while_cut(resets) {
            return;
        }
        let Ok(target) = TcpStream::connect(self.target) else {
            return;
        };
        let (Ok(from_target), Ok(to_client)) = (target.try_clone(), client.try_clone()) else {
            return;
        };
        let state = Arc::clone(&self);
        let back = std::thread::spawn(move || state.copy(&from_target, &to_client, resets));
        self.copy(client, &target, resets);
        drop(back.join());
    }

    /// Waits until the way is open; `false` if its connections were reset.
    #[allow(clippy::disallowed_methods)] // Programs on both ends keep real time.
    fn wait_while_cut(&self, resets: u64) -> bool {
        while self.is_cut.load(SeqCst) && self.resets.load(SeqCst) == resets {
            std::thread::sleep(LOOK_EVERY);
        }
        self.resets.load(SeqCst) == resets
    }

    fn copy(&self, mut from: &TcpStream, mut to: &TcpStream, resets: u64) {
        let _ = from.set_read_timeout(Some(LOOK_EVERY));
        let _ = to.set_nodelay(true);
        let mut buffer = vec![0; 64 << 10];
        while self.wait_while_cut(resets) {
            let read = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) =>
                {
                    continue;
                }
                Err(_) => break,
            };
            // What was read as the way was cut waits with the rest.
            if !self.wait_while_cut(resets) || to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
