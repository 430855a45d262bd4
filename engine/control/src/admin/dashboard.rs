//! The dashboard at `/`: a page and its files, which are part of the program.
//!
//! They are open, and hold no data: what they show they ask for as any client does, with the token
//! that the operator gives them. They may load nothing from elsewhere, and no page may frame them.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;

use super::reply::{AdminBody, AdminRefusal, response};

/// What the page may do: use its own files and the interface. The pictures of its form fields are
/// part of its style.
const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// A file: its path, its media type, its content.
type PageFile = (&'static str, &'static str, &'static str);

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// All files.
const FILES: [PageFile; 9] = [
    ("/", HTML, include_str!("../../dashboard/index.html")),
    (
        "/dashboard/page.js",
        SCRIPT,
        include_str!("../../dashboard/page.js"),
    ),
    (
        "/dashboard/edge.js",
        SCRIPT,
        include_str!("../../dashboard/edge.js"),
    ),
    (
        "/dashboard/views.js",
        SCRIPT,
        include_str!("../../dashboard/views.js"),
    ),
    (
        "/dashboard/charts.js",
        SCRIPT,
        include_str!("../../dashboard/charts.js"),
    ),
    (
        "/dashboard/page.css",
        STYLE,
        include_str!("../../dashboard/page.css"),
    ),
    (
        "/dashboard/tero.svg",
        PICTURE,
        include_str!("../../dashboard/tero.svg"),
    ),
    (
        "/dashboard/uplot.js",
        SCRIPT,
        include_str!("../../dashboard/uplot/uPlot.iife.min.js"),
    ),
    (
        "/dashboard/uplot.css",
        STYLE,
        include_str!("../../dashboard/uplot/uPlot.min.css"),
    ),
];

/// The answer to a request for a file of the dashboard; `None` for any other request.
pub(super) fn page(request: &Parts) -> Option<Response<AdminBody>> {
    let path = request.uri.path();
    let (_, media_type, content) = FILES.into_iter().find(|(own, ..)| *own == path)?;
    if request.method != Method::GET && request.method != Method::HEAD {
        return Some(AdminRefusal::method("GET, HEAD".to_owned()).into_response());
    }
    let content = Bytes::from_static(content.as_bytes());
    let mut answer = response(
        StatusCode::OK,
        media_type,
        AdminBody::Whole(Full::new(content)),
    );
    let fields = answer.headers_mut();
    fields.insert(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    fields.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a browser loads with the page, in bytes, at most.
    const MAX_WEIGHT: usize = 150 * 1024;

    fn answer(method: Method, path: &str) -> Option<Response<AdminBody>> {
        let request = http::Request::builder().method(method).uri(path);
        page(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn the_page_is_light() {
        let weight: usize = FILES.iter().map(|(.., content)| content.len()).sum();
        assert!(weight < MAX_WEIGHT, "{weight} bytes");
    }

    #[test]
    fn the_page_has_no_inline_script_or_style_and_names_nothing_elsewhere() {
        let (_, _, html) = FILES[0];
        assert!(!html.contains("<style") && !html.contains(" style="));
        assert!(!html.contains(" onclick=") && !html.contains("javascript:"));
        for script in html.split("<script").skip(1) {
            let inner = script.split_once('>').unwrap().1;
            assert!(inner.starts_with("</script>"), "{inner}");
        }
        for (path, _, content) in FILES {
            let elsewhere = content.matches("://").count();
            let of_svg = content.matches("http://www.w3.org/2000/svg").count();
            // uPlot names its own page in a comment.
            let of_uplot = content.matches("https://github.com/leeoniya/uPlot").count();
            assert_eq!(elsewhere, of_svg + of_uplot, "{path}");
        }
    }

    #[test]
    fn every_file_is_named_by_the_page_or_by_a_script() {
        for (path, ..) in FILES.iter().skip(1) {
            let name = path.rsplit('/').next().unwrap();
            assert!(
                FILES.iter().any(|(.., content)| content.contains(name)),
                "{path}"
            );
        }
    }

    #[test]
    fn files_are_only_read() {
        for (path, ..) in FILES {
            assert_eq!(answer(Method::GET, path).unwrap().status(), 200, "{path}");
            assert_eq!(answer(Method::HEAD, path).unwrap().status(), 200, "{path}");
            assert_eq!(answer(Method::POST, path).unwrap().status(), 405, "{path}");
        }
        assert!(answer(Method::GET, "/dashboard/").is_none());
        assert!(answer(Method::GET, "/dashboard/../stats").is_none());
    }
}
