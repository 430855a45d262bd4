//! The threads that code stored content in the background, and the queue before them.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;

use super::encode::{Encoded, Encoding, NotEncoded, encode};
use super::real_time;
use tero_config as config;
use tero_config::units::Share;

/// The part of `[cache] memory` whose bytes may wait.
const WAITING_PART: u64 = 16;

/// Content that is to be coded in the background.
pub struct CodingJob {
    /// The content.
    pub pieces: Vec<Bytes>,
    /// How.
    pub encoding: Encoding,
    /// Takes what came of it. Not called if the edge stops before.
    pub done: Box<dyn FnOnce(Result<Encoded, NotEncoded>) + Send>,
}

/// A bounded queue of content that is to be coded, for threads that run [`Coder::run`].
#[derive(Debug)]
pub struct Coder {
    queue: Mutex<CodingQueue>,
    /// Tells of a new job.
    work: Condvar,
    /// Tells a resting thread that the edge stops.
    stop: Condvar,
    most_waiting: usize,
    /// Bytes of all content that waits, at most: it may have left the store meanwhile. One job may
    /// wait whatever it has.
    most_bytes: u64,
    /// The part of its time that a thread works.
    share: Share,
}

#[derive(Debug, Default)]
struct CodingQueue {
    waiting: VecDeque<CodingJob>,
    /// Bytes of their content.
    bytes: u64,
    is_stopped: bool,
}

impl Coder {
    /// An empty queue with the bounds of the configuration.
    pub fn new(cache: &config::Cache) -> Coder {
        Coder {
            queue: Mutex::default(),
            work: Condvar::new(),
            stop: Condvar::new(),
            most_waiting: cache.compress_queue,
            most_bytes: cache.memory / WAITING_PART,
            share: cache.compress_share,
        }
    }

    /// Puts a job into the queue. Returns false, and forgets it, if the queue is full or the edge
    /// stops.
    pub fn offer(&self, job: CodingJob) -> bool {
        let (mut queue, bytes) = (self.lock(), job.bytes());
        let has_room = queue.waiting.is_empty()
            || (queue.waiting.len() < self.most_waiting && queue.bytes + bytes <= self.most_bytes);
        if queue.is_stopped || !has_room {
            return false;
        }
        queue.bytes += bytes;
        queue.waiting.push_back(job);
        drop(queue);
        self.work.notify_one();
        true
    }

    /// Jobs that wait.
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Ends the threads, and forgets what waits.
    pub fn stop(&self) {
        let forgotten = {
            let mut queue = self.lock();
            (queue.is_stopped, queue.bytes) = (true, 0);
            std::mem::take(&mut queue.waiting)
        };
        // Each holds what others may lock to give it back.
        drop(forgotten);
        self.work.notify_all();
        self.stop.notify_all();
    }

    /// Does jobs until [`Coder::stop`].
    pub fn run(&self) {
        while let Some(job) = self.next() {
            let result = encode(&job.pieces, job.encoding, |worked| self.rest_after(worked));
            let last = result
                .as_ref()
                .map_or(Duration::ZERO, |encoded| encoded.last);
            if result != Err(NotEncoded::Stopped) {
                (job.done)(result);
            }
            self.rest_after(last);
        }
    }

