//! The barber shops of the sample site.

/// A barber shop.
#[derive(Debug)]
pub(super) struct Shop {
    /// Its name in URLs: `/barberias/{slug}`.
    pub(super) slug: &'static str,
    pub(super) name: &'static str,
    pub(super) district: &'static str,
    pub(super) address: &'static str,
    pub(super) barbers: [&'static str; 3],
    /// The price in pesos.
    pub(super) haircut: u32,
    /// The price in pesos.
    pub(super) beard: u32,
    /// The rating in tenths of a star.
    pub(super) stars: u32,
    pub(super) about: &'static str,
}

/// All shops, the most visited first.
pub(super) const SHOPS: [Shop; 12] = [
    shop(
        "palermo",
        "Navaja y Malbec",
        "Palermo",
        "Gorriti 4821",
        ["Nico", "Tomás", "Vale"],
        [14_500, 9_000, 48],
        "Corte clásico y degradé a navaja, con una copa de la casa mientras esperás.",
    ),
    shop(
        "recoleta",
        "La Recoleta Barber Club",
        "Recoleta",
        "Av. Quintana 310",
        ["Ezequiel", "Mauro", "Juli"],
        [18_000, 11_500, 47],
        "Sillones de 1930, toalla caliente y perfilado de barba con reserva previa.",
    ),
    shop(
        "belgrano",
        "Belgrano Fade House",
        "Belgrano",
        "Juramento 2190",
        ["Brian", "Leo", "Cami"],
        [13_000, 8_000, 46],
        "Especialistas en fades, diseños y cortes para chicos.",
    ),
    shop(
        "caballito",
        "El Poste",
        "Caballito",
        "Av. Rivadavia 5102",
        ["Gastón", "Fede", "Romi"],
        [11_000, 7_000, 45],
        "La barbería de la cuadra: se entra sin turno si hay un sillón libre.",
    ),
    shop(
        "villa-crespo",
        "Tijera Negra",
        "Villa Crespo",
        "Thames 752",
        ["Santi", "Pedro", "Lu"],
        [12_500, 8_500, 47],
        "Cortes con tijera, música en vinilo y café de especialidad.",
    ),
    shop(
        "san-telmo",
        "Peluquería Defensa",
        "San Telmo",
        "Defensa 1094",
        ["Don Aldo", "Marcos", "Sole"],
        [10_000, 6_500, 49],
        "Desde 1968, tres generaciones y el mismo espejo.",
    ),
    shop(
        "almagro",
        "Almagro Barbería",
        "Almagro",
        "Av. Corrientes 3980",
        ["Iván", "Rodri", "Mica"],
        [11_500, 7_500, 44],
        "Abrimos temprano para los que entran a las nueve.",
    ),
    shop(
        "colegiales",
        "Barba Roja",
        "Colegiales",
        "Av. Federico Lacroze 2820",
        ["Agus", "Pablo", "Flor"],
        [13_500, 9_500, 46],
        "Todo sobre la barba: color, aceites y afeitado tradicional.",
    ),
    shop(
        "nunez",
        "Norte Barber",
        "Núñez",
        "Av. Cabildo 4520",
        ["Facu", "Joaco", "Pau"],
        [12_000, 8_000, 45],
        "A una cuadra del subte, turnos cada media hora.",
    ),
    shop(
        "flores",
        "Los Hermanos",
        "Flores",
        "Av. Avellaneda 2731",
        ["Dani", "Cristian", "Yami"],
        [9_500, 6_000, 46],
        "Dos hermanos, cuatro sillones y ningún apuro.",
    ),
    shop(
        "cordoba",
        "Nueva Córdoba Cortes",
        "Córdoba",
        "Bv. San Juan 480",
        ["Mati", "Gonza", "Belu"],
        [10_500, 7_000, 47],
        "En el barrio de los estudiantes, con precios de estudiante.",
    ),
    shop(
        "rosario",
        "Barbería del Bajo",
        "Rosario",
        "San Martín 640",
        ["Lucho", "Emi", "Caro"],
        [10_500, 7_000, 48],
        "Con vista al río y turnos hasta el cierre.",
    ),
];

const fn shop(
    slug: &'static str,
    name: &'static str,
    district: &'static str,
    address: &'static str,
    barbers: [&'static str; 3],
    [haircut, beard, stars]: [u32; 3],
    about: &'static str,
) -> Shop {
    Shop {
        slug,
        name,
        district,
        address,
        barbers,
        haircut,
        beard,
        stars,
        about,
    }
}

/// The shop with this slug.
pub(super) fn find(slug: &str) -> Option<&'static Shop> {
    SHOPS.iter().find(|shop| shop.slug == slug)
}

/// Writes `12500` as `$ 12.500`.
pub(super) fn pesos(amount: u32) -> String {
    format!("$ {}.{:03}", amount / 1_000, amount % 1_000)
}
