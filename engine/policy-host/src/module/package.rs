//! A package: a module with its settings and its test cases as custom sections of WebAssembly.
//!
//! So a version of a policy is one file with one digest, and it is still a module that any tool can
//! read. Modules and components frame their outermost sections alike: an id, a length, the content.
//! A custom section (id 0) begins with its name.

use std::borrow::Cow;

const SETTINGS: &str = "tero:settings";
const CASES: &str = "tero:cases";
const FORECAST: &str = "tero:forecast";
const HEADER_BYTES: usize = 8;
const CUSTOM: u8 = 0;
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// Whether the module is a component already.
pub(super) fn is_component(module: &[u8]) -> bool {
    module.starts_with(COMPONENT)
}

/// A module with its settings and its test cases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package<'a> {
    /// The module as it was built.
    pub module: Cow<'a, [u8]>,
    /// The settings as JSON text; if `None`, those of the configuration are used.
    pub settings: Option<Cow<'a, str>>,
    /// The test cases as TOML.
    pub cases: Option<Cow<'a, str>>,
}

/// A section of a package is not text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its section `{0}` is not UTF-8")]
pub struct NotTextError(&'static str);

impl<'a> Package<'a> {
    /// Splits bytes that [`Package::to_bytes`] made. Bytes that are not a module are returned
    /// unchanged, and the loader reports the defect.
    ///
    /// # Errors
    /// [`NotTextError`] if the settings or the cases are not UTF-8.
    pub fn of(bytes: &'a [u8]) -> Result<Package<'a>, NotTextError> {
        let mut package = Package {
            module: Cow::Borrowed(bytes),
            settings: None,
            cases: None,
        };
        let Some(sections) = sections(bytes) else {
            return Ok(package);
        };
        let mut rest = Vec::new();
        let mut kept_until = 0;
        for section in sections {
            let place = match section.name {
                SETTINGS => &mut package.settings,
                CASES => &mut package.cases,
                _ => continue,
            };
            let kind = if section.name == SETTINGS {
                SETTINGS
            } else {
                CASES
            };
            *place = Some(Cow::Borrowed(
                std::str::from_utf8(section.content).map_err(|_| NotTextError(kind))?,
            ));
            rest.extend_from_slice(&bytes[kept_until..section.at.start]);
            kept_until = section.at.end;
        }
        if kept_until > 0 {
            rest.extend_from_slice(&bytes[kept_until..]);
            package.module = Cow::Owned(rest);
        }
        Ok(package)
    }

    /// The module with all its sections, as one file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.module.to_vec();
        for (name, text) in [(SETTINGS, &self.settings), (CASES, &self.cases)] {
            let Some(text) = text else { continue };
            push_section(&mut bytes, name, text);
        }
        bytes
    }
}

/// The forecast that is attached to a version, as its text; `None` if it has none.
///
/// # Errors
/// [`NotTextError`] if the forecast is not UTF-8.
pub fn attached_forecast(version: &[u8]) -> Result<Option<&str>, NotTextError> {
    let mut sections = sections(version).into_iter().flatten();
    let forecast = sections.find(|section| section.name == FORECAST);
    let text = forecast.map(|section| std::str::from_utf8(section.content));
    text.transpose().map_err(|_| NotTextError(FORECAST))
}

/// A version with a forecast attached to it, in place of an earlier one. Bytes that are not a module
/// are returned unchanged.
pub fn with_forecast(version: &[u8], forecast: &str) -> Vec<u8> {
    let Some(sections) = sections(version) else {
        return version.to_vec();
    };
    let mut bytes = version[..HEADER_BYTES].to_vec();
    for section in sections {
        if section.name != FORECAST {
            bytes.extend_from_slice(&version[section.at]);
        }
    }
    push_section(&mut bytes, FORECAST, forecast);
    bytes
}

/// Adds a custom section at the end.
fn push_section(bytes: &mut Vec<u8>, name: &str, text: &str) {
    let mut content = Vec::new();
    push_leb(&mut content, name.len());
    content.extend_from_slice(name.as_bytes());
    content.extend_from_slice(text.as_bytes());
    bytes.push(CUSTOM);
    push_leb(bytes, content.len());
    bytes.extend_from_slice(&content);
}

struct CustomSection<'a> {
    /// The section's bytes, from its id to its end.
    at: std::ops::Range<usize>,
    /// The name of a custom section; empty for other sections.
    name: &'a str,
    content: &'a [u8],
}

/// The outermost sections; `None` if the bytes are not framed as a module.
fn sections(bytes: &[u8]) -> Option<Vec<CustomSection<'_>>> {
    if !bytes.starts_with(b"\0asm") || bytes.len() < HEADER_BYTES {
        return None;
    }
    let mut sections = Vec::new();
    let mut at = HEADER_BYTES;
    while at < bytes.len() {
        let start = at;
        let id = bytes[at];
        at += 1;
        let length = leb(bytes, &mut at)?;
        let end = at.checked_add(length).filter(|end| *end <= bytes.len())?;
        let (mut name, mut content) = ("", &bytes[at..end]);
        if id == CUSTOM {
            // A section without a readable name is one of the others.
            (name, content) = named(&bytes[at..end]).unwrap_or((name, content));
        }
        sections.push(CustomSection {
            at: start..end,
            name,
            content,
        });
        at = end;
    }
    Some(sections)
}

