//! Finds the endpoint of a path and a method.

use http::Method;

use super::reply::AdminRefusal;
use tero_admin_api::EndpointInfo;

/// Endpoints, each with a value: its handler.
#[derive(Debug)]
pub(super) struct Router<H> {
    routes: Vec<(EndpointInfo, H)>,
}

impl<H> Router<H> {
    pub(super) fn new(routes: Vec<(EndpointInfo, H)>) -> Router<H> {
        Router { routes }
    }

    /// The endpoints.
    #[cfg(test)]
    pub(super) fn endpoints(&self) -> impl Iterator<Item = &EndpointInfo> {
        self.routes.iter().map(|(endpoint, _)| endpoint)
    }

    /// The value of the endpoint with this method and path, and the parameters of the path.
    ///
    /// # Errors
    /// 404 for an unknown path; 405 with `Allow` for a method that the path does not offer.
    pub(super) fn find(
        &self,
        method: &Method,
        path: &str,
    ) -> Result<(&H, Vec<String>), AdminRefusal> {
        let (template, parameters) = self.matching(path).ok_or_else(|| {
            AdminRefusal::unknown(
                format!("there is nothing at {path}"),
                "GET /openapi.json lists the paths",
            )
        })?;
        // A HEAD is answered like a GET; hyper leaves the content out.
        let method = if *method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let mut of_path = self
            .routes
            .iter()
            .filter(|(endpoint, _)| endpoint.path == template);
        match of_path.find(|(endpoint, _)| endpoint.method == *method) {
            Some((_, found)) => Ok((found, parameters)),
            None => Err(AdminRefusal::method(self.methods(template))),
        }
    }

    /// Whether a path may be asked for without a token.
    pub(super) fn is_open(&self, path: &str) -> bool {
        let mut open = self.routes.iter().filter(|(endpoint, _)| endpoint.is_open);
        open.any(|(endpoint, _)| endpoint.path == path)
    }

    /// The template that matches `path`, and the parameters. A literal segment takes precedence over
    /// a parameter: `/warm/runs` is not the plan `runs`.
    fn matching(&self, path: &str) -> Option<(&'static str, Vec<String>)> {
        let matching = self.routes.iter().filter_map(|(endpoint, _)| {
            let parameters = parameters(endpoint.path, path)?;
            Some((endpoint.path, parameters))
        });
        matching.min_by_key(|(template, _)| {
            let segments = template.split('/');
            segments.map(is_parameter).collect::<Vec<bool>>()
        })
    }

    /// The methods of a path, as `Allow` lists them.
    fn methods(&self, template: &str) -> String {
        let mut methods = Vec::new();
        for (endpoint, _) in &self.routes {
            if endpoint.path == template {
                methods.push(endpoint.method.as_str());
                methods.extend((endpoint.method == Method::GET).then_some("HEAD"));
            }
        }
        methods.join(", ")
    }
}

fn is_parameter(segment: &str) -> bool {
    segment.starts_with('{')
}

/// The parameters of `path`, if it matches `template`. A parameter is not empty.
fn parameters(template: &str, path: &str) -> Option<Vec<String>> {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    let mut parameters = Vec::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(parameters),
            (Some(wanted), Some(given)) if is_parameter(wanted) && !given.is_empty() => {
                parameters.push(given.to_owned());
            }
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tero_admin_api::endpoints::ALL;

    /// Every endpoint of the contract, with its place in the list.
    fn router() -> Router<usize> {
        let all = ALL.iter().enumerate();
        Router::new(
            all.map(|(place, endpoint)| (endpoint.clone(), place))
                .collect(),
        )
    }

    fn status(method: &Method, path: &str) -> u16 {
        let router = router();
        router
            .find(method, path)
            .map_or_else(|refusal| refusal.status().as_u16(), |_| 200)
    }

    #[test]
    fn every_endpoint_is_found_and_no_other() {
        let router = router();
        for (place, endpoint) in ALL.iter().enumerate() {
            let path = endpoint
                .path
                .replace("{plan}", "apertura")
                .replace("{id}", "7")
                .replace("{site}", "shop")
                .replace("{policy}", "hours")
                .replace("{table}", "prices");
            let (found, _) = router.find(&endpoint.method, &path).unwrap();
            assert_eq!(*found, place, "{} {path}", endpoint.method);
            assert_eq!(status(&Method::PATCH, &path), 405, "{path}");
        }
        for path in [
            "/",
            "",
            "*",
            "/warm/",
            "/warm/a/b",
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
    fn a_word_of_a_path_stands_before_a_parameter() {
        let router = router();
        for (path, parameters) in [
            ("/warm/runs", &[][..]),
            ("/warm/runs/7", &["7"]),
            ("/policies/runs", &["runs"]),
        ] {
            let (_, found) = router.find(&Method::GET, path).unwrap();
            assert_eq!(found, parameters, "{path}");
        }
        assert_eq!(status(&Method::POST, "/warm/runs"), 405);
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        let allow = |method: Method, path: &str| {
            let response = router().find(&method, path).unwrap_err().into_response();
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
        assert_eq!(
            allow(Method::DELETE, "/policies/hours/canary"),
            "GET, HEAD, POST"
        );
    }

    #[test]
    fn only_probes_need_no_token() {
        let router = router();
        let open = ALL.iter().filter(|endpoint| router.is_open(endpoint.path));
        let open: Vec<_> = open.map(|endpoint| endpoint.path).collect();
        assert_eq!(open, ["/health", "/ready"]);
    }
}
