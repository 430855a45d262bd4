//! Device classes by model: the list that comes with tero, or a file of the operator.
//!
//! A line is a class and the beginning of a model: `tablet SM-T`. `*` before the text matches it
//! anywhere in the model: `tv *box_`. Case does not matter, `-`, `_` and a space are the same, and
//! both ends of a model count as a space, so `*_tab_` is the word "tab". Of several lines that
//! match, the longest text decides. `#` begins a comment.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::Device;

/// The largest file of models, in bytes.
pub const MAX_MODELS_BYTES: usize = 256 * 1024;

/// The bytes of a model that are compared. Model names are shorter.
pub const MAX_MODEL_BYTES: usize = 64;

const SHIPPED_TEXT: &str = include_str!("models.txt");

/// Numbers the lists of a process; the shipped one is 0.
static LISTS: AtomicU32 = AtomicU32::new(1);

static SHIPPED: LazyLock<Arc<DeviceModels>> = LazyLock::new(|| {
    let mut models =
        DeviceModels::parse(SHIPPED_TEXT).expect("a test reads the list that comes with tero");
    models.number = 0;
    Arc::new(models)
});

/// The classes of devices by their models.
#[derive(Debug)]
pub struct DeviceModels {
    number: u32,
    longest_beginning: usize,
    beginnings: HashMap<Box<[u8]>, Device, foldhash::quality::RandomState>,
    anywhere: AhoCorasick,
    anywhere_devices: Vec<Device>,
}

/// What is wrong with a list of models.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceModelsError {
    /// A line is not a class and a text.
    #[error("line {line}: {problem}; write a class and the beginning of a model, `tablet SM-T`")]
    Line {
        /// The number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A file of models can't be read, or has a mistake.
    #[error("the models in {}: {problem}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The list is longer than [`MAX_MODELS_BYTES`].
    #[error("the list is larger than 256KiB; shorten it")]
    TooLarge,
    /// The texts make too large a matcher.
    #[error("the list can't be compiled: {0}; shorten it")]
    NotCompiled(String),
}

impl DeviceModels {
    /// The list that comes with tero.
    pub fn shipped() -> &'static Arc<DeviceModels> {
        &SHIPPED
    }

    /// The list in `file`, or the one that comes with tero if there is no file.
    ///
    /// # Errors
    /// [`DeviceModelsError::File`]
    pub fn load(file: Option<&Path>) -> Result<Arc<DeviceModels>, DeviceModelsError> {
        let Some(file) = file else {
            return Ok(Arc::clone(DeviceModels::shipped()));
        };
        let problem = |problem: String| DeviceModelsError::File {
            file: file.to_owned(),
            problem,
        };
        let mut text = String::new();
        let bytes = MAX_MODELS_BYTES as u64 + 1;
        std::fs::File::open(file)
            .and_then(|open| open.take(bytes).read_to_string(&mut text))
            .map_err(|error| problem(format!("it can't be read: {error}")))?;
        DeviceModels::parse(&text)
            .map(Arc::new)
            .map_err(|error| problem(error.to_string()))
    }

    /// The text of the list that comes with tero, as a file of an operator would be written.
    pub fn shipped_text() -> &'static str {
        SHIPPED_TEXT
    }

    /// Reads a list of at most [`MAX_MODELS_BYTES`].
    ///
    /// # Errors
    /// The first line with a mistake, or a list that is too large.
    pub fn parse(text: &str) -> Result<DeviceModels, DeviceModelsError> {
        if text.len() > MAX_MODELS_BYTES {
            return Err(DeviceModelsError::TooLarge);
        }
        let mut beginnings = HashMap::default();
        let mut anywhere = Vec::new();
        let mut anywhere_devices = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let (device, text) = entry(line).map_err(|problem| DeviceModelsError::Line {
                line: index + 1,
                problem,
            })?;
            match text.strip_prefix('*') {
                Some(text) => {
                    anywhere.push(plain(text.as_bytes()));
                    anywhere_devices.push(device);
                }
                None => {
                    beginnings.insert(plain(text.as_bytes()).into_boxed_slice(), device);
                }
            }
        }
        let anywhere = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .match_kind(MatchKind::Standard)
            .build(&anywhere)
            .map_err(|error| DeviceModelsError::NotCompiled(error.to_string()))?;
        Ok(DeviceModels {
            number: LISTS.fetch_add(1, Ordering::Relaxed),
            longest_beginning: beginnings
                .keys()
                .fold(0, |longest, text| text.len().max(longest)),
            beginnings,
            anywhere,
            anywhere_devices,
        })
    }

    /// Tells this list from every other one of this process.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The class that the list gives to a model.
    pub(super) fn class_of(&self, model: &[u8]) -> Option<Device> {
        let mut padded = Vec::with_capacity(MAX_MODEL_BYTES + 2);
        padded.push(b' ');
        padded.extend(plain(&model[..model.len().min(MAX_MODEL_BYTES)]));
        padded.push(b' ');
        let longest = self.longest_beginning.min(padded.len() - 1);
        let by_beginning = (1..=longest).rev().find_map(|length| {
            let device = self.beginnings.get(&padded[1..=length])?;
            Some((length, *device))
        });
        let by_part = self
            .anywhere
            .find_overlapping_iter(&padded)
            .map(|found| (found.len(), self.anywhere_devices[found.pattern()]))
            .max_by_key(|(length, _)| *length);
        match (by_beginning, by_part) {
            (Some((beginning, device)), Some((part, _))) if beginning >= part => Some(device),
            (_, Some((_, device))) | (Some((_, device)), None) => Some(device),
            (None, None) => None,
        }
    }
}

