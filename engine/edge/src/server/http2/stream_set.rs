//! The streams of a connection that are not answered yet. Each is polled when it was woken, and not
//! whenever the connection runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

use super::connection_waker::ConnectionWaker;
use super::sending::SendingRecord;
use super::shared_state::InterimResponse;
use super::stream::{Stream, StreamContext, StreamStep};

/// The streams that are not answered yet.
pub(super) struct StreamSet<'c> {
    slots: Vec<Slot<'c>>,
    free: Vec<usize>,
    woken: Arc<WokenSlots>,
    waiting_for_client: usize,
    event_streams: usize,
}

struct Slot<'c> {
    /// Wakes the stream. It stays with the place.
    waker: Waker,
    wake: Arc<SlotWake>,
    held: Option<HeldStream<'c>>,
}

struct HeldStream<'c> {
    /// Its number on the connection.
    number: u64,
    stream: Stream<'c>,
    waits_for_client: bool,
    is_event_stream: bool,
}

/// The places whose streams were woken.
struct WokenSlots {
    slots: Mutex<Vec<usize>>,
    connection: Arc<ConnectionWaker>,
}

/// Wakes the stream in one place.
struct SlotWake {
    slot: usize,
    /// It is among the woken ones already.
    is_noted: AtomicBool,
    woken: Arc<WokenSlots>,
}

impl WokenSlots {
    fn take(&self) -> Vec<usize> {
        std::mem::take(&mut *self.slots.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_empty(&self) -> bool {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.is_empty()
    }
}

impl Wake for SlotWake {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_noted.swap(true, Ordering::AcqRel) {
            return;
        }
        self.woken
            .slots
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(self.slot);
        self.woken.connection.wake_by_ref();
    }
}

impl<'c> StreamSet<'c> {
    pub(super) fn new(connection: Arc<ConnectionWaker>) -> StreamSet<'c> {
        StreamSet {
            slots: Vec::new(),
            free: Vec::new(),
            woken: Arc::new(WokenSlots {
                slots: Mutex::default(),
                connection,
            }),
            waiting_for_client: 0,
            event_streams: 0,
        }
    }

    /// Whether no stream is left.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.len() == self.free.len()
    }

    /// Whether a stream waits for nothing but the client.
    pub(super) fn waits_for_client(&self) -> bool {
        self.waiting_for_client > 0
    }

    /// Whether a stream is an event stream.
    pub(super) fn has_event_stream(&self) -> bool {
        self.event_streams > 0
    }

    /// Whether a stream was woken and has not gone on.
    pub(super) fn has_woken(&self) -> bool {
        !self.woken.is_empty()
    }

    /// Whether the stream of that number is here.
    pub(super) fn holds(&self, number: u64) -> bool {
        self.held().any(|held| held.number == number)
    }

    fn held(&self) -> impl Iterator<Item = &HeldStream<'c>> {
        self.slots.iter().filter_map(|slot| slot.held.as_ref())
    }

    /// Adds a stream, which is polled next.
    pub(super) fn add(&mut self, number: u64, stream: Stream<'c>) {
        let at = self.free.pop().unwrap_or_else(|| self.make_slot());
        self.put(
            at,
            HeldStream {
                number,
                is_event_stream: stream.is_event_stream(),
                stream,
                waits_for_client: false,
            },
        );
        self.slots[at].wake.wake_by_ref();
    }

    fn make_slot(&mut self) -> usize {
        let slot = self.slots.len();
        let wake = Arc::new(SlotWake {
            slot,
            is_noted: AtomicBool::new(false),
            woken: Arc::clone(&self.woken),
        });
        self.slots.push(Slot {
            waker: Waker::from(Arc::clone(&wake)),
            wake,
            held: None,
        });
        slot
    }

    fn put(&mut self, at: usize, held: HeldStream<'c>) {
        self.waiting_for_client += usize::from(held.waits_for_client);
        self.event_streams += usize::from(held.is_event_stream);
        self.slots[at].held = Some(held);
    }

    fn take(&mut self, at: usize) -> Option<HeldStream<'c>> {
        let held = self.slots[at].held.take()?;
        self.waiting_for_client -= usize::from(held.waits_for_client);
        self.event_streams -= usize::from(held.is_event_stream);
        Some(held)
    }

    /// Lets the woken streams go on; `ended` gets the record of each that has ended.
    pub(super) fn run_woken(
        &mut self,
        of: StreamContext<'_>,
        mut ended: impl FnMut(SendingRecord),
    ) {
        if self.woken.is_empty() {
            return;
        }
        for at in self.woken.take() {
            // A place that is gone may still be woken.
            let Some(slot) = self.slots.get(at) else {
                continue;
            };
            // Before the poll: a wake during it must not be lost.
            slot.wake.is_noted.store(false, Ordering::Release);
            let Some(held) = self.take(at) else { continue };
            let waker = self.slots[at].waker.clone();
            let step = held.stream.poll(of, &mut Context::from_waker(&waker));
            match step {
                StreamStep::Ended(record) => {
                    self.free.push(at);
                    ended(record);
                }
                StreamStep::GoesOn {
                    stream,
                    waits_for_client,
                } => self.put(
                    at,
                    HeldStream {
                        number: held.number,
                        is_event_stream: stream.is_event_stream(),
                        stream,
                        waits_for_client,
                    },
                ),
            }
        }
        if self.is_empty() {
            // A connection that is idle holds no more than a new one.
            self.slots.truncate(1);
            self.slots.shrink_to(1);
            self.free = (0..self.slots.len()).collect();
        }
    }

    /// Sends an interim response to the request of its stream.
    pub(super) fn send_interim(&mut self, interim: InterimResponse) {
        let mut held = self.slots.iter_mut().filter_map(|slot| slot.held.as_mut());
        if let Some(held) = held.find(|held| held.number == interim.stream) {
            held.stream.send_interim(interim);
        }
    }

    /// Ends all tunnels.
    pub(super) fn end_tunnels(&mut self) {
        self.end(Stream::is_tunnel);
    }

    /// Ends all streams.
    pub(super) fn end_all(&mut self) {
        self.end(|_| true);
    }

    fn end(&mut self, is_meant: impl Fn(&Stream<'c>) -> bool) {
        for at in 0..self.slots.len() {
            let held = self.slots[at].held.as_ref();
            if held.is_some_and(|held| is_meant(&held.stream)) {
                self.free.push(at);
                drop(self.take(at));
            }
        }
    }
}
