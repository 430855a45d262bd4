//! What was counted, in the state directory, so that a restart doesn't forget it: which pages were
//! requested in which hours, and the figures of the last week. An unreadable file is logged and ignored.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use tero_edge::request::{self, Edge};
use tero_edge::telemetry::counters::SavedWeek;
use tero_edge::telemetry::popularity::saved::SavedSite;
use tero_state::dir::StateDir;
use tero_state::file::{FileError, StateFile};

const POPULARITY: &str = "popularity.json";
const WEEK: &str = "week.json";

/// A larger file can't be ours: saved popularity takes about three bytes for each of
/// [`MAX_BYTES`](tero_edge::telemetry::popularity::MAX_BYTES) at most, and a week of a site about a
/// hundred kilobytes for ten variants.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// The files with what was counted of each site. Without files, nothing is saved or restored.
#[derive(Clone, Debug, Default)]
pub struct SavedCounts(Option<CountFiles>);

#[derive(Clone, Debug)]
struct CountFiles {
    popularity: StateFile,
    week: StateFile,
}

impl SavedCounts {
    /// The files in the state directory `dir`.
    pub fn new(dir: Option<&Arc<StateDir>>) -> SavedCounts {
        SavedCounts(dir.map(|dir| CountFiles {
            popularity: StateFile::new(dir, POPULARITY, MAX_FILE_BYTES),
            week: StateFile::new(dir, WEEK, MAX_FILE_BYTES),
        }))
    }

    /// Restores what was saved of each site that has counted nothing yet.
    pub fn restore(&self, edge: &Edge) {
        let Some(files) = &self.0 else {
            return;
        };
        let mut popularity: BTreeMap<String, SavedSite> = read(&files.popularity);
        let week: BTreeMap<String, SavedWeek> = read(&files.week);
        let now = edge.clock.wall();
        for site in edge.sites.load().ever() {
            let name = &*site.settings.name;
            if let Some(saved) = popularity.remove(name) {
                let left_out = edge.popularity.restore(site.index, saved, now);
                if left_out > 0 {
                    tracing::warn!(site = %name, left_out, "some saved pages or hosts can't be restored");
                }
            }
            if let Some(saved) = week.get(name) {
                let left_out = site.counters.restore_week(saved, now);
                if left_out > 0 {
                    tracing::warn!(site = %name, left_out, "some saved hours can't be restored");
                }
            }
        }
    }

    /// Saves the counts of an edge, on a thread that may wait for a disk.
    pub async fn save(&self, edge: &Arc<Edge>) {
        let Some(files) = self.0.clone() else {
            return;
        };
        let edge = Arc::clone(edge);
        let saved = tokio::task::spawn_blocking(move || files.save(&edge));
        if saved.await.is_err() {
            tracing::error!("saving what was counted has panicked");
        }
    }

    /// Saves the counts of an edge on this thread, which waits for the disk.
    pub(crate) fn save_now(&self, edge: &Edge) {
        if let Some(files) = &self.0 {
            files.save(edge);
        }
    }
}

impl CountFiles {
    fn save(&self, edge: &Edge) {
        request::count_hits(edge);
        let now = edge.clock.wall();
        let sites = edge.sites.load();
        let popularity = sites.ever().iter().filter_map(|site| {
            let saved = edge.popularity.save(site.index, now)?;
            Some((site.settings.name.to_string(), saved))
        });
        replace(&self.popularity, &popularity.collect());
        let week = sites.ever().iter().map(|site| {
            let saved = site.counters.save_week(now);
            (site.settings.name.to_string(), saved)
        });
        replace(&self.week, &week.collect());
    }
}

fn read<T: DeserializeOwned>(file: &StateFile) -> BTreeMap<String, T> {
    let content = file.read().unwrap_or_else(|error| {
        tracing::warn!(file = %file.path().display(), %error, "what was counted can't be read: it is ignored");
        None
    });
    content.unwrap_or_default()
}

fn replace<T: Serialize>(file: &StateFile, by_site: &BTreeMap<String, T>) {
    match file.replace(by_site) {
        // The other process counts from what was saved before it began.
        Ok(()) | Err(FileError::HandedOver(_)) => {}
        Err(error) => {
            tracing::warn!(file = %file.path().display(), %error, "what was counted can't be saved");
        }
    }
}
