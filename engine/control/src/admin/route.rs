//! Which path and method mean what.

use http::Method;

use super::reply::AdminRefusal;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Health,
    Ready,
    Metrics,
    Stats,
    Policies,
    /// The name of the policy, here and below.
    Policy(String),
    Push(String),
    Activate(String),
    RollBack(String),
    Shadow(String),
    StartShadow(String),
    StopShadow(String),
    Canary(String),
    StartCanary(String),
    StopCanary(String),
    Reload,
    Explain,
    Purge,
    /// The name of the plan.
    StartWarm(String),
    /// The name of the plan.
    CancelWarm(String),
    WarmPlans,
    WarmRuns,
    /// The id of the run.
    WarmRun(u64),
    OpenApi,
}

/// Every route as the OpenAPI file writes it; `find` knows no other.
#[cfg(test)]
pub(super) const ROUTES: [(&str, &str); 25] = [
    ("get", "/health"),
    ("get", "/ready"),
    ("get", "/metrics"),
    ("get", "/stats"),
    ("get", "/policies"),
    ("get", "/policies/{policy}"),
    ("post", "/policies/{policy}/versions"),
    ("post", "/policies/{policy}/activate"),
    ("post", "/policies/{policy}/rollback"),
    ("get", "/policies/{policy}/shadow"),
    ("post", "/policies/{policy}/shadow"),
    ("post", "/policies/{policy}/shadow/stop"),
    ("get", "/policies/{policy}/canary"),
    ("post", "/policies/{policy}/canary"),
    ("post", "/policies/{policy}/canary/stop"),
    ("post", "/reload"),
    ("post", "/explain"),
    ("post", "/purge"),
    ("post", "/warm/{plan}"),
    ("delete", "/warm/{plan}"),
    ("post", "/warm/{plan}/cancel"),
    ("get", "/warm"),
    ("get", "/warm/runs"),
    ("get", "/warm/runs/{id}"),
    ("get", "/openapi.json"),
];

/// Whether a path may be asked for without a token: probes can't carry one, and learn one word.
pub(super) fn is_open(path: &str) -> bool {
    matches!(path, "/health" | "/ready")
}

/// Whether an answer may have to wait until policies are compiled.
pub(super) fn may_compile(path: &str) -> bool {
    path == "/reload" || path.starts_with("/policies/")
}

/// What `method` and `path` ask for.
///
/// # Errors
/// 404 for a path that means nothing, 405 with `Allow` for a method that is not offered on it.
pub(super) fn find(method: &Method, path: &str) -> Result<Route, AdminRefusal> {
    let (get, post) = match path {
        "/health" => (Some(Route::Health), None),
        "/ready" => (Some(Route::Ready), None),
        "/metrics" => (Some(Route::Metrics), None),
        "/stats" => (Some(Route::Stats), None),
        "/policies" => (Some(Route::Policies), None),
        "/openapi.json" => (Some(Route::OpenApi), None),
        "/purge" => (None, Some(Route::Purge)),
        "/reload" => (None, Some(Route::Reload)),
        "/explain" => (None, Some(Route::Explain)),
        "/warm" => (Some(Route::WarmPlans), None),
        "/warm/runs" => (Some(Route::WarmRuns), None),
        _ if path.starts_with("/policies/") => {
            of_policy(&path["/policies/".len()..]).ok_or_else(|| unknown(path))?
        }
        _ => match path.strip_prefix("/warm/").map(|rest| rest.split_once('/')) {
            Some(Some(("runs", id))) => (Some(Route::WarmRun(run_id(id)?)), None),
            Some(Some((plan, "cancel"))) if !plan.is_empty() => {
                (None, Some(Route::CancelWarm(plan.to_owned())))
            }
            Some(None) if path.len() > "/warm/".len() => (
                None,
                Some(Route::StartWarm(path["/warm/".len()..].to_owned())),
            ),
            _ => return Err(unknown(path)),
        },
    };
    let delete = match &post {
        Some(Route::StartWarm(plan)) => Some(Route::CancelWarm(plan.clone())),
        _ => None,
    };
    match (get, post, delete) {
        (Some(route), ..) if method == Method::GET => Ok(route),
        (_, Some(route), _) if method == Method::POST => Ok(route),
        (.., Some(route)) if method == Method::DELETE => Ok(route),
        (Some(_), Some(_), _) => Err(AdminRefusal::method("GET, HEAD, POST")),
        (Some(_), None, _) => Err(AdminRefusal::method("GET, HEAD")),
        (.., Some(_)) => Err(AdminRefusal::method("POST, DELETE")),
        _ => Err(AdminRefusal::method("POST")),
    }
}

