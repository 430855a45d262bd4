//! What policies are told of the client: country and region, the route, how the device class was
//! found.

use tero_tests::{Answer, Edge, EdgeBuilder, Origin, Request, get};

use super::{deciding, echo};

const TELLS: &str = r#"
client = true
headers = ["x-country"]
on_request = [{ path = "/", set_response = { x-told = "{country}/{region}/{route}/{source}/{header:x-country}" } }]
"#;

const BY_FIELD: &str = "[site.country]\nfield = \"X-Country\"\n";

fn told(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.header("x-told").unwrap_or_default()
}

fn telling(origin: &Origin, site: &str) -> EdgeBuilder {
    deciding(origin, TELLS).site(site)
}

#[test]
fn the_field_of_a_trusted_proxy_tells_the_country_and_of_others_it_is_dropped() {
    let origin = echo();
    let trusting = telling(&origin, BY_FIELD)
        .server("trusted_proxies = [\"127.0.0.1\"]")
        .start();
    let say =
        |edge: &Edge, country: &str| told(&edge.send(&get("/a").header("X-Country", country)));
    for (field, expected) in [
        ("AR", "AR///nothing/AR"),
        ("ar-c", "AR/C//nothing/ar-c"),
        ("XX", "///nothing/XX"),
        ("Argentina", "///nothing/Argentina"),
    ] {
        assert_eq!(say(&trusting, field), expected);
    }
    assert_eq!(told(&trusting.get("/a")), "///nothing/");
    // All of these have the same response, which the country didn't select.
    assert_eq!(origin.total(), 1);
    let open = telling(&origin, BY_FIELD).start();
    assert_eq!(say(&open, "AR"), "///nothing/");
    assert_eq!(origin.asked("/a")[1].header("x-country"), None);
}

#[test]
fn policies_are_told_the_route_and_how_the_class_was_found() {
    let origin = echo();
    let edge = telling(
        &origin,
        "[[site.route]]\nname = \"shop\"\nmatch = [\"/shop/*\"]\n",
    )
    .start();
    let of = |request: Request| told(&edge.send(&request));
    assert_eq!(of(get("/shop/a")), "//shop/nothing/");
    assert_eq!(of(get("/a").header("Sec-CH-UA-Mobile", "?1")), "///hints/");
    assert_eq!(
        of(get("/a").header("User-Agent", "Googlebot/2.1")),
        "///agent/"
    );
}

#[test]
fn a_country_has_one_source() {
    let origin = echo();
    for keys in ["", "field = \"x-country\"\ntable = \"countries\"\n"] {
        let site = format!("[site.country]\n{keys}");
        let message = telling(&origin, &site).try_start().unwrap_err();
        assert!(message.contains("it needs one source"), "{message}");
    }
}
