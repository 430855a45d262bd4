//! What a site's rules change in the fields of responses, on their way to the client: compiled when
//! a configuration is loaded, for each route and scheme.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::header::{CACHE_CONTROL, HeaderName, STRICT_TRANSPORT_SECURITY};
use http::{HeaderMap, HeaderValue};

use super::route_table::RouteIndex;
use tero_config as config;
use tero_semantics::authority::Scheme;
use tero_semantics::field_edits::FieldEdits;

/// The number of the next edits. Ready-made heads are kept by it, so that none outlives a reload.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// The edits of one route and scheme.
#[derive(Debug)]
pub(super) struct ResponseEdits {
    /// Different for any two; 0 if nothing is changed.
    pub(super) id: u32,
    edits: FieldEdits,
    /// Fields beside `Cache-Control` that let shared caches keep a response; `None` if such caches may
    /// keep it. Otherwise not everybody may have it.
    private: Option<Arc<[HeaderName]>>,
}

/// The response that is edited.
#[derive(Clone, Copy, Debug)]
pub(super) struct EditedResponse {
    /// The route of its request.
    pub(super) route: Option<RouteIndex>,
    /// The scheme of its request.
    pub(super) scheme: Scheme,
    /// Whether rules of the site keep some clients from it.
    pub(super) is_restricted: bool,
}

/// The edits of a site, by route.
#[derive(Debug)]
pub(super) struct ResponseEditTable {
    /// Where no route applies; then those of each route.
    by_route: Vec<[ResponseEdits; 4]>,
}

impl ResponseEditTable {
    pub(super) fn new(site: &config::Site) -> ResponseEditTable {
        let none = FieldEdits::default();
        let of_routes = site.routes.iter().map(|route| &route.response_fields);
        let surrogate = HeaderName::from_static("surrogate-control");
        let targeted = site.targeted_fields.iter().cloned().chain([surrogate]);
        let targeted: Arc<[HeaderName]> = targeted.collect();
        let of = |route: &FieldEdits| {
            let private = || Some(Arc::clone(&targeted));
            [
                ResponseEdits::new(site, route, Scheme::Http, None),
                ResponseEdits::new(site, route, Scheme::Http, private()),
                ResponseEdits::new(site, route, Scheme::Https, None),
                ResponseEdits::new(site, route, Scheme::Https, private()),
            ]
        };
        ResponseEditTable {
            by_route: std::iter::once(&none).chain(of_routes).map(of).collect(),
        }
    }

    /// The edits of a response; `None` if it stays as it is.
    pub(super) fn of(&self, response: EditedResponse) -> Option<&ResponseEdits> {
        let route = response.route.map_or(0, |route| route.place() + 1);
        let is_https = response.scheme == Scheme::Https;
        let place = usize::from(is_https) * 2 + usize::from(response.is_restricted);
        let edits = &self.by_route[route][place];
        (edits.id != 0).then_some(edits)
    }
}

impl ResponseEdits {
    fn new(
        site: &config::Site,
        route: &FieldEdits,
        scheme: Scheme,
        private: Option<Arc<[HeaderName]>>,
    ) -> ResponseEdits {
        let of_site = &site.response_fields;
        // What the route says of a field goes before what the site does.
        let own = of_site.set.iter().filter(|(name, _)| !route.names(name));
        let mut set: Vec<_> = own.chain(&route.set).cloned().collect();
        let hsts = site.hsts.as_ref().filter(|_| scheme == Scheme::Https);
        let hsts = hsts.and_then(|hsts| HeaderValue::try_from(hsts.value()).ok());
        set.extend(hsts.map(|value| (STRICT_TRANSPORT_SECURITY, value)));
        let own = of_site.remove.iter().filter(|name| !route.names(name));
        let remove: Vec<_> = own.chain(&route.remove).cloned().collect();
        let edits = FieldEdits { set, remove };
        let changes = private.is_some() || !edits.is_empty();
        ResponseEdits {
            id: if changes {
                NEXT.fetch_add(1, Ordering::Relaxed).max(1)
            } else {
                0
            },
            edits,
            private,
        }
    }

    /// Changes the fields of a response.
    #[cold]
    pub(super) fn apply(&self, headers: &mut HeaderMap) {
        self.edits.apply(headers);
        let Some(targeted) = &self.private else {
            return;
        };
        for name in &**targeted {
            headers.remove(name);
        }
        let no_store = HeaderValue::from_static("no-store");
        if headers.get(CACHE_CONTROL) != Some(&no_store) {
            headers.append(CACHE_CONTROL, HeaderValue::from_static("private"));
        }
    }
}