/// What there is below `/policies/`, to get and to post.
fn of_policy(rest: &str) -> Option<(Option<Route>, Option<Route>)> {
    let (name, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let name = Some(name.to_owned()).filter(|name| !name.is_empty())?;
    Some(match rest {
        "" => (Some(Route::Policy(name)), None),
        "versions" => (None, Some(Route::Push(name))),
        "activate" => (None, Some(Route::Activate(name))),
        "rollback" => (None, Some(Route::RollBack(name))),
        "shadow" => (
            Some(Route::Shadow(name.clone())),
            Some(Route::StartShadow(name)),
        ),
        "shadow/stop" => (None, Some(Route::StopShadow(name))),
        "canary" => (
            Some(Route::Canary(name.clone())),
            Some(Route::StartCanary(name)),
        ),
        "canary/stop" => (None, Some(Route::StopCanary(name))),
        _ => return None,
    })
}

fn unknown(path: &str) -> AdminRefusal {
    AdminRefusal::unknown(
        format!("there is nothing at {path}"),
        "GET /openapi.json tells what there is",
    )
}

fn run_id(text: &str) -> Result<u64, AdminRefusal> {
    text.parse().map_err(|_| {
        AdminRefusal::unknown(
            format!("`{text}` is no run"),
            "GET /warm/runs tells the runs",
        )
    })
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
            let path = path
                .replace("{plan}", "apertura")
                .replace("{id}", "7")
                .replace("{policy}", "hours");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            assert_eq!(status(&method, &path), 200, "{method} {path}");
            assert_eq!(status(&Method::PATCH, &path), 405, "{path}");
        }
        for path in [
            "/",
            "",
            "*",
            "/warm/",
            "/warm/a/b",
            "/warm/runs/x",
            "/warm/runs/",
            "/health/",
            "/Health",
            "/policies/",
            "/policies//shadow",
            "/policies/a/b",
        ] {
            assert_eq!(status(&Method::GET, path), 404, "{path}");
        }
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        let allow = |method: Method, path: &str| {
            let response = find(&method, path).unwrap_err().into_response();
            response.headers()[http::header::ALLOW]
                .to_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(allow(Method::POST, "/metrics"), "GET, HEAD");
        assert_eq!(allow(Method::GET, "/purge"), "POST");
        assert_eq!(allow(Method::DELETE, "/warm/runs"), "GET, HEAD");
        assert_eq!(allow(Method::GET, "/warm/apertura"), "POST, DELETE");
        assert_eq!(allow(Method::DELETE, "/warm/apertura/cancel"), "POST");
    }

    #[test]
    fn the_openapi_file_has_every_route_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(tero_admin_api::OPENAPI).unwrap();
        let mut described: Vec<(String, String)> = Vec::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for method in operations.as_object().unwrap().keys() {
                described.push((method.clone(), path.clone()));
            }
        }
        let mut routes: Vec<_> = ROUTES
            .iter()
            .map(|(method, path)| ((*method).to_owned(), (*path).to_owned()))
            .collect();
        described.sort();
        routes.sort();
        assert_eq!(described, routes);
    }
}
