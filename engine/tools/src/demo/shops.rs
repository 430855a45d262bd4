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
    Shop {
        slug: "palermo",
        name: "Navaja y Malbec",
        district: "Palermo",
        address: "Gorriti 4821",
        barbers: ["Nico", "Tomás", "Vale"],
        haircut: 14_500,
        beard: 9_000,
        stars: 48,
        about: "Corte clásico y degradé a navaja, con una copa de la casa mientras esperás.",
    },
    Shop {
        slug: "recoleta",
        name: "La Recoleta Barber Club",
        district: "Recoleta",
        address: "Av. Quintana 310",
        barbers: ["Ezequiel", "Mauro", "Juli"],
        haircut: 18_000,
        beard: 11_500,
        stars: 47,
        about: "Sillones de 1930, toalla caliente y perfilado de barba con reserva previa.",
    },
    Shop {
        slug: "belgrano",
        name: "Belgrano Fade House",
        district: "Belgrano",
        address: "Juramento 2190",
        barbers: ["Brian", "Leo", "Cami"],
        haircut: 13_000,
        beard: 8_000,
        stars: 46,
        about: "Especialistas en fades, diseños y cortes para chicos.",
    },
    Shop {
        slug: "caballito",
        name: "El Poste",
        district: "Caballito",
        address: "Av. Rivadavia 5102",
        barbers: ["Gastón", "Fede", "Romi"],
        haircut: 11_000,
        beard: 7_000,
        stars: 45,
        about: "La barbería de la cuadra: se entra sin turno si hay un sillón libre.",
    },
    Shop {
        slug: "villa-crespo",
        name: "Tijera Negra",
        district: "Villa Crespo",
        address: "Thames 752",
        barbers: ["Santi", "Pedro", "Lu"],
        haircut: 12_500,
        beard: 8_500,
        stars: 47,
        about: "Cortes con tijera, música en vinilo y café de especialidad.",
    },
    Shop {
        slug: "san-telmo",
        name: "Peluquería Defensa",
        district: "San Telmo",
        address: "Defensa 1094",
        barbers: ["Don Aldo", "Marcos", "Sole"],
        haircut: 10_000,
        beard: 6_500,
        stars: 49,
        about: "Desde 1968, tres generaciones y el mismo espejo.",
    },
    Shop {
        slug: "almagro",
        name: "Almagro Barbería",
        district: "Almagro",
        address: "Av. Corrientes 3980",
        barbers: ["Iván", "Rodri", "Mica"],
        haircut: 11_500,
        beard: 7_500,
        stars: 44,
        about: "Abrimos temprano para los que entran a las nueve.",
    },
    Shop {
        slug: "colegiales",
        name: "Barba Roja",
        district: "Colegiales",
        address: "Av. Federico Lacroze 2820",
        barbers: ["Agus", "Pablo", "Flor"],
        haircut: 13_500,
        beard: 9_500,
        stars: 46,
        about: "Todo sobre la barba: color, aceites y afeitado tradicional.",
    },
    Shop {
        slug: "nunez",
        name: "Norte Barber",
        district: "Núñez",
        address: "Av. Cabildo 4520",
        barbers: ["Facu", "Joaco", "Pau"],
        haircut: 12_000,
        beard: 8_000,
        stars: 45,
        about: "A una cuadra del subte, turnos cada media hora.",
    },
    Shop {
        slug: "flores",
        name: "Los Hermanos",
        district: "Flores",
        address: "Av. Avellaneda 2731",
        barbers: ["Dani", "Cristian", "Yami"],
        haircut: 9_500,
        beard: 6_000,
        stars: 46,
        about: "Dos hermanos, cuatro sillones y ningún apuro.",
    },
    Shop {
        slug: "cordoba",
        name: "Nueva Córdoba Cortes",
        district: "Córdoba",
        address: "Bv. San Juan 480",
        barbers: ["Mati", "Gonza", "Belu"],
        haircut: 10_500,
        beard: 7_000,
        stars: 47,
        about: "En el barrio de los estudiantes, con precios de estudiante.",
    },
    Shop {
        slug: "rosario",
        name: "Barbería del Bajo",
        district: "Rosario",
        address: "San Martín 640",
        barbers: ["Lucho", "Emi", "Caro"],
        haircut: 10_500,
        beard: 7_000,
        stars: 48,
        about: "Con vista al río y turnos hasta el cierre.",
    },
];

/// The shop with this slug.
pub(super) fn find(slug: &str) -> Option<&'static Shop> {
    SHOPS.iter().find(|shop| shop.slug == slug)
}

/// Writes `12500` as `$ 12.500`.
pub(super) fn pesos(amount: u32) -> String {
    format!("$ {}.{:03}", amount / 1_000, amount % 1_000)
}
