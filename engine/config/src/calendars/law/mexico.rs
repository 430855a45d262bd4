//! Mexico: the days of obligatory rest of the Ley Federal del Trabajo, article 74.
//!
//! Labour law is federal, so the states don't differ. The days of elections, and those that banks
//! and schools keep alone, are not here.

use super::{CountryLaw, LawDate, Years, fixed, on};

pub(super) const MEXICO: CountryLaw = CountryLaw {
    name: "mexico",
    has_decrees: false,
    days: &[
        fixed("Año Nuevo", 1, 1),
        on("Día de la Constitución", LawDate::Monday(2, 1)),
        on("Natalicio de Benito Juárez", LawDate::Monday(3, 3)),
        fixed("Día del Trabajo", 5, 1),
        fixed("Día de la Independencia", 9, 16),
        // The federal executive changes on this day.
        fixed("Transmisión del Poder Ejecutivo Federal", 10, 1).in_years(Years::Every {
            first: 2024,
            step: 6,
        }),
        on("Día de la Revolución", LawDate::Monday(11, 3)),
        fixed("Navidad", 12, 25),
    ],
    regions: &[],
};
