//! A scripted origin over raw sockets: it answers by path, well or badly, and records requests.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::reply::Step;
use crate::{GUARD, Gate, Reply, eventually, wire};

/// A server whose responses are scripted by the test. Dropping it stops it.
#[derive(Debug)]
pub struct Origin {
    shared: Arc<SharedState>,
    address: SocketAddr,
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

/// A request that reached the origin.
#[derive(Clone, Debug)]
pub struct OriginRequest {
    /// The method.
    pub method: String,
    /// The request target, as received.
    pub target: String,
    /// The fields, as received.
    pub headers: Vec<(String, String)>,
    /// The body, as far as it has arrived.
    pub body: Vec<u8>,
    /// The number of its connection, from 0.
    pub connection: usize,
}

impl OriginRequest {
    /// The value of a field; several lines are joined with commas.
    pub fn header(&self, name: &str) -> Option<String> {
        wire::field(&self.headers, name)
    }

    /// The target before the question mark.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

type Script = Arc<dyn Fn(&OriginRequest, usize) -> Reply + Send + Sync>;

#[derive(Default)]
struct SharedState {
    state: Mutex<OriginState>,
    changed: Condvar,
    hold: Gate,
}

#[derive(Default)]
struct OriginState {
    scripts: HashMap<String, Script>,
    otherwise: Option<Script>,
    early: HashMap<String, Vec<u8>>,
    asked: Vec<OriginRequest>,
    connections: Vec<TcpStream>,
    hung_up: usize,
    stopping: bool,
}

impl std::fmt::Debug for SharedState {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SharedState")
            .finish_non_exhaustive()
    }
}

impl SharedState {
    fn lock(&self) -> MutexGuard<'_, OriginState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, what: &str, met: impl Fn(&OriginState) -> bool) {
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
            panic!("still waiting for {what}; the origin got {asked:?}");
        }
    }
}

impl Default for Origin {
    fn default() -> Origin {
        Origin::start()
    }
}

impl Origin {
    /// Starts an origin, which answers 404 until it is scripted.
    pub fn start() -> Origin {
        crate::watch_test();
        let shared = Arc::new(SharedState::default());
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

    /// The address of the origin.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL for a configuration, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers every request for this path with `reply`.
    pub fn on(&self, path: &str, reply: Reply) {
        self.on_each(path, move |_, _| reply.clone());
    }

    /// Answers requests for this path with one reply after another; the last one is repeated.
    pub fn on_in_turn(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        let replies: Vec<_> = replies.into_iter().collect();
        self.on_each(path, move |_, nth| {
            replies[nth.min(replies.len() - 1)].clone()
        });
    }

    /// Answers requests for this path by a function of the request, and of the number of requests
    /// for the path since this call (0 for the first).
    pub fn on_each(
        &self,
        path: &str,
        script: impl Fn(&OriginRequest, usize) -> Reply + Send + Sync + 'static,
    ) {
        let nth = AtomicU32::new(0);
        let counted = move |asked: &OriginRequest, _: usize| {
            script(asked, nth.fetch_add(1, Ordering::Relaxed) as usize)
        };
        self.shared
            .lock()
            .scripts
            .insert(path.to_owned(), Arc::new(counted));
    }

    /// Sends these bytes for every request for this path, before its body is read.
    pub fn on_head(&self, path: &str, bytes: impl AsRef<[u8]>) {
        self.shared
            .lock()
            .early
            .insert(path.to_owned(), bytes.as_ref().to_vec());
    }

    /// Answers requests for all other paths by a function of the request.
    pub fn otherwise(&self, script: impl Fn(&OriginRequest) -> Reply + Send + Sync + 'static) {
        self.shared.lock().otherwise = Some(Arc::new(move |asked, _| script(asked)));
    }

    /// Holds all answers until [`Origin::release`].
    pub fn hold(&self) {
        self.shared.hold.close();
    }

    /// Sends the answers that were held.
    pub fn release(&self) {
        self.shared.hold.open();
    }

    /// The requests for this path so far, in order.
    pub fn asked(&self, path: &str) -> Vec<OriginRequest> {
        self.shared
            .lock()
            .asked
            .iter()
            .filter(|asked| asked.path() == path)
            .cloned()
            .collect()
    }

    /// The number of requests for this path so far.
    pub fn requests(&self, path: &str) -> usize {
        self.asked(path).len()
    }

    /// The number of all requests so far.
    pub fn total(&self) -> usize {
        self.shared.lock().asked.len()
    }

    /// The only request for this path.
    ///
    /// # Panics
    /// If there was none, or more than one.
    pub fn only(&self, path: &str) -> OriginRequest {
        let asked = self.asked(path);
        assert_eq!(asked.len(), 1, "requests for {path}: {asked:?}");
        asked.into_iter().next().expect("there is one")
    }

    /// Waits until `count` requests for this path have arrived.
    ///
    /// # Panics
    /// If that takes longer than [`GUARD`].
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

    /// Waits until the latest request for this path has at least `length` bytes of body.
    ///
    /// # Panics
    /// If that takes longer than [`GUARD`].
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

    /// Waits until the other side has closed the connections of `count` silent or endless answers.
    ///
    /// # Panics
    /// If that takes longer than [`GUARD`].
    pub fn wait_for_hang_ups(&self, count: usize) {
        self.shared
            .wait(&format!("{count} hang-ups"), |state| state.hung_up >= count);
    }

    /// Stops: closes open connections, and refuses new ones.
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
        eventually("the origin stops", || {
            // This connection wakes the acceptor, which then sees the flag.
            drop(TcpStream::connect(self.address));
            acceptor.is_finished()
        });
        for connection in self.shared.lock().connections.drain(..) {
            drop(connection.shutdown(Shutdown::Both));
        }
    }

    /// Starts again at the same address, after [`Origin::stop`].
    ///
    /// # Panics
    /// If another process has taken its port.
    pub fn start_again(&self) {
        self.shared.lock().stopping = false;
        self.accept(TcpListener::bind(self.address).expect("the loopback address is its own"));
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
                        // The edge may break a connection; the test checks its answers.
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

/// A loopback address of its own for each origin, so that a stopped one finds its port free.
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
    shared: Arc<SharedState>,
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
            let asked = OriginRequest {
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

    fn take_body(&mut self, asked: &OriginRequest, index: usize) -> std::io::Result<()> {
        let mut body = wire::Body::of(&asked.headers, false);
        while let Some(piece) = body.next(&mut self.stream, &mut self.buffer)? {
            self.shared.lock().asked[index]
                .body
                .extend_from_slice(&piece);
            self.shared.changed.notify_all();
        }
        Ok(())
    }

    /// Sends the answer; returns whether the connection persists.
    fn answer(&mut self, asked: &OriginRequest, index: usize) -> std::io::Result<bool> {
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
