//! The only reader of the real clock, and a clock for tests that is turned by hand.
//!
//! Everything that depends on time, timeouts included, asks a [`Clock`]. So a test that turns the
//! clock by hand sees every deadline pass without waiting for it.
//!
//! There are two times. [`Clock::now`] never goes back: ages and timeouts are measured by it (RFC
//! 9111 §4.2.3). [`Clock::wall`] is what the system's clock shows, which an operator or a time server
//! may set back: dates and local times are told by it. Until that happens, both are the same.

// This is the only place that reads the real clock and waits for it.
#![allow(clippy::disallowed_methods)]

mod steady;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

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
    wall: Timestamp,
    waiting: Waiters,
    waiting_for_wall: Waiters,
    next_waiter: u64,
}

type Waiters = BTreeMap<(Timestamp, u64), oneshot::Sender<()>>;

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
            wall: now,
            waiting: BTreeMap::new(),
            waiting_for_wall: BTreeMap::new(),
            next_waiter: 0,
        }))))
    }

    /// The time that never goes back. It follows the system's clock forward; if that is set back, it
    /// goes on from where it was.
    #[inline]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            None => steady::now(),
            Some(hands) => lock(hands).now,
        }
    }

    /// What the system's clock shows.
    pub fn wall(&self) -> Timestamp {
        match &self.0 {
            None => steady::wall(),
            Some(hands) => lock(hands).wall,
        }
    }

    /// What the system's clock shows when [`Clock::now`] is `time`.
    #[inline]
    pub fn wall_of(&self, time: Timestamp) -> Timestamp {
        Timestamp::from_unix_millis(time.unix_millis().saturating_sub(self.behind_millis()))
    }

    /// [`Clock::now`] when the system's clock shows `wall`.
    pub fn of_wall(&self, wall: Timestamp) -> Timestamp {
        Timestamp::from_unix_millis(wall.unix_millis().saturating_add(self.behind_millis()))
    }

    /// How far the system's clock is behind [`Clock::now`].
    #[inline]
    fn behind_millis(&self) -> i64 {
        match &self.0 {
            None => steady::behind_millis(),
            Some(hands) => {
                let hands = lock(hands);
                hands.now.unix_millis() - hands.wall.unix_millis()
            }
        }
    }

    /// Turns a hand-turned clock forward and wakes the waiters whose time has come.
    ///
    /// # Panics
    /// On a real clock.
    pub fn advance(&self, by: Duration) {
        let wall = self.wall();
        self.turn_to(wall.saturating_add(by));
    }

    /// Turns a hand-turned clock to `time`, forward or back, and wakes the waiters whose time has
    /// come. Both times are turned: nothing in the edge can tell that it was another time before.
    ///
    /// # Panics
    /// On a real clock.
    pub fn turn_to(&self, time: Timestamp) {
        self.turn(|hands| {
            let by = time.unix_millis().saturating_sub(hands.wall.unix_millis());
            hands.now = Timestamp::from_unix_millis(hands.now.unix_millis().saturating_add(by));
            hands.wall = time;
        });
    }

    /// Sets what a hand-turned clock shows to `wall`, as an operator or a time server sets the
    /// system's clock. Forward, time follows it; back, it does not.
    ///
    /// # Panics
    /// On a real clock.
    pub fn set_wall(&self, wall: Timestamp) {
        self.turn(|hands| {
            hands.now = hands.now.saturating_add(wall.since(hands.now));
            hands.wall = wall;
        });
    }

    /// When the next waiter of a hand-turned clock wakes; `None` if none waits, and for the system's
    /// clock.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let mut hands = lock(self.0.as_ref()?);
        let behind = hands.now.unix_millis() - hands.wall.unix_millis();
        let by_now = next_of(&mut hands.waiting);
        let by_wall = next_of(&mut hands.waiting_for_wall)
            .map(|wall| Timestamp::from_unix_millis(wall.unix_millis().saturating_add(behind)));
        by_now.into_iter().chain(by_wall).min()
    }

    fn turn(&self, turn: impl FnOnce(&mut Hands)) {
        let hands = self.0.as_ref().expect("only a hand-turned clock is turned");
        let due = {
            let mut hands = lock(hands);
            turn(&mut hands);
            let (now, wall) = (hands.now, hands.wall);
            let mut due = take_due(&mut hands.waiting, now);
            due.append(&mut take_due(&mut hands.waiting_for_wall, wall));
            due
        };
        for waiter in due {
            // The waiter may have been dropped.
            let _ = waiter.send(());
        }
    }

    /// Waits for `duration`.
    pub async fn sleep(&self, duration: Duration) {
        match &self.0 {
            None => tokio::time::sleep(duration).await,
            Some(hands) => wait(hands, Hands::by_now, |now| now.saturating_add(duration)).await,
        }
    }

    /// Waits until [`Clock::now`] is `time`; returns at once if it has passed.
    pub async fn sleep_until(&self, time: Timestamp) {
        match &self.0 {
            None => tokio::time::sleep(time.since(self.now())).await,
            Some(hands) => wait(hands, Hands::by_now, |_| time).await,
        }
    }

    /// Waits until [`Clock::wall`] shows `time`, unless the clock is set meanwhile; returns at
    /// once if it has passed.
    pub async fn sleep_until_wall(&self, time: Timestamp) {
        match &self.0 {
            None => tokio::time::sleep(time.since(self.wall())).await,
            Some(hands) => wait(hands, Hands::by_wall, |_| time).await,
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

impl Hands {
    fn by_now(&mut self) -> (Timestamp, &mut Waiters) {
        (self.now, &mut self.waiting)
    }

    fn by_wall(&mut self) -> (Timestamp, &mut Waiters) {
        (self.wall, &mut self.waiting_for_wall)
    }
}

/// The time of the first waiter that still waits.
fn next_of(waiting: &mut Waiters) -> Option<Timestamp> {
    while let Some(first) = waiting.first_entry() {
        if !first.get().is_closed() {
            return Some(first.key().0);
        }
        first.remove();
    }
    None
}

/// Takes the waiters whose time has come.
fn take_due(waiting: &mut Waiters, now: Timestamp) -> Vec<oneshot::Sender<()>> {
    let after = Timestamp::from_unix_millis(now.unix_millis().saturating_add(1));
    let later = waiting.split_off(&(after, 0));
    std::mem::replace(waiting, later).into_values().collect()
}

/// Waits on a hand-turned clock. The time is read and the waiter added under one lock.
async fn wait(
    hands: &Mutex<Hands>,
    by: impl FnOnce(&mut Hands) -> (Timestamp, &mut Waiters),
    until: impl FnOnce(Timestamp) -> Timestamp,
) {
    let wait = {
        let mut hands = lock(hands);
        let waiter = hands.next_waiter;
        hands.next_waiter += 1;
        let (now, waiting) = by(&mut hands);
        let until = until(now);
        if until <= now {
            return;
        }
        waiting.retain(|_, waiter| !waiter.is_closed());
        let (wake, wait) = oneshot::channel();
        waiting.insert((until, waiter), wake);
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
    async fn the_next_waiter_is_told_as_long_as_it_waits() {
        let at = Timestamp::from_unix_secs;
        let clock = Clock::by_hand(at(1_000));
        assert_eq!((clock.next_wake(), Clock::real().next_wake()), (None, None));
        let sleep = |until: Timestamp| {
            let clock = clock.clone();
            tokio::spawn(async move { clock.sleep_until_wall(until).await })
        };
        let (first, second) = (sleep(at(1_010)), sleep(at(1_020)));
        tokio::task::yield_now().await;
        assert_eq!(clock.next_wake(), Some(at(1_010)));
        first.abort();
        let _ = first.await;
        assert_eq!(clock.next_wake(), Some(at(1_020)));
        clock.turn_to(at(1_020));
        second.await.unwrap();
        assert_eq!(clock.next_wake(), None);
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_does_not_hold_up_time() {
        let at = Timestamp::from_unix_secs;
        let clock = Clock::by_hand(at(1_000));
        let waiting = |wait: fn(Clock) -> Waiting| tokio::spawn(wait(clock.clone()));
        let sleeper =
            waiting(|clock| Box::pin(async move { clock.sleep(Duration::from_secs(10)).await }));
        let alarm = waiting(|clock| {
            Box::pin(async move {
                clock
                    .sleep_until_wall(Timestamp::from_unix_secs(1_010))
                    .await;
            })
        });
        tokio::task::yield_now().await;
        clock.set_wall(at(400));
        assert_eq!((clock.now(), clock.wall()), (at(1_000), at(400)));
        assert_eq!(clock.wall_of(at(1_005)), at(405));
        assert_eq!(clock.of_wall(at(405)), at(1_005));
        clock.advance(Duration::from_secs(10));
        assert_eq!((clock.now(), clock.wall()), (at(1_010), at(410)));
        sleeper.await.unwrap();
        tokio::task::yield_now().await;
        assert!(!alarm.is_finished());
        clock.set_wall(at(1_009));
        assert_eq!((clock.now(), clock.wall()), (at(1_010), at(1_009)));
        clock.set_wall(at(1_020));
        assert_eq!((clock.now(), clock.wall()), (at(1_020), at(1_020)));
        alarm.await.unwrap();
    }

    type Waiting = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

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