    fn next(&self) -> Option<CodingJob> {
        let mut queue = self.lock();
        loop {
            if queue.is_stopped {
                return None;
            }
            if let Some(job) = queue.waiting.pop_front() {
                queue.bytes -= job.bytes();
                return Some(job);
            }
            queue = self
                .work
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Rests as long as the share wants after this much work. Returns false if the edge stops.
    fn rest_after(&self, worked: Duration) -> bool {
        let rest = worked.mul_f64(1.0 / self.share.fraction() - 1.0);
        let until = real_time() + rest;
        let mut queue = self.lock();
        loop {
            let left = until.saturating_duration_since(real_time());
            if queue.is_stopped || left.is_zero() {
                return !queue.is_stopped;
            }
            let waited = self.stop.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, CodingQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CodingJob {
    /// Bytes of the content.
    fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len() as u64).sum()
    }
}

impl std::fmt::Debug for CodingJob {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("CodingJob")
            .field("encoding", &self.encoding)
            .finish_non_exhaustive()
    }
}

/// Starts so many threads.
///
/// # Errors
/// The system allows no further thread.
pub fn start(coder: &Arc<Coder>, threads: usize) -> io::Result<Vec<JoinHandle<()>>> {
    (0..threads)
        .map(|number| {
            let coder = Arc::clone(coder);
            std::thread::Builder::new()
                .name(format!("coder-{number}"))
                .spawn(move || coder.run())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use tero_semantics::content_coding::ContentCoding;

    fn coder(most_waiting: usize, share: &str) -> Arc<Coder> {
        Arc::new(Coder {
            queue: Mutex::default(),
            work: Condvar::new(),
            stop: Condvar::new(),
            most_waiting,
            most_bytes: 1_000,
            share: Share::parse(share).unwrap(),
        })
    }

    fn job(
        length: usize,
        done: impl FnOnce(Result<Encoded, NotEncoded>) + Send + 'static,
    ) -> CodingJob {
        CodingJob {
            pieces: vec![Bytes::from(vec![b'a'; length])],
            encoding: Encoding::usual(ContentCoding::Gzip),
            done: Box::new(done),
        }
    }

    #[test]
    fn jobs_are_done_and_threads_end() {
        let coder = coder(10, "100%");
        let threads = start(&coder, 2).unwrap();
        let (results, received) = channel();
        for (length, is_smaller) in [(1_000, true), (100_000, true), (1, false)] {
            let results = results.clone();
            let done = move |result: Result<Encoded, NotEncoded>| {
                results.send(result.is_ok()).unwrap();
            };
            assert!(coder.offer(job(length, done)));
            assert_eq!(received.recv(), Ok(is_smaller));
        }
        coder.stop();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        assert!(!coder.offer(job(1, |_| panic!("it is not done"))));
    }

    #[test]
    fn a_full_queue_takes_no_more() {
        let coder = coder(2, "100%");
        assert!(coder.offer(job(1, |_| ())) && coder.offer(job(1, |_| ())));
        assert!(!coder.offer(job(1, |_| ())));
        assert_eq!(coder.waiting(), 2);
        coder.stop();
        assert_eq!(coder.waiting(), 0);
    }

    #[test]
    fn waiting_content_is_bounded_by_its_bytes() {
        let coder = coder(100, "100%");
        // One may wait whatever it has.
        assert!(coder.offer(job(5_000, |_| ())));
        assert!(!coder.offer(job(1, |_| ())));
        drop(coder.next());
        for (length, waits) in [(600, true), (400, true), (1, false), (0, true)] {
            assert_eq!(coder.offer(job(length, |_| ())), waits, "{length}");
        }
        drop(coder.next());
        assert!(coder.offer(job(600, |_| ())));
    }

    #[test]
    fn a_thread_that_rests_ends_at_once() {
        // Of an hour, it works a third of a second.
        let coder = coder(2, "0.01%");
        let threads = start(&coder, 1).unwrap();
        let (begun, has_begun) = channel::<()>();
        assert!(coder.offer(job(20 << 20, |_| panic!("it never ends"))));
        while coder.waiting() > 0 {
            std::thread::yield_now();
        }
        assert!(coder.offer(job(1, move |_| drop(begun))));
        coder.stop();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        assert!(has_begun.recv().is_err());
    }

    #[test]
    fn rest_is_in_proportion_to_work() {
        let coder = coder(1, "25%");
        let began = real_time();
        assert!(coder.rest_after(Duration::from_millis(10)));
        assert!(began.elapsed() >= Duration::from_millis(30));
    }
}
