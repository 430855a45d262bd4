//! A scripted origin over raw sockets: it answers by path, well or badly, and remembers what it was
//! asked.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::reply::Step;
use crate::{GUARD, Gate, Reply, wire};

/// A server whose every answer is written by the test.
#[derive(Debug)]
pub struct Origin {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

/// A request that reached the origin.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The target as it came.
    pub target: String,
    /// The fields as they came.
    pub headers: Vec<(String, String)>,
    /// The body, as far as it has come.
    pub body: Vec<u8>,
    /// The connection that it came on, counted from 0.
    pub connection: usize,
}

impl Asked {
    /// The value of a field; several lines are joined with a comma.
    pub fn header(&self, name: &str) -> Option<String> {
        wire::field(&self.headers, name)
    }

    /// The target before the question mark.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

type Script = Arc<dyn Fn(&Asked, usize) -> Reply + Send + Sync>;

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    hold: Gate,
}

#[derive(Default)]
struct State {
    scripts: HashMap<String, Script>,
    otherwise: Option<Script>,
    early: HashMap<String, Vec<u8>>,
    asked: Vec<Asked>,
    connections: Vec<TcpStream>,
    hung_up: usize,
    stopping: bool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, what: &str, met: impl Fn(&State) -> bool) {
        let state = self.lock();
        let (state, wait) = self
            .changed
            .wait_timeout_while(state, GUARD, |state| !met(state))
            .unwrap_or_else(PoisonError::into_inner);
        if wait.timed_out() {
            let asked: Vec<_> = state
                .asked
                .iter()
                .map(|asked| format!("{} {}", asked.method, asked.target))
                .collect();
            drop(state);
            panic!("waited in vain for {what}; the origin was asked {asked:?}");
        }
    }
}

impl Default for Origin {
    fn default() -> Origin {
        Origin::start()
    }
}

impl Origin {
    /// An origin that answers 404 to everything, for now.
    pub fn start() -> Origin {
        let shared = Arc::new(Shared::default());
        shared.hold.open();
        let listener =
            TcpListener::bind((own_address(), 0)).expect("a loopback address can be bound");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let origin = Origin {
            shared,
            address,
            acceptor: Mutex::default(),
        };
        origin.accept(listener);
        origin
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL for a configuration, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request for this path gets this answer.
    pub fn on(&self, path: &str, reply: Reply) {
        self.on_each(path, move |_, _| reply.clone());
    }

    /// The first request for this path gets the first answer, and so on; the last answer is given
    /// to all that follow.
    pub fn on_in_turn(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        let replies: Vec<_> = replies.into_iter().collect();
        self.on_each(path, move |_, nth| {
            replies[nth.min(replies.len() - 1)].clone()
        });
    }

    /// Requests for this path get what `script` makes of the request and of how many came for the
    /// path before it, since this call.
    pub fn on_each(
        &self,
        path: &str,
        script: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static,
    ) {
        let nth = AtomicU32::new(0);
        let counted = move |asked: &Asked, _: usize| {
            script(asked, nth.fetch_add(1, Ordering::Relaxed) as usize)
        };
        self.shared
            .lock()
            .scripts
            .insert(path.to_owned(), Arc::new(counted));
    }

    /// Every request for this path gets these bytes before its body is read.
    pub fn on_head(&self, path: &str, bytes: impl AsRef<[u8]>) {
        self.shared
            .lock()
            .early
            .insert(path.to_owned(), bytes.as_ref().to_vec());
    }

    /// Requests for all other paths get what `script` makes of the request.
    pub fn otherwise(&self, script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) {
        self.shared.lock().otherwise = Some(Arc::new(move |asked, _| script(asked)));
    }

    /// Holds every answer back until [`Origin::release`].
    pub fn hold(&self) {
        self.shared.hold.close();
    }

    /// Lets go of the answers that were held back.
    pub fn release(&self) {
        self.shared.hold.open();
    }

    /// The requests that came for this path, in order.
    pub fn asked(&self, path: &str) -> Vec<Asked> {
        self.shared
            .lock()
            .asked
            .iter()
            .filter(|asked| asked.path() == path)
            .cloned()
            .collect()
    }

    /// How many requests came for this path.
    pub fn requests(&self, path: &str) -> usize {
        self.asked(path).len()
    }

    /// How many requests came in all.
    pub fn total(&self) -> usize {
        self.shared.lock().asked.len()
    }

    /// The one request that came for this path.
    ///
    /// # Panics
    /// When it is none or several.
    pub fn only(&self, path: &str) -> Asked {
        let asked = self.asked(path);
        assert_eq!(asked.len(), 1, "requests for {path}: {asked:?}");
        asked.into_iter().next().expect("there is one")
    }

    /// Waits until `count` requests have come for this path.
    ///
    /// # Panics
    /// When that takes longer than [`GUARD`].
    pub fn wait_for(&self, path: &str, count: usize) {
        self.shared
            .wait(&format!("{count} requests for {path}"), |state| {
                state
                    .asked
                    .iter()
                    .filter(|asked| asked.path() == path)
                    .count()
                    >= count
            });
    }

    /// Waits until the latest request for this path has brought `length` bytes of body.
    ///
    /// # Panics
    /// When that takes longer than [`GUARD`].
    pub fn wait_for_body(&self, path: &str, length: usize) {
        self.shared
            .wait(&format!("{length} bytes of body for {path}"), |state| {
                state
                    .asked
                    .iter()
                    .rfind(|asked| asked.path() == path)
                    .is_some_and(|asked| asked.body.len() >= length)
            });
    }

    /// Waits until the other side has hung up on `count` silent or endless answers.
    ///
    /// # Panics
    /// When that takes longer than [`GUARD`].
    pub fn wait_for_hang_ups(&self, count: usize) {
        self.shared
            .wait(&format!("{count} hang-ups"), |state| state.hung_up >= count);
    }

    /// Goes down: connections are refused, open ones are closed.
    pub fn stop(&self) {
        let Some(acceptor) = self
            .acceptor
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        else {
            return;
        };
        self.shared.lock().stopping = true;
        // The acceptor sees the flag when its `accept` returns.
        drop(TcpStream::connect(self.address));
        drop(acceptor.join());
        for connection in self.shared.lock().connections.drain(..) {
            drop(connection.shutdown(Shutdown::Both));
        }
    }

    /// Comes back where it was before [`Origin::stop`].
    ///
    /// # Panics
    /// When its port has been taken meanwhile.
    pub fn start_again(&self) {
        self.shared.lock().stopping = false;
        self.accept(
            TcpListener::bind(self.address).expect("nobody else has this loopback address"),
        );
    }

    fn accept(&self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        let acceptor = move || {
            for (number, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { continue };
                {
                    let mut state = shared.lock();
                    if state.stopping {
                        return;
                    }
                    state.connections.extend(stream.try_clone());
                }
                let shared = Arc::clone(&shared);
                let name = "origin connection".to_owned();
                let spawned = std::thread::Builder::new()
                    .name(name)
                    .stack_size(256 << 10)
                    .spawn(move || {
                        // What the edge does to a connection is the edge's affair; the test sees
                        // its answers.
                        let _ = Connection {
                            shared,
                            stream,
                            number,
                            buffer: Vec::new(),
                        }
                        .run();
                    });
                drop(spawned.expect("a thread can be spawned"));
            }
        };
        let acceptor = std::thread::Builder::new()
            .name("origin".to_owned())
            .spawn(acceptor)
            .expect("a thread can be spawned");
        *self.acceptor.lock().unwrap_or_else(PoisonError::into_inner) = Some(acceptor);
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop();
    }
}

/// An address that no other origin has, so that a stopped one finds its port free again.
fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    if !cfg!(target_os = "linux") {
        return Ipv4Addr::LOCALHOST;
    }
    let number = std::process::id()
        .wrapping_mul(4_093)
        .wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed))
        & 0x7f_ffff;
    Ipv4Addr::from(0x7f80_0000 | number.max(1))
}

