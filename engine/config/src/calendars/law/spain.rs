//! Spain: the national days without work (fiestas laborales), and those of the autonomous
//! communities and cities.
//!
//! Real Decreto 2001/1983, article 45, has the national days. Each community sets its list year by
//! year (the resolutions of the Dirección General de Trabajo in the BOE): it may exchange Epiphany,
//! Holy Thursday, 19 March and 25 July for other days, and move a day from Sunday to Monday. The
//! tables here hold its own day and what it has chosen year after year; what it chose for one year
//! is a decree. Towns have two days more, which belong in a file of your own.

use super::{CountryLaw, LawDay, RegionLaw, Shift, Years, easter, fixed};

const NEW_YEAR: LawDay = fixed("Año Nuevo", 1, 1);
const EPIPHANY: LawDay = fixed("Epifanía del Señor", 1, 6);
const LABOUR_DAY: LawDay = fixed("Fiesta del Trabajo", 5, 1);
const ASSUMPTION: LawDay = fixed("Asunción de la Virgen", 8, 15);
const NATIONAL_DAY: LawDay = fixed("Fiesta Nacional de España", 10, 12);
const ALL_SAINTS: LawDay = fixed("Todos los Santos", 11, 1);
const CONSTITUTION: LawDay = fixed("Día de la Constitución Española", 12, 6);
const IMMACULATE: LawDay = fixed("Inmaculada Concepción", 12, 8);
const CHRISTMAS: LawDay = fixed("Natividad del Señor", 12, 25);

const HOLY_THURSDAY: LawDay = easter("Jueves Santo", -3);
const EASTER_MONDAY: LawDay = easter("Lunes de Pascua", 1);
const SAINT_JOSEPH: LawDay = fixed("San José", 3, 19);
const SAINT_JAMES: LawDay = fixed("Santiago Apóstol", 7, 25);
const SAINT_JOHN: LawDay = fixed("San Juan", 6, 24);

/// Not kept on a Sunday.
const fn unless_sunday(day: LawDay) -> LawDay {
    day.shifted(Shift::NoSunday)
}

/// Kept on the Monday after a Sunday.
const fn or_monday(day: LawDay) -> LawDay {
    day.shifted(Shift::SundayToMonday)
}

