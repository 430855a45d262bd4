//! What operators send to the admin interface, and what is read of a request before its content.

use tero_control::admin::asked::explain::{self, ExplainRequest};
use tero_control::admin::asked::purge::{self, PurgeTarget};
use tero_control::admin::asked::{self, Problem};
use tero_control::admin::fuzzing;

use super::script::{Block, blocks};

/// A request up to its content: `POST /explain`, then its fields.
pub fn request(bytes: &[u8]) {
    let [request]: [Block<'_>; 1] = blocks(bytes);
    fuzzing::request(
        &request.method(),
        request.words().nth(1).unwrap_or_default(),
        &request.headers,
    );
}

/// The content of a request, whatever it asks for.
pub fn content(bytes: &[u8]) {
    purge(bytes);
    explain(bytes);
    activate(bytes);
    shadow(bytes);
    canary(bytes);
}

/// What is wrong is told with its cure.
fn good<T>(read: Result<T, Problem>) -> Option<T> {
    match read {
        Ok(good) => Some(good),
        Err(wrong) => {
            assert!(!wrong.error.is_empty() && !wrong.cure.is_empty());
            None
        }
    }
}

fn purge(content: &[u8]) {
    let Some(asked) = good(purge::read(content)) else {
        return;
    };
    match asked.target {
        PurgeTarget::Url(place) | PurgeTarget::Prefix(place) => {
            assert!(
                !place.host.is_empty()
                    && !place
                        .host
                        .bytes()
                        .any(|byte| byte.is_ascii_uppercase() || byte == b'@')
            );
            assert!(place.path.is_empty() || place.path.starts_with(['/', '?']));
        }
        PurgeTarget::Tag(text) | PurgeTarget::Site(text) => assert!(!text.is_empty()),
    }
}

/// What is left of the URL is a target that a client could send.
fn explain(content: &[u8]) {
    let Some(ExplainRequest { request, host, .. }) = good(explain::read(content)) else {
        return;
    };
    assert!(request.uri().authority().is_none() && request.uri().scheme().is_none());
    let target = request
        .uri()
        .path_and_query()
        .expect("there is always a path")
        .as_str();
    assert!(target.starts_with('/'), "{target}");
    assert!(!target.contains('#') && !target.contains(char::is_whitespace));
    assert!(host.is_none_or(|host| !host.is_empty()));
}

fn activate(content: &[u8]) {
    let _ = good(asked::activate(content));
}

fn shadow(content: &[u8]) {
    if let Some(asked) = good(asked::start_shadow(content)) {
        assert!((1..=10_000).contains(&u32::from(asked.sample)));
    }
}

fn canary(content: &[u8]) {
    let Some(asked) = good(asked::start_canary(content)) else {
        return;
    };
    assert!((1..=10_000).contains(&u32::from(asked.share)));
    if asked.guard.out_of_range().is_none() {
        assert!(asked.guard.min_requests > 0 && asked.guard.failure_points >= 0.0);
    }
}
