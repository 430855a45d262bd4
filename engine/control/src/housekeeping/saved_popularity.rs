//! Popularity in the state directory: which pages were wanted in which hours, beyond a restart. What
//! can't be read is told in the log, and forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;

use tero_edge::request::{self, Edge};
use tero_edge::telemetry::popularity::saved::SavedSite;
use tero_state::dir::StateDir;
use tero_state::file::StateFile;

const FILE_NAME: &str = "popularity.json";

/// Larger files are not ours: what is counted takes at most some three bytes for each of
/// [`tero_edge::telemetry::popularity::MAX_BYTES`].
const MAX_BYTES: u64 = 64 << 20;

/// The file that keeps popularity, by site. Without one, none is kept.
#[derive(Clone, Debug, Default)]
pub struct SavedPopularity(Option<StateFile>);

impl SavedPopularity {
    /// The file in the state directory. Without one, popularity is not kept.
    pub fn new(dir: Option<&Arc<StateDir>>) -> SavedPopularity {
        SavedPopularity(dir.map(|dir| StateFile::new(dir, FILE_NAME, MAX_BYTES)))
    }

    /// Counts on from what was saved.
    pub fn restore(&self, edge: &Edge) {
        let Some(mut saved) = self.read() else {
            return;
        };
        let now = edge.clock.now();
        for site in edge.sites.load().ever() {
            let Some(saved) = saved.remove(&*site.settings.name) else {
                continue;
            };
            let left_out = edge.popularity.restore(site.index, saved, now);
            if left_out > 0 {
                tracing::warn!(site = %site.settings.name, left_out, "pages or hosts that were remembered can't be: they are left out");
            }
        }
    }

    /// Saves what has been counted, on a thread that may wait for a disk.
    pub async fn save(&self, edge: &Arc<Edge>) {
        let Some(file) = self.0.clone() else {
            return;
        };
        let edge = Arc::clone(edge);
        let saved = tokio::task::spawn_blocking(move || save(&file, &edge));
        if saved.await.is_err() {
            tracing::error!("popularity could not be written down");
        }
    }

    fn read(&self) -> Option<BTreeMap<String, SavedSite>> {
        let file = self.0.as_ref()?;
        file.read().unwrap_or_else(|error| {
            tracing::warn!(file = %file.path().display(), %error, "what was remembered can't be read: it is forgotten");
            None
        })
    }
}

fn save(file: &StateFile, edge: &Edge) {
    request::count_hits(edge);
    if let Err(error) = file.replace(&by_site(edge)) {
        tracing::warn!(file = %file.path().display(), %error, "what is to be remembered can't be written");
    }
}

fn by_site(edge: &Edge) -> BTreeMap<String, SavedSite> {
    let now = edge.clock.now();
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
