//! The record of a policy, which outlives a restart: its pushed versions, which version is active
//! since when, and its trials.

use serde::{Deserialize, Serialize};

use tero_admin_api::VersionForecast;
use tero_config::units::Share;
use tero_semantics::timestamp::Timestamp;

/// A version of a policy: the configuration's module, or a pushed one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Version {
    /// Version zero: the module and the settings of the configuration.
    #[default]
    Configured,
    /// A pushed version, by its digest: the SHA-256 of its content, in hexadecimal.
    Pushed(String),
}

/// The name of the configuration's version.
pub const CONFIGURATION: &str = "configuration";

impl Version {
    /// The digest, or `configuration`.
    pub fn as_str(&self) -> &str {
        match self {
            Version::Configured => CONFIGURATION,
            Version::Pushed(digest) => digest,
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A version that was pushed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushedRecord {
    /// Its number: the first one has 1, and none is used twice. [`PolicyRecord::push`] gives it.
    #[serde(default)]
    pub number: u64,
    /// Its digest.
    pub digest: String,
    /// When it was pushed last.
    pub pushed_unix_secs: i64,
    /// The size of its content, with settings and test cases.
    pub bytes: u64,
    /// Whether it has settings of its own.
    pub settings: bool,
    /// How many test cases came with it, all of them passed; `None` if none came.
    pub cases: Option<u32>,
    /// The forecast that came with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<VersionForecast>,
}

/// A version in shadow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShadowRecord {
    /// The version.
    pub version: Version,
    /// The share of requests that it is asked about.
    pub sample: Share,
    /// When the trial began.
    pub since_unix_secs: i64,
}

/// When the guard of a canary rolls it back. Rates are in percentage points: with 5, the canary may
/// have a hit rate of 85 % if the control has 90 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuardSettings {
    /// Requests that canary and control must each answer between two comparisons; 10 to 10,000,000.
    /// Default 500.
    pub min_requests: u64,
    /// How much lower the hit rate may be, in points; 0 to 100. Default 5.
    pub hit_rate_points: f64,
    /// How much larger the share of requests that go to the origin may be, in points; 0 to 100.
    /// Default 5.
    pub origin_points: f64,
    /// How much larger the share of failed requests, and of failed questions to the policy, may be,
    /// in points; 0 to 100. Default 1.
    pub failure_points: f64,
}

impl GuardSettings {
    /// The key of the first number that is out of range, and its range.
    pub fn out_of_range(&self) -> Option<(&'static str, &'static str)> {
        let points = "0 to 100";
        let numbers = [
            (
                "min_requests",
                (10..=10_000_000).contains(&self.min_requests),
                "10 to 10000000",
            ),
            (
                "hit_rate_points",
                (0.0..=100.0).contains(&self.hit_rate_points),
                points,
            ),
            (
                "origin_points",
                (0.0..=100.0).contains(&self.origin_points),
                points,
            ),
            (
                "failure_points",
                (0.0..=100.0).contains(&self.failure_points),
                points,
            ),
        ];
        numbers
            .into_iter()
            .find(|(_, good, _)| !good)
            .map(|(key, _, range)| (key, range))
    }
}

impl Default for GuardSettings {
    fn default() -> GuardSettings {
        GuardSettings {
            min_requests: 500,
            hit_rate_points: 5.0,
            origin_points: 5.0,
            failure_points: 1.0,
        }
    }
}

/// A canary: a version that decides for a share of the keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanaryRecord {
    /// The version.
    pub version: Version,
    /// The share of the keys.
    pub share: Share,
    /// When it is rolled back.
    pub guard: GuardSettings,
    /// When the trial began.
    pub since_unix_secs: i64,
}

/// A canary that its guard rolled back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackRecord {
    /// Its version.
    pub version: Version,
    /// When it was rolled back.
    pub at_unix_secs: i64,
    /// Why, for people.
    pub reason: String,
}

/// The place of an added policy in a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlacementRecord {
    /// The name of the site.
    pub site: String,
    /// The policy that comes just before; `None` if it is the last one.
    pub after: Option<String>,
}

/// How a policy was added that the configuration doesn't have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddedRecord {
    /// The digest of the version that it was added with, its version zero.
    pub digest: String,
    /// Its sites.
    pub placements: Vec<PlacementRecord>,
    /// When it was added.
    pub added_unix_secs: i64,
    /// Policies are put on sites in this order.
    pub order: u64,
}

/// The format version of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordFormat(u32);

impl RecordFormat {
    /// The format that is read and written.
    const CURRENT: RecordFormat = RecordFormat(1);
}

impl Default for RecordFormat {
    fn default() -> RecordFormat {
        RecordFormat::CURRENT
    }
}

