//! What is asked of a stream or bucket, and why there is no answer: the cause, and what to do about it.

use std::error::Error;

use async_nats::jetstream::ErrorCode;
use tero_time::clock::Clock;

use super::{REQUEST_TIMEOUT, told_by_server, with_causes};
use crate::cluster::bus::BusError;

/// Something that is asked of a stream or bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// What it does, for people.
    pub(super) what: &'static str,
    /// The stream or bucket, by its whole name.
    pub(super) of: &'a str,
    /// The subject that the user of the node publishes to.
    pub(super) right: &'a str,
}

impl Asked<'_> {
    /// The answer, or why there is none. Some requests of the client have no limit of their own.
    pub(super) async fn answer<T, E: Error + 'static>(
        self,
        request: impl Future<Output = Result<T, E>>,
    ) -> Result<T, BusError> {
        let answer = self.in_time(request).await?;
        answer.map_err(|error| self.failed(&error))
    }

    /// The result, unless it takes too long.
    pub(super) async fn in_time<T>(self, call: impl Future<Output = T>) -> Result<T, BusError> {
        let result = Clock::real().timeout(REQUEST_TIMEOUT, call).await;
        result.map_err(|_| self.unanswered("no answer in time"))
    }

    /// Why it has failed.
    pub(super) fn failed(self, error: &(dyn Error + 'static)) -> BusError {
        match told_by_server(error) {
            Some(ErrorCode::STREAM_NOT_FOUND) => self.missing(),
            Some(_) => self.because(&with_causes(error)),
            None => self.unanswered(&with_causes(error)),
        }
    }

    /// The stream or bucket is not there.
    pub(super) fn missing(self) -> BusError {
        self.because("it is not there; run `tero cluster init` of this version")
    }

    /// The server has said nothing. It drops what a user has no right to.
    pub(super) fn unanswered(self, cause: &str) -> BusError {
        let right = self.right;
        self.because(&format!(
            "{cause}; see that the node's user may publish to `{right}`"
        ))
    }

    fn because(self, cause: &str) -> BusError {
        let Asked { what, of, .. } = self;
        BusError::Unreachable(format!("{what} {of} failed: {cause}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_nats::jetstream::context::{GetStreamError, GetStreamErrorKind};

    const ASKED: Asked<'_> = Asked {
        what: "looking at",
        of: "TERO_WARM",
        right: "$JS.API.STREAM.INFO.>",
    };

    #[test]
    fn an_error_names_the_stream_and_what_to_do() {
        let code = |code: u64| {
            let told = format!("{{\"code\":404,\"err_code\":{code},\"description\":\"told\"}}");
            let told = serde_json::from_str(&told).unwrap();
            GetStreamError::new(GetStreamErrorKind::JetStream(told))
        };
        let words = |error: &GetStreamError| ASKED.failed(error).to_string();
        assert_eq!(
            words(&code(10_059)),
            "looking at TERO_WARM failed: it is not there; run `tero cluster init` of this version"
        );
        let full = words(&code(10_077));
        assert!(
            full.contains("told") && !full.contains("may publish"),
            "{full}"
        );
        let silent = words(&GetStreamError::new(GetStreamErrorKind::Request));
        assert!(
            silent.ends_with("may publish to `$JS.API.STREAM.INFO.>`"),
            "{silent}"
        );
    }
}
