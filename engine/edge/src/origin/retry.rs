//! Whether a request that failed goes to another hop.
//!
//! Retries are bounded by a share of all requests: an origin that fails under its load gets no more
//! than that on top.

use std::sync::atomic::{AtomicI64, Ordering};

use http::{Method, StatusCode};

use super::attempt::HopAnswer;
use super::error::{OriginError, SendError};
use tero_config::{Retry, RetryMethod, RetryOn, Share};

/// What one retry takes of the budget.
const ONE: i64 = 10_000;
/// Retries that a site may save up, and has at the start.
const MOST_SAVED: i64 = 10 * ONE;

/// The retries that a site has left.
#[derive(Debug)]
pub(super) struct RetryBudget {
    /// What each request adds.
    share: i64,
    left: AtomicI64,
}

impl RetryBudget {
    pub(super) fn new(share: Share) -> RetryBudget {
        RetryBudget {
            share: i64::from(u32::from(share)),
            left: AtomicI64::new(MOST_SAVED),
        }
    }

    /// A request adds to the budget.
    pub(super) fn count_request(&self) {
        if self.left.load(Ordering::Relaxed) < MOST_SAVED {
            self.left.fetch_add(self.share, Ordering::Relaxed);
        }
    }

    /// Takes a retry. Returns whether one was left.
    pub(super) fn take_one(&self) -> bool {
        let left = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                (left >= ONE).then(|| left - ONE)
            });
        left.is_ok()
    }
}

/// Whether a request of this method may be sent again after this answer. One that was not sent goes
/// on in any case, and is not a retry.
pub(super) fn allows(
    retry: &Retry,
    method: &Method,
    answer: &Result<HopAnswer, SendError>,
) -> bool {
    match answer {
        Ok(answer) => {
            allows_method(retry, method) && allows_status(retry, answer.response.status())
        }
        Err(failure) => failure.unsent.is_none() && allows_after(retry, method, &failure.error),
    }
}

/// Whether a request of this method may be sent again after this failure, also if it was sent.
pub(super) fn allows_after(retry: &Retry, method: &Method, error: &OriginError) -> bool {
    allows_method(retry, method) && allows_error(retry, error)
}

fn allows_method(retry: &Retry, method: &Method) -> bool {
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS => true,
        Method::PUT => retry.methods.contains(&RetryMethod::Put),
        Method::DELETE => retry.methods.contains(&RetryMethod::Delete),
        _ => false,
    }
}

fn allows_status(retry: &Retry, status: StatusCode) -> bool {
    retry.on.contains(&RetryOn::Status(status.as_u16()))
}

fn allows_error(retry: &Retry, error: &OriginError) -> bool {
    let cause = match error {
        OriginError::Connect { .. } | OriginError::Tls { .. } => RetryOn::Refused,
        OriginError::ConnectTimeout { .. } | OriginError::ResponseTimeout { .. } => {
            RetryOn::Timeout
        }
        OriginError::Broken { .. }
        | OriginError::Malformed { .. }
        | OriginError::TooManyFields { .. }
        | OriginError::Switched { .. } => RetryOn::Reset,
        OriginError::Exhausted { .. }
        | OriginError::Busy
        | OriginError::Unknown
        | OriginError::SlowRequestBody
        | OriginError::RequestBody { .. } => return false,
    };
    retry.on.contains(&cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_share_of_the_requests_beyond_those_saved_up() {
        let budget = RetryBudget::new(Share::parse("20%").unwrap());
        for _ in 0..10 {
            assert!(budget.take_one());
        }
        assert!(!budget.take_one());
        for _ in 0..4 {
            budget.count_request();
        }
        assert!(!budget.take_one());
        budget.count_request();
        assert!(budget.take_one());
        assert!(!budget.take_one());
        for _ in 0..1_000 {
            budget.count_request();
        }
        let saved = (0..100).filter(|_| budget.take_one()).count();
        assert_eq!(saved, 10);
    }
}
