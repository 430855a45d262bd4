//! Leave to send the content of a request, as the next hop gives it with 100 (RFC 9110 §10.1.1).

use std::time::Duration;

use tokio::sync::watch;

use tero_time::clock::Clock;

/// Leave to send the content of a request. It is an extension of the request, whose content waits
/// for [`ContentLeave::settled`].
#[derive(Clone, Debug)]
pub struct ContentLeave(watch::Sender<LeaveState>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeaveState {
    /// The next hop has said nothing.
    Awaited,
    /// The content is wanted.
    Given,
    /// The next hop has answered without the content.
    Refused,
    /// Its answer has been read, or it gave none.
    Over,
}

impl ContentLeave {
    /// Leave that has not been given.
    pub fn awaited() -> ContentLeave {
        ContentLeave(watch::Sender::new(LeaveState::Awaited))
    }

    /// The content is wanted.
    pub fn give(&self) {
        self.become_from_awaited(LeaveState::Given);
    }

    fn become_from_awaited(&self, next: LeaveState) {
        self.0.send_if_modified(|state| {
            let is_awaited = *state == LeaveState::Awaited;
            if is_awaited {
                *state = next;
            }
            is_awaited
        });
    }

    /// Waits until the content is wanted, or the next hop has said nothing for `patience`. `false`:
    /// its answer has come and gone without the content.
    pub fn settled(
        &self,
        clock: Clock,
        patience: Duration,
    ) -> impl Future<Output = bool> + Send + use<> {
        let mut state = self.0.subscribe();
        async move {
            let said = async {
                let state = state.wait_for(|state| *state != LeaveState::Awaited).await;
                state.map_or(LeaveState::Over, |state| *state)
            };
            match clock.timeout(patience, said).await {
                Err(_) | Ok(LeaveState::Awaited | LeaveState::Given) => true,
                Ok(LeaveState::Over) => false,
                // While its answer is read, the connection has to stay.
                Ok(LeaveState::Refused) => {
                    let _ = state.wait_for(|state| *state == LeaveState::Over).await;
                    false
                }
            }
        }
    }
}

/// The end of a request whose content waits for leave: the content waits no longer than this
/// lives.
#[derive(Debug)]
pub(super) struct LeaveEnd(ContentLeave);

impl LeaveEnd {
    /// The end of the request that has this leave.
    pub(super) fn new(leave: &ContentLeave) -> LeaveEnd {
        LeaveEnd(leave.clone())
    }

    /// The next hop has answered.
    pub(super) fn answered(&self) {
        self.0.become_from_awaited(LeaveState::Refused);
    }
}

impl Drop for LeaveEnd {
    fn drop(&mut self) {
        self.0.0.send_replace(LeaveState::Over);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tero_semantics::timestamp::Timestamp;

    const PATIENCE: Duration = Duration::from_secs(1);

    fn waiting() -> (ContentLeave, Clock, tokio::task::JoinHandle<bool>) {
        let clock = Clock::by_hand(Timestamp::from_unix_secs(1_000));
        let leave = ContentLeave::awaited();
        let settled = tokio::spawn(leave.settled(clock.clone(), PATIENCE));
        (leave, clock, settled)
    }

    #[tokio::test]
    async fn content_goes_when_it_is_wanted_or_after_its_patience() {
        let (leave, _, settled) = waiting();
        tokio::task::yield_now().await;
        assert!(!settled.is_finished());
        leave.give();
        assert!(settled.await.unwrap());
        let (_leave, clock, settled) = waiting();
        tokio::task::yield_now().await;
        clock.advance(PATIENCE);
        assert!(settled.await.unwrap());
    }

    #[tokio::test]
    async fn after_an_answer_content_waits_for_its_end_and_never_goes() {
        let (leave, clock, settled) = waiting();
        let end = LeaveEnd::new(&leave);
        tokio::task::yield_now().await;
        end.answered();
        leave.give();
        tokio::task::yield_now().await;
        clock.advance(PATIENCE * 100);
        tokio::task::yield_now().await;
        assert!(!settled.is_finished());
        drop(end);
        assert!(!settled.await.unwrap());
    }
}
