//! Names across tables: each is given once, and every reference names something that exists.
//!
//! It goes by the texts in the file, good or not, so that a mistake in an entry does not make its
//! name unknown.

use std::collections::HashMap;
use std::ops::Range;

use crate::mistakes::{Mistake, Mistakes, did_you_mean};
use crate::raw::{RawEntry, RawKind, RawValue, find};
use crate::sections::{Limit, Plan, Policy, Site, TableFile, Webhook};

/// The section and the key of a reference, then the section of what it names and its header.
const REFERENCES: [(&str, &str, &str, &str); 4] = [
    ("site", "policies", "policy", "[[policy]]"),
    ("warm", "site", "site", "[[site]]"),
    ("limit", "sites", "site", "[[site]]"),
    ("admin", "ready_after", "warm", "[[warm]]"),
];

/// Routes of a site.
const MAX_ROUTES: usize = 256;

/// Records every mistake about names.
pub(super) fn check(sections: &[RawEntry], mistakes: &Mistakes<'_>) {
    check_names(sections, mistakes);
    check_hosts(sections, mistakes);
    check_routes(sections, mistakes);
    check_references(sections, mistakes);
}

/// The names of a section's entries are unique.
fn check_names(sections: &[RawEntry], mistakes: &Mistakes<'_>) {
    for section in [
        &Policy::SECTION,
        &TableFile::SECTION,
        &Site::SECTION,
        &Limit::SECTION,
        &Plan::SECTION,
        &Webhook::SECTION,
    ] {
        let mut lines = HashMap::new();
        for (name, at) in written_texts(sections, section.name, "name") {
            if let Some(line) = lines.insert(name, mistakes.position(at.start).line) {
                let problem = format!("`{name}` is the name of the entry in line {line} too");
                let mistake = Mistake::new(problem, "give each its own name");
                mistakes.add(at, &format!("{}.name", section.name), mistake);
            }
        }
    }
}

/// A host belongs to one site.
fn check_hosts(sections: &[RawEntry], mistakes: &Mistakes<'_>) {
    let mut lines = HashMap::new();
    for (host, at) in written_texts(sections, "site", "hosts") {
        let line = mistakes.position(at.start).line;
        if let Some(line) = lines.insert(host.to_ascii_lowercase(), line) {
            let problem = format!("`{host}` is named in line {line} already");
            let mistake = Mistake::new(problem, "name each host once, in one site");
            mistakes.add(at, "site.hosts", mistake);
        }
    }
}

/// A site has a bounded number of routes, and their names are unique in it.
fn check_routes(sections: &[RawEntry], mistakes: &Mistakes<'_>) {
    for site in find(sections, "site").into_iter().flat_map(items) {
        let RawKind::Table(keys) = &site.kind else {
            continue;
        };
        if let Some(RawKind::List(routes)) = find(keys, "route").map(|routes| &routes.kind)
            && let Some(beyond) = routes.get(MAX_ROUTES)
        {
            let problem = format!("the site has {} routes", routes.len());
            let mistake = Mistake::new(problem, format!("write at most {MAX_ROUTES}"));
            mistakes.add(&beyond.at, "site.route", mistake);
        }
        let mut lines = HashMap::new();
        for (name, at) in written_texts(keys, "route", "name") {
            if let Some(line) = lines.insert(name, mistakes.position(at.start).line) {
                let problem = format!("`{name}` is the name of the route in line {line} too");
                let mistake = Mistake::new(problem, "give each route its own name");
                mistakes.add(at, "site.route.name", mistake);
            }
        }
    }
}

/// Sites name policies that exist, and plans name sites that exist.
fn check_references(sections: &[RawEntry], mistakes: &Mistakes<'_>) {
    for (from, key, to, header) in REFERENCES {
        let known = written_texts(sections, to, "name").map(|(name, _)| name);
        let known: Vec<&str> = known.collect();
        let references = written_texts(sections, from, key);
        for (name, at) in references.filter(|(name, _)| !known.contains(name)) {
            let cure = match did_you_mean(name, known.iter().copied()) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => format!("add {header} with name = \"{name}\""),
            };
            let mistake = Mistake::new(format!("there is no {to} `{name}`"), cure);
            mistakes.add(at, &format!("{from}.{key}"), mistake);
        }
    }
}

/// The texts that the entries of `section` have at `key`, alone or in lists, with their places.
pub(super) fn written_texts<'a>(
    sections: &'a [RawEntry],
    section: &str,
    key: &'a str,
) -> impl Iterator<Item = (&'a str, &'a Range<usize>)> {
    let entries = find(sections, section).into_iter().flat_map(items);
    let values = entries.filter_map(move |entry| match &entry.kind {
        RawKind::Table(keys) => find(keys, key),
        _ => None,
    });
    values.flat_map(items).filter_map(|item| match &item.kind {
        RawKind::Text(text) => Some((text.as_str(), &item.at)),
        _ => None,
    })
}

/// The items of a list; any other value is its own item.
fn items(value: &RawValue) -> &[RawValue] {
    match &value.kind {
        RawKind::List(items) => items,
        _ => std::slice::from_ref(value),
    }
}