/// The part of a record that every format has.
#[derive(Deserialize)]
struct AnyRecord {
    #[serde(default)]
    format: RecordFormat,
}

/// The record of one policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyRecord {
    /// The format of the file.
    pub format: RecordFormat,
    /// The pushed versions, the latest last.
    pub versions: Vec<PushedRecord>,
    /// The version that decides.
    pub active: Version,
    /// When it was activated; `None` if no version ever was.
    pub since_unix_secs: Option<i64>,
    /// The versions that were active before, the latest last.
    pub previous: Vec<Version>,
    /// The version in shadow.
    pub shadow: Option<ShadowRecord>,
    /// The canary.
    pub canary: Option<CanaryRecord>,
    /// The last canary that its guard rolled back.
    pub rolled_back: Option<RollbackRecord>,
    /// How it was added; `None` if it is of the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added: Option<AddedRecord>,
    /// The number of the next version; 0 if none was pushed.
    pub next_number: u64,
}

/// The length of a digest.
const DIGEST_CHARS: usize = 64;

/// How many earlier activations are remembered.
const MAX_PREVIOUS: usize = 32;

/// Why a file does not hold a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is not JSON, or not the JSON of a record.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A newer version of tero wrote it.
    #[error("it has format {}, which a newer version of tero wrote", .0.0)]
    Newer(RecordFormat),
    /// A version does not have a digest.
    #[error("`{}` is not a digest", .0.escape_debug())]
    Digest(String),
    /// A number of the canary's guard is out of range.
    #[error("`{0}` of the guard is out of range ({1})")]
    Guard(&'static str, &'static str),
}

impl PolicyRecord {
    /// Reads a record from JSON.
    ///
    /// # Errors
    /// [`RecordError`]
    pub fn parse(bytes: &[u8]) -> Result<PolicyRecord, RecordError> {
        if let Ok(AnyRecord { format }) = serde_json::from_slice(bytes)
            && format > RecordFormat::CURRENT
        {
            return Err(RecordError::Newer(format));
        }
        let mut record = PolicyRecord {
            format: RecordFormat::CURRENT,
            ..serde_json::from_slice(bytes)?
        };
        record.number_all();
        if let Some(wrong) = record.digests().find(|digest| !is_digest(digest)) {
            return Err(RecordError::Digest(wrong.to_owned()));
        }
        match record
            .canary
            .as_ref()
            .and_then(|canary| canary.guard.out_of_range())
        {
            Some((key, range)) => Err(RecordError::Guard(key, range)),
            None => Ok(record),
        }
    }

    /// Writes the record as JSON, with a line feed at the end.
    ///
    /// # Errors
    /// If `serde_json` fails.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Every digest in the record.
    fn digests(&self) -> impl Iterator<Item = &str> {
        let trials = [
            Some(&self.active),
            self.shadow.as_ref().map(|shadow| &shadow.version),
            self.canary.as_ref().map(|canary| &canary.version),
            self.rolled_back
                .as_ref()
                .map(|rolled_back| &rolled_back.version),
        ];
        let named = trials
            .into_iter()
            .flatten()
            .chain(&self.previous)
            .filter_map(|version| match version {
                Version::Configured => None,
                Version::Pushed(digest) => Some(digest.as_str()),
            });
        let added = self.added.as_ref().map(|added| added.digest.as_str());
        let pushed = self.versions.iter().map(|pushed| pushed.digest.as_str());
        named.chain(added).chain(pushed)
    }

    /// The pushed version with that digest.
    pub fn pushed(&self, digest: &str) -> Option<&PushedRecord> {
        self.versions
            .iter()
            .find(|version| version.digest == digest)
    }

    /// Adds a pushed version as the latest, and gives its number. An older record of the same version
    /// is replaced, and its number stays.
    pub fn push(&mut self, pushed: PushedRecord) -> u64 {
        let known = self.pushed(&pushed.digest).map(|version| version.number);
        self.versions
            .retain(|version| version.digest != pushed.digest);
        self.versions.push(PushedRecord {
            number: known.unwrap_or(0),
            ..pushed
        });
        self.number_all();
        self.versions.last().map_or(0, |version| version.number)
    }

    /// Gives numbers to the versions that have none.
    fn number_all(&mut self) {
        let greatest = self.versions.iter().map(|version| version.number).max();
        let mut next = self.next_number.max(greatest.unwrap_or(0) + 1).max(1);
        for version in &mut self.versions {
            if version.number == 0 {
                version.number = next;
                next += 1;
            }
        }
        if !self.versions.is_empty() {
            self.next_number = next;
        }
    }