struct Connection {
    shared: Arc<Shared>,
    stream: TcpStream,
    number: usize,
    buffer: Vec<u8>,
}

impl Connection {
    fn run(mut self) -> std::io::Result<()> {
        self.stream.set_nodelay(true)?;
        while let Some(head) = wire::read_head(&mut self.stream, &mut self.buffer)? {
            let Some((start, headers)) = wire::parse_head(&head) else {
                return Ok(());
            };
            let mut words = start.split(' ').map(str::to_owned);
            let (method, target) = (
                words.next().unwrap_or_default(),
                words.next().unwrap_or_default(),
            );
            let asked = Asked {
                method,
                target,
                headers,
                body: Vec::new(),
                connection: self.number,
            };
            let index = {
                let mut state = self.shared.lock();
                state.asked.push(asked.clone());
                state.asked.len() - 1
            };
            self.shared.changed.notify_all();
            let early = self.shared.lock().early.get(asked.path()).cloned();
            self.stream.write_all(&early.unwrap_or_default())?;
            self.take_body(&asked, index)?;
            self.shared.hold.pass();
            if !self.answer(&asked, index)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn take_body(&mut self, asked: &Asked, index: usize) -> std::io::Result<()> {
        let mut body = wire::Body::of(&asked.headers, false);
        while let Some(piece) = body.next(&mut self.stream, &mut self.buffer)? {
            self.shared.lock().asked[index]
                .body
                .extend_from_slice(&piece);
            self.shared.changed.notify_all();
        }
        Ok(())
    }

    /// Whether the connection goes on.
    fn answer(&mut self, asked: &Asked, index: usize) -> std::io::Result<bool> {
        let (script, whole) = {
            let state = self.shared.lock();
            let script = state
                .scripts
                .get(asked.path())
                .or(state.otherwise.as_ref())
                .cloned();
            (script, state.asked[index].clone())
        };
        let reply = script.map_or_else(
            || Reply::status(404).body("nothing is scripted here"),
            |script| script(&whole, index),
        );
        for step in reply.steps(asked.method == "HEAD") {
            match step {
                Step::Send(ref bytes) => self.stream.write_all(bytes)?,
                Step::Gate(ref gate) => gate.pass(),
                Step::Flood(ref piece) => while self.stream.write_all(piece).is_ok() {},
                Step::Hang => {}
                Step::Echo => {
                    self.stream.write_all(&std::mem::take(&mut self.buffer))?;
                    while wire::read_more(&mut self.stream, &mut self.buffer).unwrap_or(false) {
                        self.stream.write_all(&std::mem::take(&mut self.buffer))?;
                    }
                    drop(self.stream.shutdown(Shutdown::Both));
                }
                Step::Close => return self.stream.shutdown(Shutdown::Both).map(|()| false),
                Step::Reset => {
                    return socket2::SockRef::from(&self.stream)
                        .set_linger(Some(Duration::ZERO))
                        .map(|()| self.forget());
                }
            }
            if matches!(step, Step::Flood(_) | Step::Hang | Step::Echo) {
                let mut rest = [0; 4096];
                while self.stream.read(&mut rest).is_ok_and(|length| length > 0) {}
                self.shared.lock().hung_up += 1;
                self.shared.changed.notify_all();
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Drops the other handle of this connection, so that dropping this one closes it.
    fn forget(&self) -> bool {
        let own = self.stream.peer_addr().ok();
        self.shared
            .lock()
            .connections
            .retain(|other| other.peer_addr().ok() != own);
        false
    }
}
