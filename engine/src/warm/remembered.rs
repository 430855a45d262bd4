//! What outlives a restart: popularity, and when plans came due last. Two files in the state directory, each replaced as a whole, so that
//! a crash leaves the old one or the new one. What can't be read is told, and forgotten.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::semantics::timestamp::Timestamp;
use crate::telemetry::popularity::saved::SavedSite;

const POPULARITY: &str = "popularity.json";
const PLANS: &str = "plans.json";

/// A larger file is none of ours.
const MAX_FILE_BYTES: u64 = 128 << 20;

const VERSION: u32 = 1;

/// The state directory, or none, and what is known of plans.
#[derive(Debug, Default)]
pub struct Remembered {
    folder: Option<PathBuf>,
    plans: Mutex<BTreeMap<String, i64>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File<T> {
    version: u32,
    content: T,
}

impl Remembered {
    /// What the folder remembers; it is made where it is missing. Without a folder nothing is remembered.
    ///
    /// # Errors
    /// When the folder can't be made.
    pub fn open(folder: Option<PathBuf>) -> std::io::Result<Remembered> {
        if let Some(folder) = &folder {
            std::fs::create_dir_all(folder)?;
        }
        let remembered = Remembered { folder, plans: Mutex::default() };
        *remembered.lock() = remembered.read(PLANS).unwrap_or_default();
        Ok(remembered)
    }

    /// Up to when a plan's schedule has been followed; none for a plan that is new.
    pub(super) fn followed(&self, plan: &str) -> Option<Timestamp> {
        self.lock().get(plan).copied().map(Timestamp::from_unix_secs)
    }

    /// Notes that a plan's schedule has been followed up to `time`, unless that is known.
    pub(super) fn note(&self, plan: &str, time: Timestamp) {
        let plans = {
            let mut plans = self.lock();
            if plans.get(plan).is_some_and(|known| *known >= time.unix_secs()) {
                return;
            }
            plans.insert(plan.to_owned(), time.unix_secs());
            plans.clone()
        };
        self.write(PLANS, &plans);
    }

    pub(super) fn popularity(&self) -> Option<BTreeMap<String, SavedSite>> {
        self.read(POPULARITY)
    }

    pub(super) fn save_popularity(&self, popularity: &BTreeMap<String, SavedSite>) {
        self.write(POPULARITY, popularity);
    }

    /// Whether anything is remembered at all.
    pub(super) fn is_kept(&self) -> bool {
        self.folder.is_some()
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let file = self.folder.as_ref()?.join(name);
        match read(&file) {
            Ok(content) => content,
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "what was remembered can't be read: it is forgotten");
                None
            }
        }
    }

    fn write<T: Serialize>(&self, name: &str, content: &T) {
        let Some(folder) = &self.folder else { return };
        let written = serde_json::to_vec(&File { version: VERSION, content }).map_err(std::io::Error::other);
        if let Err(error) = written.and_then(|bytes| replace(folder, name, &bytes)) {
            tracing::warn!(file = %folder.join(name).display(), %error, "what is to be remembered can't be written");
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, i64>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a file says; none where there is none.
fn read<T: DeserializeOwned>(file: &Path) -> Result<Option<T>, String> {
    match std::fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
        Ok(metadata) if metadata.len() > MAX_FILE_BYTES => return Err(format!("it is larger than {MAX_FILE_BYTES} bytes")),
        Ok(_) => {}
    }
    let bytes = std::fs::read(file).map_err(|error| error.to_string())?;
    let File { version, content } = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if version == VERSION { Ok(Some(content)) } else { Err(format!("it is of version {version}, not {VERSION}")) }
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
        let open = || Remembered::open(Some(folder.path().join("deep/state"))).unwrap();
        let first = open();
        assert_eq!(first.followed("apertura"), None);
        first.note("apertura", NOON);
        first.note("apertura", Timestamp::from_unix_secs(5));
        first.save_popularity(&BTreeMap::from([("site".to_owned(), SavedSite { error_bound: 1.0, ..SavedSite::default() })]));
        let second = open();
        assert_eq!(second.followed("apertura"), Some(NOON));
        assert!((second.popularity().unwrap()["site"].error_bound - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn what_can_not_be_read_is_forgotten_and_written_anew() {
        for nonsense in ["", "{", "[1]", "{\"version\": 2, \"content\": {}}", "{\"version\": 1, \"content\": {\"x\": \"y\"}}"] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(PLANS), nonsense).unwrap();
            std::fs::write(folder.path().join(POPULARITY), nonsense).unwrap();
            let remembered = Remembered::open(Some(folder.path().to_owned())).unwrap();
            assert_eq!(remembered.followed("x"), None, "{nonsense}");
            assert!(remembered.popularity().is_none(), "{nonsense}");
            remembered.note("x", NOON);
            assert_eq!(Remembered::open(Some(folder.path().to_owned())).unwrap().followed("x"), Some(NOON));
        }
    }

    #[test]
    fn without_a_folder_nothing_is_written() {
        let remembered = Remembered::open(None).unwrap();
        remembered.note("x", NOON);
        remembered.save_popularity(&BTreeMap::new());
        assert_eq!(remembered.followed("x"), Some(NOON));
        assert!(remembered.popularity().is_none() && !remembered.is_kept());
    }

    #[test]
    fn a_folder_that_can_not_be_made_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert!(Remembered::open(Some(folder.path().join("file/state"))).is_err());
    }
}
