//! Reads values of a static JSON policy file.

use tero_config::{Mistake, did_you_mean};
use tero_policy_host::device::Device;

/// The names of the days of the week.
pub(in super::super) const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

const LONG_DAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

#[allow(clippy::unnecessary_wraps)] // Readers of values return results.
pub(super) fn any(text: &str) -> Result<String, Mistake> {
    Ok(text.to_owned())
}

/// Reads a day, or a range of days; a range may pass the weekend.
pub(super) fn days(text: &str) -> Result<Vec<usize>, Mistake> {
    let day = |text: &str| {
        let text = text.trim().to_ascii_lowercase();
        DAYS.iter()
            .zip(LONG_DAYS)
            .position(|(short, long)| *short == text || long == text)
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (day(first), day(last)) {
        (Some(first), Some(last)) => Ok((first..=if last < first { last + 7 } else { last })
            .map(|day| day % 7)
            .collect()),
        _ => Err(Mistake::new(
            format!("`{text}` is not a day"),
            format!("write one of {}, or a range, \"mon-sat\"", DAYS.join(", ")),
        )),
    }
}

pub(super) fn time_of_day(text: &str) -> Result<(u32, u32), Mistake> {
    let digits = |part: &str| {
        (part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| part.parse::<u32>().ok())
            .flatten()
    };
    text.split_once(':')
        .and_then(|(hour, minute)| Some((digits(hour)?, digits(minute)?)))
        .filter(|(hour, minute)| (*hour < 24 && *minute < 60) || (*hour, *minute) == (24, 0))
        .ok_or_else(|| {
            Mistake::new(
                format!("`{text}` is not a time of day"),
                "write hours and minutes, \"08:30\"",
            )
        })
}

pub(super) fn device(text: &str) -> Result<String, Mistake> {
    if Device::from_name(text).is_some() {
        return Ok(text.to_owned());
    }
    let known = Device::ALL.map(Device::as_str);
    let cure = match did_you_mean(text, known) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => format!("write one of {}", known.join(", ")),
    };
    Err(Mistake::new(
        format!("`{text}` is not a device class"),
        cure,
    ))
}

pub(super) fn pattern(text: &str) -> Result<String, Mistake> {
    let good = text.starts_with(['/', '*'])
        && text.len() <= 1_024
        && !text.contains(['?', '#'])
        && !text.chars().any(char::is_control);
    if good {
        return Ok(text.to_owned());
    }
    Err(Mistake::new(
        format!("`{}` is not a pattern", text.escape_debug()),
        "write \"/path\", \"/path/*\", \"*.css\" or \"*\", without a query",
    ))
}

pub(super) fn tag(text: &str) -> Result<String, Mistake> {
    if (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(Mistake::new(
        format!("`{}` is not a tag", text.escape_debug()),
        "write 1 to 128 visible ASCII characters",
    ))
}
