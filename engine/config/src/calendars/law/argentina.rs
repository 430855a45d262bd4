//! Argentina: national holidays (feriados), the day without work that holds for everybody (Jueves
//! Santo), and the days of the provinces.
//!
//! Ley 27.399 has the fixed and the moving holidays. Decrees add bridge days, up to three a year
//! (article 7), and since Decreto 614/2025 may move a moving holiday from a weekend. On a día no
//! laborable it is for the employer to decide; who opens then makes it a working day in a file of
//! their own. The days that hold for one creed only are not here.

use super::{CountryLaw, RegionLaw, Shift, easter, fixed};

pub(super) const ARGENTINA: CountryLaw = CountryLaw {
    name: "argentina",
    has_decrees: true,
    days: &[
        fixed("Año Nuevo", 1, 1),
        easter("Carnaval", -48),
        easter("Carnaval", -47),
        fixed(
            "Día Nacional de la Memoria por la Verdad y la Justicia",
            3,
            24,
        ),
        fixed(
            "Día del Veterano y de los Caídos en la Guerra de Malvinas",
            4,
            2,
        ),
        easter("Jueves Santo (no laborable)", -3),
        easter("Viernes Santo", -2),
        fixed("Día del Trabajador", 5, 1),
        fixed("Día de la Revolución de Mayo", 5, 25),
        // Before 17 June, which does not move onto it.
        fixed("Paso a la Inmortalidad del General Manuel Belgrano", 6, 20),
        fixed(
            "Paso a la Inmortalidad del General Martín Miguel de Güemes",
            6,
            17,
        )
        .shifted(Shift::NearMonday),
        fixed("Día de la Independencia", 7, 9),
        fixed(
            "Paso a la Inmortalidad del General José de San Martín",
            8,
            17,
        )
        .shifted(Shift::NearMonday),
        fixed("Día del Respeto a la Diversidad Cultural", 10, 12).shifted(Shift::NearMonday),
        fixed("Día de la Soberanía Nacional", 11, 20).shifted(Shift::NearMonday),
        fixed("Inmaculada Concepción de María", 12, 8),
        fixed("Navidad", 12, 25),
    ],
    regions: &[
        // Decrees alone give it days.
        RegionLaw {
            name: "buenos-aires",
            days: &[],
        },
        // Leyes 4.553 and 5.525.
        RegionLaw {
            name: "catamarca",
            days: &[
                fixed("Natalicio de Fray Mamerto Esquiú", 5, 11),
                fixed("Autonomía de Catamarca", 8, 25),
                fixed("Día del Milagro", 9, 7),
            ],
        },
        // Leyes I-85 and I-547.
        RegionLaw {
            name: "chubut",
            days: &[
                fixed("Plebiscito 1902 de Trevelin", 4, 30),
                fixed("Arribo de los primeros colonizadores galeses", 7, 28),
                fixed("Lealtad de tehuelches y mapuches a la bandera", 11, 3),
                fixed("Día del Petróleo Nacional", 12, 13),
            ],
        },
        RegionLaw {
            name: "ciudad-de-buenos-aires",
            days: &[],
        },
        RegionLaw {
            name: "cordoba",
            days: &[],
        },
        // Leyes 5.874 and 5.884: the days themselves, besides the Mondays.
        RegionLaw {
            name: "corrientes",
            days: &[
                fixed("Fallecimiento del General Manuel Belgrano", 6, 20),
                fixed("Fallecimiento del General José de San Martín", 8, 17),
            ],
        },
        // Ley 7.285, Decretos 4359/93 and 216/2003.
        RegionLaw {
            name: "entre-rios",
            days: &[
                fixed("Batalla de Caseros", 2, 3),
                fixed("Día del Trabajador Estatal", 6, 27),
                fixed("San Miguel Arcángel", 9, 29),
            ],
        },
        // Leyes 4.059, 4.927, 5.005 and 6.197.
        RegionLaw {
            name: "jujuy",
            days: &[
                fixed("Día Grande de Jujuy", 4, 27),
                fixed("Día de la Pachamama", 8, 1),
                fixed("Éxodo Jujeño", 8, 23),
                fixed("Virgen del Rosario de Río Blanco y Paypaya", 10, 7),
                fixed("Autonomía Política de Jujuy", 11, 18),
            ],
        },
        // Leyes 6.886, 9.844, 10.242, 10.298 and 10.351.
        RegionLaw {
            name: "la-rioja",
            days: &[
                fixed("Fallecimiento de Juan Facundo Quiroga", 2, 16),
                fixed("Autonomía Provincial", 3, 1),
                fixed("Fundación de La Rioja", 5, 20),
                fixed("Fallecimiento de Monseñor Enrique Angelelli", 8, 4),
                fixed("Fallecimiento de Ángel Vicente Peñaloza", 11, 12),
                fixed("Tinkunaco Riojano", 12, 31),
            ],
        },
        // Ley 4.081.
        RegionLaw {
            name: "mendoza",
            days: &[fixed("Día del Apóstol Santiago", 7, 25)],
        },
        // Ley 5.032.
        RegionLaw {
            name: "salta",
            days: &[
                fixed("Batalla de Salta", 2, 20),
                fixed("Memoria del General Martín Miguel de Güemes", 6, 17),
                fixed("Señor y Virgen del Milagro", 9, 13),
                fixed("Señor y Virgen del Milagro", 9, 14),
                fixed("Señor y Virgen del Milagro", 9, 15),
            ],
        },
        // Ley 14-P.
        RegionLaw {
            name: "san-juan",
            days: &[fixed("Día del Maestro", 9, 11)],
        },
        // Ley II-0046-2004.
        RegionLaw {
            name: "san-luis",
            days: &[
                fixed("Exaltación de la Santa Cruz", 5, 3),
                fixed("San Luis Rey de Francia", 8, 25),
            ],
        },
        // Leyes 2.882, 3.342, 3.419 and 3.668.
        RegionLaw {
            name: "santa-cruz",
            days: &[
                fixed("San Juan Bosco", 8, 16),
                fixed("Fallecimiento de Néstor Carlos Kirchner", 10, 27),
                fixed("Obreros fusilados en las Huelgas Patagónicas", 12, 7),
            ],
        },
        // Leyes 7 and 1.389.
        RegionLaw {
            name: "tierra-del-fuego",
            days: &[
                fixed("Día de la Provincia", 6, 1),
                fixed("Genocidio Selk'nam", 11, 25),
            ],
        },
        // Ley 1.765.
        RegionLaw {
            name: "tucuman",
            days: &[fixed("Batalla de Tucumán", 9, 24)],
        },
    ],
};
