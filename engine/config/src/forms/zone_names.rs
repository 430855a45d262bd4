//! What somebody means who writes something else than an IANA zone.

use chrono_tz::{TZ_VARIANTS, Tz};

use crate::mistakes::did_you_mean;

/// Abbreviations that people write for zones, and a place whose clock shows them. IANA has zones of
/// a few of these names (`CET`, `EST`); they follow one place, or no changes of the clock at all.
const ABBREVIATIONS: [(&str, &str); 42] = [
    ("ACT", "America/Rio_Branco"),
    ("AEST", "Australia/Sydney"),
    ("AKST", "America/Anchorage"),
    ("AMT", "America/Manaus"),
    ("ART", "America/Argentina/Buenos_Aires"),
    ("AST", "America/Puerto_Rico"),
    ("BOT", "America/La_Paz"),
    ("BRT", "America/Sao_Paulo"),
    ("BST", "Europe/London"),
    ("CDT", "America/Chicago"),
    ("CEST", "Europe/Madrid"),
    ("CET", "Europe/Madrid"),
    ("CLST", "America/Santiago"),
    ("CLT", "America/Santiago"),
    ("COT", "America/Bogota"),
    ("CST", "America/Mexico_City"),
    ("CST6CDT", "America/Chicago"),
    ("ECT", "America/Guayaquil"),
    ("EDT", "America/New_York"),
    ("EEST", "Europe/Athens"),
    ("EET", "Europe/Athens"),
    ("EST", "America/New_York"),
    ("EST5EDT", "America/New_York"),
    ("GYT", "America/Guyana"),
    ("HST", "Pacific/Honolulu"),
    ("IST", "Asia/Kolkata"),
    ("JST", "Asia/Tokyo"),
    ("MDT", "America/Denver"),
    ("MET", "Europe/Berlin"),
    ("MSK", "Europe/Moscow"),
    ("MST", "America/Denver"),
    ("MST7MDT", "America/Denver"),
    ("PDT", "America/Los_Angeles"),
    ("PET", "America/Lima"),
    ("PST", "America/Los_Angeles"),
    ("PST8PDT", "America/Los_Angeles"),
    ("PYT", "America/Asuncion"),
    ("SRT", "America/Paramaribo"),
    ("UYT", "America/Montevideo"),
    ("VET", "America/Caracas"),
    ("WEST", "Europe/Lisbon"),
    ("WET", "Europe/Lisbon"),
];

/// What to write instead of a text that isn't a time zone.
pub(super) fn cure_for(text: &str) -> String {
    if let Some(place) = place_of(text) {
        return format!("did you mean \"{place}\"? An abbreviation is not a zone");
    }
    if let Some(cure) = cure_for_offset(text) {
        return cure;
    }
    let by_city = TZ_VARIANTS.iter().map(|zone| zone.name()).find(|name| {
        name.rsplit('/')
            .next()
            .is_some_and(|city| city.eq_ignore_ascii_case(&text.replace(' ', "_")))
    });
    match by_city.or_else(|| did_you_mean(text, TZ_VARIANTS.iter().map(|zone| zone.name()))) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => "write an IANA name, \"America/Argentina/Buenos_Aires\" or \"UTC\"".to_owned(),
    }
}

/// A place to write instead of a zone that is named like an abbreviation, as `CET`; `None` for
/// other zones.
pub fn place_instead_of(zone: Tz) -> Option<&'static str> {
    place_of(zone.name())
}

fn place_of(text: &str) -> Option<&'static str> {
    let found = ABBREVIATIONS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, place)| *place)
}

/// For `GMT-3`, `UTC+02:00` and `-03:00`: IANA has zones for whole hours, whose signs are reversed.
fn cure_for_offset(text: &str) -> Option<String> {
    let upper = text.to_ascii_uppercase();
    let rest = ["ETC/GMT", "ETC/UTC", "GMT", "UTC", "UT", "Z"]
        .iter()
        .find_map(|prefix| upper.strip_prefix(prefix))
        .unwrap_or(&upper);
    let (reversed, side) = match rest.chars().next()? {
        '-' | '−' => ('+', "behind"),
        '+' => ('-', "ahead of"),
        _ => return None,
    };
    let digits = rest.trim_start_matches(['-', '+', '−']);
    let (hours, mins) = digits.split_once(':').unwrap_or((digits, "0"));
    let (hours, mins): (u8, u8) = (hours.parse().ok()?, mins.parse().ok()?);
    let place = "write the zone of a place, \"America/Argentina/Buenos_Aires\": an offset knows no changes of the clock";
    let zone = format!("Etc/GMT{reversed}{hours}");
    if mins != 0 || zone.parse::<Tz>().is_err() {
        return Some(place.to_owned());
    }
    Some(format!(
        "{place}; a clock that is always {hours} hours {side} UTC is \"{zone}\", with its sign reversed"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_that_is_meant_is_suggested() {
        for (text, cure) in [
            ("ART", "did you mean \"America/Argentina/Buenos_Aires\"?"),
            ("art", "did you mean \"America/Argentina/Buenos_Aires\"?"),
            ("CLT", "did you mean \"America/Santiago\"?"),
            ("CLST", "did you mean \"America/Santiago\"?"),
            ("CEST", "did you mean \"Europe/Madrid\"?"),
            ("cet", "did you mean \"Europe/Madrid\"?"),
            ("Buenos Aires", "Buenos_Aires\"?"),
            ("Europe/Madird", "did you mean \"Europe/Madrid\"?"),
            ("Narnia!", "write an IANA name"),
        ] {
            assert!(cure_for(text).contains(cure), "{text}: {}", cure_for(text));
            assert!(text.parse::<Tz>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_offset_is_not_answered_with_its_opposite() {
        for (text, zone) in [
            ("GMT-3", Some("Etc/GMT+3")),
            ("UTC-3", Some("Etc/GMT+3")),
            ("utc-03:00", Some("Etc/GMT+3")),
            ("-03:00", Some("Etc/GMT+3")),
            ("Etc/UTC-3", Some("Etc/GMT+3")),
            ("GMT+2", Some("Etc/GMT-2")),
            ("UTC+5:30", None),
            ("GMT-15", None),
        ] {
            let cure = cure_for(text);
            assert!(
                cure.starts_with("write the zone of a place"),
                "{text}: {cure}"
            );
            match zone {
                Some(zone) => assert!(cure.contains(&format!("\"{zone}\"")), "{text}: {cure}"),
                None => assert!(!cure.contains("Etc/"), "{text}: {cure}"),
            }
        }
        // Three hours behind UTC, by the data.
        let zone: Tz = "Etc/GMT+3".parse().unwrap();
        let noon = tero_semantics::timestamp::Timestamp::from_unix_secs(1_795_521_600);
        assert_eq!(tero_time::moment::local_hour(noon, zone), 9);
    }

    #[test]
    fn every_suggestion_is_a_zone() {
        for (abbreviation, place) in ABBREVIATIONS {
            let zone: Tz = place.parse().unwrap();
            assert_eq!(place_instead_of(zone), None, "{abbreviation}");
        }
        assert_eq!(place_instead_of(Tz::CET), Some("Europe/Madrid"));
        assert_eq!(place_instead_of(Tz::UTC), None);
    }
}
