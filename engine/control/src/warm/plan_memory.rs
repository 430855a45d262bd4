//! What outlives a restart: popularity, and when plans came due last. Two files in the state
//! directory, each replaced as a whole, so that a crash leaves the old one or the new one. What
//! can't be read is told, and forgotten.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use tero_edge::telemetry::popularity::saved::SavedSite;
use tero_semantics::timestamp::Timestamp;

const POPULARITY: &str = "popularity.json";
const PLANS: &str = "plans.json";

/// Larger files are none of ours: what is counted takes at most some three bytes for each of
/// [`tero_edge::telemetry::popularity::MAX_BYTES`], and plans are few.
const MAX_POPULARITY_BYTES: u64 = 64 << 20;
const MAX_PLANS_BYTES: u64 = 1 << 20;

const VERSION: u32 = 1;

/// The state directory, or none, and what is known of plans.
#[derive(Debug, Default)]
pub struct PlanMemory {
    folder: Option<PathBuf>,
    plans: Mutex<BTreeMap<String, i64>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedFile<T> {
    version: u32,
    content: T,
}

impl PlanMemory {
    /// What the folder remembers; it is made where it is missing. Without a folder nothing is
    /// remembered.
    ///
    /// # Errors
    /// When the folder can't be made.
    pub fn open(folder: Option<PathBuf>) -> std::io::Result<PlanMemory> {
        if let Some(folder) = &folder {
            std::fs::create_dir_all(folder)?;
        }
        let memory = PlanMemory {
            folder,
            plans: Mutex::default(),
        };
        *memory.lock() = memory.read(PLANS, MAX_PLANS_BYTES).unwrap_or_default();
        Ok(memory)
    }

    /// Up to when a plan's schedule has been followed; none for a plan that is new.
    pub(super) fn followed(&self, plan: &str) -> Option<Timestamp> {
        self.lock()
            .get(plan)
            .copied()
            .map(Timestamp::from_unix_secs)
    }

    /// Forgets what is said to have been followed up to a time that is not yet: a clock was wrong,
    /// or the file is. It would keep every plan from being caught up with until then.
    pub(super) fn forget_after(&self, now: Timestamp) {
        self.lock().retain(|plan, time| {
            let is_past = *time <= now.unix_secs();
            if !is_past {
                tracing::warn!(%plan, "when the plan came due last can't be true: it is forgotten");
            }
            is_past
        });
    }

    /// Notes that a plan's schedule has been followed up to `time`, unless that is known.
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
        self.write(PLANS, &plans);
    }

    pub(super) fn popularity(&self) -> Option<BTreeMap<String, SavedSite>> {
        self.read(POPULARITY, MAX_POPULARITY_BYTES)
    }

    pub(super) fn save_popularity(&self, popularity: &BTreeMap<String, SavedSite>) {
        self.write(POPULARITY, popularity);
    }

    /// Whether anything is remembered at all.
    pub(super) fn is_kept(&self) -> bool {
        self.folder.is_some()
    }

    fn read<T: DeserializeOwned>(&self, name: &str, max_bytes: u64) -> Option<T> {
        let file = self.folder.as_ref()?.join(name);
        match read(&file, max_bytes) {
            Ok(content) => content,
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "what was remembered can't be read: it is forgotten");
                None
            }
        }
    }

    fn write<T: Serialize>(&self, name: &str, content: &T) {
        let Some(folder) = &self.folder else { return };
        if let Err(error) = to_bytes(content).and_then(|bytes| replace(folder, name, &bytes)) {
            tracing::warn!(file = %folder.join(name).display(), %error, "what is to be remembered can't be written");
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, i64>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a file says; none where there is none.
fn read<T: DeserializeOwned>(file: &Path, max_bytes: u64) -> Result<Option<T>, String> {
    match std::fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
        Ok(metadata) if metadata.len() > max_bytes => {
            return Err(format!("it is larger than {max_bytes} bytes"));
        }
        Ok(_) => {}
    }
    let bytes = std::fs::read(file).map_err(|error| error.to_string())?;
    parse(&bytes).map(Some)
}

/// What the bytes of a file say.
///
/// # Errors
/// Why they are none of ours, for people.
#[doc(hidden)] // Public for the fuzz targets and the replay of their corpus.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let SavedFile { version, content } =
        serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if version == VERSION {
        Ok(content)
    } else {
        Err(format!("it is of version {version}, not {VERSION}"))
    }
}

/// As [`parse`] reads it.
///
/// # Errors
/// None for what is remembered.
#[doc(hidden)]
pub fn to_bytes<T: Serialize>(content: &T) -> std::io::Result<Vec<u8>> {
    serde_json::to_vec(&SavedFile {
        version: VERSION,
        content,
    })
    .map_err(std::io::Error::other)
}

fn replace(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let new = folder.join(format!("{name}.new"));
    let mut file = std::fs::File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_unix_secs(1_795_608_000);

    #[test]
    fn what_is_noted_is_known_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let open = || PlanMemory::open(Some(folder.path().join("deep/state"))).unwrap();
        let first = open();
        assert_eq!(first.followed("apertura"), None);
        first.note("apertura", NOON);
        first.note("apertura", Timestamp::from_unix_secs(5));
        first.save_popularity(&BTreeMap::from([(
            "site".to_owned(),
            SavedSite {
                error_bound: 1.0,
                ..SavedSite::default()
            },
        )]));
        let second = open();
        assert_eq!(second.followed("apertura"), Some(NOON));
        assert!((second.popularity().unwrap()["site"].error_bound - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn what_can_not_be_read_is_forgotten_and_written_anew() {
        for nonsense in [
            "",
            "{",
            "[1]",
            "{\"version\": 2, \"content\": {}}",
            "{\"version\": 1, \"content\": {\"x\": \"y\"}}",
        ] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(PLANS), nonsense).unwrap();
            std::fs::write(folder.path().join(POPULARITY), nonsense).unwrap();
            let memory = PlanMemory::open(Some(folder.path().to_owned())).unwrap();
            assert_eq!(memory.followed("x"), None, "{nonsense}");
            assert!(memory.popularity().is_none(), "{nonsense}");
            memory.note("x", NOON);
            assert_eq!(
                PlanMemory::open(Some(folder.path().to_owned()))
                    .unwrap()
                    .followed("x"),
                Some(NOON)
            );
        }
    }

    #[test]
    fn what_is_said_of_the_future_is_forgotten() {
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
    fn a_file_that_is_too_large_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let plans = |length: u64| {
            let text = r#"{"version": 1, "content": {"x": 1}}"#;
            std::fs::write(
                folder.path().join(PLANS),
                format!("{text}{}", " ".repeat(length as usize - text.len())),
            )
            .unwrap();
            PlanMemory::open(Some(folder.path().to_owned()))
                .unwrap()
                .followed("x")
                .is_some()
        };
        assert!(plans(MAX_PLANS_BYTES) && !plans(MAX_PLANS_BYTES + 1));
    }

    #[test]
    fn without_a_folder_nothing_is_written() {
        let memory = PlanMemory::open(None).unwrap();
        memory.note("x", NOON);
        memory.save_popularity(&BTreeMap::new());
        assert_eq!(memory.followed("x"), Some(NOON));
        assert!(memory.popularity().is_none() && !memory.is_kept());
    }

    #[test]
    fn a_folder_that_can_not_be_made_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert!(PlanMemory::open(Some(folder.path().join("file/state"))).is_err());
    }
}
