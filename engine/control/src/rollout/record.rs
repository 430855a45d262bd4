//! What is remembered of a policy beyond a restart: which versions were pushed, which is active
//! since when, what is on trial.

use serde::{Deserialize, Serialize};

use tero_config::units::Share;
use tero_semantics::timestamp::Timestamp;

/// Which version of a policy: the SHA-256 of what was pushed, in hexadecimal; or the module of the
/// configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Version {
    /// The module and the settings of the configuration: version zero.
    #[default]
    Configured,
    /// A pushed one, by its digest.
    Pushed(String),
}

/// What the configuration's own version is called.
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushedRecord {
    /// Its digest.
    pub digest: String,
    /// When it came.
    pub pushed_unix_secs: i64,
    /// Its size, with what came along.
    pub bytes: u64,
    /// Whether settings came along.
    pub settings: bool,
    /// How many cases came along and were passed; none where none came.
    pub cases: Option<u32>,
}

/// A version in shadow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShadowRecord {
    /// Which.
    pub version: Version,
    /// Of the requests.
    pub sample: Share,
    /// Since when.
    pub since_unix_secs: i64,
}

/// When a canary is rolled back by itself. Rates are in points of a hundred: 5 means that the
/// canary may have a hit rate of 85 where the control has 90.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuardSettings {
    /// Requests that each arm must have answered before the two are compared, again and again; 10
    /// to 10,000,000. Default 500.
    pub min_requests: u64,
    /// How much lower the hit rate may be, in points; 0 to 100. Default 5.
    pub hit_rate_points: f64,
    /// How many more requests of a hundred may go to the origin; 0 to 100. Default 5.
    pub origin_points: f64,
    /// How many more of a hundred requests, or of a hundred questions to the policy, may fail; 0 to
    /// 100. Default 1.
    pub failure_points: f64,
}

impl GuardSettings {
    /// The first number that is out of range, and its range.
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

/// A version that answers for a share of the keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanaryRecord {
    /// Which.
    pub version: Version,
    /// Of the keys.
    pub share: Share,
    /// When it is rolled back.
    pub guard: GuardSettings,
    /// Since when.
    pub since_unix_secs: i64,
}

/// A canary that was rolled back by its guard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackRecord {
    /// Which version it was.
    pub version: Version,
    /// When.
    pub at_unix_secs: i64,
    /// Why.
    pub reason: String,
}

/// All of it, for one policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyRecord {
    /// The latest last.
    pub versions: Vec<PushedRecord>,
    /// Which one decides.
    pub active: Version,
    /// Since when; none where it never changed.
    pub since_unix_secs: Option<i64>,
    /// Which ones decided before, the latest last.
    pub previous: Vec<Version>,
    /// Which one is in shadow.
    pub shadow: Option<ShadowRecord>,
    /// Which one is a canary.
    pub canary: Option<CanaryRecord>,
    /// The last canary that its guard rolled back.
    pub rolled_back: Option<RollbackRecord>,
}

/// A SHA-256 in hexadecimal.
const DIGEST_CHARS: usize = 64;

/// How many earlier activations are remembered.
const MAX_PREVIOUS: usize = 32;

/// Why a record is none that was written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is no JSON, or another.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A version is told apart by its digest.
    #[error("`{}` is no digest", .0.escape_debug())]
    Digest(String),
    /// A canary's guard has a number that none has.
    #[error("`{0}` of the guard is out of range ({1})")]
    Guard(&'static str, &'static str),
}

impl PolicyRecord {
    /// Reads what [`PolicyRecord::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`RecordError`]
    pub fn parse(bytes: &[u8]) -> Result<PolicyRecord, RecordError> {
        let record: PolicyRecord = serde_json::from_slice(bytes)?;
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

    /// JSON, with a line feed at its end.
    ///
    /// # Errors
    /// None but what `serde_json` says.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Every digest that is named.
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
        named.chain(self.versions.iter().map(|pushed| pushed.digest.as_str()))
    }

    /// The pushed version of that digest.
    pub fn pushed(&self, digest: &str) -> Option<&PushedRecord> {
        self.versions
            .iter()
            .find(|version| version.digest == digest)
    }

    /// Notes a version that came; one that is there already comes again.
    pub fn push(&mut self, pushed: PushedRecord) {
        self.versions
            .retain(|version| version.digest != pushed.digest);
        self.versions.push(pushed);
    }

    /// Notes that `version` decides from now on.
    pub fn activate(&mut self, version: Version, now: Timestamp) {
        let before = std::mem::replace(&mut self.active, version);
        self.previous.push(before);
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

    /// Notes that the version before decides again, and returns it; none where there was none
    /// before.
    pub fn roll_back(&mut self, now: Timestamp) -> Option<Version> {
        let before = self.previous.pop()?;
        self.active = before.clone();
        self.since_unix_secs = Some(now.unix_secs());
        Some(before)
    }

    /// Leaves out the oldest versions beyond `max` that nobody needs.
    pub fn thin_out(&mut self, max: usize) {
        let needed = |version: &Version| {
            *version == self.active
                || self.previous.last() == Some(version)
                || self
                    .shadow
                    .as_ref()
                    .is_some_and(|shadow| shadow.version == *version)
                || self
                    .canary
                    .as_ref()
                    .is_some_and(|canary| canary.version == *version)
        };
        let surplus = self.versions.len().saturating_sub(max);
        // The latest has just come.
        let old = &self.versions[..self.versions.len().saturating_sub(1)];
        let digests = old.iter().map(|version| &version.digest);
        let gone: Vec<String> = digests
            .filter(|digest| !needed(&Version::Pushed((*digest).clone())))
            .take(surplus)
            .cloned()
            .collect();
        self.versions
            .retain(|version| !gone.contains(&version.digest));
        self.previous
            .retain(|version| !matches!(version, Version::Pushed(digest) if gone.contains(digest)));
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == DIGEST_CHARS
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The name of the file of a version.
pub fn file_of(policy: &str, digest: &str) -> String {
    format!("{policy}-{digest}.wasm")
}

/// Of which version of the policy a file of that name is; none where it is of no such version.
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
            digest: digest.to_owned(),
            pushed_unix_secs: 1,
            bytes: 2,
            settings: false,
            cases: None,
        }
    }

    fn version(digest: &str) -> Version {
        Version::Pushed(digest.to_owned())
    }

    #[test]
    fn a_record_comes_back_as_it_was_written() {
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
        ] {
            assert!(text.contains(written), "{written}: {text}");
            assert!(
                PolicyRecord::parse(text.replace(written, wrong).as_bytes()).is_err(),
                "{wrong}"
            );
        }
        assert_eq!(PolicyRecord::parse(b"{}").unwrap(), PolicyRecord::default());
    }

    #[test]
    fn the_files_of_a_policy_are_told_from_those_of_others() {
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
        assert_eq!(record.roll_back(now), Some(version("a")));
        assert_eq!(record.roll_back(now), Some(Version::Configured));
        assert_eq!(
            (record.roll_back(now), record.active),
            (None, Version::Configured)
        );
    }

    #[test]
    fn the_oldest_go_but_for_those_that_are_needed() {
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
}
