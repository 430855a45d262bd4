//! The failures of guests: the kind, and the limit that was exceeded.

use wasmtime::Trap;

use super::state::{DeadlineExceeded, GuestState, MissingImport};
use crate::counters::FailureKind;
use crate::escape::escaped;
use tero_config::PolicyLimits;
use tero_config::units::show_size;

/// The bytes that are kept of a failure's reason.
const MAX_REASON_BYTES: usize = 512;

/// A failure of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestFailure {
    /// The kind of failure.
    pub kind: FailureKind,
    /// The details: one line of at most 512 bytes.
    pub reason: String,
}

impl GuestFailure {
    fn new(kind: FailureKind, reason: String) -> GuestFailure {
        let mut reason = escaped(&reason).into_owned();
        reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
        GuestFailure { kind, reason }
    }

    pub(crate) fn bad_answer(reason: impl Into<String>) -> GuestFailure {
        GuestFailure::new(FailureKind::BadAnswer, reason.into())
    }

    /// The failure with which a call ended. `otherwise` is the kind if the guest neither exceeded
    /// its deadline, nor was denied memory, nor trapped. In a call this means a bad answer (invalid
    /// UTF-8, an unknown case, too many bytes); while an instance is made, it means that the
    /// machine has no room for it.
    pub(super) fn of(
        error: &wasmtime::Error,
        state: &GuestState,
        limits: &PolicyLimits,
        stack_bytes: u64,
        otherwise: FailureKind,
    ) -> GuestFailure {
        let (kind, reason) = exceeded(error, state, stack_bytes)
            .or_else(|| exceeded_by_message(error, limits))
            .unwrap_or_else(|| trapped(error, state, otherwise));
        GuestFailure::new(kind, reason)
    }
}

/// The limit that the guest exceeded, if the type of the error says so.
fn exceeded(
    error: &wasmtime::Error,
    state: &GuestState,
    stack_bytes: u64,
) -> Option<(FailureKind, String)> {
    if let Some(exceeded) = error.downcast_ref::<DeadlineExceeded>() {
        return Some((FailureKind::Deadline, exceeded.to_string()));
    }
    if let Some(denied) = state.limits().denied() {
        return Some((
            FailureKind::Memory,
            format!("it wanted {denied}: {error:#}"),
        ));
    }
    if error.downcast_ref::<Trap>() == Some(&Trap::StackOverflow) {
        let stack = show_size(stack_bytes);
        let reason = format!("it nested its calls deeper than {stack} of stack (`policies.stack`)");
        return Some((FailureKind::Trap, reason));
    }
    None
}

/// Like [`exceeded`], for errors whose type wasmtime does not export.
fn exceeded_by_message(
    error: &wasmtime::Error,
    limits: &PolicyLimits,
) -> Option<(FailureKind, String)> {
    let said = format!("{error:#}");
    if said.contains("fuel allocated for hostcalls has been exhausted") {
        let (answer, plan) = (show_size(limits.answer), show_size(limits.plan));
        let reason = format!(
            "it answered more than {answer} (`answer`), or planned more than {plan} (`plan`)"
        );
        return Some((FailureKind::BadAnswer, reason));
    }
    if said.contains("resource limit exceeded: instance count") {
        let reason = format!(
            "it has more than {} core modules (`core_instances`)",
            limits.core_instances
        );
        return Some((FailureKind::Memory, reason));
    }
    None
}

/// A trap with the guest's last log line, or else a failure of the kind `otherwise`.
fn trapped(
    error: &wasmtime::Error,
    state: &GuestState,
    otherwise: FailureKind,
) -> (FailureKind, String) {
    let said = format!("{error:#}");
    if !error.is::<Trap>() && !error.is::<MissingImport>() {
        return (otherwise, said);
    }
    let reason = match state.last_line() {
        Some(line) => format!("{line} ({said})"),
        None => said,
    };
    (FailureKind::Trap, reason)
}
