//! The routes of a site: what the configuration says of some of its paths. Compiled when a
//! configuration is loaded; a site without routes has no table.

use std::fmt;
use std::sync::Arc;

use http::Method;

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
}

/// The routes of a site, in the order of the file.
#[derive(Debug)]
pub struct RouteTable {
    routes: Box<[CompiledRoute]>,
}

impl RouteTable {
    /// The table of these routes; `None` if there are none. A route that has a name goes on with
    /// the counters that `before` has for it; others are made for so many `workers`.
    pub fn new(
        routes: &[Route],
        before: Option<&RouteTable>,
        workers: usize,
    ) -> Option<Box<RouteTable>> {
        let compile = |route: &Route| CompiledRoute {
            settings: route.clone(),
            counters: route.name.as_deref().map(|name| {
                let before = before.and_then(|before| before.counters_of(name));
                before.unwrap_or_else(|| Arc::new(RouteCounters::new(workers)))
            }),
        };
        (!routes.is_empty()).then(|| {
            let routes = routes.iter().map(compile).collect();
            Box::new(RouteTable { routes })
        })
    }

    /// The first route that matches the path as it came.
    #[cold]
    pub(super) fn first(&self, method: &Method, path: &str) -> Option<RouteIndex> {
        let place = self.routes.iter().position(|route| {
            let Route { methods, paths, .. } = &route.settings;
            is_for(methods, method) && paths.iter().any(|pattern| pattern.matches(path))
        })?;
        u16::try_from(place).ok().map(RouteIndex)
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
            let Route { methods, paths, .. } = &route.settings;
            if is_for(methods, method) { paths } else { &[] }
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
        write!(formatter, ": {}", paths.join(", "))
    }
}

/// Whether a route with these methods is for a request with this one. `GET` includes HEAD.
fn is_for(methods: &[Method], method: &Method) -> bool {
    let asked = if method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    methods.is_empty() || methods.contains(method) || methods.contains(asked)
}
