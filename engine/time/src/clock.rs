//! The only reader of the real clock, and a clock for tests that is turned by hand.
//!
//! Everything that depends on time, timeouts included, asks a [`Clock`]. So a test that turns the
//! clock by hand sees every deadline pass without waiting for it.

// This is the only place that reads the real clock and waits for it.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::oneshot;

use tero_semantics::timestamp::Timestamp;

/// Where the time comes from. Cheap to clone; clones of a hand-turned clock turn together.
///
/// ```
/// use std::time::Duration;
/// use tero_semantics::timestamp::Timestamp;
/// use tero_time::clock::Clock;
///
/// let clock = Clock::by_hand(Timestamp::from_unix_secs(0));
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now(), Timestamp::from_unix_secs(60));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<Mutex<Hands>>>);

/// The state of a hand-turned clock: its time, and the waiters by the time for which they wait.
#[derive(Debug)]
struct Hands {
    now: Timestamp,
    waiting: BTreeMap<(Timestamp, u64), oneshot::Sender<()>>,
    next_waiter: u64,
}

/// The limit passed before the future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deadline passed")]
pub struct TimeoutError;

impl Clock {
    /// The system's clock.
    pub fn real() -> Clock {
        Clock(None)
    }

    /// Whether this is the system's clock.
    pub fn is_real(&self) -> bool {
        self.0.is_none()
    }

    /// A clock that stays at `now` until it is turned.
    pub fn by_hand(now: Timestamp) -> Clock {
        Clock(Some(Arc::new(Mutex::new(Hands {
            now,
            waiting: BTreeMap::new(),
            next_waiter: 0,
        }))))
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            None => {
                let since_epoch = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                Timestamp::from_unix_millis(
                    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX),
                )
            }
            Some(hands) => lock(hands).now,
        }
    }

    /// Turns a hand-turned clock forward and wakes the waiters whose time has come.
    ///
    /// # Panics
    /// On a real clock.
    pub fn advance(&self, by: Duration) {
        let now = self.now();
        self.turn_to(now.saturating_add(by));
    }

    /// Turns a hand-turned clock to `time`, forward or back, and wakes the waiters whose time has
    /// come.
    ///
    /// # Panics
    /// On a real clock.
    pub fn turn_to(&self, time: Timestamp) {
        let hands = self.0.as_ref().expect("only a hand-turned clock is turned");
        let due = {
            let mut hands = lock(hands);
            hands.now = time;
            let later = hands.waiting.split_off(&(
                Timestamp::from_unix_millis(time.unix_millis().saturating_add(1)),
                0,
            ));
            std::mem::replace(&mut hands.waiting, later)
        };
        for (_, waiter) in due {
            // The waiter may have been dropped.
            let _ = waiter.send(());
        }
    }

    /// Waits for `duration`.
    pub async fn sleep(&self, duration: Duration) {
        match &self.0 {
            None => tokio::time::sleep(duration).await,
            Some(hands) => wait(hands, |now| now.saturating_add(duration)).await,
        }
    }

    /// Waits until `time`; returns at once if it has passed.
    pub async fn sleep_until(&self, time: Timestamp) {
        match &self.0 {
            None => tokio::time::sleep(time.since(self.now())).await,
            Some(hands) => wait(hands, |_| time).await,
        }
    }

    /// Runs `future` for at most `limit`.
    ///
    /// # Errors
    /// [`TimeoutError`]: `limit` passed first.
    pub async fn timeout<F: Future>(
        &self,
        limit: Duration,
        future: F,
    ) -> Result<F::Output, TimeoutError> {
        if self.0.is_none() {
            return tokio::time::timeout(limit, future)
                .await
                .map_err(|_| TimeoutError);
        }
        tokio::select! {
            biased;
            output = future => Ok(output),
            () = self.sleep(limit) => Err(TimeoutError),
        }
    }
}

/// Waits on a hand-turned clock. The time is read and the waiter added under one lock.
async fn wait(hands: &Mutex<Hands>, until: impl FnOnce(Timestamp) -> Timestamp) {
    let wait = {
        let mut hands = lock(hands);
        let until = until(hands.now);
        if until <= hands.now {
            return;
        }
        hands.waiting.retain(|_, waiter| !waiter.is_closed());
        let (wake, wait) = oneshot::channel();
        let waiter = hands.next_waiter;
        hands.next_waiter += 1;
        hands.waiting.insert((until, waiter), wake);
        wait
    };
    // The sender stays in the clock until it is used, so an error means that the clock is gone.
    let _ = wait.await;
}

fn lock(hands: &Mutex<Hands>) -> std::sync::MutexGuard<'_, Hands> {
    hands
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_at_its_time_and_not_before() {
        let clock = Clock::by_hand(Timestamp::from_unix_secs(1_000));
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(10)).await }
        });
        tokio::task::yield_now().await;
        clock.advance(Duration::from_millis(9_999));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_millis(1));
        sleeper.await.unwrap();
    }

    #[tokio::test]
    async fn a_timeout_ends_a_future_that_never_ends() {
        let clock = Clock::by_hand(Timestamp::from_unix_secs(0));
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move {
                clock
                    .timeout(Duration::from_secs(1), std::future::pending::<()>())
                    .await
            }
        });
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(1));
        assert_eq!(waiting.await.unwrap(), Err(TimeoutError));
    }
}
