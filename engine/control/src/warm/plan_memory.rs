//! When each plan last came due, in a file of the state directory, so that a restart notices missed
//! runs. An unreadable file is logged and ignored.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tero_semantics::timestamp::Timestamp;
use tero_state::dir::StateDir;
use tero_state::file::StateFile;

const FILE_NAME: &str = "plans.json";

/// A larger file can't be ours, since plans are few.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The times up to which the schedules of plans have been followed, and the file that keeps them.
/// Without a file, a restart forgets them.
#[derive(Debug, Default)]
pub struct PlanMemory {
    file: Option<StateFile>,
    plans: Mutex<BTreeMap<String, i64>>,
}

impl PlanMemory {
    /// Reads the file in the state directory `dir`.
    pub fn open(dir: Option<&Arc<StateDir>>) -> PlanMemory {
        let file = dir.map(|dir| StateFile::new(dir, FILE_NAME, MAX_FILE_BYTES));
        let plans = file.as_ref().and_then(read).unwrap_or_default();
        PlanMemory {
            file,
            plans: Mutex::new(plans),
        }
    }

    /// The time up to which a plan's schedule has been followed; `None` for a new plan.
    pub(super) fn followed(&self, plan: &str) -> Option<Timestamp> {
        self.lock()
            .get(plan)
            .copied()
            .map(Timestamp::from_unix_secs)
    }

    /// Forgets times after `now`: the clock was wrong, or the file is. Until such a time, missed
    /// runs of the plan would go unnoticed.
    pub(super) fn forget_after(&self, now: Timestamp) {
        self.lock().retain(|plan, time| {
            let is_past = *time <= now.unix_secs();
            if !is_past {
                tracing::warn!(%plan, "the last due time of the plan is in the future: it is ignored");
            }
            is_past
        });
    }

    /// Notes that a plan's schedule has been followed up to `time`; an earlier time changes
    /// nothing.
    pub(super) fn note(&self, plan: &str, time: Timestamp) {
        let plans = {
            let mut plans = self.lock();
            if plans
                .get(plan)
                .is_some_and(|known| *known >= time.unix_secs())
            {
                return;
            }
            plans.insert(plan.to_owned(), time.unix_secs());
            plans.clone()
        };
        if let Some(file) = &self.file
            && let Err(error) = file.replace(&plans)
        {
            tracing::warn!(file = %file.path().display(), %error, "the last due times of plans can't be saved");
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, i64>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(file: &StateFile) -> Option<BTreeMap<String, i64>> {
    file.read().unwrap_or_else(|error| {
        tracing::warn!(file = %file.path().display(), %error, "the last due times of plans can't be read: they are ignored");
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_unix_secs(1_795_608_000);

    fn dir(folder: &tempfile::TempDir) -> Arc<StateDir> {
        Arc::new(StateDir::open(folder.path()).unwrap())
    }

    #[test]
    fn noted_times_are_known_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let dir = dir(&folder);
        let first = PlanMemory::open(Some(&dir));
        assert_eq!(first.followed("apertura"), None);
        first.note("apertura", NOON);
        first.note("apertura", Timestamp::from_unix_secs(5));
        let second = PlanMemory::open(Some(&dir));
        assert_eq!(second.followed("apertura"), Some(NOON));
    }

    #[test]
    fn an_unreadable_file_is_ignored_and_replaced() {
        for nonsense in [
            "{",
            r#"{"version": 2, "content": {"x": 1}}"#,
            r#"{"version": 1, "content": {"x": "y"}}"#,
        ] {
            let folder = tempfile::tempdir().unwrap();
            let dir = dir(&folder);
            std::fs::write(folder.path().join(FILE_NAME), nonsense).unwrap();
            let memory = PlanMemory::open(Some(&dir));
            assert_eq!(memory.followed("x"), None, "{nonsense}");
            memory.note("x", NOON);
            assert_eq!(PlanMemory::open(Some(&dir)).followed("x"), Some(NOON));
        }
    }

    #[test]
    fn times_in_the_future_are_forgotten() {
        let memory = PlanMemory::default();
        memory.note("now", NOON);
        memory.note("wrong", Timestamp::from_unix_secs(i64::MAX / 1_000));
        memory.forget_after(NOON);
        assert_eq!(
            (memory.followed("now"), memory.followed("wrong")),
            (Some(NOON), None)
        );
        memory.note("wrong", NOON);
        assert_eq!(memory.followed("wrong"), Some(NOON));
    }

    #[test]
    fn without_a_state_directory_times_are_known_until_a_restart() {
        let memory = PlanMemory::open(None);
        memory.note("x", NOON);
        assert_eq!(memory.followed("x"), Some(NOON));
    }
}