pub(super) const SPAIN: CountryLaw = CountryLaw {
    name: "spain",
    has_decrees: true,
    days: &[
        unless_sunday(NEW_YEAR),
        unless_sunday(EPIPHANY),
        easter("Viernes Santo", -2),
        unless_sunday(LABOUR_DAY),
        unless_sunday(ASSUMPTION),
        unless_sunday(NATIONAL_DAY),
        unless_sunday(ALL_SAINTS),
        unless_sunday(CONSTITUTION),
        unless_sunday(IMMACULATE),
        unless_sunday(CHRISTMAS),
    ],
    regions: &[
        RegionLaw {
            name: "andalucia",
            days: &[
                or_monday(NEW_YEAR),
                or_monday(EPIPHANY),
                or_monday(fixed("Día de Andalucía", 2, 28)),
                HOLY_THURSDAY,
                or_monday(LABOUR_DAY),
                or_monday(ASSUMPTION),
                or_monday(NATIONAL_DAY),
                or_monday(ALL_SAINTS),
                or_monday(CONSTITUTION),
                or_monday(IMMACULATE),
                or_monday(CHRISTMAS),
            ],
        },
        RegionLaw {
            name: "aragon",
            days: &[
                or_monday(NEW_YEAR),
                or_monday(EPIPHANY),
                HOLY_THURSDAY,
                or_monday(fixed("San Jorge, Día de Aragón", 4, 23)),
                or_monday(LABOUR_DAY),
                or_monday(ASSUMPTION),
                or_monday(NATIONAL_DAY),
                or_monday(ALL_SAINTS),
                or_monday(CONSTITUTION),
                or_monday(IMMACULATE),
                or_monday(CHRISTMAS),
            ],
        },
        RegionLaw {
            name: "asturias",
            days: &[
                or_monday(NEW_YEAR),
                or_monday(EPIPHANY),
                HOLY_THURSDAY,
                or_monday(LABOUR_DAY),
                or_monday(ASSUMPTION),
                or_monday(fixed("Día de Asturias", 9, 8)),
                or_monday(NATIONAL_DAY),
                or_monday(ALL_SAINTS),
                or_monday(CONSTITUTION),
                or_monday(IMMACULATE),
                or_monday(CHRISTMAS),
            ],
        },
        RegionLaw {
            name: "baleares",
            days: &[
                or_monday(fixed("Día de las Islas Baleares", 3, 1)),
                HOLY_THURSDAY,
                EASTER_MONDAY,
                or_monday(CHRISTMAS),
            ],
        },
        // Each island has a day more.
        RegionLaw {
            name: "canarias",
            days: &[
                or_monday(EPIPHANY),
                HOLY_THURSDAY,
                or_monday(fixed("Día de Canarias", 5, 30)),
                or_monday(ASSUMPTION),
                or_monday(ALL_SAINTS).in_years(Years::From(2026)),
                or_monday(CHRISTMAS),
            ],
        },
        RegionLaw {
            name: "cantabria",
            days: &[
                HOLY_THURSDAY,
                EASTER_MONDAY.in_years(Years::IfSunday(&[(7, 28)])),
                SAINT_JAMES.in_years(Years::IfSunday(&[(9, 15)])),
                unless_sunday(fixed("Día de las Instituciones de Cantabria", 7, 28)),
                unless_sunday(fixed("La Bien Aparecida", 9, 15)),
                or_monday(CONSTITUTION).in_years(Years::From(2026)),
                or_monday(CHRISTMAS),
            ],
        },
        RegionLaw {
            name: "castilla-la-mancha",
            days: &[
                HOLY_THURSDAY,
                easter("Corpus Christi", 60),
                unless_sunday(fixed("Día de Castilla-La Mancha", 5, 31)),
                or_monday(ALL_SAINTS).in_years(Years::From(2026)),
                or_monday(CHRISTMAS),
            ],
        },
        RegionLaw {
            name: "castilla-y-leon",
            days: &[
                or_monday(NEW_YEAR),
                or_monday(EPIPHANY),
                HOLY_THURSDAY,
                or_monday(fixed("Fiesta de Castilla y León", 4, 23)),
                or_monday(LABOUR_DAY),
                or_monday(ASSUMPTION),
                or_monday(NATIONAL_DAY),
                or_monday(ALL_SAINTS),
                or_monday(CONSTITUTION),
                or_monday(IMMACULATE),
                or_monday(CHRISTMAS),
            ],
        },
        RegionLaw {
            name: "cataluna",
            days: &[
                EASTER_MONDAY,
                easter("Pascua Granada", 50).in_years(Years::IfSunday(&[(5, 1)])),
                unless_sunday(SAINT_JOHN),
                unless_sunday(fixed("Fiesta Nacional de Cataluña", 9, 11)),
                unless_sunday(fixed("San Esteban", 12, 26)),
            ],
        },
        // The feasts of Islam are set year by year.
        RegionLaw {
            name: "ceuta",
            days: &[
                or_monday(EPIPHANY),
                HOLY_THURSDAY,
                or_monday(fixed("San Antonio", 6, 13)),
                fixed("Nuestra Señora de África", 8, 5),
                unless_sunday(fixed("Día de Ceuta", 9, 2)),
            ],
        },
        RegionLaw {
            name: "extremadura",
            days: &[
                or_monday(EPIPHANY),
                HOLY_THURSDAY,
                or_monday(LABOUR_DAY),
                or_monday(fixed("Día de Extremadura", 9, 8)),
                or_monday(NATIONAL_DAY),
                or_monday(ALL_SAINTS),
                or_monday(CONSTITUTION),
                or_monday(IMMACULATE),
                or_monday(CHRISTMAS),
            ],
        },
        RegionLaw {
            name: "galicia",
            days: &[
                HOLY_THURSDAY,
                unless_sunday(fixed("Día de las Letras Gallegas", 5, 17)),
                unless_sunday(fixed("Santiago Apóstol, Día Nacional de Galicia", 7, 25)),
            ],
        },
        RegionLaw {
            name: "la-rioja",
            days: &[
                HOLY_THURSDAY,
                EASTER_MONDAY,
                or_monday(fixed("Día de La Rioja", 6, 9)),
                or_monday(CONSTITUTION),
                or_monday(CHRISTMAS),
            ],
        },
        RegionLaw {
            name: "madrid",
            days: &[
                or_monday(EPIPHANY),
                or_monday(SAINT_JOSEPH).in_years(Years::IfSunday(&[(1, 1), (8, 15)])),
                HOLY_THURSDAY,
                or_monday(fixed("Fiesta de la Comunidad de Madrid", 5, 2)),
                SAINT_JAMES.in_years(Years::IfSunday(&[(5, 1)])),
                or_monday(ALL_SAINTS),
                or_monday(CONSTITUTION),
                or_monday(CHRISTMAS),
            ],
        },
        // The feasts of Islam are set year by year.
        RegionLaw {
            name: "melilla",
            days: &[
                or_monday(EPIPHANY),
                HOLY_THURSDAY,
                or_monday(fixed("Nuestra Señora de la Victoria", 9, 8)),
                or_monday(fixed("Día de Melilla", 9, 17)),
                or_monday(CONSTITUTION),
                or_monday(IMMACULATE),
                or_monday(CHRISTMAS),
            ],
        },
        RegionLaw {
            name: "murcia",
            days: &[
                or_monday(NEW_YEAR),
                or_monday(EPIPHANY),
                unless_sunday(SAINT_JOSEPH),
                HOLY_THURSDAY,
                or_monday(LABOUR_DAY),
                or_monday(fixed("Día de la Región de Murcia", 6, 9)),
                or_monday(CONSTITUTION),
                or_monday(IMMACULATE),
                or_monday(CHRISTMAS),
            ],
        },
        RegionLaw {
            name: "navarra",
            days: &[
                or_monday(EPIPHANY),
                HOLY_THURSDAY,
                EASTER_MONDAY,
                or_monday(ALL_SAINTS).in_years(Years::From(2026)),
                or_monday(fixed("San Francisco Javier", 12, 3)),
                or_monday(CHRISTMAS),
            ],
        },
        RegionLaw {
            name: "pais-vasco",
            days: &[
                SAINT_JOSEPH.in_years(Years::IfSunday(&[(1, 6), (8, 15), (11, 1)])),
                HOLY_THURSDAY,
                EASTER_MONDAY,
                unless_sunday(SAINT_JAMES),
            ],
        },
        RegionLaw {
            name: "valencia",
            days: &[
                unless_sunday(SAINT_JOSEPH),
                HOLY_THURSDAY.in_years(Years::IfSunday(&[(10, 9)])),
                EASTER_MONDAY,
                SAINT_JOHN,
                unless_sunday(fixed("Día de la Comunidad Valenciana", 10, 9)),
            ],
        },
    ],
};
