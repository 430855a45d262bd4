//! What a site decides and changes by itself, without policies: compiled when a configuration is
//! loaded. A site without such rules has none. `verdict` carries it out.

use std::sync::Arc;

use http::Method;

use super::basic_auth::UserRealm;
use super::response_edits::ResponseEditTable;
use super::route_table::{CompiledRoute, RouteTable};
use tero_config as config;
use tero_config::{BasicAuth, HttpsRedirect};

/// The rules of a site.
#[derive(Debug)]
pub struct SiteRules {
    /// Whether a request may be answered or refused before policies are asked.
    pub(super) is_decisive: bool,
    /// Whether a route protects something.
    has_protective_routes: bool,
    /// The users of each route that asks for a password.
    realms: Vec<Option<Arc<UserRealm>>>,
    /// What changes in responses; `None` if nothing does.
    pub(super) responses: Option<ResponseEditTable>,
}

impl SiteRules {
    /// The rules of a site; `None` if it has none.
    pub fn new(site: &config::Site) -> Option<Box<SiteRules>> {
        let has_protective_routes = site.routes.iter().any(is_protective);
        let is_decisive = has_protective_routes
            || !site.allow.is_empty()
            || !site.deny.is_empty()
            || site.redirect_to_https != HttpsRedirect::Off
            || site
                .routes
                .iter()
                .any(|route| route.redirect.is_some() || route.respond.is_some());
        let changes_responses = has_protective_routes
            || !site.allow.is_empty()
            || site.hsts.is_some()
            || !site.response_fields.is_empty()
            || site
                .routes
                .iter()
                .any(|route| !route.response_fields.is_empty());
        let changes_requests = !site.request_fields.is_empty()
            || site
                .routes
                .iter()
                .any(|route| !route.request_fields.is_empty());
        (is_decisive || changes_responses || changes_requests).then(|| {
            let realm = |auth: &BasicAuth| Arc::new(UserRealm::new(auth));
            let realms = site
                .routes
                .iter()
                .map(|route| route.auth.as_ref().map(realm));
            Box::new(SiteRules {
                is_decisive,
                has_protective_routes,
                realms: realms.collect(),
                responses: changes_responses.then(|| ResponseEditTable::new(site)),
            })
        })
    }

    /// The routes that protect a path, as it came or as origins may read it.
    pub(super) fn protecting<'s>(
        &self,
        routes: &'s Option<Box<RouteTable>>,
        (method, path): (&Method, &str),
    ) -> Vec<&'s CompiledRoute> {
        match routes.as_ref().filter(|_| self.has_protective_routes) {
            Some(routes) => {
                routes.by_every_reading(method, path, |route| is_protective(&route.settings))
            }
            None => Vec::new(),
        }
    }

    /// The users of these routes.
    pub(super) fn realms_of(
        &self,
        table: &Option<Box<RouteTable>>,
        routes: &[&CompiledRoute],
    ) -> Vec<Arc<UserRealm>> {
        let Some(table) = table else {
            return Vec::new();
        };
        let realm = |route: &&CompiledRoute| self.realms.get(table.place_of(route)?)?.clone();
        routes.iter().filter_map(realm).collect()
    }
}

/// Whether a route keeps clients from something.
fn is_protective(route: &config::Route) -> bool {
    is_restricting(route) || !route.deny.is_empty()
}

/// Whether only some clients may use a route.
pub(super) fn is_restricting(route: &config::Route) -> bool {
    !route.allow.is_empty() || route.auth.is_some()
}