    /// Notes that `version` is active from `now` on. Ends the canary, and the shadow if it is the
    /// same version.
    pub fn activate(&mut self, version: Version, now: Timestamp) {
        let before = std::mem::replace(&mut self.active, version);
        // A version that could not be loaded may be activated again.
        if before != self.active {
            self.previous.push(before);
        }
        let surplus = self.previous.len().saturating_sub(MAX_PREVIOUS);
        self.previous.drain(..surplus);
        self.since_unix_secs = Some(now.unix_secs());
        self.canary = None;
        if self
            .shadow
            .as_ref()
            .is_some_and(|shadow| shadow.version == self.active)
        {
            self.shadow = None;
        }
    }

    /// The version that a rollback from `deciding` leads to.
    pub fn leads_back_to(&self, deciding: &Version) -> Option<&Version> {
        let mut earlier = self.previous.iter().rev();
        earlier.find(|version| *version != deciding)
    }

    /// Takes the version that a rollback from `deciding` leads to off the list of earlier ones.
    pub fn step_back(&mut self, deciding: &Version) -> Option<Version> {
        while let Some(version) = self.previous.pop() {
            if version != *deciding {
                return Some(version);
            }
        }
        None
    }

    /// Notes that an earlier version is active again.
    pub fn roll_back_to(&mut self, version: Version, now: Timestamp) {
        self.active = version;
        self.since_unix_secs = Some(now.unix_secs());
    }

    /// Removes the oldest versions beyond `max` that are not in use.
    pub fn thin_out(&mut self, max: usize) {
        let surplus = self.versions.len().saturating_sub(max);
        // The latest has just been pushed, and stays.
        let old = &self.versions[..self.versions.len().saturating_sub(1)];
        let digests = old.iter().map(|version| &version.digest);
        let gone: Vec<String> = digests
            .filter(|digest| !self.is_in_use(&Version::Pushed((*digest).clone())))
            .take(surplus)
            .cloned()
            .collect();
        self.versions
            .retain(|version| !gone.contains(&version.digest));
        self.previous
            .retain(|version| !matches!(version, Version::Pushed(digest) if gone.contains(digest)));
    }

    /// Whether a version is active or on trial, or a rollback leads to it.
    fn is_in_use(&self, version: &Version) -> bool {
        let shadow = self.shadow.as_ref().map(|shadow| &shadow.version);
        let canary = self.canary.as_ref().map(|canary| &canary.version);
        let is_first = |added: &AddedRecord| version.as_str() == added.digest;
        self.added.as_ref().is_some_and(is_first)
            || *version == self.active
            || [self.previous.last(), shadow, canary].contains(&Some(version))
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == DIGEST_CHARS
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The file name of a version.
pub fn file_of(policy: &str, digest: &str) -> String {
    format!("{policy}-{digest}.wasm")
}

/// The digest of the policy's version that a file name names; `None` if it names no version of the
/// policy.
pub fn version_of<'n>(policy: &str, file: &'n str) -> Option<&'n str> {
    let digest = file
        .strip_prefix(policy)?
        .strip_prefix('-')?
        .strip_suffix(".wasm")?;
    is_digest(digest).then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(digest: &str) -> PushedRecord {
        PushedRecord {
            number: 0,
            digest: digest.to_owned(),
            pushed_unix_secs: 1,
            bytes: 2,
            settings: false,
            cases: None,
            forecast: None,
        }
    }

    fn version(digest: &str) -> Version {
        Version::Pushed(digest.to_owned())
    }

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        let (mut record, digest) = (PolicyRecord::default(), "0123456789abcdef".repeat(4));
        record.push(pushed(&digest));
        record.activate(version(&digest), Timestamp::from_unix_secs(5));
        record.shadow = Some(ShadowRecord {
            version: Version::Configured,
            sample: Share::parse("5%").unwrap(),
            since_unix_secs: 6,
        });
        record.canary = Some(CanaryRecord {
            version: version(&digest),
            share: Share::parse("1%").unwrap(),
            guard: GuardSettings::default(),
            since_unix_secs: 7,
        });
        let text = String::from_utf8(record.to_bytes().unwrap()).unwrap();
        assert_eq!(
            PolicyRecord::parse(text.as_bytes()).unwrap(),
            record,
            "{text}"
        );
        for (written, wrong) in [
            (digest.as_str(), "../../elsewhere"),
            (&digest[1..], &digest),
            ("\"share\": 100", "\"share\": 0"),
            ("\"share\": 100", "\"share\": 10001"),
            ("\"min_requests\": 500", "\"min_requests\": 0"),
            ("\"origin_points\": 5.0", "\"origin_points\": 100.5"),
            ("\"previous\"", "\"unknown\""),
            ("\"format\": 1", "\"format\": 2"),
            ("\"format\": 1", "\"format\": \"new\""),
        ] {
            assert!(text.contains(written), "{written}: {text}");
            assert!(
                PolicyRecord::parse(text.replace(written, wrong).as_bytes()).is_err(),
                "{wrong}"
            );
        }
        assert_eq!(PolicyRecord::parse(b"{}").unwrap(), PolicyRecord::default());
        // Of a newer format, anything may follow.
        let newer = PolicyRecord::parse(br#"{"format": 9, "activity": {}}"#).unwrap_err();
        assert!(
            matches!(newer, RecordError::Newer(RecordFormat(9))),
            "{newer}"
        );
    }

