//! Chile: the national holidays (feriados), and those of two regions.
//!
//! Laws alone make them: Ley 2.977 (the fixed days), 19.668 (29 June and 12 October move), 20.148
//! (16 July), 20.215 and 20.983 (the days beside 1 January, 18 and 19 September), 20.299 (31 October
//! moves), 21.357 (the solstice), 20.663 and 20.768 (the regions). The days of elections are not
//! here.

use chrono::Weekday;

use super::{CountryLaw, LawDate, RegionLaw, Shift, easter, fixed, on};

pub(super) const CHILE: CountryLaw = CountryLaw {
    name: "chile",
    has_decrees: false,
    days: &[
        fixed("Año Nuevo", 1, 1),
        fixed("Feriado nacional", 1, 2).shifted(Shift::Only(&[Weekday::Mon])),
        easter("Viernes Santo", -2),
        easter("Sábado Santo", -1),
        fixed("Día Nacional del Trabajo", 5, 1),
        fixed("Día de las Glorias Navales", 5, 21),
        on(
            "Día Nacional de los Pueblos Indígenas",
            LawDate::JuneSolstice,
        ),
        fixed("San Pedro y San Pablo", 6, 29).shifted(Shift::WeekMonday),
        fixed("Día de la Virgen del Carmen", 7, 16),
        fixed("Asunción de la Virgen", 8, 15),
        fixed("Fiestas Patrias", 9, 17).shifted(Shift::Only(&[Weekday::Mon, Weekday::Fri])),
        fixed("Independencia Nacional", 9, 18),
        fixed("Día de las Glorias del Ejército", 9, 19),
        fixed("Fiestas Patrias", 9, 20).shifted(Shift::Only(&[Weekday::Fri])),
        fixed("Encuentro de Dos Mundos", 10, 12).shifted(Shift::WeekMonday),
        fixed("Día de las Iglesias Evangélicas y Protestantes", 10, 31).shifted(Shift::NearFriday),
        fixed("Día de Todos los Santos", 11, 1),
        fixed("Inmaculada Concepción", 12, 8),
        fixed("Navidad", 12, 25),
    ],
    regions: &[
        RegionLaw {
            name: "arica-y-parinacota",
            days: &[fixed("Asalto y Toma del Morro de Arica", 6, 7)],
        },
        // The communes of Chillán and Chillán Viejo.
        RegionLaw {
            name: "chillan",
            days: &[fixed("Nacimiento del Prócer de la Independencia", 8, 20)],
        },
    ],
};
