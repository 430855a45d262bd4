//! The admin interface on a Unix socket: whom its permissions let in, and what it is for the commands.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tero_admin_api::client::Client;
use tero_admin_api::endpoints::{Health, Origins};
use tero_tests::{A_TUESDAY_MORNING, ART, Edge, EdgeBuilder, Origin, folder};

/// A configuration whose admin interface listens at this path.
fn listening_at(builder: &EdgeBuilder, path: &Path) -> String {
    let [before, rest] = builder
        .to_toml()
        .split_once("[admin]\nlisten = \"127.0.0.1:0\"")
        .map(|(before, rest)| [before.to_owned(), rest.to_owned()])
        .unwrap();
    format!(
        "{before}[admin]\nlisten = \"unix:{}\"{rest}",
        path.display()
    )
}

fn url(path: &Path) -> String {
    format!("unix:{}", path.display())
}

#[test]
fn operators_ask_by_a_path_and_its_permissions_let_them() {
    let (origin, folder) = (Origin::start(), folder());
    let path = folder.path().join("admin.sock");
    let text = listening_at(&Edge::before(&origin), &path);
    let edge = Edge::from_toml(&text, A_TUESDAY_MORNING, ART);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let client = Client::new(&url(&path), None).unwrap();
    client.call::<Health>(&[], &()).unwrap();
    let origins = client.call::<Origins>(&[], &()).unwrap().origins;
    assert_eq!(origins.len(), 1);
    drop(edge);
    assert!(!path.exists(), "the file goes with the edge");
    let error = client.call::<Health>(&[], &()).unwrap_err().to_string();
    assert!(error.contains("admin.sock"), "{error}");
}

#[test]
fn a_token_counts_on_a_path_too_and_the_mode_is_the_written_one() {
    let (origin, folder) = (Origin::start(), folder());
    let path = folder.path().join("admin.sock");
    let keys = "unix_mode = \"0660\"\ntoken = \"0123456789abcdef\"";
    let text = listening_at(&Edge::before(&origin).admin(keys), &path);
    let _edge = Edge::from_toml(&text, A_TUESDAY_MORNING, ART);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let with = |token: Option<&str>| Client::new(&url(&path), token).unwrap();
    assert!(with(None).call::<Origins>(&[], &()).is_err());
    let token = Some("0123456789abcdef");
    assert!(with(token).call::<Origins>(&[], &()).is_ok());
}