    #[test]
    fn file_names_of_other_policies_are_not_taken_for_versions() {
        let digest = "0123456789abcdef".repeat(4);
        let file = file_of("hours", &digest);
        assert_eq!(version_of("hours", &file), Some(digest.as_str()));
        for (policy, file) in [
            ("hour", file.as_str()),
            ("hours", &file_of("hours-of-others", &digest)),
            ("hours", &file.replace(".wasm", ".1-2.new")),
            ("hours", &file.replace("abc", "ABC")),
            ("hours", &file.replace("abc", "ab")),
            ("hours", "lock"),
        ] {
            assert_eq!(version_of(policy, file), None, "{policy} {file}");
        }
    }

    #[test]
    fn rolling_back_goes_step_by_step_to_the_configuration() {
        let mut record = PolicyRecord::default();
        let now = Timestamp::from_unix_secs(9);
        for digest in ["a", "b"] {
            record.push(pushed(digest));
            record.activate(version(digest), now);
        }
        let roll_back = |record: &mut PolicyRecord| {
            let active = record.active.clone();
            let to = record.step_back(&active)?;
            record.roll_back_to(to.clone(), now);
            Some(to)
        };
        // Activated again: this is not a step.
        record.activate(version("b"), now);
        assert_eq!(record.leads_back_to(&version("b")), Some(&version("a")));
        assert_eq!(roll_back(&mut record), Some(version("a")));
        assert_eq!(roll_back(&mut record), Some(Version::Configured));
        assert_eq!(roll_back(&mut record), None);
        assert_eq!(record.active, Version::Configured);
        record.previous = vec![version("a"), version("b"), version("b")];
        assert_eq!(record.step_back(&version("b")), Some(version("a")));
    }

    #[test]
    fn the_oldest_versions_are_removed_unless_they_are_in_use() {
        let mut record = PolicyRecord::default();
        let now = Timestamp::from_unix_secs(9);
        for digest in ["a", "b", "c", "d"] {
            record.push(pushed(digest));
        }
        record.activate(version("a"), now);
        record.activate(version("b"), now);
        let left = |record: &PolicyRecord| {
            record
                .versions
                .iter()
                .map(|version| version.digest.clone())
                .collect::<String>()
        };
        record.thin_out(3);
        assert_eq!(left(&record), "abd");
        record.thin_out(1);
        assert_eq!(
            left(&record),
            "abd",
            "a is where a rollback leads, b decides, d has just come"
        );
        for _ in 0..100 {
            record.activate(version("d"), now);
        }
        assert!(record.previous.len() <= MAX_PREVIOUS);
    }

    #[test]
    fn versions_keep_their_numbers_and_none_is_used_twice() {
        let mut record = PolicyRecord::default();
        assert_eq!([record.push(pushed("a")), record.push(pushed("b"))], [1, 2]);
        assert_eq!([record.push(pushed("a")), record.push(pushed("c"))], [1, 3]);
        record.thin_out(1);
        assert_eq!(record.push(pushed("b")), 4);
        // Records from before there were numbers.
        let digest = "0123456789abcdef".repeat(4);
        let old = format!(
            r#"{{"versions": [{{"digest": "{digest}", "pushed_unix_secs": 1, "bytes": 2, "settings": false, "cases": null}}]}}"#
        );
        let mut record = PolicyRecord::parse(old.as_bytes()).unwrap();
        assert_eq!(record.versions[0].number, 1);
        assert_eq!(record.push(pushed("b")), 2);
    }

    #[test]
    fn the_version_that_a_policy_was_added_with_stays() {
        let mut record = PolicyRecord::default();
        for digest in ["a", "b", "c"] {
            record.push(pushed(digest));
        }
        record.added = Some(AddedRecord {
            digest: "a".to_owned(),
            placements: Vec::new(),
            added_unix_secs: 1,
            order: 1,
        });
        record.thin_out(1);
        let left: Vec<_> = record.versions.iter().map(|it| &*it.digest).collect();
        assert_eq!(left, ["a", "c"]);
    }
}
