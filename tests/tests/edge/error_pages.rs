//! Pages of the operator's in place of errors.

use tero_tests::{Edge, EdgeBuilder, Origin, Reply, Request, folder, get, toml_string};

fn origin() -> Origin {
    let origin = Origin::start();
    origin.on("/down", Reply::hang_up());
    origin.on(
        "/broken",
        Reply::status(500)
            .header("X-App", "1")
            .body("of the origin"),
    );
    let gone = Reply::status(404)
        .header("Cache-Control", "max-age=60")
        .header("ETag", "\"1\"")
        .header("Content-Language", "es")
        .body("of the origin");
    origin.on("/gone", gone);
    origin.on("/a", Reply::fresh(60, "page"));
    origin
}

/// A site with the page `own` for these statuses.
fn with_page(origin: &Origin, page: &std::path::Path, statuses: &str, keys: &str) -> EdgeBuilder {
    std::fs::write(page, "<h1>own</h1>").unwrap();
    let file = toml_string(&page.display().to_string());
    Edge::before(origin).site(&format!(
        "[[site.error_page]]\nstatus = [{statuses}]\nfile = {file}\n{keys}"
    ))
}

#[test]
fn own_errors_get_the_page_and_those_of_the_origin_do_not() {
    let (origin, folder) = (origin(), folder());
    let page = folder.path().join("page.html");
    let edge = with_page(&origin, &page, "\"5xx\", \"404\"", "").start();
    let answer = edge.get("/down");
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (502, "<h1>own</h1>")
    );
    assert_eq!(
        answer.header("content-type").as_deref(),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
    assert!(
        answer.header("cache-status").unwrap().contains("detail="),
        "{answer:?}"
    );
    let head = edge.send(&Request::new("HEAD", "/down"));
    assert_eq!((head.status, head.body.len()), (502, 0));
    assert_eq!(head.header("content-length").as_deref(), Some("12"));
    for (target, status) in [("/broken", 500), ("/gone", 404), ("/gone", 404)] {
        let answer = edge.get(target);
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (status, "of the origin")
        );
    }
    let post = edge.send(&Request::new("POST", "/broken").body("x"));
    assert_eq!(post.text(), "of the origin", "a pass");
    assert_eq!(edge.get("/a").text(), "page");
}

#[test]
fn errors_of_the_origin_are_intercepted_where_the_site_says_so() {
    let (origin, folder) = (origin(), folder());
    let page = folder.path().join("page.html");
    let edge = with_page(&origin, &page, "\"4xx\", \"5xx\"", "intercept = true").start();
    for (request, status) in [
        (get("/broken"), 500),
        (get("/gone"), 404),
        (get("/gone"), 404),
        (get("/gone"), 404),
        (Request::new("POST", "/broken").body("x"), 500),
    ] {
        let answer = edge.send(&request);
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (status, "<h1>own</h1>")
        );
        for name in ["etag", "content-language"] {
            assert_eq!(answer.header(name), None, "{answer:?}");
        }
    }
    assert_eq!(edge.get("/broken").header("x-app").as_deref(), Some("1"));
    assert_eq!(origin.requests("/gone"), 1, "the error is stored");
    let head = edge.send(&Request::new("HEAD", "/gone"));
    assert_eq!((head.status, head.body.len()), (404, 0));
    assert_eq!(head.header("content-length").as_deref(), Some("12"));
    // What is stored is the origin's.
    edge.reload(&with_page(&origin, &page, "\"418\"", ""))
        .unwrap();
    let answer = edge.get("/gone");
    assert!(answer.cache_status().hit, "{answer:?}");
    assert_eq!(answer.text(), "of the origin");
}

#[test]
fn an_exact_status_goes_before_its_class_and_rules_get_pages_too() {
    let (origin, folder) = (origin(), folder());
    let (page, other) = (
        folder.path().join("page.html"),
        folder.path().join("other.txt"),
    );
    std::fs::write(&other, "other").unwrap();
    let other = toml_string(&other.display().to_string());
    let keys = format!(
        "[[site.error_page]]\nstatus = [\"502\"]\nfile = {other}\ncontent_type = \"text/plain\"\n\
         [[site.error_page]]\nstatus = [\"403\"]\nfile = {other}\n\
         [[site.route]]\nmatch = [\"/secret\"]\ndeny = [\"127.0.0.1\"]\n\
         [[site.route]]\nmatch = [\"/own\"]\nrespond = {{ status = 503, body = \"its own\" }}\n"
    );
    let edge = with_page(&origin, &page, "\"5xx\"", &keys).start();
    let answer = edge.get("/down");
    assert_eq!((answer.status, answer.text().as_str()), (502, "other"));
    assert_eq!(answer.header("content-type").as_deref(), Some("text/plain"));
    let denied = edge.get("/secret");
    assert_eq!((denied.status, denied.text().as_str()), (403, "other"));
    assert_eq!(edge.get("/own").text(), "its own");
}

#[test]
fn mistakes_in_error_pages_are_told_with_their_cure() {
    let (origin, folder) = (origin(), folder());
    let page = folder.path().join("page.html");
    for (statuses, problem) in [
        ("", "the list is empty"),
        ("\"200\"", "`200` is not the status of an error"),
        ("\"3xx\"", "`3xx` is not the status of an error"),
        ("\"600\"", "`600` is not the status of an error"),
        ("\"5xx\", \"5xx\"", "it is in the list already"),
    ] {
        let message = with_page(&origin, &page, statuses, "")
            .try_start()
            .expect_err(statuses);
        assert!(message.contains(problem), "{message}");
    }
    let builder = with_page(&origin, &page, "\"500\"", "");
    std::fs::write(&page, vec![b'x'; 1 << 20]).unwrap();
    builder.start();
    std::fs::write(&page, vec![b'x'; (1 << 20) + 1]).unwrap();
    let message = builder.try_start().expect_err("it is too large");
    assert!(message.contains("larger than 1 MiB"), "{message}");
    std::fs::remove_file(&page).unwrap();
    let message = builder.try_start().expect_err("it is missing");
    assert!(message.contains("there is no file"), "{message}");
}