/// Reads `CLASS TEXT`.
fn entry(line: &str) -> Result<(Device, &str), String> {
    let (class, text) = line
        .split_once(|character: char| character.is_ascii_whitespace())
        .ok_or_else(|| format!("`{}` is one word", line.escape_debug()))?;
    let device = Device::from_name(class)
        .ok_or_else(|| format!("`{}` is not a device class", class.escape_debug()))?;
    let text = text.trim_start();
    let length = text.trim_start_matches('*').len();
    if !(2..=MAX_MODEL_BYTES).contains(&length) || text.matches('*').count() > 1 {
        let text = text.escape_debug();
        return Err(format!(
            "`{text}` is not 2 to {MAX_MODEL_BYTES} bytes with at most one `*`, before them"
        ));
    }
    if text.find('*').is_some_and(|at| at > 0) {
        return Err(format!("`{}` has a `*` inside", text.escape_debug()));
    }
    Ok((device, text))
}

/// The model in lower case, with spaces for `-` and `_`.
fn plain(model: &[u8]) -> Vec<u8> {
    let plain = |byte: &u8| match byte {
        b'-' | b'_' => b' ',
        byte => byte.to_ascii_lowercase(),
    };
    model.iter().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_list_is_read() {
        DeviceModels::parse(SHIPPED_TEXT).unwrap();
        assert_eq!(DeviceModels::shipped().number(), 0);
    }

    #[test]
    fn the_longest_text_decides() {
        let models = DeviceModels::parse(
            "tablet SM-T # Galaxy Tab\nmobile sm_t255\n\ntv *_box_\ntablet *pad\nmobile padfone\n",
        )
        .unwrap();
        for (model, device) in [
            ("SM-T510", Some(Device::Tablet)),
            ("sm t510", Some(Device::Tablet)),
            ("SM-T255S", Some(Device::Mobile)),
            ("XSM-T510", None),
            ("Smart Box A1", Some(Device::Tv)),
            ("Xbox", None),
            ("BOX", Some(Device::Tv)),
            ("MatePad", Some(Device::Tablet)),
            ("PadFone T004", Some(Device::Mobile)),
            ("SM-", None),
            ("", None),
        ] {
            assert_eq!(models.class_of(model.as_bytes()), device, "{model}");
        }
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, problem) in [
            ("tablet", "line 1: `tablet` is one word"),
            ("tablet a", "line 1: `a` is not 2 to 64 bytes"),
            ("tv *", "line 1: `*` is not 2 to 64 bytes"),
            ("tv a*b", "line 1: `a*b` has a `*` inside"),
            ("tv **ab", "line 1: `**ab` is not 2 to 64 bytes"),
            (
                "# ok\ntablets SM-T",
                "line 2: `tablets` is not a device class",
            ),
        ] {
            let error = DeviceModels::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(problem), "{error}");
        }
        assert!(DeviceModels::parse(&format!("tv {}", "x".repeat(64))).is_ok());
        assert!(DeviceModels::parse(&format!("tv {}", "x".repeat(65))).is_err());
    }

    #[test]
    fn a_list_is_bounded() {
        let line = "tablet *abcdefgh\n";
        let fits = line.repeat(MAX_MODELS_BYTES / line.len());
        assert!(DeviceModels::parse(&fits).is_ok());
        assert_eq!(
            DeviceModels::parse(&"#".repeat(MAX_MODELS_BYTES + 1)).unwrap_err(),
            DeviceModelsError::TooLarge
        );
    }
}
