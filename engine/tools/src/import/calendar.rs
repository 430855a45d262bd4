//! The calendar that comes with tero for the country of a zone.

/// The calendar `builtin:NAME` for a zone; `None` if none comes with tero.
pub(super) fn calendar_of(zone: &str) -> Option<&'static str> {
    let is_of = |begin: &str, names: &[&str]| zone.starts_with(begin) || names.contains(&zone);
    if is_of("America/Argentina/", ARGENTINA) {
        Some("argentina")
    } else if is_of("Chile/", CHILE) {
        Some("chile")
    } else if is_of("Mexico/", MEXICO) {
        Some("mexico")
    } else {
        SPAIN.contains(&zone).then_some("spain")
    }
}

const ARGENTINA: &[&str] = &[
    "America/Buenos_Aires",
    "America/Catamarca",
    "America/Cordoba",
    "America/Jujuy",
    "America/Mendoza",
    "America/Rosario",
];

const CHILE: &[&str] = &[
    "America/Coyhaique",
    "America/Punta_Arenas",
    "America/Santiago",
    "Pacific/Easter",
];

const MEXICO: &[&str] = &[
    "America/Bahia_Banderas",
    "America/Cancun",
    "America/Chihuahua",
    "America/Ciudad_Juarez",
    "America/Ensenada",
    "America/Hermosillo",
    "America/Matamoros",
    "America/Mazatlan",
    "America/Merida",
    "America/Mexico_City",
    "America/Monterrey",
    "America/Ojinaga",
    "America/Santa_Isabel",
    "America/Tijuana",
];

const SPAIN: &[&str] = &["Africa/Ceuta", "Atlantic/Canary", "Europe/Madrid"];

#[cfg(test)]
mod tests {
    use super::*;
    use tero_config::calendars::BUILTIN_CALENDARS;

    #[test]
    fn zones_have_the_calendar_of_their_country() {
        for (zone, calendar) in [
            ("America/Argentina/Ushuaia", Some("argentina")),
            ("America/Buenos_Aires", Some("argentina")),
            ("America/Santiago", Some("chile")),
            ("America/Cancun", Some("mexico")),
            ("Mexico/General", Some("mexico")),
            ("Atlantic/Canary", Some("spain")),
            ("America/Montevideo", None),
            ("UTC", None),
        ] {
            assert_eq!(calendar_of(zone), calendar, "{zone}");
            assert!(calendar.is_none_or(|name| BUILTIN_CALENDARS.contains(&name)));
        }
    }
}
