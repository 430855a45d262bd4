//! The HTML, CSS and JavaScript of the sample site, in Spanish.

use super::screen::Screen;
use super::shops::{SHOPS, Shop, pesos};

/// Serves `/assets/sitio.css`.
pub(super) const STYLE: &str = include_str!("sitio.css");
/// Serves `/assets/turnos.js`.
pub(super) const SCRIPT: &str = include_str!("turnos.js");

/// The home page, `/`.
pub(super) fn home(screen: Screen) -> String {
    // A phone shows the first shops only; a link leads to the others.
    let shown = if screen == Screen::Mobile {
        4
    } else {
        SHOPS.len()
    };
    let cards: String = SHOPS.iter().take(shown).map(card).collect();
    frame(
        "Turnos online en barberías",
        screen,
        &format!(
            r#"<img class="portada" src="/img/portada.svg" alt="Una barbería de Buenos Aires">
<h1>Tu próximo corte, a un toque</h1>
<p>Elegí la barbería, mirá los turnos libres y reservá. Atendemos de lunes a sábado, de 9 a 18.</p>
<section class="lista">{cards}</section>
<p><a href="/barberias">Ver todas las barberías</a></p>"#
        ),
    )
}

/// The list of shops, `/barberias`.
pub(super) fn list(screen: Screen) -> String {
    let cards: String = SHOPS.iter().map(card).collect();
    frame(
        "Barberías",
        screen,
        &format!(r#"<h1>Barberías</h1><section class="lista">{cards}</section>"#),
    )
}

fn card(shop: &Shop) -> String {
    format!(
        r#"
<article><h2><a href="/barberias/{slug}">{name}</a></h2><p>{address}, {district} · ★ {stars}</p><p>Corte desde {haircut}</p></article>"#,
        slug = shop.slug,
        name = shop.name,
        address = shop.address,
        district = shop.district,
        stars = stars(shop),
        haircut = pesos(shop.haircut),
    )
}

/// A shop, `/barberias/{slug}`.
pub(super) fn shop(shop: &Shop, screen: Screen) -> String {
    let barbers: String = shop
        .barbers
        .iter()
        .map(|barber| format!("<li>{barber}</li>"))
        .collect();
    frame(
        shop.name,
        screen,
        &format!(
            r#"<img class="portada" src="/img/{slug}.svg" alt="{name}">
<h1>{name}</h1>
<p>{about}</p>
<p>{address}, {district} · ★ {stars}</p>
<table><tr><th>Corte</th><td>{haircut}</td></tr><tr><th>Barba</th><td>{beard}</td></tr><tr><th>Corte y barba</th><td>{both}</td></tr></table>
<h2>Quiénes atienden</h2><ul>{barbers}</ul>
<p><a class="boton" href="/turnos/{slug}">Pedir turno</a></p>"#,
            slug = shop.slug,
            name = shop.name,
            about = shop.about,
            address = shop.address,
            district = shop.district,
            stars = stars(shop),
            haircut = pesos(shop.haircut),
            beard = pesos(shop.beard),
            both = pesos((shop.haircut + shop.beard) * 9 / 10),
        ),
    )
}

/// The appointments of a shop, `/turnos/{slug}`. The script fetches the free times.
pub(super) fn booking(shop: &Shop, screen: Screen) -> String {
    frame(
        &format!("Turnos en {}", shop.name),
        screen,
        &format!(
            r#"<h1>Turnos en {name}</h1>
<p>Turnos libres de mañana. <span id="respuesta"></span></p>
<ol id="turnos" data-barberia="{slug}"><li>Buscando…</li></ol>
<p><a class="boton" href="/checkout/{slug}">Ir al pago</a></p>
<script src="/assets/turnos.js" defer></script>"#,
            name = shop.name,
            slug = shop.slug,
        ),
    )
}

/// About the site, `/nosotros`.
pub(super) fn about(screen: Screen) -> String {
    frame(
        "Nosotros",
        screen,
        "<h1>Nosotros</h1><p>BarberPro junta a los barberos de tu barrio en un solo lugar. Este sitio es de muestra: ninguna barbería existe.</p>",
    )
}

/// A payment, `/checkout/{slug}`. Each has a number of its own, which would give away a stored one.
pub(super) fn checkout(shop: &Shop, number: u64) -> String {
    frame(
        "Pago",
        Screen::Desktop,
        &format!(
            r#"<h1>Pago n.º {number}</h1><p>{name}: seña de {amount}.</p>
<form method="post" action="/api/v1/pagos/crear"><button class="boton">Pagar</button></form>"#,
            name = shop.name,
            amount = pesos(shop.haircut / 5),
        ),
    )
}

/// A visitor's account, `/mi-cuenta/…`.
pub(super) fn account(user: &str) -> String {
    frame(
        "Mi cuenta",
        Screen::Desktop,
        &format!("<h1>Hola, {user}</h1><p>No tenés turnos reservados.</p>"),
    )
}

/// The body of a 404.
pub(super) fn missing() -> String {
    frame(
        "No encontrado",
        Screen::Desktop,
        r#"<h1>Esa página no existe</h1><p><a href="/">Volver al inicio</a></p>"#,
    )
}

fn stars(shop: &Shop) -> String {
    format!("{},{}", shop.stars / 10, shop.stars % 10)
}

fn frame(title: &str, screen: Screen, content: &str) -> String {
    let links = if screen == Screen::Mobile {
        r#"<a href="/barberias">☰ Barberías</a>"#
    } else {
        r#"<a href="/barberias">Barberías</a> <a href="/turnos/palermo">Turnos</a> <a href="/mi-cuenta/turnos">Mi cuenta</a> <a href="/nosotros">Nosotros</a>"#
    };
    format!(
        r#"<!doctype html>
<html lang="es-AR">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · BarberPro</title>
<link rel="stylesheet" href="/assets/sitio.css">
</head>
<body class="{screen}">
<header><a class="marca" href="/">BarberPro</a><nav>{links}</nav></header>
<main>
{content}
</main>
<footer>BarberPro, sitio de muestra · versión para {screen} · <a href="/tablero">tablero de tero</a></footer>
</body>
</html>
"#,
        screen = screen.as_str()
    )
}
