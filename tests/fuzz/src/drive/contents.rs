//! Requests to the admin interface: heads, and contents.

use tero_admin_api::{
    ActivateRequest, ExplainRequest, Problem, PurgeRequest, Question, StartCanaryRequest,
    StartShadowRequest,
};
use tero_config::units::Share;
use tero_control::admin::fuzzing;
use tero_control::admin::subject::{ExplainSubject, subject};
use tero_control::purge::target::{self, TargetParts};

use super::script::{Block, blocks};

/// Reads a request without its content: `POST /explain`, then fields.
pub fn request(bytes: &[u8]) {
    let [request]: [Block<'_>; 1] = blocks(bytes);
    fuzzing::request(
        &request.method(),
        request.words().nth(1).unwrap_or_default(),
        &request.headers,
    );
}

/// Reads the content of a request as that of each call.
pub fn content(bytes: &[u8]) {
    purge(bytes);
    explain(bytes);
    activate(bytes);
    shadow(bytes);
    canary(bytes);
}

/// Checks that a refusal has a cure.
fn good<T>(read: Result<T, Problem>) -> Option<T> {
    match read {
        Ok(good) => Some(good),
        Err(wrong) => {
            assert!(!wrong.error.is_empty() && !wrong.cure.is_empty());
            None
        }
    }
}

/// The question, if the content is one; it is written as it was read.
fn question<Q: Question + PartialEq + std::fmt::Debug>(content: &[u8]) -> Option<Q> {
    let question: Q = good(Q::read(None, content))?;
    assert_eq!(
        Q::read(None, &question.content()).as_ref().ok(),
        Some(&question)
    );
    Some(question)
}

fn purge(content: &[u8]) {
    let Some(PurgeRequest { target, .. }) = question(content) else {
        return;
    };
    match target::parse(&target) {
        Err(wrong) => assert!(!wrong.to_string().is_empty() && !wrong.cure().is_empty()),
        Ok(TargetParts::Url(place) | TargetParts::Prefix(place)) => {
            assert!(
                !place.host.is_empty()
                    && !place
                        .host
                        .bytes()
                        .any(|byte| byte.is_ascii_uppercase() || byte == b'@')
            );
            assert!(place.path.is_empty() || place.path.starts_with(['/', '?']));
        }
        Ok(TargetParts::Tag(text) | TargetParts::Site(text)) => assert!(!text.is_empty()),
    }
}

/// Checks that the target is one that a client could send.
fn explain(content: &[u8]) {
    let Some(asked) = question::<ExplainRequest>(content) else {
        return;
    };
    let Some(ExplainSubject { request, host, .. }) = good(subject(&asked)) else {
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
    let _ = question::<ActivateRequest>(content);
}

fn shadow(content: &[u8]) {
    if let Some(asked) = question::<StartShadowRequest>(content) {
        share(&asked.sample);
    }
}

fn canary(content: &[u8]) {
    if let Some(asked) = question::<StartCanaryRequest>(content) {
        share(&asked.share);
    }
}

fn share(text: &str) {
    if let Some(share) = Share::parse(text) {
        assert!((1..=10_000).contains(&u32::from(share)));
    }
}
