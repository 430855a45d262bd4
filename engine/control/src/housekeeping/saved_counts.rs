//! Popularity in the state directory, so that a restart does not forget which pages were requested
//! in which hours. An unreadable file is logged and ignored.

use std::collections::BTreeMap;
use std::sync::Arc;

use tero_edge::request::{self, Edge};
use tero_edge::telemetry::popularity::saved::SavedSite;
use tero_state::dir::StateDir;
use tero_state::file::{FileError, StateFile};

const FILE_NAME: &str = "popularity.json";

/// A larger file can't be ours: saved popularity takes about three bytes for each of
/// [`MAX_BYTES`](tero_edge::telemetry::popularity::MAX_BYTES) at most.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// The file with the popularity of each site. Without a file, nothing is saved or restored.
#[derive(Clone, Debug, Default)]
pub struct SavedPopularity(Option<StateFile>);

impl SavedPopularity {
    /// The file in the state directory `dir`.
    pub fn new(dir: Option<&Arc<StateDir>>) -> SavedPopularity {
        SavedPopularity(dir.map(|dir| StateFile::new(dir, FILE_NAME, MAX_FILE_BYTES)))
    }

    /// Restores the saved counts of each site that has counted nothing yet.
    pub fn restore(&self, edge: &Edge) {
        let Some(mut saved) = self.read() else {
            return;
        };
        let now = edge.clock.wall();
        for site in edge.sites.load().ever() {
            let Some(saved) = saved.remove(&*site.settings.name) else {
                continue;
            };
            let left_out = edge.popularity.restore(site.index, saved, now);
            if left_out > 0 {
                tracing::warn!(site = %site.settings.name, left_out, "some saved pages or hosts can't be restored");
            }
        }
    }

    /// Saves the counts of an edge, on a thread that may wait for a disk.
    pub async fn save(&self, edge: &Arc<Edge>) {
        let Some(file) = self.0.clone() else {
            return;
        };
        let edge = Arc::clone(edge);
        let saved = tokio::task::spawn_blocking(move || save(&file, &edge));
        if saved.await.is_err() {
            tracing::error!("saving popularity has panicked");
        }
    }

    /// Saves the counts of an edge on this thread, which waits for the disk.
    pub(crate) fn save_now(&self, edge: &Edge) {
        if let Some(file) = &self.0 {
            save(file, edge);
        }
    }

    fn read(&self) -> Option<BTreeMap<String, SavedSite>> {
        let file = self.0.as_ref()?;
        file.read().unwrap_or_else(|error| {
            tracing::warn!(file = %file.path().display(), %error, "saved popularity can't be read: it is ignored");
            None
        })
    }
}

fn save(file: &StateFile, edge: &Edge) {
    request::count_hits(edge);
    match file.replace(&by_site(edge)) {
        // The other process counts from what was saved before it began.
        Ok(()) | Err(FileError::HandedOver(_)) => {}
        Err(error) => {
            tracing::warn!(file = %file.path().display(), %error, "popularity can't be saved");
        }
    }
}

fn by_site(edge: &Edge) -> BTreeMap<String, SavedSite> {
    let now = edge.clock.wall();
    let sites = edge.sites.load();
    sites
        .ever()
        .iter()
        .filter_map(|site| {
            let saved = edge.popularity.save(site.index, now)?;
            Some((site.settings.name.to_string(), saved))
        })
        .collect()
}