/// The name and the content of a custom section.
fn named(section: &[u8]) -> Option<(&str, &[u8])> {
    let mut at = 0;
    let length = leb(section, &mut at)?;
    let (name, content) = section[at..].split_at_checked(length)?;
    Some((std::str::from_utf8(name).ok()?, content))
}

/// The module without those of its outermost custom sections that `is_kept` does not name. Bytes
/// that are not framed as a module are returned unchanged.
pub(super) fn without_custom_sections(
    module: &[u8],
    is_kept: impl Fn(&str) -> bool,
) -> Cow<'_, [u8]> {
    let Some(sections) = sections(module) else {
        return Cow::Borrowed(module);
    };
    let mut rest = Vec::with_capacity(module.len());
    rest.extend_from_slice(&module[..HEADER_BYTES]);
    for section in sections {
        if module[section.at.start] != CUSTOM || is_kept(section.name) {
            rest.extend_from_slice(&module[section.at]);
        }
    }
    Cow::Owned(rest)
}

/// Reads an unsigned 32-bit number in LEB128.
fn leb(bytes: &[u8], at: &mut usize) -> Option<usize> {
    let mut number = 0_u64;
    for shift in [0, 7, 14, 21, 28] {
        let byte = *bytes.get(*at)?;
        *at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return usize::try_from(u32::try_from(number).ok()?).ok();
        }
    }
    None
}

fn push_leb(bytes: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            return bytes.push(low);
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\0\x05\x03abcd";

    #[test]
    fn a_forecast_is_attached_in_place_of_an_earlier_one() {
        assert_eq!(attached_forecast(MODULE), Ok(None));
        let one = with_forecast(MODULE, "{\"hit\":1}");
        assert_eq!(attached_forecast(&one), Ok(Some("{\"hit\":1}")));
        let other = with_forecast(&one, "é");
        assert_eq!(attached_forecast(&other), Ok(Some("é")));
        let mut cut = other.clone();
        *cut.last_mut().unwrap() = b'x';
        assert_eq!(attached_forecast(&cut), Err(NotTextError(FORECAST)));
        assert_eq!(
            other.len(),
            MODULE.len() + 2 + 1 + FORECAST.len() + "é".len()
        );
        // Settings and cases are found beside it.
        let package = Package {
            module: one.as_slice().into(),
            settings: Some("{}".into()),
            cases: None,
        };
        let bytes = package.to_bytes();
        assert_eq!(attached_forecast(&bytes), attached_forecast(&one));
        assert_eq!(Package::of(&bytes).unwrap(), package);
        assert_eq!(with_forecast(b"no module", "x"), b"no module");
    }

    #[test]
    fn a_package_is_split_into_the_parts_it_was_made_of() {
        let long = "x".repeat(20_000);
        for (settings, cases) in [
            (None, None),
            (Some("{}"), None),
            (None, Some("[[case]]")),
            (Some(long.as_str()), Some("é")),
        ] {
            let package = Package {
                module: MODULE.into(),
                settings: settings.map(Cow::Borrowed),
                cases: cases.map(Cow::Borrowed),
            };
            let bytes = package.to_bytes();
            assert_eq!(Package::of(&bytes).unwrap(), package);
            // Packed again, it holds only the later settings.
            let again = Package {
                settings: Some("[]".into()),
                ..Package::of(&bytes).unwrap()
            }
            .to_bytes();
            assert_eq!(Package::of(&again).unwrap().settings.as_deref(), Some("[]"));
        }
    }

    #[test]
    fn packing_does_not_change_built_in_modules() {
        for name in crate::builtin_names() {
            let module = crate::builtin(name).unwrap();
            let packed = Package {
                module: module.into(),
                settings: Some("{}".into()),
                cases: None,
            }
            .to_bytes();
            assert!(wasmparser::validate(&packed).is_ok(), "{name}");
            assert_eq!(Package::of(&packed).unwrap().module, module);
        }
    }

    #[test]
    fn bytes_that_are_not_a_module_are_returned_unchanged() {
        let cut = Package {
            module: MODULE.into(),
            settings: Some("{}".into()),
            cases: None,
        }
        .to_bytes();
        for length in 0..cut.len() {
            let package = Package::of(&cut[..length]).unwrap();
            assert!(
                package.settings.is_none() && package.module.len() == length,
                "{length}"
            );
        }
        for bytes in [
            &b"\0asm\x01\0\0\0\0\xff\xff\xff\xff\xff"[..],
            b"\0asm\x01\0\0\0\0\x80",
            b"\0asm\x01\0\0\0\0\x02\x05a",
        ] {
            assert_eq!(Package::of(bytes).unwrap().module, bytes);
        }
        // A custom section that is malformed does not hide those behind it.
        for malformed in [
            &b"\0\x02\x05a"[..],
            b"\0\0",
            b"\0\x01\x80",
            b"\0\x02\x01\xff",
        ] {
            let settings = Some("{}".into());
            let module = [MODULE, malformed].concat();
            let packed = Package {
                module: (&*module).into(),
                settings,
                cases: None,
            };
            assert_eq!(Package::of(&packed.to_bytes()).unwrap(), packed);
        }
        let mut bad = MODULE.to_vec();
        bad.extend(b"\0\x0f\x0dtero:settings\xff");
        assert_eq!(Package::of(&bad), Err(NotTextError(SETTINGS)));
    }
}
