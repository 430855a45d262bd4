//! Rules across the keys of a site that decide without the origin.

use http::Method;

use super::super::compress::RouteCompress;
use super::super::route::Route;
use super::Site;
use crate::mistakes::Mistake;
use crate::reader::TableReader;
use tero_semantics::redirect::rest_of;

/// Records every mistake in the rules of a site.
pub(super) fn check(reader: &TableReader<'_>, site: &Site) {
    if site
        .hsts
        .as_ref()
        .is_some_and(|hsts| !hsts.is_fit_for_lists())
    {
        let problem = "browsers' lists take no site without `subdomains` and a `max_age` of a year";
        let cure = "write subdomains = true and max_age = \"1y\", or leave preload out";
        reader.refuse("hsts", Mistake::new(problem, cure));
    }
    let sources = site.country.as_ref();
    let sources = sources.map(|it| (it.field.is_some(), it.table.is_some()));
    if let Some((true, true) | (false, false)) = sources {
        let problem = "it needs one source";
        let cure = "write either field = \"cf-ipcountry\" or table = \"countries\"";
        reader.refuse("country", Mistake::new(problem, cure));
    }
    let never = reader.nested_list("never");
    for (reader, rule) in never.iter().zip(&site.never) {
        if !rule.what.store && !rule.what.respond {
            let cure = "write [\"store\"], [\"respond\"] or both, or leave the key out";
            reader.refuse("what", Mistake::new("the rule has no effect", cure));
        }
    }
    for (reader, route) in reader.nested_list("route").iter().zip(&site.routes) {
        check_route(reader, route);
        route.check_origins(reader, &site.next_hops);
    }
}

fn check_route(reader: &TableReader<'_>, route: &Route) {
    reader.refuse_both("redirect", "respond");
    if route
        .auth
        .as_ref()
        .is_some_and(|auth| auth.users.is_empty())
    {
        let cure = "write users = [\"NAME:HASH\"], or users_file";
        reader.refuse("auth", Mistake::new("nobody could use the route", cure));
    }
    let is_for_get = route.methods.is_empty() || route.methods.contains(&Method::GET);
    if route.compress != RouteCompress::default() && !is_for_get {
        let problem = "responses to GET are compressed, and the route is for none";
        let cure = "leave `compress` out, or add GET to `methods`";
        reader.refuse("compress", Mistake::new(problem, cure));
    }
    let Some(redirect) = &route.redirect else {
        return;
    };
    // A pattern matches itself, so that what its star stands for is found there.
    let is_open = |pattern: &str| rest_of(pattern, pattern).is_some();
    let closed = route
        .paths
        .iter()
        .find(|pattern| !is_open(pattern.as_str()));
    if let Some(pattern) = closed.filter(|_| redirect.to.needs_rest()) {
        let problem = format!("`{{rest}}` stands for nothing on the path {pattern}");
        let cure = "let each pattern of the route end with its only star, or write {path}";
        reader.refuse("redirect", Mistake::new(problem, cure));
    }
}
