//! Access and routes, for the fuzz targets. Outside of `admin` nothing else uses them.

use std::net::{IpAddr, Ipv4Addr};

use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, ORIGIN};
use http::{Method, Response, StatusCode};

use super::guard::{AccessGuard, ClientProof};
use super::reply::AdminRefusal;
use super::route::Router;
use crate::admin_token::AdminToken;
use tero_admin_api::endpoints::ALL;

/// The address of the interface.
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const TOKEN: &str = "0123456789abcdef";

/// Reads a request up to its content, and checks that only permitted clients are let in.
///
/// # Panics
/// If another client is let in.
pub fn request(method: &Method, path: &str, headers: &HeaderMap) {
    let endpoints = ALL.iter().map(|endpoint| (endpoint.clone(), ()));
    match Router::new(endpoints.collect()).find(method, path) {
        Ok(_) => assert!(
            matches!(*method, Method::GET | Method::POST | Method::DELETE) && path.starts_with('/')
        ),
        Err(refusal) => told(
            refusal,
            &[StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED],
        ),
    }
    match AccessGuard::new(AdminToken::new(None), ADDRESS).admit(headers, ClientProof::Plain) {
        Ok(()) => {
            let hosts: Vec<_> = headers
                .get_all(HOST)
                .iter()
                .map(|host| host.to_str().expect("it was read"))
                .collect();
            let [host] = hosts[..] else {
                panic!("{hosts:?} were let in")
            };
            assert!(is_own(host), "{host} was let in");
            let own = format!("http://{host}");
            assert!(
                headers.get_all(ORIGIN).iter().all(|origin| *origin == *own),
                "a page of another origin was let in"
            );
        }
        Err(refusal) => told(refusal, &[StatusCode::BAD_REQUEST, StatusCode::FORBIDDEN]),
    }
    match AccessGuard::new(AdminToken::new(Some(TOKEN)), ADDRESS).admit(headers, ClientProof::Plain)
    {
        Ok(()) => {
            let given: Vec<_> = headers
                .get_all(AUTHORIZATION)
                .iter()
                .map(|field| field.to_str().expect("it was read"))
                .collect();
            let [field] = given[..] else {
                panic!("{given:?} were let in")
            };
            let (scheme, token) = field
                .split_at_checked("bearer ".len())
                .expect("it has a token");
            assert!(
                scheme.eq_ignore_ascii_case("bearer ") && token.trim() == TOKEN,
                "{field} was let in"
            );
        }
        Err(refusal) => told(refusal, &[StatusCode::UNAUTHORIZED]),
    }
}

/// Whether a host, with or without a port, is this machine or the interface's own address.
fn is_own(host: &str) -> bool {
    let name = host
        .trim_end_matches(|char: char| char.is_ascii_digit())
        .strip_suffix(':')
        .unwrap_or(host);
    let is_address = |name: &str| {
        let address = name.trim_matches(['[', ']']).parse::<IpAddr>();
        address.is_ok_and(|address| address.is_loopback() || address == ADDRESS)
    };
    [name, host]
        .iter()
        .any(|name| name.eq_ignore_ascii_case("localhost") || is_address(name))
}

/// A refusal is JSON with the error and its cure.
fn told(refusal: AdminRefusal, statuses: &[StatusCode]) {
    let response: Response<_> = refusal.into_response();
    assert!(
        statuses.contains(&response.status()),
        "{}",
        response.status()
    );
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
}
