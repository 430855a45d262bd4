//! The routes of a site: what the configuration says of some of its paths. Compiled when a
//! configuration is loaded; a site without routes has no table.

use std::fmt;
use std::sync::Arc;

use http::Method;

use crate::origin::Origin;
use crate::telemetry::route_counters::RouteCounters;
use tero_config::Route;
use tero_semantics::path::{PathPattern, PathReadings};

/// The place of a route in its site's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteIndex(u16);

impl RouteIndex {
    /// Its place, from 0.
    pub(super) fn place(self) -> usize {
        usize::from(self.0)
    }
}

/// A route with its counters.
#[derive(Debug)]
pub struct CompiledRoute {
    /// What the configuration says.
    pub settings: Route,
    /// What happened to its requests; `None` for a route without a name.
    pub counters: Option<Arc<RouteCounters>>,
    /// The next hops that its requests go to; `None` where they are those of the site.
    pub origin: Option<Arc<Origin>>,
}

/// The routes of a site, in the order of the file.
#[derive(Debug)]
pub struct RouteTable {
    routes: Box<[CompiledRoute]>,
    /// Whether one of them has next hops of its own.
    has_own_origins: bool,
}

impl RouteTable {
    /// The table of these routes; `None` if there are none. A route that has a name goes on with
    /// the counters that `before` has for it; others are made for so many `workers`. `origin` gives
    /// the next hops of the route at a place, if it has its own.
    pub fn new(
        routes: &[Route],
        before: Option<&RouteTable>,
        workers: usize,
        origin: impl Fn(usize, &Route) -> Option<Arc<Origin>>,
    ) -> Option<Box<RouteTable>> {
        let compile = |(place, route): (usize, &Route)| CompiledRoute {
            origin: origin(place, route),
            settings: route.clone(),
            counters: route.name.as_deref().map(|name| {
                let before = before.and_then(|before| before.counters_of(name));
                before.unwrap_or_else(|| Arc::new(RouteCounters::new(workers)))
            }),
        };
        (!routes.is_empty()).then(|| {
            let routes: Box<[_]> = routes.iter().enumerate().map(compile).collect();
            Box::new(RouteTable {
                has_own_origins: routes.iter().any(|route| route.origin.is_some()),
                routes,
            })
        })
    }

    /// The first route that matches the path as it came.
    #[cold]
    pub(super) fn first(&self, method: &Method, path: &str) -> Option<RouteIndex> {
        let mut routes = self.routes.iter();
        let place = routes.position(|route| route.settings.is_for(method, path))?;
        u16::try_from(place).ok().map(RouteIndex)
    }

    /// Whether a request on this route goes to other next hops than a GET for its URL. What is
    /// stored for the URL is no business of such a request.
    #[cold]
    pub(super) fn is_apart(
        &self,
        route: Option<RouteIndex>,
        (method, path): (&Method, &str),
    ) -> bool {
        let origin = |route: Option<RouteIndex>| {
            let own = self.at(route?).origin.as_ref()?;
            Some(Arc::as_ptr(own))
        };
        self.has_own_origins
            && method != Method::GET
            && origin(route) != origin(self.first(&Method::GET, path))
    }

    /// The next hops of a route at a place, from 0; `None` where they are those of the site.
    pub fn origin_at(&self, place: usize) -> Option<&Arc<Origin>> {
        self.routes.get(place)?.origin.as_ref()
    }

    /// The next hops that a GET for a path goes to; `None` where they are those of the site.
    pub(super) fn origin_of_get(&self, path: &str) -> Option<&Arc<Origin>> {
        if !self.has_own_origins {
            return None;
        }
        self.origin_at(self.first(&Method::GET, path)?.place())
    }

    /// The next hops of each route that has its own, with its name.
    pub(super) fn origins(&self) -> impl Iterator<Item = (&str, &Arc<Origin>)> {
        self.routes.iter().filter_map(|route| {
            let origin = route.origin.as_ref()?;
            Some((route.settings.name.as_deref()?, origin))
        })
    }

    /// The routes that a request may be on, one for each way in which an origin may read its path,
    /// as far as `counts` holds for them.
    pub(super) fn by_every_reading(
        &self,
        method: &Method,
        path: &str,
        counts: impl Fn(&CompiledRoute) -> bool,
    ) -> Vec<&CompiledRoute> {
        let readings = PathReadings::of(path);
        let matches = readings.first_matches(&self.routes, |route| {
            let Route { paths, .. } = &route.settings;
            if route.settings.takes(method) {
                paths
            } else {
                &[]
            }
        });
        let mut routes: Vec<&CompiledRoute> = Vec::new();
        for route in matches.flatten() {
            if counts(route) && !routes.iter().any(|other| std::ptr::eq(*other, route)) {
                routes.push(route);
            }
        }
        routes
    }

    /// The route at a place.
    pub(super) fn at(&self, index: RouteIndex) -> &CompiledRoute {
        &self.routes[index.place()]
    }

    /// The place of a route of this table, from 0.
    pub(super) fn place_of(&self, route: &CompiledRoute) -> Option<usize> {
        self.routes
            .iter()
            .position(|other| std::ptr::eq(other, route))
    }

    /// The routes that are counted by themselves, with their names.
    pub fn counted(&self) -> impl Iterator<Item = (&str, &RouteCounters)> {
        self.routes.iter().filter_map(|route| {
            let name = route.settings.name.as_deref()?;
            Some((name, &**route.counters.as_ref()?))
        })
    }

    fn counters_of(&self, name: &str) -> Option<Arc<RouteCounters>> {
        let mut routes = self.routes.iter();
        let route = routes.find(|route| route.settings.name.as_deref() == Some(name))?;
        route.counters.clone()
    }
}

/// As explanations name it.
impl fmt::Display for CompiledRoute {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Route {
            place, name, paths, ..
        } = &self.settings;
        match name {
            Some(name) => write!(formatter, "route `{name}` applies")?,
            None => write!(formatter, "the route in line {} applies", place.line)?,
        }
        let paths: Vec<&str> = paths.iter().map(PathPattern::as_str).collect();
        write!(formatter, ": {}", paths.join(", "))?;
        if let Some(origin) = &self.origin {
            let names: Vec<&str> = origin.names().collect();
            write!(formatter, "; its requests go to {}", names.join(", "))?;
        }
        Ok(())
    }
}
