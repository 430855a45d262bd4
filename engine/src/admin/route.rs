//! Which path and method mean what.

use http::Method;

use super::reply::Refusal;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Health,
    Ready,
    Metrics,
    Stats,
    Policies,
    Purge,
    /// The name of the plan.
    StartWarm(String),
    WarmPlans,
    WarmRuns,
    /// The id of the run.
    WarmRun(u64),
    OpenApi,
}

/// Every route as the OpenAPI file writes it; `find` knows no other.
#[cfg(test)]
pub(super) const ROUTES: [(&str, &str); 11] = [
    ("get", "/health"),
    ("get", "/ready"),
    ("get", "/metrics"),
    ("get", "/stats"),
    ("get", "/policies"),
    ("post", "/purge"),
    ("post", "/warm/{plan}"),
    ("get", "/warm"),
    ("get", "/warm/runs"),
    ("get", "/warm/runs/{id}"),
    ("get", "/openapi.json"),
];

/// Whether a path may be asked for without a token: probes can't carry one, and learn one word.
pub(super) fn is_open(path: &str) -> bool {
    matches!(path, "/health" | "/ready")
}

/// What `method` and `path` ask for.
///
/// # Errors
/// 404 for a path that means nothing, 405 with `Allow` for a method that is not offered on it.
pub(super) fn find(method: &Method, path: &str) -> Result<Route, Refusal> {
    let (get, post) = match path {
        "/health" => (Some(Route::Health), None),
        "/ready" => (Some(Route::Ready), None),
        "/metrics" => (Some(Route::Metrics), None),
        "/stats" => (Some(Route::Stats), None),
        "/policies" => (Some(Route::Policies), None),
        "/openapi.json" => (Some(Route::OpenApi), None),
        "/purge" => (None, Some(Route::Purge)),
        "/warm" => (Some(Route::WarmPlans), None),
        "/warm/runs" => (Some(Route::WarmRuns), Some(Route::StartWarm("runs".to_owned()))),
        _ => match path.strip_prefix("/warm/").map(|rest| rest.split_once('/')) {
            Some(Some(("runs", id))) => (Some(Route::WarmRun(run_id(id)?)), None),
            Some(None) if path.len() > "/warm/".len() => (None, Some(Route::StartWarm(path["/warm/".len()..].to_owned()))),
            _ => return Err(Refusal::unknown(format!("there is nothing at {path}"), "GET /openapi.json tells what there is")),
        },
    };
    match (get, post) {
        (Some(route), _) if method == Method::GET => Ok(route),
        (_, Some(route)) if method == Method::POST => Ok(route),
        (Some(_), Some(_)) => Err(Refusal::method("GET, HEAD, POST")),
        (Some(_), None) => Err(Refusal::method("GET, HEAD")),
        _ => Err(Refusal::method("POST")),
    }
}

fn run_id(text: &str) -> Result<u64, Refusal> {
    text.parse().map_err(|_| Refusal::unknown(format!("`{text}` is no run"), "GET /warm/runs tells the runs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: &Method, path: &str) -> u16 {
        find(method, path).map_or_else(|refusal| refusal.status(), |_| 200)
    }

    #[test]
    fn every_route_is_found_and_no_other() {
        for (method, path) in ROUTES {
            let path = path.replace("{plan}", "apertura").replace("{id}", "7");
            let method = if method == "get" { Method::GET } else { Method::POST };
            assert_eq!(status(&method, &path), 200, "{method} {path}");
            assert_eq!(status(&Method::DELETE, &path), 405, "{path}");
        }
        for path in ["/", "", "*", "/warm/", "/warm/a/b", "/warm/runs/x", "/warm/runs/", "/health/", "/Health"] {
            assert_eq!(status(&Method::GET, path), 404, "{path}");
        }
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        let allow = |method: Method, path: &str| {
            let response = find(&method, path).unwrap_err().into_response();
            response.headers()[http::header::ALLOW].to_str().unwrap().to_owned()
        };
        assert_eq!(allow(Method::POST, "/metrics"), "GET, HEAD");
        assert_eq!(allow(Method::GET, "/purge"), "POST");
        assert_eq!(allow(Method::DELETE, "/warm/runs"), "GET, HEAD, POST");
    }

    #[test]
    fn the_openapi_file_has_every_route_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(super::super::OPENAPI).unwrap();
        let mut described: Vec<(String, String)> = Vec::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for method in operations.as_object().unwrap().keys() {
                described.push((method.clone(), path.clone()));
            }
        }
        let mut routes: Vec<_> = ROUTES.iter().map(|(method, path)| ((*method).to_owned(), (*path).to_owned())).collect();
        described.sort();
        routes.sort();
        assert_eq!(described, routes);
    }
}
