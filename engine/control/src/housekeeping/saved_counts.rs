//! What was counted, in the state directory, so that a restart doesn't forget it: which pages were
//! requested in which hours, and the figures of the last week. An unreadable file is logged and ignored.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use tero_edge::request::{self, Edge};
use tero_edge::telemetry::counters::SavedWeek;
use tero_edge::telemetry::popularity::saved::SavedSite;
use tero_state::dir::StateDir;
use tero_state::file::{FileError, StateFile};

const POPULARITY: &str = "popularity.json";
const WEEK: &str = "week.json";

/// A larger file is neither written nor read: saved popularity takes about three bytes for each of
/// [`MAX_BYTES`](tero_edge::telemetry::popularity::MAX_BYTES) at most, and a week of a site about a
/// hundred kilobytes for ten variants. Weeks that take more, those of many sites with many variants,
/// are saved [in part](bound).
const MAX_FILE_BYTES: u64 = 64 << 20;

/// Of a file of weeks, what its frame takes.
const FRAME_BYTES: u64 = 64;

/// Hours of a week.
const HOURS: usize = 7 * 24;

/// The files with what was counted of each site. Without files, nothing is saved or restored.
#[derive(Clone, Debug, Default)]
pub struct SavedCounts(Option<CountFiles>);

#[derive(Clone, Debug)]
struct CountFiles {
    popularity: StateFile,
    week: StateFile,
    /// One saves at a time, so that no older counts are written over newer ones.
    turn: Arc<Mutex<CutWeeks>>,
}

impl SavedCounts {
    /// The files in the state directory `dir`.
    pub fn new(dir: Option<&Arc<StateDir>>) -> SavedCounts {
        SavedCounts(dir.map(|dir| CountFiles {
            popularity: StateFile::new(dir, POPULARITY, MAX_FILE_BYTES),
            week: StateFile::new(dir, WEEK, MAX_FILE_BYTES),
            turn: Arc::default(),
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
        let mut cut_weeks = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
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
        let mut week = week.collect();
        if let Some(hours) = cut_weeks.news(bound(&mut week, MAX_FILE_BYTES)) {
            tracing::warn!(
                hours,
                "the figures of the week are too large to be saved whole: a restart keeps so many hours of each site, without variants"
            );
        }
        replace(&self.week, &week);
    }
}

/// How many hours of each site the last saved file of weeks has; `None` if it has the weeks whole.
#[derive(Debug, Default)]
struct CutWeeks(Option<usize>);

impl CutWeeks {
    /// Notes how many hours were left this time. Returns what has to be told: the same is told once.
    fn news(&mut self, hours: Option<usize>) -> Option<usize> {
        let before = std::mem::replace(&mut self.0, hours);
        hours.filter(|_| hours != before)
    }
}

/// Makes weeks fit into a file of so many bytes: the split by variant goes first, then the oldest hours.
/// Returns how many hours of each site are left, if anything had to go.
fn bound(weeks: &mut BTreeMap<String, SavedWeek>, max_bytes: u64) -> Option<usize> {
    let max_bytes = max_bytes.saturating_sub(FRAME_BYTES);
    if size(weeks) <= max_bytes {
        return None;
    }
    weeks.values_mut().for_each(SavedWeek::sum_variants);
    let mut hours = HOURS;
    while hours > 0 && size(weeks) > max_bytes {
        hours /= 2;
        weeks.values_mut().for_each(|week| week.keep_latest(hours));
    }
    Some(hours)
}

/// How many bytes weeks take in a file.
fn size(weeks: &BTreeMap<String, SavedWeek>) -> u64 {
    struct ByteCount(u64);
    impl io::Write for ByteCount {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = ByteCount(0);
    serde_json::to_writer(&mut count, weeks).expect("texts and numbers are JSON");
    count.0
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

#[cfg(test)]
mod tests {
    use tero_edge::telemetry::counters::{SavedHour, SavedVariant};

    use super::*;

    fn week(variants: usize) -> SavedWeek {
        let variant = |number: usize| SavedVariant {
            variant: format!("variant-{number}").into(),
            requests: BTreeMap::from([("hit".to_owned(), 3), ("miss".to_owned(), 1)]),
            bytes: BTreeMap::from([("hit".to_owned(), 3_000)]),
        };
        let hour = |number: usize| SavedHour {
            date: format!("2026-11-{:02}", 17 + number / 24).into(),
            hour: u8::try_from(number % 24).unwrap(),
            head_classes: vec![4; 20],
            head_seconds: 0.5,
            errors: 0,
            variants: (0..variants).map(variant).collect(),
        };
        SavedWeek {
            zone: "UTC".to_owned(),
            hours: (0..HOURS).map(hour).collect(),
        }
    }

    #[test]
    fn a_cut_is_told_once_while_it_is_the_same() {
        let mut weeks = CutWeeks::default();
        let saved = [None, Some(168), Some(168), Some(84), None, Some(84)];
        let told = saved.map(|hours| weeks.news(hours));
        assert_eq!(told, [None, Some(168), None, Some(84), None, Some(84)]);
    }

    #[test]
    fn weeks_that_are_too_large_keep_their_latest_hours() {
        let whole: BTreeMap<_, _> = (0..10).map(|n| (format!("site-{n}"), week(20))).collect();
        let bytes = size(&whole);
        let bounded = |max_bytes: u64| {
            let mut weeks = whole.clone();
            let left = bound(&mut weeks, max_bytes);
            assert!(size(&weeks) + FRAME_BYTES <= max_bytes);
            (left, weeks)
        };
        assert_eq!(bounded(bytes + FRAME_BYTES), (None, whole.clone()));
        // The sum of the variants is left of each hour.
        let (left, weeks) = bounded(bytes / 2);
        assert_eq!(left, Some(HOURS));
        let hours = &weeks["site-9"].hours;
        assert_eq!(hours.len(), HOURS);
        assert_eq!(hours[0].variants.len(), 1);
        assert_eq!(hours[0].variants[0].requests["hit"], 60);
        assert_eq!(hours[0].variants[0].bytes["hit"], 60_000);
        // Then the oldest hours go, of all sites.
        let (left, weeks) = bounded(size(&weeks) / 3);
        assert_eq!(left, Some(HOURS / 4));
        for week in weeks.values() {
            assert_eq!(week.hours.len(), HOURS / 4);
            assert_eq!(
                (&*week.hours[41].date, week.hours[41].hour),
                ("2026-11-23", 23)
            );
        }
        assert_eq!(bounded(2_000).0, Some(0));
    }
}
